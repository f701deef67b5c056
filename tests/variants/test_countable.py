"""Likelihoods of levels and of counts: sums to one, the limits that they have, and what they cannot be given."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from variants import DataSpec, build
from variants.core import is_discrete
from variants.parts import assemble
from variants.parts.counts import (
    LogRatePoisson,
    NegativeBinomial,
    NegativeBinomialDistribution,
    Poisson,
    ZeroInflatedNegativeBinomial,
    log_softplus,
)
from variants.parts.levels import (
    BetaBinomial,
    BetaBinomialLevels,
    CategoricalPixels,
    DiscretisedLogistic,
    LogisticLevels,
    OfLevels,
    OnLevels,
)
from variants.parts.networks import mlp

BYTES = DataSpec((1, 2, 3), "levels", 40, levels=256)
COUNTS = DataSpec((3,), "counts", 40)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def logistic(loc: list[float], log_scale: list[float], levels: int = 256) -> LogisticLevels:
    """One value, a mixture of so many components with weights that fall."""
    logits = -torch.arange(len(loc), dtype=torch.float64)
    return LogisticLevels(logits.unsqueeze(1), double(*loc).unsqueeze(1), double(*log_scale).unsqueeze(1), levels)


def masses(d: OnLevels) -> Tensor:
    """P(k) of every level, `[L, ...]`."""
    k = torch.arange(d.levels, dtype=torch.float64)
    return d.log_prob((k / (d.levels - 1)).reshape(-1, *[1] * len(d.batch_shape))).exp()


ON_LEVELS = [
    logistic([0.1], [-2.0]),
    logistic([-3.0], [-7.0]),  # all of it in the lowest level's tail
    logistic([0.3, -0.8, 1.2], [-7.0, 1.0, -4.0]),
    logistic([0.0], [6.0], levels=3),
    BetaBinomialLevels(double(0.2), double(3.0), 256),
    BetaBinomialLevels(double(40.0), double(70.0), 17),
]


@pytest.mark.parametrize("d", ON_LEVELS, ids=range(len(ON_LEVELS)))
def test_levels_have_a_mass_of_one_in_all_and_the_mean_and_draws_of_it(d: OnLevels) -> None:
    p = masses(d)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    values = torch.linspace(0, 1, d.levels, dtype=torch.float64)
    assert d.mean.item() == pytest.approx((p[:, 0] @ values).item(), abs=1e-12)
    torch.manual_seed(0)
    draws = d.sample(torch.Size([40_000]))
    assert draws.shape == (40_000, 1)
    assert d.support.check(draws).all()
    spread = math.sqrt(max(0.0, (p[:, 0] @ (values - d.mean).square()).item()))
    assert abs(draws.double().mean().item() - d.mean.item()) < 5 * spread / 200 + 1e-12
    seen = (draws * (d.levels - 1)).round().long().flatten().bincount(minlength=d.levels) / 40_000
    assert (seen - p[:, 0]).abs().max() < 5 * 0.5 / 200


@pytest.mark.parametrize("k", [0, 1, 130, 254, 255])
@pytest.mark.parametrize("log_scale", [-7.0, -1.0, 4.0])
def test_the_mass_of_a_level_is_the_difference_of_two_distribution_functions(k: int, log_scale: float) -> None:
    """By arithmetic of 700 digits, where the usual branch between a difference and a density is off by 1e-6."""
    d = logistic([0.02], [log_scale])
    with mpmath.workdps(700):
        scale = mpmath.exp(log_scale)

        def cdf(x: Any) -> Any:
            return 1 / (1 + mpmath.exp(-(x - mpmath.mpf(0.02)) / scale))

        c, w = mpmath.mpf(2 * k) / 255 - 1, mpmath.mpf(1) / 255
        upper = mpmath.mpf(1) if k == 255 else cdf(c + w)
        expected = float(mpmath.log(upper - (0 if k == 0 else cdf(c - w))))
    assert d.log_mass(double(k)).item() == pytest.approx(expected, rel=1e-10)
    single = LogisticLevels(d.log_pi.float(), d.loc.float(), torch.full((1, 1), log_scale), 256)
    assert single.log_mass(torch.tensor([float(k)])).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_log_masses_and_their_gradients_stay_finite_at_the_extremes() -> None:
    h = torch.tensor([-200.0, -30.0, 0.0, 30.0, 80.0])
    grid = torch.cartesian_prod(h, h).mT.reshape(2, 1, 1, 25).requires_grad_()
    spec = DataSpec((1, 25), "levels", 40, levels=256)
    for x in (0.0, 0.5, 1.0):
        value = DiscretisedLogistic(spec).log_prob(grid.unsqueeze(0).movedim(2, 1)[0], torch.full((1, 1, 25), x))
        (slope,) = torch.autograd.grad(value.sum(), grid)
        assert value.isfinite().all()
        assert slope.isfinite().all()


def test_categorical_pixels_of_equal_logits_have_eight_bits() -> None:
    p = CategoricalPixels(BYTES)
    x = torch.randint(256, (4, *BYTES.shape)) / 255
    log_px = p.log_prob(torch.zeros(2, 4, 256, *BYTES.shape), x)
    torch.testing.assert_close(log_px / (6 * math.log(2)), torch.full((2, 4), -8.0))
    h = torch.randn(1, 1, 256, *BYTES.shape, dtype=torch.float64)
    every = torch.linspace(0, 1, 256, dtype=torch.float64).reshape(-1, 1, 1, 1).expand(256, *BYTES.shape)
    value = p.value(h[0, 0])
    torch.testing.assert_close(value.log_prob(every)[7], h[0, 0].log_softmax(0)[7])
    torch.testing.assert_close(value.log_prob(every).exp().sum(0), torch.ones(BYTES.shape).double())
    torch.testing.assert_close(value.mean, (value.log_prob(every).exp() * every).sum(0))
    # Each value is drawn from its own probabilities.
    spread = (value.log_prob(every).exp() * (every - value.mean).square()).sum(0).sqrt()
    draws = value.sample(torch.Size([2000]))
    assert ((draws.mean(0) - value.mean).abs() < 5 * spread / math.sqrt(2000)).all()


def test_beta_binomial_is_flat_for_a_and_b_of_one_and_binomial_in_the_limit() -> None:
    flat = masses(BetaBinomialLevels(double(1.0), double(1.0), 256))
    torch.testing.assert_close(flat, torch.full((256, 1), 1 / 256).double(), rtol=1e-10, atol=0)
    large = masses(BetaBinomialLevels(double(3e7), double(7e7), 17))[:, 0]
    expected = torch.from_numpy(stats.binom(16, 0.3).pmf(range(17)))
    torch.testing.assert_close(large, expected, rtol=0, atol=1e-6)
    other = masses(BetaBinomialLevels(double(0.7), double(2.5), 17))[:, 0]
    torch.testing.assert_close(other, torch.from_numpy(stats.betabinom(16, 0.7, 2.5).pmf(range(17))))


@pytest.mark.parametrize("likelihood", [CategoricalPixels, DiscretisedLogistic, BetaBinomial])
def test_a_level_in_single_precision_is_that_level(likelihood: type[OfLevels]) -> None:
    """97 (k / 97) rounds to less than k for a third of all k, which is no reason to take it for k - 1."""
    k = torch.arange(98.0)
    p = likelihood(DataSpec((98,), "levels", 40, levels=98))
    value = p.value(torch.randn(p.numbers, 98))
    torch.testing.assert_close(value.log_prob(k / 97), value.log_mass(k), rtol=0, atol=0)
    assert (k / 97 * 97 < k).any()


def test_each_value_draws_its_component_by_its_own_weights() -> None:
    torch.manual_seed(0)
    share = torch.tensor([[0.9, 0.2, 0.5], [0.1, 0.7, 0.4]], dtype=torch.float64)
    d = LogisticLevels(
        torch.stack([share, 1 - share]).log(),
        double(-1, 1).reshape(2, 1, 1).expand(2, 2, 3),
        torch.full((2, 2, 3), -6.0).double(),
        3,
    )
    draws = d.sample(torch.Size([5000]))
    assert ((draws == 0) | (draws == 1)).all()
    torch.testing.assert_close((draws == 0).double().mean(0), share, rtol=0, atol=0.035)


def test_values_between_levels_and_beyond_them_are_none() -> None:
    support = BetaBinomialLevels(double(1.0), double(1.0), 5).support
    assert support.check(torch.linspace(0, 1, 5)).all()
    assert not support.check(torch.tensor([-0.25, 1.25, 0.1, 0.875])).any()


def test_a_mixture_starts_with_components_that_differ() -> None:
    """Equal ones would stay equal: all would be given one gradient."""
    spec = DataSpec((2,), "levels", 40, levels=256)
    loc = DiscretisedLogistic(spec, mixtures=4).value(torch.zeros(12, 2)).loc
    assert loc[:, 0].unique().numel() == 4
    assert DiscretisedLogistic(spec, mixtures=1).value(torch.zeros(2, 2)).loc.eq(0).all()


def test_numbers_of_the_decoder_are_means_then_log_scales_then_weights() -> None:
    """s = e^h + e^-7, which is never below the least and else about e^h; means start spread over the range."""
    spec, h = DataSpec((2,), "levels", 40, levels=256), torch.randn(9, 2, dtype=torch.float64)
    h[3:6] *= 6
    d = DiscretisedLogistic(spec, mixtures=3).value(h)
    torch.testing.assert_close(d.loc, h[:3] + double(-0.5, 0.0, 0.5).unsqueeze(1))
    torch.testing.assert_close(1 / d.inverse, h[3:6].exp() + math.exp(-7))
    torch.testing.assert_close(d.log_pi, h[6:].log_softmax(0))
    one = DiscretisedLogistic(spec).value(h[:2])
    torch.testing.assert_close(one.loc[0], h[0])
    torch.testing.assert_close(1 / one.inverse[0], h[1].exp() + math.exp(-7))
    beta = BetaBinomial(spec).value(h[:2])
    torch.testing.assert_close([beta.a, beta.b], [h[0].exp().log1p() + 1e-3, h[1].exp().log1p() + 1e-3])


# ---------------------------------------------------------------------------------------------------------------------
# Counts


@pytest.mark.parametrize(("mean", "theta"), [(0.3, 0.5), (7.0, 2.0), (40.0, 100.0)])
def test_negative_binomial_is_that_of_scipy_with_its_mean_and_variance(mean: float, theta: float) -> None:
    d = NegativeBinomialDistribution(double(mean).log(), double(theta).log())
    x = torch.arange(5000, dtype=torch.float64)
    p = d.log_prob(x).exp()
    torch.testing.assert_close(p, torch.from_numpy(stats.nbinom(theta, theta / (theta + mean)).pmf(x.numpy())))
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert (p @ x).item() == pytest.approx(mean)
    assert (p @ (x - mean).square()).item() == pytest.approx(mean + mean**2 / theta)
    torch.manual_seed(0)
    draws = d.sample(torch.Size([40_000]))
    assert abs(draws.mean().item() - mean) < 5 * math.sqrt((mean + mean**2 / theta) / 40_000)
    assert abs(draws.var().item() / (mean + mean**2 / theta) - 1) < 0.2


def test_negative_binomial_of_no_dispersion_is_poisson() -> None:
    x = torch.arange(60, dtype=torch.float64)
    many = NegativeBinomialDistribution(double(9.0).log(), double(1e8).log()).log_prob(x)
    poisson = torch.distributions.Poisson(9.0).log_prob(x)
    torch.testing.assert_close(many, poisson, rtol=0, atol=1e-4)


def test_zero_inflation_of_nothing_is_the_negative_binomial_and_adds_zeros_else() -> None:
    x = torch.arange(3000, dtype=torch.float64)
    log_m, log_t = double(4.0).log(), double(1.5).log()
    plain = NegativeBinomialDistribution(log_m, log_t)
    none = NegativeBinomialDistribution(log_m, log_t, double(-60.0))
    torch.testing.assert_close(none.log_prob(x), plain.log_prob(x))
    d = NegativeBinomialDistribution(log_m, log_t, double(0.4))
    p, pi = d.log_prob(x).exp(), 1 / (1 + math.exp(-0.4))
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert p[0].item() == pytest.approx(pi + (1 - pi) * plain.log_prob(x[:1]).exp().item())
    assert (p @ x).item() == pytest.approx(d.mean.item()) == pytest.approx((1 - pi) * 4.0)
    torch.manual_seed(0)
    assert (d.sample(torch.Size([40_000])) == 0).double().mean().item() == pytest.approx(p[0].item(), abs=0.013)


def test_rates_start_at_the_mean_of_the_data_and_are_never_negative() -> None:
    spec = DataSpec((3,), "counts", 40, mean=lambda: [0.0, 2.0, 5000.0])
    rate = Poisson(spec)(torch.zeros(3)).mean
    torch.testing.assert_close(rate, torch.tensor([1e-3, 2.0, 5000.0]))
    h = torch.linspace(-60, 60, 121, dtype=torch.float64, requires_grad=True)
    value = log_softplus(h)
    torch.testing.assert_close(value, torch.log1p(h.exp()).log(), rtol=1e-9, atol=1e-7)
    (slope,) = torch.autograd.grad(value.sum(), h)
    assert slope.isfinite().all()
    large = torch.tensor([[[1e6, 3.0, 0.0]]])
    for likelihood in (NegativeBinomial(spec), ZeroInflatedNegativeBinomial(spec), Poisson(spec)):
        numbers = (2, 3) if likelihood.numbers == 2 else (3,)
        assert likelihood.log_prob(torch.full((1, 1, *numbers), -300.0), large[0]).isfinite().all()


def test_rates_of_data_whose_mean_is_not_known_start_at_one() -> None:
    torch.testing.assert_close(Poisson(COUNTS)(torch.zeros(3)).mean, torch.ones(3))


def test_each_value_has_a_dispersion_of_its_own_which_starts_at_one() -> None:
    p, x = NegativeBinomial(COUNTS), torch.tensor([[0.0, 3.0, 7.0]])
    for theta in ([1.0, 1.0, 1.0], [0.5, 2.0, 30.0]):
        expected = stats.nbinom(theta, np.array(theta) / (np.array(theta) + 1)).logpmf(x[0].numpy()).sum()
        assert p.log_prob(torch.zeros(1, 1, 3), x).item() == pytest.approx(expected, rel=1e-5)
        with torch.no_grad():
            p.log_dispersion.copy_(torch.tensor([0.5, 2.0, 30.0]).log())


def test_a_small_rate_is_what_the_decoder_says_and_the_second_number_is_the_odds_of_a_zero() -> None:
    """softplus(h) / log 2 is e^h / log 2 far below zero, and no floor is near."""
    mean = torch.tensor([0.5, 2.0, 30.0])
    spec = DataSpec((3,), "counts", 40, mean=lambda: mean)
    for likelihood in (Poisson(spec), NegativeBinomial(spec)):
        small = likelihood(torch.full((3,), -40.0)).mean
        torch.testing.assert_close(small, mean * math.exp(-40) / math.log(2), rtol=1e-4, atol=0)
    odds = torch.tensor([-1.0, 0.0, 2.0])
    torch.testing.assert_close(
        ZeroInflatedNegativeBinomial(spec)(torch.stack([torch.zeros(3), odds])).mean, mean * (-odds).sigmoid()
    )


# ---------------------------------------------------------------------------------------------------------------------
# What fits what


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "heteroscedastic"])
def test_a_density_is_refused_for_what_has_probabilities(likelihood: str) -> None:
    with pytest.raises(ValueError, match=r"gives no probability to levels: .* or binarise=dequantise"):
        assemble(BYTES, likelihood=likelihood)
    with pytest.raises(ValueError, match=r"gives no probability to counts: choose likelihood=auto$"):
        assemble(COUNTS, likelihood=likelihood)


@pytest.mark.parametrize("name", ["discretised_logistic", "categorical_pixels", "beta_binomial"])
def test_levels_are_asked_for_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="for data of the kind 'levels', not 'unit': choose binarise=levels"):
        build(name, DataSpec((1, 2, 2), "unit", 40))


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "zero_inflated_negative_binomial"])
def test_counts_are_asked_for_in_one_line(likelihood: str) -> None:
    with pytest.raises(ValueError, match="for data of the kind 'counts', not 'real': choose a data set of counts"):
        assemble(DataSpec((3,), "real", 40), likelihood=likelihood)


def test_the_network_is_told_how_many_numbers_a_value_takes() -> None:
    model = build("conv", BYTES, likelihood="discretised_logistic", mixtures=2, latent=3)
    assert model.decoder(torch.zeros(5, 3)).shape == (5, 6, *BYTES.shape)
    assert "numbers" not in model.options["network"]
    assert build("vanilla", BYTES, latent=3).decoder(torch.zeros(5, 3)).shape == (5, 2, *BYTES.shape)
    with pytest.raises(TypeError, match="no chosen part takes the option 'numbers'"):
        build("vanilla", BYTES, numbers=3)

    def plain(data: DataSpec, latent: int, *, hidden: tuple[int, ...] = (4,)) -> Any:
        return mlp(data, latent, hidden=hidden)

    with pytest.raises(ValueError, match="discretised_logistic takes 2 numbers for each value, and this network"):
        build("vanilla", BYTES, network=plain)
    assert build("vanilla", COUNTS, network=plain).decoder(torch.zeros(5, 20)).shape == (5, 3)


@pytest.mark.parametrize("data", [BYTES, COUNTS], ids=["levels", "counts"])
def test_any_variant_has_a_likelihood_for_them(data: DataSpec) -> None:
    model = build("vanilla", data, latent=2)
    assert model.likelihood.support == data.kind
    assert is_discrete(model.decode(torch.zeros(2)))
    big = 1.0 if data is BYTES else 1e5
    assert model.loss(torch.full((2, *data.shape), big)).isfinite().all()


@pytest.mark.parametrize(("kind", "levels"), [("levels", None), ("levels", 1), ("unit", 1), ("real", 4), ("binary", 2)])
def test_levels_belong_to_their_kind(kind: Any, levels: int | None) -> None:
    with pytest.raises(ValueError, match="levels are 2 or more of the kind 'levels'"):
        DataSpec((2,), kind, levels=levels)


@pytest.mark.parametrize("mean", [3.0, 1e4, 1e6, 1e7])
def test_counts_of_any_size_keep_their_digits(mean: float) -> None:
    x = torch.poisson(torch.full((200,), mean), generator=torch.Generator().manual_seed(0))
    log_rate = torch.full((200,), math.log(mean))
    rate = log_rate.double().exp().numpy()
    found = LogRatePoisson(log_rate).log_prob(x)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, stats.poisson.logpmf(x.double().numpy(), rate), atol=1e-4)
    for log_t in (0.0, 7.0, 16.0):
        t = math.exp(torch.tensor(log_t).item())
        exact = stats.nbinom.logpmf(x.double().numpy(), t, t / (t + rate))
        ours = NegativeBinomialDistribution(log_rate, torch.tensor(log_t)).log_prob(x)
        np.testing.assert_allclose(ours, exact, atol=1e-4, rtol=1e-5)


def test_a_dispersion_without_bound_is_a_poisson_and_has_no_slope() -> None:
    log_t, x = torch.tensor(16.0, requires_grad=True), torch.arange(12.0)
    log_p = NegativeBinomialDistribution(torch.full((12,), math.log(3)), log_t).log_prob(x)
    torch.testing.assert_close(log_p, LogRatePoisson(torch.full((12,), math.log(3))).log_prob(x), atol=1e-4, rtol=1e-5)
    log_p.sum().backward()
    assert log_t.grad is not None
    assert abs(log_t.grad.item()) < 1e-4


@pytest.mark.parametrize("b", [0.5, 30.0, 300.0])
def test_beta_binomial_values_keep_their_digits(b: float) -> None:
    a, k = 1e-3, torch.arange(256.0)
    found = BetaBinomialLevels(torch.full((256,), a), torch.full((256,), b), 256).log_mass(k)
    wide_a, wide_b = (torch.tensor(value).double().item() for value in (a, b))
    np.testing.assert_allclose(found, stats.betabinom.logpmf(np.arange(256), 255, wide_a, wide_b), atol=1e-6, rtol=1e-5)


def test_corrupted_counts_stay_counts_that_have_a_logarithm() -> None:
    torch.manual_seed(0)
    encoder, _ = mlp(DataSpec((100,), "counts", 40), 5, corruption=0.9)
    assert encoder(torch.zeros(128, 100)).isfinite().all()
