"""Times of the core steps of every registered variant: `make bench-micro`. Nothing is asserted about time.

The name keeps this file out of the ordinary test run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import variants
from bench import data
from bench.judge.evidence import importance_weights
from bench.settings import Budget
from bench.train.steps import stepper_for
from tests.performance.micro import THREADS
from variants import DataSpec
from variants.core import VAE, elbo, iwae

SPEC = DataSpec((1, 28, 28), "binary", 50_000)
BATCH, SAMPLES = 128, 50
NLL_SAMPLES, NLL_IMAGES = 500, 8
# Of what takes a tenth of a second or more.
ROUNDS = 7


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def x() -> Tensor:
    """`[128, 1, 28, 28]`."""
    return torch.rand(BATCH, *SPEC.shape, generator=torch.Generator().manual_seed(0)).round()


@pytest.fixture(params=variants.names())
def model(request: pytest.FixtureRequest) -> VAE:
    try:
        return variants.build(request.param, SPEC)
    except (ValueError, variants.RegistryError) as error:  # it is for other data
        pytest.skip(str(error))


def matmul() -> Callable[[], object]:
    """Arithmetic: a product of square fp32 matrices."""
    a = torch.rand(384, 384, generator=torch.Generator().manual_seed(0))
    return lambda: a @ a


def exp() -> Callable[[], object]:
    """Memory and elementwise arithmetic: 4 MB in, 4 MB out."""
    a = torch.rand(2**20, generator=torch.Generator().manual_seed(0))
    return lambda: a.exp()


def dispatch() -> Callable[[], object]:
    """Python and torch's dispatcher: small operations one after the other, as a training step has hundreds."""
    a = torch.rand(8, generator=torch.Generator().manual_seed(0))

    def run() -> None:
        for _ in range(200):
            a.add(a)

    return run


@pytest.mark.parametrize("work", [matmul, exp, dispatch], ids=lambda work: work.__name__)
def test_reference(benchmark: Any, work: Callable[[], Callable[[], object]]) -> None:
    """No vaebench: what the others' times are divided by when two machines are compared."""
    benchmark(work())


def test_training_step(benchmark: Any, model: VAE, x: Tensor) -> None:
    model.train()
    step = stepper_for(model, Budget(lr=1e-3))
    benchmark(lambda: step(x, 0.0))


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
    benchmark.pedantic(lambda: iwae(model.terms(x, SAMPLES)), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("name", ["vanilla", "full_covariance", "conv"])
def test_nll(benchmark: Any, name: str, x: Tensor) -> None:
    """log p(x) of a few images from K = 500 draws: nearly all of what it costs to measure a variant."""
    model = variants.build(name, SPEC)
    benchmark.pedantic(lambda: importance_weights(model, x[:NLL_IMAGES], NLL_SAMPLES), rounds=ROUNDS, warmup_rounds=1)


def test_fetching(benchmark: Any) -> None:
    """A pass of 100 batches of MNIST's size: order, indexing, dynamic binarisation, conversion; no training."""
    loaded = data.load("mnist", train_size=100 * BATCH)
    order, noise = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    benchmark(lambda: sum(1 for _ in loaded.train_batches(BATCH, order=order, noise=noise)))
