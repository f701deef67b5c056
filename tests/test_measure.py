"""The judge against the truth: a linear model whose log p(x) is known, and sums done by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import data, measure
from bench.suite import Measure
from tests.helpers import Held
from variants import build, registry
from variants.core import VAE

D, K = 6, 3


def exact_model(truth: Any, **options: Any) -> VAE:
    """The linear model with the truth's W, m and s2 and the best diagonal posterior, in float64."""
    model = build("linear", data.spec("linear_gaussian", d=D), latent=K, **options).double()
    w, m, s2 = truth.W, truth.mean, truth.noise_variance
    v = torch.linalg.solve(w.T @ w + s2 * torch.eye(K, dtype=torch.float64), w.T)
    precision = torch.eye(K, dtype=torch.float64) + w.T @ w / s2
    with torch.no_grad():
        model.decoder.body.weight.copy_(w)
        model.decoder.body.bias.copy_(m)
        model.likelihood.log_sigma.fill_(0.5 * math.log(s2))
        model.posterior.loc.weight.copy_(v)
        model.posterior.loc.bias.copy_(-v @ m)
        model.posterior.log_scale.value.copy_(-0.5 * precision.diagonal().log())
    return model


def simulated(orthogonal: bool, noise: float = 0.3) -> tuple[Held, Any, Tensor]:
    """503 test examples (no multiple of any batch), the truth, and their exact log p(x) `[N]`."""
    loaded = data.load("linear_gaussian", d=D, k=K, noise=noise, orthogonal=orthogonal, n=5_030)
    x = torch.cat([x for x, _ in loaded.eval_batches("test", 500)])
    return Held(x.double()), loaded.truth, loaded.truth.log_prob(x)


@pytest.fixture(scope="module")
def orthogonal() -> tuple[Held, Any, Tensor]:
    return simulated(orthogonal=True)


def test_at_the_exact_posterior_importance_sampling_is_log_px_of_every_example(orthogonal: Any) -> None:
    held, truth, log_px = orthogonal
    model = exact_model(truth)
    for samples in (1, 7):
        estimate, _ = measure.importance_sampling(model, held, "test", samples=samples, points=None, seed=0)
        torch.testing.assert_close(estimate, log_px, rtol=0, atol=1e-9)
    evenly = torch.arange(100) * len(log_px) // 100
    estimate, _ = measure.importance_sampling(model, held, "test", samples=3, points=100, seed=0)
    torch.testing.assert_close(estimate, log_px[evenly], rtol=0, atol=1e-9)


def test_elbo_and_its_parts_against_closed_forms(orthogonal: Any) -> None:
    held, truth, log_px = orthogonal
    model = exact_model(truth)
    scores = measure.scores(model, held.eval_batches("test", 250), samples=10, seed=0)
    assert scores.kl_method == "closed_form"
    for tensor in (scores.recon, scores.kl, scores.elbo):
        assert tensor is not None
        assert (tensor.dtype, tensor.shape) == (torch.float64, log_px.shape)
    error = scores.elbo - log_px
    assert 0 < error.std() < 1
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(len(error))
    # E_q log p(x|z) of a Gaussian: -d/2 log(2 pi s2) - (|x - W mu - m|^2 + tr(W S W')) / 2 s2.
    q, s2 = model.infer(held.x), truth.noise_variance
    residual = (held.x - truth.mean - q.mean @ truth.W.T).square().sum(-1)
    spread = (q.variance @ truth.W.square().T).sum(-1)
    exact = -0.5 * D * math.log(2 * math.pi * s2) - 0.5 * (residual + spread) / s2
    off = scores.recon - exact
    assert abs(off.mean()) < 4 * off.std() / math.sqrt(len(off))
    torch.testing.assert_close(scores.kl, log_px.sub(exact).neg(), rtol=0, atol=1e-9)


def test_a_diagonal_posterior_loses_the_gap_that_the_truth_says() -> None:
    held, truth, log_px = simulated(orthogonal=False, noise=2.0)
    precision = torch.eye(K, dtype=torch.float64) + truth.W.T @ truth.W / truth.noise_variance
    gap = (0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))).item()
    assert gap > 0.1
    metrics, _ = measure.evaluate(exact_model(truth), held, Measure(20, 500, None), seed=0)
    assert metrics["elbo_nats"] == pytest.approx(log_px.mean().item() - gap, abs=0.05)
    assert -metrics["nll_is500_nats"] == pytest.approx(log_px.mean().item(), abs=0.02)
    assert metrics["inference_gap_nats"] == pytest.approx(gap, abs=0.05)
    assert metrics["bits_per_dim"] is None  # a density has no bits until x has a unit


def test_the_nll_speaks_of_the_whole_split_where_importance_sampling_saw_a_part_of_it(orthogonal: Any) -> None:
    held, truth, log_px = orthogonal
    part = log_px[torch.arange(40) * len(log_px) // 40].mean().item()
    whole = log_px.mean().item()
    assert abs(part - whole) > 0.1  # else this test shows nothing
    metrics, _ = measure.evaluate(exact_model(truth), held, Measure(50, 500, 40), seed=0)
    assert metrics["nll_is500_nats"] == -(metrics["elbo_nats"] + metrics["inference_gap_nats"])
    # The posterior is exact, so what is left is the noise of the ELBO: draws for each example.
    assert -metrics["nll_is500_nats"] == pytest.approx(whole, abs=0.3 * abs(part - whole))


def test_bits_per_dimension_are_those_of_a_binary_likelihood() -> None:
    loaded = data.load("digits")
    model = registry.seeded("vanilla", loaded.spec, 0, latent=2, hidden=[8])
    metrics, _ = measure.evaluate(model, loaded, Measure(1, 3, None), seed=0)
    assert metrics["bits_per_dim"] == pytest.approx(metrics["nll_is3_nats"] / (64 * math.log(2)))


def test_means_are_over_all_examples_also_of_the_last_smaller_batch(orthogonal: Any) -> None:
    held, truth, log_px = orthogonal
    held.batch_sizes.clear()
    metrics, _ = measure.evaluate(exact_model(truth), held, Measure(1, 2, None), seed=0)
    assert set(held.batch_sizes) > {measure.EVAL_BATCH, len(log_px) % measure.EVAL_BATCH}
    assert -metrics["nll_is2_nats"] == pytest.approx(log_px.mean().item(), abs=1e-9)
    x = held.x
    mean = model_mean(exact_model(truth), x)
    assert metrics["mse_per_pixel"] == pytest.approx((x - mean).square().mean().item(), rel=1e-12)


def model_mean(model: VAE, x: Tensor) -> Tensor:
    return model.decoder(model.infer(x).mean)


def test_scores_of_each_example_stay_in_order_whatever_the_batches(orthogonal: Any) -> None:
    held, truth, _ = orthogonal
    model = exact_model(truth)
    one = measure.scores(model, held.eval_batches("test", 503), samples=1, seed=0)
    many = measure.scores(model, held.eval_batches("test", 17), samples=1, seed=0)
    torch.testing.assert_close(many.kl, one.kl, rtol=0, atol=1e-9)  # the KL has no draws in it


@pytest.mark.parametrize("beta", [1.0, 100.0])
def test_the_objective_never_reaches_a_metric(orthogonal: Any, beta: float) -> None:
    held, truth, _ = orthogonal
    how = Measure(2, 10, 50)
    plain, _ = measure.evaluate(exact_model(truth), held, how, seed=3)
    other = exact_model(truth, objective="beta", beta=beta, warmup_epochs=5)
    assert measure.evaluate(other, held, how, seed=3)[0] == plain


class Table(nn.Module):
    """A model whose k-th draw for example i has the log-weight `weights[k, i]`: x is the example's place.

    Args:
        weights: `[K, N]`, float64.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights, self.place = weights, nn.Parameter(torch.zeros(()))
        self.drawn = torch.zeros(weights.shape[1], dtype=torch.int64)

    def terms(self, x: Tensor, samples: int) -> Any:
        places = x[:, 0].long()
        draws = self.drawn[places] + torch.arange(samples)[:, None]
        self.drawn[places] += samples
        weights = self.weights[draws, places]
        zero = torch.zeros(len(x), dtype=torch.float64)
        return SimpleNamespace(z=torch.zeros(samples, len(x), 1), log_px_z=weights, log_weights=weights, kl=zero)


@pytest.mark.parametrize("chunk", [1, 2, 30, 48, 77, 10_000])
@pytest.mark.parametrize("offset", [0.0, -1e6, 1e6])
def test_importance_sampling_is_the_same_for_every_chunking(
    monkeypatch: pytest.MonkeyPatch, chunk: int, offset: float
) -> None:
    n, k = 13, 24
    # Spread over thousands of nats: without taking out the maximum every exp is 0 or infinite.
    weights = offset + 3000 * torch.randn(k, n, dtype=torch.float64)
    monkeypatch.setattr(measure, "CHUNK_NUMBERS", 2 * chunk)
    held = Held(torch.arange(n, dtype=torch.float64)[:, None].expand(n, 2))
    log_px, bound = measure.importance_sampling(Table(weights), held, "test", samples=k, points=None, seed=0)
    torch.testing.assert_close(log_px, weights.logsumexp(0) - math.log(k), rtol=1e-14, atol=1e-8)
    torch.testing.assert_close(bound, weights.mean(0), rtol=1e-14, atol=1e-8)
    assert log_px.isfinite().all()
    assert (log_px >= bound).all()


def test_no_decoded_tensor_is_larger_than_the_chunk_at_5000_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "CHUNK_NUMBERS", 64 * 700)
    model = build("vanilla", data.spec("digits"), latent=2, hidden=[4])
    sizes: list[int] = []
    model.decoder.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.numel()))
    held = Held(torch.rand(3, 1, 8, 8).round(), kind="binary")
    log_px, _ = measure.importance_sampling(model, held, "test", samples=5000, points=None, seed=0)
    assert max(sizes) == 64 * 700
    assert sum(sizes) == 3 * 5000 * 64
    assert log_px.shape == (3,)


def test_mse_and_active_units_by_hand() -> None:
    model = build("linear", data.spec("linear_gaussian", d=4), latent=3).double()
    x = torch.randn(503, 4, dtype=torch.float64)
    x = (x - x.mean(0)) / x.std(0)
    with torch.no_grad():
        # Posterior means x1, sqrt(0.009) x2 and a constant: variances 1, 0.009 and 0, of which one is above 0.01.
        model.posterior.loc.weight.zero_()
        model.posterior.loc.weight[0, 0], model.posterior.loc.weight[1, 1] = 1.0, math.sqrt(0.009)
        model.posterior.loc.bias.fill_(7.0)
        model.decoder.body.weight.zero_()
        model.decoder.body.bias.fill_(0.5)
    metrics = measure.point_metrics(model, Held(x), "test")
    assert metrics == {"active_units": 1, "mse_per_pixel": pytest.approx((x - 0.5).square().mean().item(), rel=1e-12)}
    with torch.no_grad():
        model.posterior.loc.weight[1, 1] = math.sqrt(0.011)
    assert measure.point_metrics(model, Held(x), "test")["active_units"] == 2


def test_a_deterministic_model_has_no_bound_and_says_so() -> None:
    model = build("autoencoder", data.spec("digits"), latent=2, hidden=[8])
    held = Held(torch.rand(7, 1, 8, 8).round(), kind="binary")
    metrics, kl_method = measure.evaluate(model, held, Measure(2, 5, None), seed=0)
    none = ("elbo_nats", "kl_nats", "nll_is5_nats", "inference_gap_nats", "bits_per_dim", "active_units")
    assert [metrics[name] for name in none] == [None] * len(none)
    assert kl_method is None
    x = held.x
    recon = -0.5 * ((x - model.reconstruct(x)).square().sum((1, 2, 3)) + 64 * math.log(2 * math.pi))
    assert metrics["recon_nats"] == pytest.approx(recon.mean().item(), rel=1e-5)
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters())


def test_importance_sampling_can_be_left_out(orthogonal: Any) -> None:
    held, truth, _ = orthogonal
    metrics, _ = measure.evaluate(exact_model(truth), held, Measure(1, 0, None), seed=0)
    assert set(metrics) == {"elbo_nats", "recon_nats", "kl_nats", "mse_per_pixel", "active_units", "parameters"}


def test_measuring_again_gives_the_same_numbers_and_leaves_the_random_stream_alone(orthogonal: Any) -> None:
    held, truth, _ = orthogonal
    model, how = exact_model(truth), Measure(2, 10, 50)
    before = torch.get_rng_state()
    first = measure.evaluate(model, held, how, seed=1)
    torch.testing.assert_close(torch.get_rng_state(), before)
    torch.rand(5)
    assert measure.evaluate(model, held, how, seed=1) == first
    assert measure.evaluate(model, held, how, seed=2)[0]["elbo_nats"] != first[0]["elbo_nats"]


def test_a_kl_without_closed_form_is_estimated_and_said_to_be() -> None:
    class Mixture(nn.Module):
        def forward(self) -> torch.distributions.Distribution:
            weights = torch.distributions.Categorical(torch.ones(2))
            parts = torch.distributions.Normal(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 1.0)
            return torch.distributions.MixtureSameFamily(weights, torch.distributions.Independent(parts, 1))

    model = build("vanilla", data.spec("digits"), latent=2, hidden=[8])
    model.prior = Mixture()
    held = Held(torch.rand(5, 1, 8, 8).round(), kind="binary")
    scores = measure.scores(model, held.eval_batches("test", 5), samples=3, seed=0)
    assert scores.kl_method == "monte_carlo"
    torch.testing.assert_close(scores.elbo, scores.recon - scores.kl)
