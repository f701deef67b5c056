"""The simulated set that no linear model fits, and its exact density."""

import numpy as np
import pytest
import torch
from scipy import stats

import bench.data as data
from bench.data.batches import Data
from bench.data.flow import RandomFlow


def rows(loaded: Data, split: str) -> torch.Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, 512)])


def truth_of(loaded: Data) -> RandomFlow:
    assert isinstance(loaded.truth, RandomFlow)
    return loaded.truth


@pytest.mark.parametrize(("k", "noise"), [(2, 0.1), (1, 0.1)])
def test_the_density_integrates_to_one(k: int, noise: float) -> None:
    truth = truth_of(data.load("flow_data", d=2, k=k, noise=noise, n=10))
    axis = torch.linspace(-12, 12, 601, dtype=torch.float64)
    density = truth.log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("d", [2, 5, 16])
def test_the_density_is_the_change_of_variables(d: int) -> None:
    """The inverse by its own formula, and the determinant by differences of the way out."""
    truth = truth_of(data.load("flow_data", d=d, k=2, noise=0.3, n=10))
    u = np.random.default_rng(0).standard_normal((6, d)) * truth.scale
    x = truth.forward(u)
    np.testing.assert_allclose(truth.inverse(x)[0], u, atol=1e-12)
    step = 1e-6 * np.eye(d)
    for u_i, x_i in zip(u, x, strict=True):
        jacobian = (truth.forward(u_i + step) - truth.forward(u_i - step)) / 2e-6
        log_det = np.linalg.slogdet(jacobian)[1]
        log_p = stats.norm(0, truth.scale).logpdf(u_i).sum() - log_det
        assert truth.log_prob(torch.from_numpy(x_i[None])).item() == pytest.approx(log_p, abs=1e-6)


def test_the_data_follow_the_truth() -> None:
    loaded = data.load("flow_data", d=6, k=2, noise=0.2, n=20_000)
    truth = truth_of(loaded)
    np.testing.assert_allclose(np.square(truth.scale), [1, 1, 0.2, 0.2, 0.2, 0.2])
    x = rows(loaded, "train")
    u, _ = truth.inverse(x.double().numpy())
    for standardised in (u / truth.scale).T:
        assert stats.kstest(standardised, "norm").pvalue > 1e-3
    # Single precision of x, and no more, is between u and what was drawn.
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 5 / np.sqrt(len(x))
    log_p = truth.log_prob(x)
    assert (log_p.shape, log_p.dtype) == ((16_000,), torch.float64)


def test_no_gaussian_is_near() -> None:
    """The best linear model of all dimensions, a Gaussian, is more than a nat behind the truth."""
    loaded = data.load("flow_data")
    train, test = (rows(loaded, split).double() for split in ("train", "test"))
    gaussian = torch.distributions.MultivariateNormal(train.mean(0), torch.cov(train.T))
    assert (truth_of(loaded).log_prob(test) - gaussian.log_prob(test)).mean() > 1


def test_it_is_the_same_every_time_and_the_flow_does_not_depend_on_n() -> None:
    first, second, more = (data.load("flow_data", n=n) for n in (100, 100, 200))
    assert first.checksum == second.checksum != more.checksum
    x = rows(first, "test")
    assert torch.equal(truth_of(first).log_prob(x), truth_of(more).log_prob(x))
    assert first.splits == {"train": 80, "valid": 10, "test": 10}
    assert first.options == {"d": 16, "k": 4, "noise": 0.1, "n": 100}
    assert first.spec.kind == "real"
    assert first.spec == data.spec("flow_data", n=100)
