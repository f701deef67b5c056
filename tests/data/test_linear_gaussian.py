"""The simulated set and its exact density."""

import numpy as np
import pytest
import torch
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

import bench.data as data
from bench.data.batches import Data


def rows(loaded: Data, split: str) -> torch.Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, 512)])


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize(("d", "k", "noise"), [(16, 4, 0.1), (5, 5, 2.0), (1, 1, 1.0)])
def test_log_prob_is_the_normal_density(d: int, k: int, noise: float, orthogonal: bool) -> None:
    loaded = data.load("linear_gaussian", d=d, k=k, noise=noise, orthogonal=orthogonal, n=100)
    truth = loaded.truth
    assert truth is not None
    x = rows(loaded, "test")
    C = truth.W @ truth.W.T + noise * torch.eye(d, dtype=torch.float64)
    log_prob = truth.log_prob(x)
    assert (log_prob.shape, log_prob.dtype) == ((10,), torch.float64)
    torch.testing.assert_close(log_prob, MultivariateNormal(truth.mean, C).log_prob(x.double()), rtol=1e-9, atol=1e-9)
    low_rank = LowRankMultivariateNormal(truth.mean, truth.W, torch.full((d,), noise, dtype=torch.float64))
    torch.testing.assert_close(log_prob, low_rank.log_prob(x.double()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("orthogonal", [False, True])
def test_columns_are_orthogonal_only_if_asked(orthogonal: bool) -> None:
    truth = data.load("linear_gaussian", orthogonal=orthogonal, n=10).truth
    assert truth is not None
    gram = truth.W.T @ truth.W
    off = (gram - gram.diag().diag()).abs().max() / gram.diag().max()
    assert (off < 1e-12) == orthogonal
    assert (truth.W.dtype, truth.mean.dtype, truth.noise_variance) == (torch.float64, torch.float64, 0.1)
    plain = data.load("linear_gaussian", n=10).truth
    assert plain is not None
    torch.testing.assert_close(truth.W.norm(dim=0), plain.W.norm(dim=0))


def test_the_data_follow_the_truth() -> None:
    loaded = data.load("linear_gaussian", d=6, k=2, noise=0.5, n=50_000)
    truth = loaded.truth
    assert truth is not None
    x = rows(loaded, "train").double()
    n = len(x)
    assert n == 40_000
    C = truth.W @ truth.W.T + 0.5 * torch.eye(6, dtype=torch.float64)
    assert ((x.mean(0) - truth.mean).abs() < 5 * (C.diag() / n).sqrt()).all()
    # Var of an entry of the sample covariance: (C_ii C_jj + C_ij^2) / n.
    spread = ((C.diag()[:, None] * C.diag() + C.square()) / n).sqrt()
    assert ((torch.from_numpy(np.cov(x.numpy().T)) - C).abs() < 5 * spread).all()
    # log p(x) has mean -entropy and variance d/2.
    entropy = MultivariateNormal(truth.mean, C).entropy()
    assert (truth.log_prob(x).mean() + entropy).abs() < 5 * (6 / 2 / n) ** 0.5


def test_it_is_the_same_every_time_and_the_model_does_not_depend_on_n() -> None:
    first, second, more = (data.load("linear_gaussian", n=n) for n in (100, 100, 200))
    assert first.checksum == second.checksum != more.checksum
    assert torch.equal(rows(first, "valid"), rows(second, "valid"))
    assert first.truth is not None
    assert more.truth is not None
    assert torch.equal(first.truth.W, more.truth.W)
    assert first.splits == {"train": 80, "valid": 10, "test": 10}
    assert first.options == {"d": 16, "k": 4, "noise": 0.1, "orthogonal": False, "n": 100}


def test_batches_are_real_vectors() -> None:
    loaded = data.load("linear_gaussian", n=100)
    x, y = next(loaded.eval_batches("test", 50))
    assert (x.shape, x.dtype, loaded.spec.kind) == ((10, 16), torch.float32, "real")
    assert y.tolist() == [0] * 10
    generator = torch.Generator()
    assert [len(x) for x in loaded.train_batches(50, order=generator, noise=generator)] == [50, 30]
