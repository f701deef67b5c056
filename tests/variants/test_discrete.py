"""Discrete latents: score-function gradients against all draws enumerated, and the laws of relaxed ones."""

import math
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, kl_divergence

from variants import DataSpec, build
from variants.core import VAE, OneHots, RelaxedOneHots, elbo, iwae
from variants.core.support import state_count, states
from variants.parts.discrete import RelaxedBits, bits
from variants.parts.objectives import discrete as score
from variants.parts.objectives.discrete import antithetic, leave_one_out
from variants.testing.case import LATE
from variants.testing.enumeration import expectation, tuples

SPEC = DataSpec((4,), "binary", 40)
BITS: dict[str, Any] = {"latent": 2}
ONE_HOTS: dict[str, Any] = {"latent": 4, "classes": 2, "posterior": "one_hots", "prior": "one_hots"}
X = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)


def model(name: str, **options: Any) -> VAE:
    """A small one, whose bits are neither fair nor certain."""
    torch.manual_seed(3)
    made = build(name, SPEC, hidden=(5,), **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made


def gradients(made: VAE, value: Tensor) -> dict[str, Tensor]:
    found = torch.autograd.grad(value, list(made.parameters()), allow_unused=True)
    return {name: g for (name, _), g in zip(made.named_parameters(), found, strict=True) if g is not None}


def assert_same_gradients(made: VAE, exact: Tensor, estimated: Tensor) -> None:
    first, second = gradients(made, exact), gradients(made, estimated)
    assert first.keys() == second.keys()
    assert {name.split(".")[0] for name in first} >= {"encoder", "posterior", "decoder"}
    for name in first:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("latents", [BITS, ONE_HOTS], ids=["bits", "one-hots"])
def test_the_mean_gradient_of_vimco_is_that_of_the_mean_bound(latents: dict[str, Any], samples: int) -> None:
    made = model("bernoulli_vimco", samples=samples, **latents)
    exact = expectation(made, X, samples, lambda terms: -iwae(terms))
    estimated = expectation(made, X, samples, lambda terms: made.objective(terms, LATE), fixed=True)
    torch.testing.assert_close(estimated, exact, rtol=0, atol=1e-12)  # what is shown is the bound
    assert_same_gradients(made, exact, estimated)


def test_vimco_credits_a_draw_against_what_does_not_depend_on_it() -> None:
    log_w = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
    for k in range(3):
        others = [log_w[j, 0].item() for j in range(3) if j != k]
        expected = math.log((sum(map(math.exp, others)) + math.exp(sum(others) / 2)) / 3)
        assert leave_one_out(log_w)[k, 0].item() == pytest.approx(expected, abs=1e-12)
        moved = log_w.clone()
        moved[k] = 50.0
        torch.testing.assert_close(leave_one_out(moved)[k], leave_one_out(log_w)[k], rtol=0, atol=1e-12)


def test_a_single_score_without_its_credit_is_seen_by_the_enumeration() -> None:
    """The oracle itself: a bound differentiated as if draws did not depend on q is biased."""
    made = model("bernoulli_vimco", **BITS)
    exact = expectation(made, X, 2, lambda terms: -iwae(terms))
    with pytest.raises(AssertionError, match="encoder"):
        assert_same_gradients(made, exact, expectation(made, X, 2, lambda terms: -iwae(terms), fixed=True))


def test_disarm_over_all_pairs_has_the_gradient_of_the_elbo(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model("bernoulli_disarm", **BITS)
    exact = expectation(made, X, 1, lambda terms: -elbo(terms))
    terms, _ = tuples(made, X, 2)
    b, partner = terms.z
    p = terms.q.mean.detach()
    # From one u in (0, 1): b = 1 where u < p, b' = 1 where 1 - u < p.
    both, none = (2 * p - 1).clamp(min=0), (1 - 2 * p).clamp(min=0)
    chance = torch.where(b == partner, torch.where(b == 1, both, none), (1 - both - none) / 2).prod(-1)
    assert chance.sum().item() == pytest.approx(1, abs=1e-12)
    monkeypatch.setattr(score, "antithetic", lambda *_: partner.unsqueeze(0))
    single = type(terms)(
        x=terms.x, z=b.unsqueeze(0), q=terms.q, p=terms.p, log_px_z=terms.log_px_z[:1], ways=terms.ways
    )
    estimated = (chance * made.objective(single, LATE)).sum()
    torch.testing.assert_close(estimated, exact, rtol=0, atol=1e-12)
    assert_same_gradients(made, exact, estimated)


@pytest.mark.parametrize("logit", [-40.0, -1.3, 0.0, 0.7, 40.0])
def test_antithetic_bits_are_those_of_u_and_of_one_minus_u(monkeypatch: pytest.MonkeyPatch, logit: float) -> None:
    monkeypatch.setattr(torch, "bernoulli", lambda chance: chance)
    p = torch.sigmoid(torch.tensor(logit, dtype=torch.float64)).item()
    of_one, of_zero = antithetic(torch.tensor([1.0, 0.0]), torch.full((2,), logit, dtype=torch.float64)).tolist()
    if p > 1e-12:
        assert of_one == pytest.approx(max(0.0, 2 * p - 1) / p, abs=1e-12)
    if p < 1 - 1e-12:
        assert of_zero == pytest.approx((p - max(0.0, 2 * p - 1)) / (1 - p), abs=1e-12)


def test_disarm_moves_the_logits_by_its_pairs_alone() -> None:
    """The score of q, whose mean is zero, is in neither of the two log-weights: it would be noise."""
    made = model("bernoulli_disarm", **BITS)
    terms = made.terms(X, 5)
    logits = terms.q.base_dist.logits
    torch.manual_seed(2)
    (found,) = torch.autograd.grad(made.objective(terms, LATE).sum(), logits, retain_graph=True)
    torch.manual_seed(2)
    b, other = terms.z, antithetic(terms.z, logits.detach())
    f, f_other = (made.log_px(z, X) + terms.p.log_prob(z) - terms.q.log_prob(z) for z in (b, other))
    slope = 0.5 * (f - f_other).unsqueeze(-1) * (1 - 2 * other) * (b != other) * logits.abs().sigmoid()
    assert slope.any()
    torch.testing.assert_close(found, -slope.mean(0))


def test_an_objective_without_a_path_is_given_draws_that_carry_none() -> None:
    """Else a Gaussian posterior would be given its gradient twice."""
    made = build("vanilla", DataSpec((4,), "real", 40), latent=2, hidden=(5,), objective="vimco")
    seen = []
    made.objective.register_forward_pre_hook(lambda _, args: seen.append(args[0].z.requires_grad))
    made.loss(torch.randn(3, 4))
    build("iwae", DataSpec((4,), "real", 40), latent=2).loss(torch.randn(3, 4))
    assert seen == [False]


# ---------------------------------------------------------------------------------------------------------------------
# One-hot vectors


def test_one_hots_are_categorical_variables() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 2, 3, dtype=torch.float64)
    d, one = OneHots(logits), OneHots(logits[0])
    assert state_count(one) == 9
    points = states(one)
    assert points.unique(dim=0).shape == (9, 6)
    assert d.support.check(points).all()
    others = [[1.0, 0, 0, 0.5, 0.5, 0], [1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]]
    assert not d.support.check(torch.tensor(others)).any()
    mass = one.log_prob(points).exp()
    assert mass.sum().item() == pytest.approx(1)
    torch.testing.assert_close(mass @ points, one.mean)
    torch.testing.assert_close(mass @ points.square() - one.mean.square(), one.variance)
    assert -(mass * mass.log()).sum().item() == pytest.approx(one.entropy().item())
    # To equal probabilities the KL is 2 log 3 - H, and not the KL the other way round.
    uniform = OneHots(torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(kl_divergence(d, uniform), 2 * math.log(3) - d.entropy())
    parts = d.kl_parts(uniform, points)
    assert parts is not None
    torch.testing.assert_close(parts.sum(-1), kl_divergence(d, uniform))
    frequency = one.sample(torch.Size([20_000])).mean(0)
    assert (frequency - one.mean).abs().max() < 4 * 0.5 / math.sqrt(20_000)


@pytest.mark.parametrize("hard", [False, True])
def test_relaxed_draws_fall_to_a_class_as_often_as_it_is_likely(hard: bool) -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
    draws = RelaxedOneHots(logits, 0.7, hard=hard).rsample(torch.Size([20_000]))
    frequency = torch.nn.functional.one_hot(draws.argmax(-1), 3).float().mean(0)
    assert (frequency - logits[0].softmax(-1)).abs().max() < 4 * 0.5 / math.sqrt(20_000)
    torch.testing.assert_close(draws.sum(-1), torch.ones(20_000))
    assert bool(((draws == 0) | (draws == 1)).all()) is hard


@pytest.mark.parametrize("name", ["gumbel_softmax", "joint"])
def test_log_weights_of_relaxed_draws_are_refused_in_one_line(name: str) -> None:
    """A bound of log-weights would hold a log-probability at points that have none."""
    made = build(name, SPEC, latent=4, objective="iwae")
    with pytest.raises(NotImplementedError, match="relaxed one-hot draws have no density here, only a KL: train on"):
        made.loss(torch.ones(2, 4))
    assert made.eval().terms(torch.ones(2, 4), 3).log_weights.isfinite().all()


@pytest.mark.parametrize("hard", [False, True])
def test_draws_are_rounded_where_that_is_asked_for_alone(hard: bool) -> None:
    z = build("gumbel_softmax", SPEC, latent=4, classes=2, hard=hard).terms(torch.ones(3, 4), 5).z
    assert bool(((z == 0) | (z == 1)).all()) is hard


def test_rounded_draws_have_the_gradient_of_the_unrounded_ones() -> None:
    logits = torch.tensor([[0.5, 0.0, -1.0]], requires_grad=True)
    found = []
    for hard in (False, True):
        torch.manual_seed(1)
        z = RelaxedOneHots(logits, 0.7, hard=hard).rsample()
        found.append(torch.autograd.grad((z * torch.tensor([1.0, 2.0, 3.0])).sum(), logits)[0])
    torch.testing.assert_close(*found)


def test_the_noise_of_a_draw_is_gumbel_out_to_its_tails() -> None:
    """log z_1 - log z_2 at temperature t is logistic noise over t: no constant inside a logarithm cuts it off."""
    torch.manual_seed(2)
    n = 200_000
    z = RelaxedOneHots(torch.zeros(1, 2, dtype=torch.float64), 2.0).rsample(torch.Size([n]))
    noise = 2.0 * (z[:, 0].log() - z[:, 1].log())
    for quantile in (-9.0, -6.0, -2.0, 0.0, 3.0, 6.0, 9.0):
        expected = 1 / (1 + math.exp(-quantile))
        off = (noise < quantile).double().mean().item() - expected
        assert abs(off) < 4 * math.sqrt(expected * (1 - expected) / n)


def test_the_temperature_is_that_of_the_passes_so_far_and_no_call_moves_it() -> None:
    made = build("gumbel_softmax", SPEC, latent=4, temperature=0.9, temperature_decay=0.1, temperature_floor=0.6)
    x = torch.ones(2, 4)
    for epoch, expected in (
        (0.0, 0.9),
        (2.0, 0.9 * math.exp(-0.2)),
        (2.0, 0.9 * math.exp(-0.2)),
        (2.5, 0.9 * math.exp(-0.25)),
        (50.0, 0.6),
        (0, 0.9),
    ):
        made.loss(x, epoch)
        assert made.posterior.temperature == pytest.approx(expected)
        assert made.infer(x).temperature == pytest.approx(expected)
    assert isinstance(made.eval().infer(x), OneHots)
    assert not made.infer(x).has_rsample
    assert build("joint", SPEC, latent=4, temperature=0.4).infer(x).blocks[1].temperature == 0.4


# ---------------------------------------------------------------------------------------------------------------------
# Concrete bits


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_concrete_density_is_that_of_the_paper(temperature: float) -> None:
    """Its eq. 24 for bits, alpha = e^logit: t alpha z^(-t-1) (1-z)^(-t-1) / (alpha z^-t + (1-z)^-t)^2."""
    logit = 0.8
    d = RelaxedBits(torch.tensor([logit], dtype=torch.float64), temperature)
    y = torch.linspace(-60, 60, 40_001, dtype=torch.float64) / max(1.0, temperature)
    z = y.sigmoid()
    inner = (z > 1e-10) & (z < 1 - 1e-10)
    z, y = z[inner], y[inner]
    alpha, t = math.exp(logit), temperature
    expected = t * alpha * (z * (1 - z)) ** (-t - 1) / (alpha * z**-t + (1 - z) ** -t) ** 2
    density = d.log_prob(z.unsqueeze(-1)).exp()
    torch.testing.assert_close(density, expected, rtol=1e-5, atol=0)
    mass = torch.trapezoid(density * z * (1 - z), y)
    assert mass.item() == pytest.approx(1, abs=3e-3 if t < 0.5 else 1e-6)


def test_concrete_bits_are_above_a_half_as_often_as_the_bit_is_one() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([-2.0, 0.3, 1.5])
    for temperature in (0.1, 2 / 3, 2.0):
        share = (RelaxedBits(logits, temperature).rsample(torch.Size([20_000])) > 0.5).float().mean(0)
        assert (share - logits.sigmoid()).abs().max() < 4 * 0.5 / math.sqrt(20_000)
        torch.testing.assert_close(RelaxedBits(logits, temperature).mean, logits.sigmoid())


@pytest.mark.parametrize("temperature", [0.4, 2.0])
def test_the_noise_of_concrete_bits_is_logistic_over_the_temperature(temperature: float) -> None:
    torch.manual_seed(0)
    n, logit = 20_000, torch.tensor([0.8], dtype=torch.float64)
    noise = temperature * RelaxedBits(logit, temperature).rsample(torch.Size([n])).logit() - logit
    assert abs(noise.mean().item()) < 4 * math.pi / math.sqrt(3 * n)
    assert noise.var().item() == pytest.approx(math.pi**2 / 3, rel=0.05)


def test_concrete_bits_and_their_prior_have_the_temperatures_that_are_asked_for() -> None:
    made, z = build("concrete", SPEC, latent=2, temperature=0.9, prior_temperature=0.8), torch.tensor([[0.3, 0.6]])
    q = made.infer(torch.ones(1, 4))
    torch.testing.assert_close(q.log_prob(z), RelaxedBits(q.base_dist.logits, 0.9).log_prob(z))
    torch.testing.assert_close(made.prior().log_prob(z), RelaxedBits(torch.zeros(2), 0.8).log_prob(z))


@pytest.mark.parametrize("logit", [-500.0, -90.0, 90.0, 500.0])
def test_concrete_bits_of_large_logits_have_finite_densities_and_gradients(logit: float) -> None:
    """exp(90) overflows in single precision; the density is that of the formula in double precision."""
    logits = torch.full((64, 3), logit, requires_grad=True)
    torch.manual_seed(0)
    d = RelaxedBits(logits, 2 / 3)
    z = d.rsample()
    log_p = d.log_prob(z) + RelaxedBits(-logits, 0.5).log_prob(z)
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    z = torch.full((1, 3), 0.25)
    t, y = 2 / 3, math.log(0.25 / 0.75)
    away = logit - t * y
    exact = math.log(t) + away - 2 * (max(away, 0) + math.log1p(math.exp(-abs(away)))) - math.log(0.25 * 0.75)
    torch.testing.assert_close(RelaxedBits(logits[:1], t).log_prob(z), torch.full((1,), 3 * exact))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_no_logit_of_a_concrete_bit_is_paid_for_being_further_out(sign: float) -> None:
    """Draws round to 0 and 1, from logits of 17 on: what the KL says of them must not fall."""
    kls = []
    for size in (11.0, 15.0, 30.0, 200.0):
        torch.manual_seed(0)
        logit = torch.tensor(sign * size, requires_grad=True)
        q, p = RelaxedBits(logit.expand(20_000, 1), 2 / 3), RelaxedBits(torch.zeros(20_000, 1), 0.5)
        z = q.rsample()
        kl = (q.log_prob(z) - p.log_prob(z)).mean()
        kl.backward()
        assert sign * logit.grad.item() > -1e-3  # type: ignore[union-attr]
        kls.append(kl.item())
    assert kls == sorted(kls)
    # All of p beyond the end: sigmoid(-1/2 logit(end)) = (2^-24)^(1/2), but for rounding.
    assert kls[-1] == pytest.approx(12 * math.log(2), abs=0.01)


@pytest.mark.parametrize(("q", "p"), [(14.0, 17.5), (-14.0, -17.5), (50.0, -200.0), (0.3, -0.7)])
def test_the_kl_of_bits_is_finite_for_all_logits(q: float, p: float) -> None:
    a, b = (torch.tensor([[value]], requires_grad=True) for value in (q, p))
    kl = kl_divergence(bits(a), bits(b))
    exact = sum(
        mpmath.mpf(1) / (1 + mpmath.exp(-s * q)) * mpmath.log((1 + mpmath.exp(-s * p)) / (1 + mpmath.exp(-s * q)))
        for s in (1, -1)
    )
    assert kl.item() == pytest.approx(float(exact), rel=1e-3)
    kl.sum().backward()
    for logits in (a, b):
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_concrete_is_one_bound_in_training_and_bits_when_judged() -> None:
    made = model("concrete", **BITS)
    with torch.no_grad():
        made.prior.logits.copy_(torch.tensor([0.4, -0.3]))
    torch.manual_seed(5)
    terms = made.terms(X, 7)
    logits = made.posterior.logits(made.encoder(X))
    log_q = RelaxedBits(logits, 2 / 3).log_prob(terms.z)
    log_p = RelaxedBits(made.prior.logits, 0.5).log_prob(terms.z)
    assert terms.kl_method == "monte_carlo"
    torch.testing.assert_close(terms.kl, (log_q - log_p).mean(0))
    torch.testing.assert_close(made.objective(terms, LATE), -(terms.log_px_z + log_p - log_q).mean(0))
    judged = made.eval().terms(X, 7)
    assert judged.kl_method == "closed_form"
    p = logits.sigmoid()
    r = made.prior.logits.sigmoid()
    exact = (p * (p / r).log() + (1 - p) * ((1 - p) / (1 - r)).log()).sum(-1)
    torch.testing.assert_close(judged.kl, exact)
    assert ((judged.z == 0) | (judged.z == 1)).all()
    assert isinstance(judged.q, Independent)
    assert isinstance(judged.q.base_dist, Bernoulli)


@pytest.mark.parametrize("name", ["concrete", "bernoulli_disarm"])
def test_a_prior_of_fair_coins_is_learnt_only_where_that_is_asked_for(name: str) -> None:
    assert [each.shape for each in build(name, SPEC, latent=4).prior.parameters()] == [(4,)]
    fair = build(name, SPEC, latent=4, learned_prior=False).prior
    assert list(fair.parameters()) == []
    assert fair.logits.tolist() == [0] * 4
