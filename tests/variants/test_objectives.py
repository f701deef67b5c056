"""What training minimises, term by term."""

import math

import pytest
import torch
from torch import Tensor

from variants import DataSpec, build
from variants.core import VAE, Terms, elbo, iwae
from variants.parts.discrete import bits
from variants.parts.objectives import Beta, Elbo, Iwae, Reconstruction, discrete, linear_warmup
from variants.registry import seeded

GREY = DataSpec((1, 4, 5), "unit")


@pytest.fixture
def model() -> VAE:
    return seeded("vanilla", GREY, 0, latent=3).double()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(6, *GREY.shape, dtype=torch.float64)


@pytest.fixture
def terms(model: VAE, x: Tensor) -> Terms:
    return model.terms(x, 4)


def test_elbo_objective_is_the_negative_elbo(terms: Terms) -> None:
    assert torch.equal(Elbo()(terms, 0.0), -elbo(terms))


def test_beta_one_is_the_elbo(terms: Terms) -> None:
    assert torch.equal(Beta(beta=1.0)(terms, 0.0), Elbo()(terms, 0.0))


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_beta_weights_the_kl_alone(terms: Terms, beta: float) -> None:
    torch.testing.assert_close(Beta(beta=beta)(terms, 0.0) - Elbo()(terms, 0.0), (beta - 1) * terms.kl)


def test_iwae_objective_is_the_negative_bound(terms: Terms) -> None:
    torch.testing.assert_close(Iwae(samples=4)(terms, 0.0), -iwae(terms))


def test_iwae_of_one_sample_is_its_log_weight(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 1)
    torch.testing.assert_close(Iwae(samples=1)(terms, 0.0), -terms.log_weights[0])


def test_iwae_gradient_is_the_importance_weighted_gradient(model: VAE, x: Tensor) -> None:
    """grad log 1/K sum_k w_k = sum_k softmax(log w)_k grad log w_k, the weights held constant."""
    terms, parameters = model.terms(x, 5), list(model.parameters())
    ours = torch.autograd.grad(Iwae(samples=5)(terms, 0.0).sum(), parameters, retain_graph=True)
    weights = terms.log_weights.detach().softmax(0)
    torch.testing.assert_close(weights.sum(0), torch.ones(6, dtype=torch.float64))
    by_hand = torch.autograd.grad(-(weights * terms.log_weights).sum(), parameters)
    for a, b in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(a, b)


def test_iwae_samples_are_those_it_divides_by() -> None:
    model = build("iwae", GREY, samples=7).double()
    assert model.objective.samples == 7
    x = torch.rand(2, *GREY.shape, dtype=torch.float64)
    torch.manual_seed(1)
    loss = model.loss(x)
    torch.manual_seed(1)
    torch.testing.assert_close(loss, -iwae(model.terms(x, 7)))


@pytest.mark.parametrize(
    ("epoch", "epochs", "weight"), [(0, 10, 0), (2.5, 10, 0.25), (10, 10, 1), (30, 10, 1), (0, 0, 1), (5, 0, 1)]
)
def test_linear_warmup(epoch: float, epochs: float, weight: float) -> None:
    assert linear_warmup(epoch, epochs) == weight


def test_warmup_weighs_the_kl(terms: Terms) -> None:
    reconstruction = -terms.log_px_z.mean(0)
    for epoch, weight in ((0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)):
        expected = weight * terms.kl + reconstruction
        torch.testing.assert_close(Elbo(warmup_epochs=4)(terms, epoch), expected)
        expected = 3 * weight * terms.kl + reconstruction
        torch.testing.assert_close(Beta(beta=3.0, warmup_epochs=4)(terms, epoch), expected)


def test_warmup_of_iwae_ends_at_the_bound(terms: Terms) -> None:
    objective = Iwae(samples=4, warmup_epochs=2)
    torch.testing.assert_close(objective(terms, 2.0), -iwae(terms))
    start = math.log(4) - terms.log_px_z.logsumexp(0)
    torch.testing.assert_close(objective(terms, 0.0), start)
    half = terms.log_px_z + 0.5 * (terms.log_pz - terms.log_qz_x)
    torch.testing.assert_close(objective(terms, 1.0), math.log(4) - half.logsumexp(0))


def test_reconstruction_of_the_autoencoder_is_half_the_squared_error() -> None:
    model = build("autoencoder", GREY, latent=3).double()
    assert isinstance(model.objective, Reconstruction)
    assert not model.has_bound
    x = torch.rand(6, *GREY.shape, dtype=torch.float64)
    constant = 0.5 * GREY.dims * math.log(2 * math.pi)
    expected = 0.5 * (x - model.reconstruct(x)).square().sum((1, 2, 3)) + constant
    torch.testing.assert_close(model.loss(x), expected)


@pytest.mark.parametrize("objective", [Elbo(samples=3), Beta(samples=3), Iwae(samples=3), Reconstruction()])
def test_losses_are_per_example(model: VAE, x: Tensor, objective: torch.nn.Module) -> None:
    """Each example's loss from its own terms: no mean over the batch, no share of it."""
    terms = model.terms(x, 3)
    one = Terms(x[2:3], terms.z[:, 2:3], model.infer(x[2:3]), model.prior(), terms.log_px_z[:, 2:3])
    assert objective(terms, 1.0).shape == (6,)
    torch.testing.assert_close(objective(one, 1.0), objective(terms, 1.0)[2:3])


def test_elbo_objective_averages_over_samples(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 50)
    torch.testing.assert_close(Elbo(samples=50)(terms, 0.0), terms.kl - terms.log_px_z.sum(0) / 50)


BITS = DataSpec((6,), "binary", 40, classes=3, labelled=20)
OF_DRAWS: dict[str, dict[str, object]] = {
    "capacity": {},
    "cyclical": {},
    "free_bits": {},
    "geco": {},
    "joint": {},
    "factor": {"critic_hidden": (5,)},
    "adversarial": {"critic_hidden": (5,)},
    "vae_gan": {"critic_hidden": (5,), "adversary": 0.0},  # whose game draws from the prior
    "bernoulli_disarm": {},
    "sticking_the_landing": {},
    "iwae": {},
    "renyi": {},
    "vr_max": {},
    "bernoulli_vimco": {},
}


def small(name: str, **options: object) -> VAE:
    made = seeded(name, BITS, 0, **{"latent": 4, "hidden": (5,)} | options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("name", OF_DRAWS)
def test_the_same_draws_twice_are_worth_no_more_than_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss is a mean over draws, of whatever is averaged: it does not grow with their number."""
    monkeypatch.setattr(discrete, "antithetic", lambda bits, _: 1 - bits)
    vae = small(name, **OF_DRAWS[name]).eval()
    once = vae.terms(torch.rand(3, 6, dtype=torch.float64).round(), 2)
    z, log_px_z = once.z.repeat(2, 1, 1), once.log_px_z.repeat(2, 1)
    twice = Terms(once.x, z, once.q, once.p, log_px_z, once.ways)
    torch.testing.assert_close(vae.objective(twice, 1.0), vae.objective(once, 1.0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vq", {"code_size": 2, "codes": 5}),
        ("lfq", {"code_size": 2}),
        ("semi_supervised", {}),
        ("bernoulli_disarm", {}),
        ("factor", {"critic_hidden": (5,), "gamma": 0.0}),
        ("adversarial", {"critic_hidden": (5,)}),
        ("vae_gan", {"critic_hidden": (5,), "adversary": 0.0}),
        ("wae_mmd", {}),
        ("sliced_wasserstein", {}),
    ],
)
def test_a_warm_up_goes_in_a_straight_line_to_the_loss_that_is_meant(name: str, options: dict[str, object]) -> None:
    vae, x = small(name, warmup_epochs=4, **options).eval(), torch.rand(3, 6, dtype=torch.float64).round()
    terms, losses = vae.terms(x, 1), []
    for epoch in (0.0, 1.0, 4.0, 9.0):
        torch.manual_seed(1)
        losses.append(vae.objective(terms, epoch))
    assert ((losses[0] - losses[2]).abs() > 1e-4).all()
    torch.testing.assert_close(losses[1], 0.75 * losses[0] + 0.25 * losses[2])
    assert torch.equal(losses[2], losses[3])


@pytest.mark.parametrize("name", ["bernoulli_vimco", "bernoulli_disarm"])
def test_a_warm_up_of_scores_begins_without_the_prior_of_any_draw(name: str) -> None:
    vae = small(name, warmup_epochs=4).eval()
    terms = vae.terms(torch.rand(3, 6, dtype=torch.float64).round(), 5)
    losses = []
    for p in (terms.p, bits(torch.full((4,), 1.3, dtype=torch.float64))):
        other = Terms(terms.x, terms.z, terms.q, p, terms.log_px_z, terms.ways)
        for epoch in (0.0, 1.0):
            torch.manual_seed(1)
            losses.append(vae.objective(other, epoch))
    torch.testing.assert_close(losses[0], losses[2])
    assert ((losses[1] - losses[3]).abs() > 1e-3).all()


def test_a_warm_up_of_vimco_begins_without_prior_and_posterior() -> None:
    vae = small("bernoulli_vimco", warmup_epochs=4).eval()
    terms = vae.terms(torch.rand(3, 6, dtype=torch.float64).round(), 5)
    torch.testing.assert_close(vae.objective(terms, 0.0), math.log(5) - terms.log_px_z.logsumexp(0))
    torch.testing.assert_close(vae.objective(terms, 4.0), -iwae(terms))
