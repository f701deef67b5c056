"""A suite that checks the judge: against which models with a known truth, and how finely. It needs no torch."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bench.data.sets import check_options
from bench.errors import UsageError
from bench.records.record import Cell
from bench.settings import MOST, Count, Positive, Section, convert

LINEAR, BELIEF = "linear_gaussian", "tiny_sbn"
# A standard error over examples needs some; a variance over draws needs two.
_TwoOrMore = Annotated[int, Meta(ge=2, le=MOST)]


class Settings(Section, frozen=True):
    """How finely each problem is checked.

    Attributes:
        n: examples drawn of each model, a tenth of them for the test split.
        points: evenly spaced test examples, and examples simulated by the model, that estimators see.
        elbo_samples: posterior draws per example for the ELBO.
        importance_samples: K draws per example for importance sampling.
        chains: annealed chains per example.
        steps: temperatures of a chain.
        gap_steps: optimiser steps for each example's own posterior.
        epochs: passes over the training split for the trained linear VAEs.
    """

    n: Annotated[int, Meta(ge=200, le=MOST)] = 4000
    points: Annotated[int, Meta(ge=20, le=MOST)] = 100
    elbo_samples: _TwoOrMore = 100
    importance_samples: _TwoOrMore = 1000
    chains: _TwoOrMore = 8
    steps: _TwoOrMore = 200
    gap_steps: Count = 300
    epochs: Count = 60


class Problem(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the data `linear_gaussian`: dimensions, latents, variance of the noise, orthogonal columns or not."""

    d: Count
    k: Count
    noise: Positive
    orthogonal: bool

    def __post_init__(self) -> None:
        # Probabilistic PCA estimates the noise from the dimensions that are left.
        if self.k >= self.d:
            raise ValueError(f"a problem needs k below d, got d = {self.d}, k = {self.k}")


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the data `tiny_sbn`: dimensions, and latent bits. All pairs of their states are counted."""

    d: Count
    bits: Annotated[int, Meta(ge=1, le=8)]


class OracleSuite(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Problems, and how finely to look at each."""

    name: str
    description: str = ""
    problems: Annotated[tuple[Problem, ...], Meta(min_length=1)] = msgspec.field(name="problem")
    networks: tuple[Network, ...] = msgspec.field(name="network", default=())
    timeout_min: Positive = 20
    settings: Settings = Settings()

    def cells(self, device: str) -> list[Cell]:
        """The configuration of every problem."""
        models: list[tuple[str, str, Problem | Network]] = [("linear", LINEAR, problem) for problem in self.problems]
        models += [("bernoulli_vimco", BELIEF, network) for network in self.networks]
        return [
            {
                "variant": variant,
                "overrides": {},
                "dataset": dataset,
                "data_options": msgspec.structs.asdict(options) | {"n": self.settings.n},
                "binarise": "none",
                "settings": self.settings.plain(),
                "device": device,
                "threads": 1,
                "precision": "fp64",
            }
            for variant, dataset, options in models
        ]


def parse(name: str, table: Mapping[str, Any]) -> OracleSuite:
    """A suite from the content of its TOML file. UsageError for a wrong key, type or range."""
    if "name" in table:
        raise UsageError("unknown key name: a suite is called as its file is")
    suite = convert(OracleSuite, {**table, "name": name})
    for dataset, models in ((LINEAR, suite.problems), (BELIEF, suite.networks)):
        for i, model in enumerate(models):
            check_options(dataset, msgspec.structs.asdict(model))
            if model in models[:i]:
                raise UsageError(f"{model} stands twice: remove one")
    return suite


def configure(suite: OracleSuite, settings: Mapping[str, Any]) -> OracleSuite:
    """The suite with some of its settings changed. UsageError for an unknown one or a wrong value."""
    return msgspec.structs.replace(
        suite, settings=convert(Settings, suite.settings.plain() | dict(settings), "settings")
    )
