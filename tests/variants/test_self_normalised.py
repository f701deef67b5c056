"""Objectives that do not differentiate through z, against enumeration: two latent bits have four states."""

import math
from collections.abc import Iterator
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import at_truth, thermodynamic_integrand
from tests.variants.linear_models import POSTERIORS, gradient, points, true_model, untrained
from variants import DataSpec, build
from variants.core import Terms, iwae
from variants.parts.objectives import Iwae, ReweightedWakeSleep, Thermodynamic

STATES = torch.tensor(list(product([0.0, 1.0], repeat=2)), dtype=torch.float64)


class Bits(nn.Module):
    """q(z|x), p(z) and log p(x|z) of one x and two bits, as free parameters."""

    def __init__(self, q: tuple[float, float]) -> None:
        super().__init__()
        self.q = nn.Parameter(torch.tensor([q], dtype=torch.float64).logit())
        self.p = nn.Parameter(torch.tensor([0.3, -1.0], dtype=torch.float64))
        self.log_px = nn.Parameter(torch.tensor([-1.0, -3.5, -2.0, -0.5], dtype=torch.float64))

    def terms(self, z: Tensor) -> Terms:
        """Of draws `[K, 2]` of the one x."""
        q, p = (Independent(Bernoulli(logits=logits), 1) for logits in (self.q, self.p))
        states = (z @ torch.tensor([2, 1], dtype=torch.float64)).long()
        return Terms(x=torch.zeros(1, 1), z=z.unsqueeze(1), q=q, p=p, log_px_z=self.log_px[states].unsqueeze(1))

    def gradients(self, value: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(value.sum(), [self.q, self.p, self.log_px], retain_graph=True))

    def tuples(self, k: int) -> Iterator[tuple[Tensor, float]]:
        """Every K draws of q, with their probability."""
        chance = Independent(Bernoulli(logits=self.q[0]), 1).log_prob(STATES).exp().tolist()
        for states in product(range(4), repeat=k):
            yield STATES[list(states)], math.prod(chance[s] for s in states)


def close(ours: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# Reweighted wake-sleep


def test_wake_sleep_of_draws_in_their_exact_proportions() -> None:
    """Where the draws are q itself the weights are p(z|x): p ascends log p(x), q descends KL(p(z|x) || q)."""
    model = Bits((0.75, 0.5))
    draws = STATES.repeat_interleave(torch.tensor([1, 1, 3, 3]), 0)
    terms, every = model.terms(draws), model.terms(STATES)
    log_joint = (every.log_px_z + every.log_pz).squeeze(1)
    log_evidence = log_joint.logsumexp(0)
    posterior = (log_joint - log_evidence).detach().exp()
    cross_entropy = -(posterior * every.log_qz_x.squeeze(1)).sum()
    loss = ReweightedWakeSleep(samples=8)(terms, 0.0)
    assert loss.item() == pytest.approx(-log_evidence.item())
    close(model.gradients(loss), model.gradients(cross_entropy - log_evidence))


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_wake_sleep_of_gaussians(posterior: str) -> None:
    """p has the gradient of IWAE, and q that of sum_k w~_k log q(z_k|x) at points that q has not drawn."""
    model, x = untrained(true_model(), posterior), points()
    torch.manual_seed(5)
    terms = model.terms(x, 6, path=False)
    loss = ReweightedWakeSleep(samples=6)(terms, 0.0)
    torch.testing.assert_close(loss, -iwae(terms))
    weights = terms.log_weights.detach().softmax(0)
    cross_entropy = -(weights * model.infer(x).log_prob(terms.z.clone())).sum(0)
    torch.testing.assert_close(gradient(loss, model.posterior), gradient(cross_entropy, model.posterior))
    bound = Iwae(samples=6)(terms, 0.0)
    torch.testing.assert_close(gradient(loss, model.decoder), gradient(bound, model.decoder))


def test_the_wake_phase_vanishes_at_the_true_posterior() -> None:
    """There the weights are equal, and the mean score of many draws is zero within its error."""
    model = at_truth(true_model(), "full")
    x = points().repeat(2000, 1)
    terms = model.terms(x, 10, path=False)
    torch.testing.assert_close(terms.log_weights, terms.log_weights[:1].expand(10, -1), rtol=0, atol=1e-8)
    loss = ReweightedWakeSleep()(terms, 0.0)
    (slope,) = torch.autograd.grad(loss.mean(), model.posterior.loc.bias)
    error = (terms.q.covariance_matrix[0].inverse().diagonal() / (10 * len(x))).sqrt()
    assert (slope.abs() < 4 * error).all()


# Thermodynamic


def test_one_interval_is_the_elbo() -> None:
    terms = untrained(true_model(), "full").terms(points(), 5)
    torch.testing.assert_close(Thermodynamic(intervals=1)(terms, 0.0), -terms.log_weights.mean(0))


def test_many_intervals_are_iwae_and_few_lie_below() -> None:
    """At any weights: the self-normalised integrand does not fall with b, and its integral is log 1/K sum_k w_k."""
    terms = untrained(true_model(), "diagonal").terms(points(), 5)
    bounds = [-Thermodynamic(intervals=t, beta_min=1e-4)(terms, 0.0) for t in (1, 3, 9, 33, 4000)]
    assert all((low < high).all() for low, high in pairwise(bounds))
    assert (bounds[-1] < iwae(terms)).all()
    torch.testing.assert_close(bounds[-1], iwae(terms), rtol=0, atol=0.02)


def test_the_left_sum_of_gaussians() -> None:
    """E_b[log w] is known where q and the posterior are; thousands of draws leave next to no bias."""
    w = torch.tensor([[1.0, 1.0], [1.0, 0.8], [0.0, 0.3], [1.0, 1.0]], dtype=torch.float64)
    truth, x = LinearGaussian(w, torch.zeros(4, dtype=torch.float64), 4.0), points()[:1]
    objective = Thermodynamic(intervals=4, beta_min=0.1, samples=5000)
    steps = pairwise(objective.partition)
    exact = truth.log_prob(x).item() + sum((end - b) * thermodynamic_integrand(truth, b) for b, end in steps)
    with torch.no_grad():
        bounds = -objective(at_truth(truth, "diagonal").terms(x.repeat(100, 1), 5000), 0.0)
    assert abs(bounds.mean().item() - exact) < 4 * bounds.std().item() / 10 + 1e-4
    assert truth.log_prob(x).item() - exact > 0.02


def test_the_partition() -> None:
    partition = Thermodynamic(intervals=4, beta_min=0.001).partition
    assert partition == pytest.approx((0, 0.001, 0.01, 0.1, 1))
    assert Thermodynamic(intervals=1).partition == (0, 1)


def test_the_gradient_of_one_interval_is_unbiased() -> None:
    """Over all pairs and triples of draws it is the gradient of the ELBO: that takes the K / (K - 1)."""
    model = Bits((0.8, 0.4))
    every = model.terms(STATES)
    exact = model.gradients(-(every.log_qz_x.exp() * every.log_weights).sum())
    for k in (2, 3):
        mean = [torch.zeros_like(g) for g in exact]
        for draws, chance in model.tuples(k):
            loss = Thermodynamic(intervals=1, samples=k)(model.terms(draws), 0.0)
            mean = [m + chance * g for m, g in zip(mean, model.gradients(loss), strict=True)]
        close(mean, exact)


def test_the_gradient_of_several_intervals_where_draws_are_in_exact_proportions() -> None:
    """The sum's own gradient by enumeration, but for the K / (K - 1) of the covariances."""
    model, k = Bits((0.75, 0.5)), 8
    every = model.terms(STATES)
    log_q, log_p = every.log_qz_x.squeeze(1), (every.log_px_z + every.log_pz).squeeze(1)
    objective = Thermodynamic(intervals=3, beta_min=0.2, samples=k)
    whole, direct = torch.zeros(()), torch.zeros(())
    for b, end in pairwise(objective.partition):
        share = ((1 - b) * log_q + b * log_p).softmax(0)
        whole = whole + (end - b) * (share * (log_p - log_q)).sum()
        direct = direct + (end - b) * (share.detach() * (log_p - log_q)).sum()
    loss = objective(model.terms(STATES.repeat_interleave(torch.tensor([1, 1, 3, 3]), 0)), 0.0)
    assert loss.item() == pytest.approx(-whole.item())
    covariance = [a - b for a, b in zip(model.gradients(whole), model.gradients(direct), strict=True)]
    expected = [-d - k / (k - 1) * c for d, c in zip(model.gradients(direct), covariance, strict=True)]
    close(model.gradients(loss), expected)


@pytest.mark.parametrize("name", ["reweighted_wake_sleep", "thermodynamic"])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_no_gradient_passes_through_z(name: str, posterior: str) -> None:
    """The same draws, given as constants to a q that has not drawn them, give every part the same gradient."""
    model, x = untrained(true_model(), posterior, objective=name, samples=4), points()
    torch.manual_seed(5)
    loss = model.loss(x)
    torch.manual_seed(5)
    z = model.terms(x, 4, path=False).z.clone()
    apart = Terms(x=x, z=z, q=model.infer(x), p=model.prior(), log_px_z=model.log_px(z, x))
    expected = model.objective(apart, 0.0)
    torch.testing.assert_close(loss, expected)
    for part in (model.posterior, model.decoder):
        torch.testing.assert_close(gradient(loss, part), gradient(expected, part), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["reweighted_wake_sleep", "thermodynamic"])
def test_they_train_binary_latents(name: str) -> None:
    """Whose draws have no path: every parameter is reached all the same."""
    model = build(name, DataSpec((4,), "real"), latent=3, posterior="bernoulli", prior="bernoulli")
    model.loss(points().float()).mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", ["reweighted_wake_sleep", "thermodynamic"])
def test_a_single_draw_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="samples must be a whole number of at least 2"):
        build(name, DataSpec((4,), "real"), samples=1)
