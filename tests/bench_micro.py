"""Times of the core steps of every registered variant: `make bench-micro`. Nothing is asserted about time.

The name keeps this file out of the ordinary test run."""

from typing import Any

import pytest
import torch
from torch import Tensor

import variants
from bench.train import optimiser, step
from variants import DataSpec
from variants.core import VAE, elbo, iwae

SPEC = DataSpec((1, 28, 28), "binary", 50_000)
SAMPLES = 50


@pytest.fixture
def x() -> Tensor:
    """`[128, 1, 28, 28]`."""
    return torch.rand(128, *SPEC.shape, generator=torch.Generator().manual_seed(0)).round()


@pytest.fixture(params=variants.names())
def model(request: pytest.FixtureRequest) -> VAE:
    try:
        return variants.build(request.param, SPEC)
    except variants.RegistryError as error:
        pytest.skip(str(error))


def test_training_step(benchmark: Any, model: VAE, x: Tensor) -> None:
    model.train()
    optim = optimiser(model, 1e-3)
    benchmark(lambda: step(model, optim, x, 0.0))


@torch.no_grad()
def test_elbo(benchmark: Any, model: VAE, x: Tensor) -> None:
    if not model.has_bound:
        pytest.skip("no bound")
    model.eval()
    benchmark(lambda: elbo(model.terms(x)))


@torch.no_grad()
def test_importance_weighted_bound(benchmark: Any, model: VAE, x: Tensor) -> None:
    if not model.has_bound:
        pytest.skip("no bound")
    model.eval()
    benchmark.pedantic(lambda: iwae(model.terms(x, SAMPLES)), rounds=3, warmup_rounds=1)
