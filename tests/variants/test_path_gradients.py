"""Sticking the landing and IWAE-DReG: the bound's value, a gradient that is known, and the right one on average.

On linear-Gaussian models with a posterior that is off the truth unless said otherwise.
"""

import copy
import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
)

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import at_truth, exact_terms
from tests.variants.linear_models import POSTERIORS, D, K, gradient, points, true_model, untrained
from variants import DataSpec, build
from variants.core import VAE, iwae
from variants.parts.objectives import Elbo, Iwae, IwaeDreg, Objective, StickingTheLanding
from variants.parts.posteriors import Posterior

# Standard errors; none of some hundred comparisons is to exceed it.
ERRORS = 4.5


@pytest.fixture
def truth() -> LinearGaussian:
    return true_model()


@pytest.fixture
def x() -> Tensor:
    return points()


@pytest.mark.parametrize("epoch", [0.0, 1.0, 2.0, 9.0])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_value_is_that_of_the_bound(truth: LinearGaussian, x: Tensor, posterior: str, epoch: float) -> None:
    terms, w = untrained(truth, posterior).terms(x, 5), min(1.0, epoch / 2)
    log_weights = terms.log_px_z + w * (terms.log_pz - terms.log_qz_x)
    torch.testing.assert_close(StickingTheLanding(samples=5, warmup_epochs=2)(terms, epoch), -log_weights.mean(0))
    expected = Iwae(samples=5, warmup_epochs=2)(terms, epoch)
    torch.testing.assert_close(IwaeDreg(samples=5, warmup_epochs=2)(terms, epoch), expected)
    if w == 1:
        torch.testing.assert_close(expected, -iwae(terms))


def stopped_by_copying(model: VAE, x: Tensor) -> Distribution:
    """q(z|x) with constant parameters, in the other way: by a copy of the encoder that no gradient reaches."""
    with torch.no_grad():
        return copy.deepcopy(model).infer(x)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_log_q_at_stopped_parameters(truth: LinearGaussian, x: Tensor, posterior: str) -> None:
    model = untrained(truth, posterior)
    terms = model.terms(x, 4)
    by_copy = stopped_by_copying(model, x).log_prob(terms.z)
    torch.testing.assert_close(terms.log_qz_x_stopped, by_copy)
    for part in (model.encoder, model.posterior):
        if list(part.parameters()):
            torch.testing.assert_close(gradient(terms.log_qz_x_stopped, part), gradient(by_copy, part))
    assert not torch.allclose(
        gradient(terms.log_qz_x_stopped, model.posterior), gradient(terms.log_qz_x, model.posterior)
    )


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_sticking_the_landing_by_hand(truth: LinearGaussian, x: Tensor, posterior: str) -> None:
    model = untrained(truth, posterior)
    terms = model.terms(x, 4)
    loss = StickingTheLanding(samples=4)(terms, 0.0)
    by_hand = (stopped_by_copying(model, x).log_prob(terms.z) - terms.log_px_z - terms.log_pz).mean(0)
    torch.testing.assert_close(gradient(loss, model.posterior), gradient(by_hand, model.posterior))
    torch.testing.assert_close(gradient(loss, model.decoder), gradient(by_hand, model.decoder))


@pytest.mark.parametrize("w", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_dreg_by_hand(truth: LinearGaussian, x: Tensor, posterior: str, w: float) -> None:
    """Equation 8 of the paper, and its like for a weight on log p(z) - log q(z|x)."""
    model = untrained(truth, posterior)
    terms = model.terms(x, 4)
    q, z = stopped_by_copying(model, x), terms.z.detach().requires_grad_()
    log_weights = model.likelihood.log_prob(model.decoder(z), x) + w * (model.prior().log_prob(z) - q.log_prob(z))
    share = log_weights.detach().softmax(0)
    (slope,) = torch.autograd.grad(log_weights.sum(), z, retain_graph=True)
    of_decoder = gradient(-(share * log_weights).sum(0), model.decoder)
    at_z = -(((1 - w) * share + w * share**2).unsqueeze(-1) * slope) / len(x)
    of_posterior = torch.autograd.grad(terms.z, list(model.posterior.parameters()), at_z, retain_graph=True)
    loss = IwaeDreg(samples=4, warmup_epochs=1)(terms, w)
    torch.testing.assert_close(gradient(loss, model.decoder), of_decoder)
    torch.testing.assert_close(gradient(loss, model.posterior), torch.cat([part.flatten() for part in of_posterior]))


def draws(model: VAE, objective: Objective, x: Tensor, module: nn.Module, epoch: float = 0.0, n: int = 100) -> Tensor:
    """`n` independent estimates of the gradient, `[n, parameters]`, each a mean over 50 copies of x."""
    many = x.repeat(50, *[1] * (x.dim() - 1))
    torch.manual_seed(7)
    return torch.stack([gradient(objective(model.terms(many, objective.samples), epoch), module) for _ in range(n)])


def agree(a: Tensor, b: Tensor) -> None:
    """Two means of independent draws `[n, P]`, each within its standard errors of the other."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() <= ERRORS * error + 1e-9).all()


@pytest.mark.parametrize("epoch", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("posterior", ["diagonal", "full", "planar"])
def test_dreg_is_unbiased(truth: LinearGaussian, x: Tensor, posterior: str, epoch: float) -> None:
    model = untrained(truth, posterior)
    plain = draws(model, Iwae(samples=4, warmup_epochs=1), x, model.posterior, epoch)
    doubly = draws(model, IwaeDreg(samples=4, warmup_epochs=1), x, model.posterior, epoch)
    agree(plain, doubly)
    # It is no small number that they agree on.
    assert plain.mean(0).abs().max() > 10 * (plain.var(0).max() / len(plain)).sqrt()


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_dreg_is_less_noisy_near_the_truth(
    truth: LinearGaussian, x: Tensor, posterior: Literal["diagonal", "full"]
) -> None:
    """By no fixed factor anywhere, but the score that it leaves out is most of the noise of a good encoder."""
    model = at_truth(truth, posterior, widening=1.2)
    plain, doubly = (draws(model, o, x, model.posterior) for o in (Iwae(samples=8), IwaeDreg(samples=8)))
    agree(plain, doubly)
    assert doubly.var(0).sum() < 0.1 * plain.var(0).sum()


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_sticking_the_landing_is_unbiased(truth: LinearGaussian, x: Tensor, posterior: str) -> None:
    """Against the gradient of the ELBO without any sampling."""
    model = untrained(truth, posterior)
    exact = gradient(Elbo()(exact_terms(model, x), 0.0), model.posterior)
    seen = draws(model, StickingTheLanding(), x, model.posterior)
    assert ((seen.mean(0) - exact).abs() <= ERRORS * (seen.var(0) / len(seen)).sqrt() + 1e-9).all()


@pytest.mark.parametrize("objective", [StickingTheLanding(samples=3), IwaeDreg(samples=3), IwaeDreg(samples=1)])
def test_no_noise_at_the_exact_posterior(truth: LinearGaussian, x: Tensor, objective: Objective) -> None:
    model = at_truth(truth, "full")
    terms = model.terms(x, objective.samples)
    assert gradient(objective(terms, 0.0), model.posterior).abs().max() < 1e-12
    for noisy in (Elbo(samples=3), Iwae(samples=3)):
        assert gradient(noisy(model.terms(x, 3), 0.0), model.posterior).abs().max() > 0.01


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_dreg_of_one_sample_sticks_the_landing(truth: LinearGaussian, x: Tensor, posterior: str) -> None:
    model = untrained(truth, posterior)
    terms = model.terms(x, 1)
    expected = StickingTheLanding()(terms, 0.0)
    before = [gradient(expected, part) for part in (model.posterior, model.decoder)]
    loss = IwaeDreg(samples=1)(terms, 0.0)
    torch.testing.assert_close(loss, expected)
    for part, other in zip((model.posterior, model.decoder), before, strict=True):
        torch.testing.assert_close(gradient(loss, part), other)


class Aggregate(nn.Module):
    """p(z) = 1/M sum_m q(z|u_m) with free u_m: a prior made of the encoder (Tomczak and Welling 2018)."""

    def __init__(self, model: VAE, points: Tensor) -> None:
        super().__init__()
        self.encode: Callable[[Tensor], Distribution] = model.infer
        self.points = nn.Parameter(points)

    def forward(self) -> Distribution:
        parts = self.encode(self.points)
        return MixtureSameFamily(Categorical(torch.ones(len(self.points), dtype=self.points.dtype)), parts)


@pytest.mark.parametrize(("plain", "ours"), [(Iwae(samples=3), IwaeDreg(samples=3)), (Elbo(), StickingTheLanding())])
def test_a_prior_made_of_the_encoder_gets_its_gradient(
    truth: LinearGaussian, x: Tensor, plain: Objective, ours: Objective
) -> None:
    """What stops the parameters of log q must not stop them in log p(z), nor weigh them as if they were q's."""
    model = untrained(truth, "diagonal")
    model.prior = Aggregate(model, x + 1)
    for module in (model.posterior, model.prior):
        agree(draws(model, plain, x, module), draws(model, ours, x, module))


class Blind(Laplace):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.detach())


class Constant(Laplace):
    def log_prob(self, _: Tensor) -> Tensor:
        return super().log_prob(self.loc)


@pytest.mark.parametrize("density", [Blind, Constant])
def test_a_density_without_a_derivative_is_refused(density: type[Laplace], truth: LinearGaussian, x: Tensor) -> None:
    class Foreign(Posterior):
        def __init__(self, features: int, latent: int) -> None:
            super().__init__()
            self.loc = nn.Linear(features, latent)

        def forward(self, h: Tensor) -> Distribution:
            loc = self.loc(h)
            return Independent(density(loc, torch.ones_like(loc), validate_args=False), 1, validate_args=False)

    for objective in ("iwae_dreg", "sticking_the_landing"):
        with pytest.raises(NotImplementedError, match=r"log q\(z\|x\) of Independent has no derivative in z"):
            untrained(truth, Foreign, objective=objective).loss(x)


def test_a_posterior_from_outside_needs_nothing_special(truth: LinearGaussian, x: Tensor) -> None:
    """Parameters kept where nobody would look: in a closure, out of reach of any list of parameters."""
    hidden = nn.Linear(D, K).double()

    class Foreign(Posterior):
        def __init__(self, _: int, latent: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(latent))

        def forward(self, h: Tensor) -> Distribution:
            scale = self.scale.exp().expand(len(h), -1)
            return Independent(Laplace(hidden(h), scale, validate_args=False), 1, validate_args=False)

    model = untrained(truth, Foreign)
    agree(draws(model, Iwae(samples=3), x, hidden), draws(model, IwaeDreg(samples=3), x, hidden))
    terms = model.terms(x, 3)
    constant = Independent(Laplace(hidden(x).detach(), model.posterior.scale.exp().detach().expand(3, -1)), 1)
    by_hand = constant.log_prob(terms.z)
    torch.testing.assert_close(gradient(terms.log_qz_x_stopped, hidden), gradient(by_hand, hidden))


@pytest.mark.parametrize("name", ["iwae_dreg", "sticking_the_landing"])
def test_the_loss_can_be_read_without_gradients(name: str) -> None:
    model = build(name, DataSpec((D,), "real"), latent=K)
    with torch.no_grad():
        assert model.loss(torch.zeros(3, D)).isfinite().all()
    assert math.isfinite(model.loss(torch.zeros(3, D)).mean().item())
