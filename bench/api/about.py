"""What a model says of itself, and how it is asked anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from msgspec import Struct, field

from bench.data.given.facts import Scaling
from bench.settings import Number
from variants.core import VAE
from variants.data_spec import DataSpec


class About(Struct, kw_only=True):
    """What a model is, as its `config.json` says it.

    Attributes:
        variant: registered name; None for a model of parts that somebody gave.
        overrides: keywords that it was built with.
        data: what it was trained on: name, shape, kind, size, binarise, options, sha256.
        training: budget, seed, device, precision, seconds, start, code; empty before training.
        curve: a row for each epoch.
        scores: the judge's figures on the test split, if it was asked.
        errors: metric -> `"mc"` and `"test"` -> standard error.
    """

    variant: str | None
    overrides: dict[str, Any] = {}
    data: dict[str, Any] = {}
    training: dict[str, Any] = {}
    curve: list[dict[str, Number]] = []
    scores: dict[str, Number] = {}
    errors: dict[str, dict[str, Number]] = field(default_factory=dict)


class Described(Protocol):
    """A model as `bench.api.model.Model` has it: with its data's spec, its history and its scaling."""

    vae: VAE
    spec: DataSpec
    about: About
    scaling: Scaling | None


@contextmanager
def judged(vae: VAE) -> Iterator[None]:
    """No gradients, evaluation mode; the mode is as it was afterwards."""
    training = [(module, module.training) for module in vae.modules()]
    vae.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in training:
            module.training = mode
