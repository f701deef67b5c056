"""Grey values taken for levels or dequantised, the set of counts, and bits per dimension of both."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import bench.data as data
from bench.data.batches import Data
from bench.errors import BenchError
from bench.judge import evaluate
from bench.settings import Measure
from variants import DataSpec, build


def batch(loaded: Data, split: str = "test") -> torch.Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, 100)])


def test_levels_are_the_grey_values_and_have_a_spec_that_says_so() -> None:
    assert data.spec("mnist", "levels") == DataSpec((1, 28, 28), "levels", 50_000, levels=256, classes=10)
    assert data.spec("digits", "dequantise") == DataSpec((1, 8, 8), "unit", 1_297, levels=17, classes=10)
    levels, grey = (data.load("digits", binarise=how) for how in ("levels", "none"))
    assert levels.spec == DataSpec((1, 8, 8), "levels", 1_297, levels=17, classes=10)
    assert grey.spec.levels is None
    torch.testing.assert_close(batch(levels), batch(grey), rtol=0, atol=0)
    k = batch(levels) * 16
    torch.testing.assert_close(k, k.round())
    assert (levels.mean() == grey.mean()).all()


def test_dequantised_values_lose_no_level_and_fill_what_is_between() -> None:
    loaded, levels = data.load("digits", binarise="dequantise"), data.load("digits", binarise="levels")
    x, k = batch(loaded), (16 * batch(levels)).round()
    torch.testing.assert_close((17 * x).floor(), k)
    u = (17 * x - k).flatten()
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    torch.testing.assert_close(batch(data.load("digits", binarise="dequantise")), x)  # once, the same for everybody

    def train(seed: int) -> torch.Tensor:
        order, noise = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
        return next(iter(loaded.train_batches(50, order=order, noise=noise)))

    assert not torch.equal(train(1), train(2))
    torch.testing.assert_close((17 * train(1)).floor(), (17 * train(2)).floor())


def test_what_has_no_levels_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, train=np.random.default_rng(0).random((40, 5, 5)).astype(np.float32))
    for how in ("levels", "dequantise"):
        with pytest.raises(BenchError, match="floats have no levels; give uint8"):
            data.spec(str(file), how)
        with pytest.raises(BenchError, match="real-valued and cannot be binarised"):
            data.spec("breast_cancer", how)
    np.savez(file, train=np.random.default_rng(0).integers(256, size=(40, 5, 5)).astype(np.uint8))
    assert data.spec(str(file), "levels") == DataSpec((1, 5, 5), "levels", 32, levels=256)
    with pytest.raises(BenchError, match="counts, which are no grey values"):
        data.spec("counts", "dynamic")


@pytest.mark.parametrize("how", ["dequantise", "levels"])
def test_bits_of_levels_and_of_dequantised_data_are_on_one_scale(how: str) -> None:
    """Equal probabilities of L levels are log2 L bits, and so is the density one."""
    loaded = data.load("digits", binarise=how)
    name = "categorical_pixels" if how == "levels" else "vanilla"
    torch.manual_seed(0)
    model = build(name, loaded.spec, latent=2, hidden=(4,))
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    metrics = evaluate(model, loaded, Measure(1, 2, 50)).metrics
    # An encoder at its start is not the prior, so that a little of the bound is lost.
    assert metrics["bits_per_dim"] == pytest.approx(math.log2(17), abs=0.02)
    bound = -metrics["elbo_nats"] / (64 * math.log(2))
    assert metrics.get("elbo_bits_per_dim") == (pytest.approx(bound) if how == "levels" else None)
    torch.manual_seed(0)
    grey = data.load("digits", binarise="none")
    assert evaluate(build("vanilla", grey.spec, latent=2), grey, Measure(1, 2, 50)).metrics["bits_per_dim"] is None


def test_counts_have_exact_probabilities_and_follow_them() -> None:
    loaded = data.load("counts", d=2, clusters=3, n=5000)
    truth = loaded.truth
    assert truth is not None
    assert loaded.spec.kind == "counts"
    every = torch.tensor(list(itertools.product(range(700), repeat=2)), dtype=torch.float32)
    assert truth.log_prob(every).exp().sum().item() == pytest.approx(1, abs=1e-3)
    # By the definition, one cluster at a time.
    x = batch(loaded)[:5]
    means = truth.mean.numpy()
    theta = truth.dispersion
    p = [np.prod(stats.nbinom(theta, theta / (theta + m)).pmf(x.numpy()), axis=1) for m in means]
    torch.testing.assert_close(truth.log_prob(x), torch.from_numpy(np.log(np.mean(p, axis=0))))
    x = batch(loaded, "train")
    torch.testing.assert_close(x, x.round())
    mean, variance = means.mean(0), (means + means**2 / theta).mean(0) + means.var(0)
    assert (np.abs(x.double().numpy().mean(0) - mean) < 5 * np.sqrt(variance / len(x))).all()
    labels = torch.cat([y for _, y in loaded.eval_batches("train", 100)])
    assert labels.unique().tolist() == [0, 1, 2]
    for m, rows in ((m, x[labels == i].double().numpy()) for i, m in enumerate(means)):
        np.testing.assert_allclose(np.square(rows - m).mean(0), m + m**2 / theta, rtol=0.3)
