"""Closed forms against each other and against plain simulation."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from bench.data import gaussian
from bench.data.gaussian import LinearGaussian
from bench.oracle import truth


def make(orthogonal: bool = False, noise: float = 0.5, d: int = 6, k: int = 3) -> LinearGaussian:
    return gaussian.make(d, k, noise, orthogonal, 10)[1]


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("widening", [1.5, 2.0])
def test_the_widened_elbo_is_iwae_1(k: int, widening: float) -> None:
    exact = -0.5 * k * (math.log(widening) - (widening - 1))
    assert truth.widened_iwae_gap(k, widening, 1) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("samples", [2, 10, 100])
def test_the_expectation_of_iwae_beside_simulation(samples: int) -> None:
    k, widening, repeats = 3, 2.0, 200_000 // samples
    c = torch.randn(repeats, samples, k, dtype=torch.float64).square().sum(-1)
    log_weights = 0.5 * k * math.log(widening) - 0.5 * (widening - 1) * c
    found = math.log(samples) - log_weights.logsumexp(1)
    exact = truth.widened_iwae_gap(k, widening, samples)
    assert exact > 0
    assert abs(found.mean() - exact) < 4 * found.std() / math.sqrt(repeats)


def test_the_gap_to_the_evidence_falls_with_every_draw() -> None:
    gaps = [truth.widened_iwae_gap(4, 2.0, samples) for samples in (1, 2, 3, 10, 100)]
    assert gaps == sorted(gaps, reverse=True)
    # K times the gap tends to half the variance of a weight, which is (s^2 / (2 s - 1))^(k / 2) - 1.
    assert 1000 * truth.widened_iwae_gap(4, 2.0, 1000) == pytest.approx(0.5 * ((4 / 3) ** 2 - 1), rel=0.01)


def test_mean_log_prob_and_the_entropy() -> None:
    model = make()
    n, (d, k) = 20_000, model.W.shape
    z, e = torch.randn(n, k, dtype=torch.float64), torch.randn(n, d, dtype=torch.float64)
    x = z @ model.W.T + model.mean + math.sqrt(model.noise_variance) * e
    log_px = model.log_prob(x)
    assert truth.mean_log_prob(model, x) == pytest.approx(log_px.mean().item(), abs=1e-9)
    assert abs(log_px.mean() - truth.negative_entropy(model)) < 4 * math.sqrt(0.5 * d / n)
    assert log_px.var().item() == pytest.approx(0.5 * d, rel=0.1)


def test_rate_and_distortion_make_the_evidence_and_trade_off() -> None:
    model = make()
    x = model.mean + torch.randn(50, 6, dtype=torch.float64)
    rate, distortion = truth.rate_distortion(model, x, 1.0)
    torch.testing.assert_close(-rate - distortion, model.log_prob(x), rtol=0, atol=1e-9)
    curve = [[column.mean().item() for column in truth.rate_distortion(model, x, beta)] for beta in (0.9, 1.0, 1.1)]
    rates, distortions = zip(*curve, strict=True)
    assert rates[0] > rates[1] > rates[2]
    assert distortions[0] < distortions[1] < distortions[2]
    # On the curve one nat of rate buys beta nats of distortion: here at beta = 1.
    assert (distortions[2] - distortions[0]) / (rates[0] - rates[2]) == pytest.approx(1.0, abs=0.01)


def test_the_variance_of_the_diagonal_posteriors_weights() -> None:
    assert truth.has_finite_weight_variance(make(orthogonal=True))
    assert truth.has_finite_weight_variance(make(noise=50.0))
    nearly_parallel = LinearGaussian(
        torch.tensor([[3.0, 3.0], [3.0, 3.1]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64), 0.1
    )
    assert not truth.has_finite_weight_variance(nearly_parallel)


def test_the_integral_of_powers_of_the_weights() -> None:
    """q^(1-b) p^b on a grid, where q and p are the best diagonal posterior and the true one, both about zero."""
    model = make(d=4, k=2, noise=4.0)
    p = truth.precision(model)
    axis = torch.linspace(-12, 12, 481, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)

    def log_density(precision: torch.Tensor) -> torch.Tensor:
        return MultivariateNormal(torch.zeros(2, dtype=torch.float64), precision_matrix=precision).log_prob(z)

    log_q, log_p = log_density(p.diagonal().diag()), log_density(p)
    for power in (-1.0, 0.0, 0.3, 0.5, 1.0, 1.5):
        found = ((1 - power) * log_q + power * log_p).logsumexp(0) + 2 * math.log(axis[1] - axis[0])
        assert truth.log_power(model, power) == pytest.approx(found.item(), abs=1e-6)


def test_the_chi_bound_is_an_upper_bound_or_infinite() -> None:
    assert truth.log_power(make(noise=4.0), 2.0) / 2 > 0
    assert truth.log_power(make(noise=0.01), 2.0) == math.inf
    assert truth.has_finite_weight_variance(make(noise=4.0))
    assert not truth.has_finite_weight_variance(make(noise=0.01))


def test_the_thermodynamic_integrand_goes_from_the_elbo_up_to_the_evidence() -> None:
    model, step = make(), 1e-5
    assert truth.thermodynamic_integrand(model, 0.0) == pytest.approx(-truth.diagonal_gap(model), abs=1e-9)
    nodes = np.polynomial.legendre.leggauss(128)
    points, weights = 0.5 * (nodes[0] + 1), 0.5 * nodes[1]
    values = [truth.thermodynamic_integrand(model, b) for b in points]
    assert values == sorted(values)
    assert weights @ values == pytest.approx(0, abs=1e-9)
    slope = (truth.log_power(model, 0.3 + step) - truth.log_power(model, 0.3 - step)) / (2 * step)
    assert truth.thermodynamic_integrand(model, 0.3) == pytest.approx(slope, abs=1e-6)


def test_sigma_points_give_the_expectation_over_many_draws() -> None:
    model = truth.at_truth(make(), "full", widening=2.0)
    x = torch.randn(4, 6, dtype=torch.float64)
    with torch.no_grad():
        exact, sampled = truth.exact_terms(model, x).log_px_z.mean(0), model.terms(x, 40_000).log_px_z
    assert ((sampled.mean(0) - exact).abs() < 4 * sampled.std(0) / 200).all()
