"""Bounds of several draws: their limits, their order, and what each part of the model gets of them."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import at_truth, log_power
from tests.variants.linear_models import POSTERIORS, gradient, points, true_model, untrained
from variants import DataSpec, build
from variants.core import Terms, elbo, iwae
from variants.parts.objectives import (
    CombinationIwae,
    Iwae,
    MultiplyIwae,
    Objective,
    PartialIwae,
    Renyi,
    VrMax,
)

# Columns that are nearly parallel, and a noise at which the weights still have a variance.
PARALLEL = LinearGaussian(
    torch.tensor([[1.0, 1.0], [1.0, 0.8], [0.0, 0.3], [1.0, 1.0]], dtype=torch.float64),
    torch.zeros(4, dtype=torch.float64),
    6.0,
)


def of_weights(log_weights: Tensor) -> Terms:
    """Terms of one latent whose log-weights `[K, B]` are these, all of them from log p(x|z)."""
    p = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    z = torch.zeros(*log_weights.shape, 1)
    return Terms(x=z[0], z=z, q=p, p=p, log_px_z=log_weights)


def some_terms(samples: int = 5, posterior: str = "full") -> Terms:
    return untrained(true_model(), posterior).terms(points(), samples)


# Renyi


def test_the_renyi_bound_of_order_zero_is_iwae() -> None:
    torch.testing.assert_close(Renyi(alpha=0.0)(some_terms(), 0.0), -iwae(some_terms()))


def test_the_renyi_bound_tends_to_the_elbo_at_order_one() -> None:
    terms = some_terms()
    mean = -terms.log_weights.mean(0)
    torch.testing.assert_close(Renyi(alpha=1.0)(terms, 0.0), mean)
    for alpha in (1 - 1e-6, 1 + 1e-6):
        torch.testing.assert_close(Renyi(alpha=alpha)(terms, 0.0), mean, rtol=0, atol=1e-3)


def test_vr_max_is_the_limit_of_the_renyi_bound() -> None:
    terms = some_terms()
    torch.testing.assert_close(VrMax()(terms, 0.0), Renyi(alpha=-200.0)(terms, 0.0), rtol=0, atol=math.log(5) / 200)
    torch.testing.assert_close(VrMax()(terms, 0.0), -terms.log_weights.max(0).values)


def test_the_renyi_bound_does_not_rise_with_its_order() -> None:
    terms = some_terms()
    ladder = [VrMax(), *(Renyi(alpha=a) for a in (-200.0, -3.0, -1.0, 0.0, 0.5, 0.9, 1.0, 1.1, 2.0, 30.0))]
    for high, low in pairwise(ladder):
        assert (high(terms, 0.0) < low(terms, 0.0)).all()


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5, 2.0])
def test_the_renyi_divergence_of_gaussians(alpha: float) -> None:
    """K draws give E_q w^(1-a) without bias; the integral of the two densities is known."""
    model, x, power = at_truth(PARALLEL, "diagonal"), points(), 1 - alpha
    with torch.no_grad():
        terms = model.terms(x.repeat(2000, 1), 20)
        bound = -Renyi(alpha=alpha)(terms, 0.0)
    ratio = (power * (bound - PARALLEL.log_prob(x).repeat(2000)) - log_power(PARALLEL, power)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))
    assert abs(log_power(PARALLEL, power)) > 0.01 or alpha == 0


@pytest.mark.parametrize("objective", [Renyi(alpha=-20.0), Renyi(alpha=0.5), Renyi(alpha=3.0), VrMax()])
def test_log_weights_of_thousands_of_nats_overflow_nowhere(objective: Objective) -> None:
    log_weights = torch.tensor([[-9000.0], [-8000.0], [-8500.0]], requires_grad=True)
    loss = objective(of_weights(log_weights), 0.0)
    loss.sum().backward()
    best = 9000 if isinstance(objective, Renyi) and objective.alpha > 1 else 8000
    assert loss.item() == pytest.approx(best, abs=3)
    assert log_weights.grad is not None
    assert log_weights.grad.sum().item() == pytest.approx(-1)


def test_vr_max_learns_from_the_best_draw_alone() -> None:
    log_weights = torch.tensor([[1.0, 5.0], [3.0, 2.0], [2.0, 4.0]], requires_grad=True)
    VrMax()(of_weights(log_weights), 0.0).sum().backward()
    assert log_weights.grad is not None
    assert log_weights.grad.tolist() == [[0, -1], [-1, 0], [0, 0]]


@pytest.mark.parametrize("objective", [Renyi(alpha=-2.0), Renyi(alpha=2.0), VrMax(), CombinationIwae(), Iwae()])
def test_one_draw_leaves_its_log_weight(objective: Objective) -> None:
    terms = some_terms(1)
    torch.testing.assert_close(objective(terms, 0.0), -terms.log_weights[0])


# The three of Rainforth et al.


@pytest.mark.parametrize("a", [1.0, 3.0, 200.0])
def test_draws_are_averaged_within_an_estimate_and_estimates_outside_the_logarithm(a: float) -> None:
    """Three estimates of two draws: with their roles exchanged the value would be a / 2."""
    log_weights = torch.tensor([[0.0], [a]] * 3, dtype=torch.float64)
    loss = MultiplyIwae(samples=6, estimates=3)(of_weights(log_weights), 0.0)
    assert -loss.item() == pytest.approx(a + math.log1p(math.exp(-a)) - math.log(2))


def test_the_ends_of_multiply_iwae() -> None:
    terms = some_terms(6)
    torch.testing.assert_close(MultiplyIwae(samples=6, estimates=1)(terms, 0.0), -iwae(terms))
    torch.testing.assert_close(MultiplyIwae(samples=6, estimates=6)(terms, 0.0), -terms.log_weights.mean(0))


def test_combination_iwae_is_linear_between_its_ends() -> None:
    terms = some_terms()
    ends = -terms.log_weights.mean(0), -iwae(terms)
    for b in (0.0, 0.05, 0.5, 1.0):
        loss = CombinationIwae(elbo_weight=b)(terms, 0.0)
        torch.testing.assert_close(loss, b * ends[0] + (1 - b) * ends[1])


@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_partial_iwae_gives_each_side_the_gradient_of_its_own_bound(posterior: str, weight: float) -> None:
    def gradients(objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
        model = untrained(true_model(), posterior)
        torch.manual_seed(5)
        loss = objective(model.terms(points(), 6), weight)
        return loss, gradient(loss, model.decoder), gradient(loss, model.posterior)

    options = {"samples": 6, "warmup_epochs": 1}
    loss, decoder, encoder = gradients(PartialIwae(estimates=3, **options))
    value, all_draws, _ = gradients(Iwae(**options))
    _, _, grouped = gradients(MultiplyIwae(estimates=3, **options))
    torch.testing.assert_close(loss, value)
    torch.testing.assert_close(decoder, all_draws, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(encoder, grouped, rtol=1e-8, atol=1e-10)


def test_partial_iwae_keeps_the_estimates_whose_share_of_all_draws_vanishes() -> None:
    """With a noise this small log-weights differ by thousands of nats, and most shares round to zero."""

    def of_encoder(objective: Objective) -> Tensor:
        model = untrained(true_model(noise=1e-4), "diagonal")
        torch.manual_seed(5)
        terms = model.terms(points(), 6)
        assert (terms.log_weights.softmax(0) == 0).any()
        return gradient(objective(terms, 0.0), model.posterior)

    expected = of_encoder(MultiplyIwae(samples=6, estimates=3))
    torch.testing.assert_close(of_encoder(PartialIwae(samples=6, estimates=3)), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["renyi", "vr_max", "multiply_iwae", "partial_iwae", "combination_iwae"])
def test_the_warm_up_ends_at_the_bound_and_starts_without_the_kl(name: str) -> None:
    model = build(name, DataSpec((4,), "real"), latent=2, warmup_epochs=2).double()
    terms = model.terms(points(), model.objective.samples)
    start = Terms(x=terms.x, z=terms.z, q=terms.q, p=terms.q, log_px_z=terms.log_px_z)
    plain = build(name, DataSpec((4,), "real"), latent=2).objective
    torch.testing.assert_close(model.objective(terms, 2.0), plain(terms, 0.0))
    torch.testing.assert_close(model.objective(terms, 0.0), plain(start, 0.0))
    assert not torch.allclose(plain(start, 0.0), plain(terms, 0.0))


@pytest.mark.parametrize(
    ("variant", "options", "words"),
    [
        ("multiply_iwae", {"samples": 8, "estimates": 3}, "samples must be a multiple of estimates"),
        ("combination_iwae", {"elbo_weight": 1.5}, "elbo_weight must be a number from 0 to 1"),
        ("renyi", {"alpha": -math.inf}, "alpha must be a number"),
    ],
)
def test_options_out_of_range_are_refused(variant: str, options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(variant, DataSpec((4,), "real"), **options)


def test_bounds_of_few_draws_lie_below_bounds_of_many() -> None:
    terms = some_terms(6)
    ladder = [MultiplyIwae(samples=6, estimates=m)(terms, 0.0) for m in (1, 2, 6)]
    assert (ladder[0] < ladder[1]).all()
    assert (ladder[1] < ladder[2]).all()
    assert elbo(terms).shape == ladder[0].shape
