"""A suite is a TOML file: which variants on which data with how many seeds, the budget, and how finely to measure.

This module reads and checks it and lists its cells. It needs no torch."""

import contextlib
import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import variants
from bench import data
from bench.errors import UsageError
from bench.record import Cell, read_text

MOST_SEEDS = 10_000
SHIPPED = Path(__file__).parent / "suites"

Settings = TypeVar("Settings")


def hint(word: str, known: Iterable[str]) -> str:
    """Ends an error line: the known word nearest to `word`, or all of them."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(sorted(known))}"


def _require(holds: bool, key: str, value: object, words: str) -> None:
    if not holds:
        raise UsageError(f"{key} must be {words}, got {value!r}")


# Marks a key that came when there were results already: it is left out of a cell while it has its default, so that the
# cells of those results keep their names.
ADDED = {"added": True}


def _settings(section: Any) -> dict[str, Any]:
    """The keys of a section as a cell has them."""
    return {
        f.name: value
        for f in dataclasses.fields(section)
        if (value := getattr(section, f.name)) != f.default or "added" not in f.metadata
    }


def check_seeds(key: str, seeds: int) -> None:
    """UsageError for a number of seeds that cannot be, or whose cells would fill the memory before any is run."""
    _require(1 <= seeds <= MOST_SEEDS, key, seeds, f"between 1 and {MOST_SEEDS}")


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
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(0 < self.lr < float("inf"), "lr", self.lr, "above 0")
        _require(self.train_size is None or self.train_size >= 1, "train_size", self.train_size, "at least 1")
        _require(0 < self.epsilon < float("inf"), "epsilon", self.epsilon, "above 0")
        _require(self.patience is None or self.patience >= 1, "patience", self.patience, "at least 1")


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
        _require(1 <= self.elbo_samples <= 100, "elbo_samples", self.elbo_samples, "between 1 and 100")
        _require(0 <= self.nll_samples <= 5000, "nll_samples", self.nll_samples, "between 0 and 5000")
        _require(self.nll_points is None or self.nll_points >= 1, "nll_points", self.nll_points, "at least 1")
        for name in ("mi_points", "gap_points", "probe_points", "ssim_points", "ais_points"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name in ("gap_steps", "ais_steps", "ais_chains"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


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
        _require(self.blocks == 0 or self.blocks >= 3, "throughput.blocks", self.blocks, "0, or at least 3")
        _require(0 < self.block_s <= 60, "throughput.block_s", self.block_s, "above 0 and at most 60")
        _require(self.batch_size >= 1, "throughput.batch_size", self.batch_size, "at least 1")


# The tables of a suite file whose keys `--set` takes as well.
SECTIONS = {"budget": Budget, "measure": Measure, "throughput": Clock}


@dataclass(frozen=True)
class Variant:
    """A variant of a suite: its registered name, changed keywords, and what it has of its own instead of the suite's:
    number of seeds, budget, measurement."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    budget: Budget | None = None
    measure: Measure | None = None


@dataclass(frozen=True)
class DataChoice:
    """A data set of a suite: its name, binarisation and options."""

    name: str
    binarise: str
    options: dict[str, Any] = field(default_factory=dict)


def _subject(variant: Variant, choice: DataChoice) -> Cell:
    """What a cell is about, whatever is done with it: a variant on a data set."""
    return {
        "variant": variant.name,
        "overrides": variant.overrides,
        "dataset": choice.name,
        "data_options": choice.options,
        "binarise": choice.binarise,
    }


def _each_once(cells: Iterable[Cell]) -> list[Cell]:
    return list({json.dumps(cell, sort_keys=True): cell for cell in cells}.values())


@dataclass(frozen=True)
class Suite:
    """Variants x data sets x seeds under one budget.

    Attributes:
        seeds: 0 to seeds - 1, for each variant that has no number of its own.
        timeout_min: minutes after which a cell is ended.
        precision: of training: `"fp32"` or `"bf16"`; see `bench.train.loss_function`.
        compile: whether training is compiled.
    """

    name: str
    description: str
    variants: tuple[Variant, ...]
    datasets: tuple[DataChoice, ...]
    seeds: int = 3
    timeout_min: float = 240
    budget: Budget = Budget()
    measure: Measure = Measure()
    throughput: Clock = Clock()
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False

    @property
    def arithmetic(self) -> str:
        """What training computes in, as a cell has it. Runs with another one are another comparison group."""
        return self.precision + ("+compile" if self.compile else "")

    def cells(self, device: str) -> list[Cell]:
        """The configurations of all runs: seed by seed, so that an unfinished suite has every variant, and each once,
        for changed keywords may have made two variants one."""
        most = max(v.seeds or self.seeds for v in self.variants)
        return _each_once(
            {
                **_subject(v, d),
                "seed": seed,
                "budget": _settings(v.budget or self.budget),
                "measure": _settings(v.measure or self.measure),
                "device": device,
                "threads": 1,
                "precision": self.arithmetic,
            }
            for seed in range(most)
            for d in self.datasets
            for v in self.variants
            if seed < (v.seeds or self.seeds)
        )

    def throughput_cells(self, devices: Iterable[str], threads: int) -> list[Cell]:
        """The configurations of all throughput measurements, each with the device to itself."""
        if not self.throughput.blocks:
            return []
        return _each_once(
            {
                **_subject(v, d),
                **dataclasses.asdict(self.throughput),
                "device": device,
                "threads": threads,
                "precision": self.arithmetic,
            }
            for device in devices
            for d in self.datasets
            for v in self.variants
        )


def names() -> list[str]:
    """The suites that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read(name: str) -> tuple[Path, dict[str, Any]]:
    """The file of a shipped suite by name, or of one given by its path, and its content. UsageError if unreadable."""
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if path.stem in (".", ".."):  # it names the results folder
        raise UsageError(f"suite {path} has no name of its own: rename the file")
    try:
        if path.is_file():
            return path, tomllib.loads(read_text(path))
    # ValueError: too large, no UTF-8, no TOML, or a number of thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"suite {path} cannot be read: {error}") from error
    if name.endswith(".toml"):
        raise UsageError(f"there is no suite file {name}")
    raise UsageError(f"unknown suite {name!r}, and no path of a .toml file: {hint(name, names())}")


def load(name: str) -> Suite:
    """A shipped suite by name, or the suite in a TOML file by path. UsageError if it cannot be read or is wrong."""
    path, table = read(name)
    try:
        return parse(path.stem, table)
    except UsageError as error:
        raise UsageError(f"suite {path.name}: {error}") from error


def parse(name: str, table: Mapping[str, Any]) -> Suite:
    """A suite from the content of its TOML file. UsageError for a wrong key, type or range."""
    fields = {f.name for f in dataclasses.fields(Suite)} - {"name"}
    if "problem" in table:
        raise UsageError("it checks the judge and compares no variants: only `vaebench run` takes it")
    for key in table:
        if key not in fields:
            raise UsageError(f"unknown key {key!r}: {hint(key, fields)}")
    scalars = {"description": ""} | {key: table[key] for key in table if key not in {"variants", "datasets", *SECTIONS}}
    suite = Suite(
        name=name,
        variants=tuple(_variant(entry) for entry in _entries(table, "variants")),
        datasets=tuple(_dataset(entry) for entry in _entries(table, "datasets")),
        **{key: typed(Suite, key, value) for key, value in scalars.items()},
        **{key: section(kind, key, table.get(key, {})) for key, kind in SECTIONS.items()},
    )
    check_seeds("seeds", suite.seeds)
    _require(suite.timeout_min > 0, "timeout_min", suite.timeout_min, "above 0")
    _refuse_repeats("variants", [(v.name, v.overrides) for v in suite.variants])
    _refuse_repeats("datasets", [(d.name, d.binarise, d.options) for d in suite.datasets])
    return suite


def check_variant_name(name: str) -> str:
    """`name` if it is registered; UsageError with the nearest name otherwise."""
    try:
        return variants.get(name).name
    except variants.RegistryError as error:
        raise UsageError(str(error)) from error


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


def _refuse_repeats(key: str, entries: list[tuple[Any, ...]]) -> None:
    for i, entry in enumerate(entries):
        if entry in entries[:i]:
            raise UsageError(f"{key} has {entry[0]!r} twice with the same settings: remove one")


def _entries(table: Mapping[str, Any], key: str) -> list[Any]:
    entries = table.get(key)
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{key} must be a list with at least one entry")
    return entries


def _fields(entry: object, what: str, allowed: dict[str, type]) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise UsageError(f"each entry of {what} is a name, or a table with a name; got {entry!r}")
    for key, value in entry.items():
        if key not in allowed:
            raise UsageError(f"unknown key {key!r} in {what}: {hint(key, allowed)}")
        if not isinstance(value, allowed[key]) or isinstance(value, bool):
            raise UsageError(f"{key} in {what} has the wrong type: {value!r}")
    return dict(entry)


def _variant(entry: object) -> Variant:
    values = _fields(entry, "variants", {"name": str, "set": dict, "seeds": int})
    if "seeds" in values:
        check_seeds("seeds in variants", values["seeds"])
    return Variant(check_variant_name(values["name"]), values.get("set", {}), values.get("seeds"))


def _dataset(entry: object) -> DataChoice:
    values = _fields(entry, "datasets", {"name": str, "binarise": str, "options": dict})
    return dataset(values["name"], values.get("binarise"), values.get("options", {}))


def dataset(name: str, binarise: str | None = None, options: Mapping[str, Any] | None = None) -> DataChoice:
    """A checked choice of a data set, its own binarisation if none is given. UsageError if there is no such thing."""
    options = dict(options or {})
    chosen = binarise or data.default_binarise(name)
    data.spec(name, chosen, **options)
    return DataChoice(name, chosen, options)
