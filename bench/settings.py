"""The settings of a run as typed sections, checked when they are made. It needs no torch."""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from bench.errors import UsageError
from bench.text import hint

MOST_SEEDS = 10_000

Settings = TypeVar("Settings")


def require(holds: bool, key: str, value: object, words: str) -> None:
    """UsageError, `key must be words`, unless it holds."""
    if not holds:
        raise UsageError(f"{key} must be {words}, got {value!r}")


# Marks a key that came when there were results already: it is left out of a cell while it has its default, so that the
# cells of those results keep their names.
ADDED = {"added": True}


def settings_of(section: Any) -> dict[str, Any]:
    """The keys of a section as a cell has them."""
    return {
        f.name: value
        for f in dataclasses.fields(section)
        if (value := getattr(section, f.name)) != f.default or "added" not in f.metadata
    }


def check_seeds(key: str, seeds: int) -> None:
    """UsageError for a number of seeds that cannot be, or whose cells would fill the memory before any is run."""
    require(1 <= seeds <= MOST_SEEDS, key, seeds, f"between 1 and {MOST_SEEDS}")


@dataclass(frozen=True)
class Budget:
    """What every variant of a comparison gets for training.

    Attributes:
        epochs: passes over the training split.
        batch_size: examples per step; the last, smaller batch of a pass is kept.
        lr: Adam's step size at the start.
        schedule: how the step size goes on, see `bench.train.SCHEDULES`.
        train_size: the first so many training examples; None for all.
        epsilon: Adam's epsilon, for a loss that is a mean over the batch.
        normalise_gradients: whether the gradient of each parameter tensor is divided by its norm before Adam sees it.
        patience: epochs without a better validation ELBO after which training ends, counted from the end of the
            objective's warm-up; the weights of the best epoch are then the result. None trains all epochs and keeps
            the last weights.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 3e-3
    schedule: Literal["cosine", "constant", "burda2015", "geometric"] = "cosine"
    train_size: int | None = None
    epsilon: float = field(default=1e-8, metadata=ADDED)
    normalise_gradients: bool = field(default=False, metadata=ADDED)
    patience: int | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(0 < self.lr < float("inf"), "lr", self.lr, "above 0")
        require(self.train_size is None or self.train_size >= 1, "train_size", self.train_size, "at least 1")
        require(0 < self.epsilon < float("inf"), "epsilon", self.epsilon, "above 0")
        require(self.patience is None or self.patience >= 1, "patience", self.patience, "at least 1")


@dataclass(frozen=True)
class Measure:
    """How finely a trained model is measured, on the test split.

    Everything but the ELBO is left out where its number is 0. docs/metrics.md defines what is measured.

    Attributes:
        elbo_samples: posterior draws per example for the ELBO and the reconstruction; 2 or more tell their own error.
        nll_samples: K importance samples per example for log p(x), up to 5,000.
        nll_points: evenly spaced test examples on which log p(x) - ELBO is estimated; None for all.
        mi_points: evenly spaced test examples of which one draw each is held against the posteriors of all of them,
            for the mutual information.
        gap_points: evenly spaced test examples whose posteriors are optimised one by one, for the inference gaps.
        gap_steps: steps of that optimisation.
        gap_split: `"train"` takes the first training examples instead, as published tables of gaps do, and gives the
            bounds themselves.
        probe_points: evenly spaced training examples from whose codes the classes are learnt.
        ssim_points: evenly spaced test examples whose reconstructions are compared by structural similarity.
        ais_points: evenly spaced test examples, and as many simulated ones, for annealed importance sampling.
        ais_steps: temperatures of each annealing path.
        ais_chains: paths per example.
    """

    elbo_samples: int = 10
    nll_samples: int = 500
    nll_points: int | None = None
    mi_points: int = 0
    gap_points: int = 0
    gap_steps: int = 250
    gap_split: Literal["test", "train"] = field(default="test", metadata=ADDED)
    probe_points: int = 0
    ssim_points: int = 0
    ais_points: int = 0
    ais_steps: int = 500
    ais_chains: int = 16

    def __post_init__(self) -> None:
        require(1 <= self.elbo_samples <= 100, "elbo_samples", self.elbo_samples, "between 1 and 100")
        require(0 <= self.nll_samples <= 5000, "nll_samples", self.nll_samples, "between 0 and 5000")
        require(self.nll_points is None or self.nll_points >= 1, "nll_points", self.nll_points, "at least 1")
        for name in ("mi_points", "gap_points", "probe_points", "ssim_points", "ais_points"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name in ("gap_steps", "ais_steps", "ais_chains"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


@dataclass(frozen=True)
class Clock:
    """How throughput is measured.

    Attributes:
        blocks: timed blocks per figure; 0 leaves throughput out.
        block_s: seconds that a block should last at least; calls per block are calibrated to it.
        batch_size: examples per call.
    """

    blocks: int = 7
    block_s: float = 0.2
    batch_size: int = 128

    def __post_init__(self) -> None:
        require(self.blocks == 0 or self.blocks >= 3, "throughput.blocks", self.blocks, "0, or at least 3")
        require(0 < self.block_s <= 60, "throughput.block_s", self.block_s, "above 0 and at most 60")
        require(self.batch_size >= 1, "throughput.batch_size", self.batch_size, "at least 1")


# The tables of a suite file whose keys `--set` takes as well.
SECTIONS = {"budget": Budget, "measure": Measure, "throughput": Clock}


def typed(kind: type, key: str, value: object) -> Any:
    """`value` if it fits the type of the dataclass field `key`; UsageError otherwise. A whole number fits a float."""
    wanted = typing.get_type_hints(kind)[key]
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    for option in options:
        if typing.get_origin(option) is Literal:
            if value in typing.get_args(option):
                return value
        elif option is float and isinstance(value, int) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):  # of hundreds of digits
                return float(value)
        elif isinstance(value, option) and not (isinstance(value, bool) and option is not bool):
            return value
    words = " or ".join(
        " or ".join(map(repr, typing.get_args(o)))
        if typing.get_origin(o) is Literal
        else {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[o]
        for o in options
        if o is not types.NoneType
    )
    raise UsageError(f"{key} must be {words}, got {value!r}")


def section(kind: type[Settings], name: str, table: object) -> Settings:
    """The dataclass `kind` from the table `name` of a suite file. UsageError for a wrong key, type or range."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{name} must be a table, got {table!r}")
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key {name}.{key}: {hint(key, known)}")
    return kind(**{key: typed(kind, key, value) for key, value in table.items()})
