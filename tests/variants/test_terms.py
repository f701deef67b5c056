"""Terms and bounds: sums, not means; no example knows its batch mates; one log-weight tensor reduced two ways."""

import math

import pytest
import torch
from torch import Tensor

from variants import DataSpec
from variants.core import VAE, Terms, closed_form_kl, elbo, iwae
from variants.parts.posteriors import Diagonal
from variants.parts.priors import StandardNormal
from variants.registry import seeded

GREY = DataSpec((1, 6, 5), "unit")


@pytest.fixture
def model() -> VAE:
    return seeded("vanilla", GREY, 0, latent=4).double().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(7, *GREY.shape, dtype=torch.float64)


def at(model: VAE, x: Tensor, z: Tensor) -> Terms:
    return Terms(x=x, z=z, q=model.infer(x), p=model.prior(), log_px_z=model.likelihood.log_prob(model.decoder(z), x))


def test_bounds_of_an_example_do_not_depend_on_its_batch(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 3)
    for some in (slice(0, 1), slice(2, 5), torch.tensor([6, 0])):
        alone = at(model, x[some], terms.z[:, some])
        torch.testing.assert_close(elbo(alone), elbo(terms)[some])
        torch.testing.assert_close(iwae(alone), iwae(terms)[some])


def test_tiling_the_image_doubles_its_nats(x: Tensor) -> None:
    """The whole model, with a decoder that repeats its output: log p(x|z) doubles and the KL stays."""
    model = seeded("vanilla", GREY, 0, latent=4).double().eval()
    once = model.terms(x, 3)
    wide = DataSpec((1, 6, 10), "unit")
    double = seeded("vanilla", wide, 0, latent=4).double().eval()
    twice = double.likelihood.log_prob(model.decoder(once.z).repeat(1, 1, 1, 1, 2), x.repeat(1, 1, 1, 2))
    torch.testing.assert_close(twice, 2 * once.log_px_z)


def test_kl_sums_over_latent_dimensions() -> None:
    small, h = Diagonal(3, 2), torch.randn(4, 3)
    big = Diagonal(3, 4)
    with torch.no_grad():
        for ours, theirs in zip(big.parameters(), small.parameters(), strict=True):
            ours.copy_(torch.cat([theirs, theirs]))
    torch.testing.assert_close(
        closed_form_kl(big(h), StandardNormal(4)()), 2 * closed_form_kl(small(h), StandardNormal(2)())
    )


def test_bounds_by_hand(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 5)
    q, p = model.infer(x), model.prior()
    log_w = model.decode(terms.z).log_prob(x) + p.log_prob(terms.z) - q.log_prob(terms.z)
    torch.testing.assert_close(terms.log_weights, log_w)
    torch.testing.assert_close(iwae(terms), log_w.exp().mean(0).log())
    torch.testing.assert_close(elbo(terms), terms.log_px_z.mean(0) - terms.kl)


def test_one_sample_bounds_are_the_log_weight(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 1)
    torch.testing.assert_close(iwae(terms), terms.log_weights[0])


def test_iwae_survives_weights_that_underflow() -> None:
    p = StandardNormal(2)()
    log_px_z = torch.tensor([[-2000.0], [-2000.0 + math.log(3)]])
    terms = Terms(x=torch.zeros(1, 1), z=torch.randn(2, 1, 2), q=p.expand((1,)), p=p, log_px_z=log_px_z)
    assert iwae(terms).item() == pytest.approx(-2000 + math.log(2), abs=1e-3)


def test_closed_form_kl_does_not_pay_for_log_densities(model: VAE, x: Tensor) -> None:
    terms = model.terms(x, 2)
    elbo(terms)
    assert "log_qz_x" not in vars(terms)


def test_elbo_is_not_the_value_at_the_posterior_mean(model: VAE, x: Tensor) -> None:
    with torch.no_grad():
        terms, at_mean = model.terms(x, 500), model.decode(model.infer(x).mean).log_prob(x)
    error = terms.log_px_z.std(0) / math.sqrt(500)
    assert ((terms.log_px_z.mean(0) - at_mean).abs() > 4 * error).any()
    assert terms.z.std(0).min() > 0.1


@pytest.mark.parametrize("objective", ["vanilla", "beta", "iwae"])
def test_objective_changes_no_term(objective: str, x: Tensor) -> None:
    """Door 2 is independent of door 1: with one seed all are judged alike before training."""
    torch.manual_seed(5)
    expected = elbo(seeded("vanilla", GREY, 3).double().terms(x, 4))
    model = seeded(objective, GREY, 3).double()
    model.loss(x, 0.0)
    torch.manual_seed(5)
    assert torch.equal(elbo(model.terms(x, 4)), expected)


def test_reconstruct_and_sample_are_means(model: VAE, x: Tensor) -> None:
    expected = model.decode(model.infer(x).mean).mean
    assert torch.equal(model.reconstruct(x), expected)
    torch.manual_seed(9)
    z = torch.randn(5, 4, dtype=torch.float64)
    torch.manual_seed(9)
    torch.testing.assert_close(model.sample(5), model.decode(z).mean)


def test_decoder_takes_any_leading_axes(model: VAE) -> None:
    z = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    assert model.decoder(z).shape == (2, 3, 5, *GREY.shape)
    torch.testing.assert_close(model.decoder(z[0, 1, 2]), model.decoder(z)[0, 1, 2])
