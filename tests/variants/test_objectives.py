"""What training minimises, term by term."""

import math

import pytest
import torch
from torch import Tensor

from variants import DataSpec, build
from variants.core import VAE, Terms, elbo, iwae
from variants.parts.objectives import Beta, Elbo, Iwae, Reconstruction, linear_warmup
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
