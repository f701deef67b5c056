"""A suite that checks the judge: which linear Gaussian models, and how finely. It needs no torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.data.sets import check_options
from bench.errors import UsageError
from bench.records.record import Cell
from bench.settings import section, typed
from bench.text import hint


@dataclass(frozen=True)
class Settings:
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

    n: int = 4000
    points: int = 100
    elbo_samples: int = 100
    importance_samples: int = 1000
    chains: int = 8
    steps: int = 200
    gap_steps: int = 300
    epochs: int = 60

    def __post_init__(self) -> None:
        # A standard error over examples needs some; a variance over draws needs two.
        least = {"n": 200, "points": 20, "epochs": 1, "gap_steps": 1}
        for key, value in dataclasses.asdict(self).items():
            if value < least.get(key, 2):
                raise UsageError(f"{key} must be at least {least.get(key, 2)}, got {value}")


@dataclass(frozen=True)
class OracleSuite:
    """Problems, each the options d, k, noise and orthogonal of the data `linear_gaussian`, and how finely to look."""

    name: str
    description: str
    problems: tuple[dict[str, Any], ...]
    timeout_min: float = 20
    settings: Settings = Settings()

    def cells(self, device: str) -> list[Cell]:
        """The configuration of every problem."""
        return [
            {
                "variant": "linear",
                "overrides": {},
                "dataset": "linear_gaussian",
                "data_options": problem | {"n": self.settings.n},
                "binarise": "none",
                "settings": dataclasses.asdict(self.settings),
                "device": device,
                "threads": 1,
                "precision": "fp64",
            }
            for problem in self.problems
        ]


def parse(name: str, table: Mapping[str, Any]) -> OracleSuite:
    """A suite from the content of its TOML file. UsageError for a wrong key, type or range."""
    known = ("description", "timeout_min", "problem", "settings")
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key {key!r}: {hint(key, known)}")
    entries = table["problem"]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageError("a problem is written as a table [[problem]] with d, k, noise and orthogonal")
    problems = tuple(_problem(entry) for entry in entries)
    for i, problem in enumerate(problems):
        if problem in problems[:i]:
            raise UsageError(f"problem {problem} stands twice: remove one")
    suite = OracleSuite(
        name=name,
        description=typed(OracleSuite, "description", table.get("description", "")),
        problems=problems,
        timeout_min=typed(OracleSuite, "timeout_min", table.get("timeout_min", OracleSuite.timeout_min)),
        settings=section(Settings, "settings", table.get("settings", {})),
    )
    if suite.timeout_min <= 0:
        raise UsageError(f"timeout_min must be above 0, got {suite.timeout_min}")
    return suite


def configure(suite: OracleSuite, settings: Mapping[str, Any]) -> OracleSuite:
    """The suite with some of its settings changed. UsageError for an unknown one or a wrong value."""
    return dataclasses.replace(
        suite, settings=section(Settings, "settings", dataclasses.asdict(suite.settings) | dict(settings))
    )


def _problem(entry: Mapping[str, Any]) -> dict[str, Any]:
    wanted = ("d", "k", "noise", "orthogonal")
    for key in entry:
        if key not in wanted:
            raise UsageError(f"unknown key {key!r} in problem: {hint(key, wanted)}")
    if missing := [key for key in wanted if key not in entry]:
        raise UsageError(f"a problem lacks {', '.join(missing)}")
    options = check_options("linear_gaussian", entry)
    # Probabilistic PCA estimates the noise from the dimensions that are left.
    if options["k"] >= options["d"]:
        raise UsageError(f"a problem needs k below d, got d = {options['d']}, k = {options['k']}")
    return {key: options[key] for key in wanted}
