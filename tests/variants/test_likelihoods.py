"""Every likelihood is a density: it sums or integrates to one, has its constants, and stays exact at the extremes."""

import math

import mpmath
import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss
from scipy import integrate, stats
from torch import Tensor

from variants import DataSpec
from variants.parts.likelihoods import (
    Bernoulli,
    ContinuousBernoulli,
    ContinuousBernoulliDistribution,
    Gaussian,
    Heteroscedastic,
)
from variants.parts.student_t import StudentT

LOGITS = (-80.0, -12.0, -2.0, -0.11, -0.09, -1e-6, 0.0, 1e-6, 0.09, 0.11, 2.0, 12.0, 80.0)

# A quadrature rule on [0, 1].
NODES, WEIGHTS = ((torch.tensor(a) + shift) / 2 for a, shift in zip(leggauss(120), (1, 0), strict=True))


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_bernoulli_sums_to_one() -> None:
    data = DataSpec((1, 2, 3), "binary")
    h = 3 * torch.randn(1, 1, *data.shape, dtype=torch.float64)
    x = torch.cartesian_prod(*[double(0, 1)] * 6).reshape(64, *data.shape)
    likelihood = Bernoulli(data)
    mass = likelihood.log_prob(h.expand(1, 64, *data.shape), x).exp()
    assert mass.shape == (1, 64)
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close((mass[0, :, None, None, None] * x).sum(0), likelihood(h[0, 0]).mean)


def test_bernoulli_is_not_clamped() -> None:
    likelihood = Bernoulli(DataSpec((1,), "binary"))
    for logit in (80.0, 200.0):
        assert likelihood.log_prob(torch.tensor([[[logit]]]), torch.zeros(1, 1)).item() == pytest.approx(-logit)
        assert likelihood.log_prob(torch.tensor([[[-logit]]]), torch.ones(1, 1)).item() == pytest.approx(-logit)


@pytest.mark.parametrize("scale", [0.0, 0.1, 4.0, 100.0])
@pytest.mark.parametrize("shape", [(1,), (2,), (65,), (1, 28, 28), (3, 7, 11)])
def test_bernoulli_without_gradients_is_the_same_to_rounding(shape: tuple[int, ...], scale: float) -> None:
    likelihood = Bernoulli(DataSpec(shape, "binary"))
    # The largest of them are more than one piece.
    h, x = scale * torch.randn(300, 2, *shape), torch.randint(2, (2, *shape)).float()
    exact = torch.nn.functional.logsigmoid(h.double() * (2 * x - 1)).flatten(2).sum(-1)
    with torch.no_grad():
        found = likelihood.log_prob(h, x)
    assert torch.equal(likelihood.log_prob(h, x), torch.nn.functional.logsigmoid(h * (2 * x - 1)).flatten(2).sum(-1))
    torch.testing.assert_close(found.double(), exact, rtol=4e-7, atol=1e-5)


@torch.no_grad()
def test_bernoulli_without_gradients_at_the_extremes() -> None:
    size = 5000
    likelihood = Bernoulli(DataSpec((size,), "binary"))
    x = torch.zeros(1, size)
    for logit in (*LOGITS, 1e4, -1e4, math.inf, -math.inf):
        h = torch.full((1, 1, size), logit)
        exact = size * torch.nn.functional.logsigmoid(-double(logit)).item()
        # A number may be off by half a unit in the last place of a factor, 6e-8.
        assert likelihood.log_prob(h, x).item() == pytest.approx(exact, rel=1e-6, abs=6e-8 * size)
    h[..., 17] = math.nan
    assert likelihood.log_prob(h, x).isnan().all()
    for dtype, close in ((torch.float64, 1e-12), (torch.float16, 1e-2), (torch.bfloat16, 1e-2)):
        found = likelihood.log_prob(torch.zeros(1, 1, size, dtype=dtype), x.to(dtype))
        assert found.item() == pytest.approx(-size * math.log(2), rel=close)


def test_output_bias_is_the_logit_of_the_mean_image() -> None:
    mean = np.array([[[0.0, 0.25], [0.5, 1.0]]])
    spec = DataSpec((1, 2, 2), "binary", mean=lambda: mean)
    p, h, x = Bernoulli(spec, output_bias=True), torch.randn(3, 5, 1, 2, 2), torch.randint(2, (5, 1, 2, 2)).float()
    held = torch.tensor([0.001, 0.25, 0.5, 0.999]).reshape(1, 2, 2)
    torch.testing.assert_close(p(torch.zeros(1, 2, 2)).mean, held)
    shifted = h + (held / (1 - held)).log()
    torch.testing.assert_close(p.log_prob(h, x), Bernoulli(spec).log_prob(shifted, x))
    torch.testing.assert_close(p(h).log_prob(x), p.log_prob(h, x))


def test_output_bias_trains_as_a_bias_of_the_last_layer_would() -> None:
    mean = lambda: np.full((3,), 0.2)  # noqa: E731
    spec, x = DataSpec((3,), "binary", mean=mean), torch.tensor([[1.0, 0, 1]])
    losses = []
    for p, start in ((Bernoulli(spec, output_bias=True), 0.0), (Bernoulli(spec), math.log(0.25))):
        bias = torch.full((3,), start, requires_grad=True)
        optim = torch.optim.Adam([bias], lr=0.1)
        for _ in range(5):
            optim.zero_grad()
            loss = -p.log_prob(bias.expand(1, 1, 3), x).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optim.step()
        losses.append(loss.detach())
    torch.testing.assert_close(losses[0], losses[1])


def test_output_bias_needs_a_mean() -> None:
    with pytest.raises(ValueError, match="output_bias needs the mean"):
        Bernoulli(DataSpec((3,), "binary"), output_bias=True)


@pytest.mark.parametrize("kind", ["unit", "real"])
def test_bernoulli_refuses_data_that_are_not_binary(kind: str) -> None:
    with pytest.raises(ValueError, match="a Bernoulli likelihood needs binary data"):
        Bernoulli(DataSpec((1, 4, 4), kind))


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_continuous_bernoulli_refuses_data_outside_the_unit_interval(kind: str) -> None:
    with pytest.raises(ValueError, match=r"needs data in \[0, 1\]"):
        ContinuousBernoulli(DataSpec((1, 4, 4), kind))


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_integrates_to_one(logit: float) -> None:
    x, weight = NODES, WEIGHTS
    density = ContinuousBernoulliDistribution(double(logit))
    mass = weight * density.log_prob(x).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-10)
    assert (mass * x).sum().item() == pytest.approx(density.mean.item(), abs=1e-10)


def test_continuous_bernoulli_integrates_to_one_over_pixels() -> None:
    data = DataSpec((1, 1, 2), "unit")
    x = torch.cartesian_prod(NODES, NODES).reshape(-1, *data.shape)
    weight = torch.cartesian_prod(WEIGHTS, WEIGHTS).prod(-1)
    h = double(-3, 5).reshape(1, 1, *data.shape).expand(1, len(x), *data.shape)
    total = (weight * ContinuousBernoulli(data).log_prob(h, x).exp()).sum()
    assert total.item() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    "l", [1e-12, 1e-6, 0.01, 0.3, 0.48, 0.489, 0.5 - 1e-9, 0.5, 0.5001, 0.505, 0.52, 0.9, 1 - 1e-9]
)
def test_continuous_bernoulli_normaliser(l: float) -> None:  # noqa: E741 - the paper's lambda
    """log C(l) = log|2 atanh(1 - 2 l)| - log|1 - 2 l|; near 1/2 log 2 + (4/3)(l - 1/2)^2 + (104/45)(l - 1/2)^4."""
    mpmath.mp.dps = 50
    if 0.49 <= l <= 0.51:
        expected = math.log(2) + 4 / 3 * (l - 0.5) ** 2 + 104 / 45 * (l - 0.5) ** 4
    else:
        expected = float(
            mpmath.log(abs(2 * mpmath.atanh(1 - 2 * mpmath.mpf(l)))) - mpmath.log(abs(1 - 2 * mpmath.mpf(l)))
        )
    logit = float(mpmath.log(mpmath.mpf(l) / (1 - mpmath.mpf(l))))
    assert ContinuousBernoulliDistribution(double(logit)).log_normaliser.item() == pytest.approx(expected, abs=1e-9)


def test_continuous_bernoulli_series_meets_the_closed_form() -> None:
    around = np.concatenate([np.linspace(-0.2, 0.2, 81), np.nextafter([0.1, -0.1], 0), np.nextafter([0.1, -0.1], 1)])
    exact = ContinuousBernoulliDistribution(torch.tensor(around))
    mpmath.mp.dps = 50
    for a, log_c, mean in zip(around, exact.log_normaliser.tolist(), exact.mean.tolist(), strict=True):
        a = mpmath.mpf(float(a))
        assert log_c == pytest.approx(float(mpmath.log(a / mpmath.tanh(a / 2))) if a else math.log(2), abs=1e-11)
        assert mean == pytest.approx(float(1 / (1 - mpmath.exp(-a)) - 1 / a) if a else 0.5, abs=1e-10)
    single = ContinuousBernoulliDistribution(torch.tensor(around, dtype=torch.float32))
    torch.testing.assert_close(single.log_normaliser.double(), exact.log_normaliser, rtol=0, atol=1e-6)
    torch.testing.assert_close(single.mean.double(), exact.mean, rtol=0, atol=5e-6)


def cdf(x: np.ndarray, logit: float) -> np.ndarray:
    return x if logit == 0 else np.expm1(logit * x) / np.expm1(logit)


@pytest.mark.parametrize("logit", [-30.0, -2.0, -0.05, 0.0, 0.05, 2.0, 30.0])
def test_continuous_bernoulli_samples(logit: float) -> None:
    density = ContinuousBernoulliDistribution(double(logit))
    n = 20_000
    x = density.sample(torch.Size([n])).flatten().numpy()
    assert stats.kstest(x, lambda x: cdf(x, logit)).pvalue > 1e-3
    mean = density.mean.item()
    variance, _ = integrate.quad(lambda t: (t - mean) ** 2 * density.log_prob(double(t)).exp().item(), 0, 1, limit=200)
    assert abs(x.mean() - mean) < 4 * math.sqrt(variance / n)
    squares = (x - mean) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std() / math.sqrt(n)


@pytest.mark.parametrize("logit", [-120.0, -30.0, -0.0999, -0.01, 0.0, 0.05, 0.0999, 0.1001, 3.0, 30.0, 120.0])
def test_continuous_bernoulli_sampler_inverts_the_distribution_function(
    logit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    u = torch.cat([double(0), torch.linspace(1e-4, 1 - 1e-4, 101, dtype=torch.float64)])
    monkeypatch.setattr(torch, "rand", lambda *_, **__: u[:, None])
    x = ContinuousBernoulliDistribution(double(logit)).rsample(torch.Size([102])).flatten()
    assert x.min() >= -1e-12
    assert x.max() <= 1 + 1e-12
    np.testing.assert_allclose(cdf(x.numpy(), logit), u.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("logit", [-200.0, -80.0, 0.0, 80.0, 200.0])
def test_continuous_bernoulli_gradients_are_finite(logit: float) -> None:
    for of in ("log_prob", "mean", "rsample"):
        logits = torch.full((64,), logit, requires_grad=True)
        density = ContinuousBernoulliDistribution(logits)
        value = {
            "log_prob": lambda d: d.log_prob(torch.rand(64)),
            "mean": lambda d: d.mean,
            "rsample": lambda d: d.rsample(),
        }[of](density)
        assert value.isfinite().all(), of
        value.sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all(), of


def test_continuous_bernoulli_gradients() -> None:
    """d/da log p(x) = x - mean, on both sides of the series' limit and at 0."""
    logits = double(*LOGITS).requires_grad_()
    ContinuousBernoulliDistribution(logits).log_prob(double(0.3)).sum().backward()
    expected = 0.3 - ContinuousBernoulliDistribution(logits.detach()).mean
    torch.testing.assert_close(logits.grad, expected, rtol=0, atol=1e-8)


def test_gaussian_by_hand() -> None:
    """log N(1; 0, 2^2) = -1/2 log 2 pi - log 2 - 1/8, three times."""
    likelihood = Gaussian(DataSpec((3,), "real"), sigma=2.0)
    value = likelihood.log_prob(torch.zeros(1, 1, 3), torch.ones(1, 3)).item()
    assert value == pytest.approx(-3 * (0.5 * math.log(2 * math.pi) + math.log(2) + 0.125), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.05, 1.0, "learned", "optimal"])
@pytest.mark.parametrize("squash", [False, True])
def test_gaussian_integrates_to_one(sigma: float | str, squash: bool) -> None:
    likelihood = Gaussian(DataSpec((1,), "real"), sigma=sigma, squash=squash).double().eval()
    if sigma == "learned":
        torch.nn.init.constant_(likelihood.log_sigma, -1.3)
    if sigma == "optimal":
        likelihood.variance.fill_(0.4)
    h = double(0.7).reshape(1, 1, 1)
    mean = likelihood(h).mean.item()
    assert mean == pytest.approx(1 / (1 + math.exp(-0.7)) if squash else 0.7)
    x = torch.linspace(mean - 12, mean + 12, 40_001, dtype=torch.float64)
    density = likelihood.log_prob(h.expand(1, len(x), 1), x[:, None])[0].exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-9)
    assert torch.trapezoid(density * x, x).item() == pytest.approx(mean, abs=1e-9)


def test_gaussian_squashes_by_default_where_data_lie_in_the_unit_interval() -> None:
    for likelihood in (Gaussian, Heteroscedastic, StudentT):
        squashed = {kind: likelihood(DataSpec((2,), kind)).squash for kind in ("binary", "unit", "real")}
        assert squashed == {"binary": True, "unit": True, "real": False}


@pytest.mark.parametrize("kind", ["binary", "unit", "real"])
@pytest.mark.parametrize("likelihood", [Gaussian, Heteroscedastic, StudentT])
def test_the_mean_of_values_in_the_unit_interval_lies_in_it(likelihood: type, kind: str) -> None:
    """By a sigmoid of the decoder's number; of real values it is the number itself."""
    p, raw = likelihood(DataSpec((3,), kind)), torch.tensor([-3.0, 0.2, 4.0])
    h = torch.stack([raw, 0.5 - raw]) if p.numbers == 2 else raw
    torch.testing.assert_close(p(h).mean, raw if kind == "real" else raw.sigmoid())
    x = torch.tensor([[0.1, 0.5, 0.9]])
    torch.testing.assert_close(p.log_prob(h.expand(1, 1, *h.shape), x)[0], p(h).log_prob(x))


@pytest.mark.parametrize("likelihood", [Gaussian, Heteroscedastic, StudentT])
def test_a_mean_is_squashed_or_not_as_it_is_asked_to_be(likelihood: type) -> None:
    raw = torch.tensor([-3.0, 0.2, 4.0])
    for kind in ("unit", "real"):
        for squash in (False, True):
            p = likelihood(DataSpec((3,), kind), squash=squash)
            h = torch.stack([raw, raw]) if p.numbers == 2 else raw
            torch.testing.assert_close(p(h).mean, raw.sigmoid() if squash else raw)


def test_a_floor_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="floor must be a number above 0, got 0"):
        Heteroscedastic(DataSpec((3,), "real"), floor=0)


def test_a_scale_of_each_value_is_above_its_floor_and_moves_from_anywhere() -> None:
    """It rises with the decoder's number everywhere: where it did not, training could not leave the floor."""
    likelihood = Heteroscedastic(DataSpec((3,), "real"), floor=0.1)
    raw = torch.tensor([-8.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    scale = likelihood(torch.stack([torch.zeros(3, dtype=torch.float64), raw])).stddev
    (slope,) = torch.autograd.grad(scale.sum(), raw)
    assert (scale > 0.1).all()
    assert (slope > 0).all()
    torch.testing.assert_close(scale, 0.1 + raw.exp().log1p())


def test_optimal_sigma() -> None:
    """In training -d/2 (log 2 pi v + 1) on average with v the mean squared error; in evaluation the kept variance."""
    d = 5
    likelihood = Gaussian(DataSpec((d,), "real"), sigma="optimal").double()
    h, x = torch.randn(3, 4, d, dtype=torch.float64), torch.randn(4, d, dtype=torch.float64)
    v = (x - h).square().mean().item()
    trained = likelihood.train().log_prob(h, x)
    assert trained.shape == (3, 4)
    assert trained.mean().item() == pytest.approx(-0.5 * d * (math.log(2 * math.pi * v) + 1), abs=1e-9)
    kept = v  # the first batch replaces the starting value, which stands for no data
    assert likelihood.variance.item() == pytest.approx(kept, abs=1e-12)
    judged = likelihood.eval().log_prob(h, x)
    by_hand = -0.5 * (d * math.log(2 * math.pi * kept) + (x - h).square().sum(-1) / kept)
    torch.testing.assert_close(judged, by_hand)
    assert likelihood.variance.item() == pytest.approx(kept, abs=1e-12)
    # No sigma fitted to the batch can do worse than any fixed one.
    for sigma in (0.5, 1.0, 2.0):
        fixed = Gaussian(DataSpec((d,), "real"), sigma=sigma).double().log_prob(h, x)
        assert trained.mean() >= fixed.mean()


def test_a_training_batch_is_scored_at_its_own_optimal_sigma_whatever_came_before_it() -> None:
    d, likelihood = 5, Gaussian(DataSpec((5,), "real"), sigma="optimal").double().train()
    for size in (1.0, 10.0, 0.1):
        x = size * torch.randn(4, d, dtype=torch.float64)
        scored = likelihood.log_prob(torch.zeros(1, 4, d, dtype=torch.float64), x).mean().item()
        assert scored == pytest.approx(-0.5 * d * (math.log(2 * math.pi * x.square().mean()) + 1), abs=1e-9)


@pytest.mark.parametrize("steps", [1, 10, 100, 300])
def test_the_kept_variance_is_unbiased_from_the_first_batch(steps: int) -> None:
    likelihood = Gaussian(DataSpec((2,), "real"), sigma="optimal").double().train()
    errors = torch.rand(steps, dtype=torch.float64)
    kept = 0.0
    for n, error in enumerate(errors.tolist(), start=1):
        likelihood.log_prob(torch.full((1, 1, 2), error**0.5, dtype=torch.float64), torch.zeros(1, 2).double())
        kept += (error - kept) * max(1 / n, 0.01)
    assert likelihood.variance.item() == pytest.approx(kept, rel=1e-9)
    if steps <= 100:
        assert kept == pytest.approx(errors.mean().item(), rel=1e-9)


def test_the_kept_variance_goes_on_where_a_saved_one_stopped() -> None:
    ours, theirs = (Gaussian(DataSpec((2,), "real"), sigma="optimal").train() for _ in range(2))
    for size in (1.0, 2.0, 3.0):
        ours.log_prob(torch.full((1, 1, 2), size), torch.zeros(1, 2))
    theirs.load_state_dict(ours.state_dict())
    for size in (4.0, 5.0):
        for likelihood in (ours, theirs):
            likelihood.log_prob(torch.full((1, 1, 2), size), torch.zeros(1, 2))
    assert theirs.variance.item() == ours.variance.item() == pytest.approx(11)


def test_an_output_bias_is_kept_with_the_weights() -> None:
    ours, theirs = (
        Bernoulli(DataSpec((2,), "binary", mean=lambda m=m: np.full(2, m)), output_bias=True) for m in (0.2, 0.7)
    )
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(theirs(torch.zeros(2)).mean, torch.full((2,), 0.2))


@pytest.mark.parametrize(
    ("likelihood", "kind"),
    [(Bernoulli, "binary"), (ContinuousBernoulli, "unit"), (Gaussian, "real"), (Gaussian, "unit")],
)
def test_likelihoods_sum_over_dimensions(likelihood: type, kind: str) -> None:
    """Twice the image, twice the nats: a mean over pixels would leave them as they are."""
    h, x = torch.randn(3, 2, 1, 4, 5), torch.rand(2, 1, 4, 5).round()
    one = likelihood(DataSpec((1, 4, 5), kind)).log_prob(h, x)
    two = likelihood(DataSpec((1, 4, 10), kind)).log_prob(h.repeat(1, 1, 1, 1, 2), x.repeat(1, 1, 1, 2))
    assert one.shape == (3, 2)
    torch.testing.assert_close(two, 2 * one)


def test_an_optimal_sigma_without_an_error_or_of_a_bad_batch_spoils_nothing() -> None:
    likelihood = Gaussian(DataSpec((3,), "unit"), sigma="optimal").train()
    h, white = torch.full((1, 4, 3), 18.0, requires_grad=True), torch.ones(4, 3)
    loss = -likelihood.log_prob(h, white).mean()
    loss.backward()
    assert loss.isfinite()
    assert h.grad is not None
    assert h.grad.isfinite().all()
    before = likelihood.variance.clone()
    with torch.no_grad():
        likelihood.log_prob(torch.full((1, 4, 3), math.nan), white)
    assert torch.equal(likelihood.variance, before)
    assert likelihood.batches == 1
