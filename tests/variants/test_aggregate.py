"""InfoVAE and DIP-VAE: what they ask of the aggregated posterior, against closed forms and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from tests.variants.beside import model_of, some
from tests.variants.linear_models import true_model, untrained
from variants import DataSpec, build
from variants.core import Terms
from variants.parts import PARTS
from variants.parts.objectives import DipI, DipII, Elbo, InfoVae, Objective
from variants.parts.objectives.aggregate import gaussian_kernel, marginals, mean_covariance, squared_mmd
from variants.parts.objectives.base import draws_of_prior
from variants.registry import seeded

REAL = DataSpec((5,), "real", 40)


def terms_of(posterior: str = "diagonal", batch: int = 7, samples: int = 2) -> Terms:
    """Posteriors that differ from one x to the next."""
    model = seeded("vanilla", REAL, 0, latent=3, posterior=posterior).double()
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, dtype=torch.float64))
    return model.terms(torch.randn(batch, *REAL.shape, dtype=torch.float64), samples)


def of_codes(mean: Tensor, scale: Tensor) -> Terms:
    """Terms with q(z|x_n) = N(mean_n, scale_n^2), where log p(x|z) is zero."""
    q = Independent(Normal(mean, scale), 1)
    p = Independent(Normal(torch.zeros_like(mean[0]), torch.ones_like(mean[0])), 1)
    return Terms(x=mean, z=mean.unsqueeze(0), q=q, p=p, log_px_z=torch.zeros(1, len(mean), dtype=mean.dtype))


def penalty(objective: Objective, terms: Terms) -> float:
    """What the loss has beside the ELBO, the same for each example of the batch."""
    extra = objective(terms, 0.0) - Elbo()(terms, 0.0)
    torch.testing.assert_close(extra, extra[:1].expand(len(extra)), rtol=0, atol=1e-9)
    return extra[0].item()


# MMD


@pytest.mark.parametrize(("shift", "scale", "n"), [(0.0, 1.0, 2), (0.7, 1.0, 3), (0.0, 2.0, 5), (-0.4, 0.3, 9)])
def test_the_mmd_of_gaussians(shift: float, scale: float, n: int) -> None:
    """E exp(-|a - b|^2 / 2 g^2) of Gaussians is known; batches of a few would show any bias."""
    d, g, repeats = 3, 1.3, 20_000

    def mean_kernel(distance: float, variances: float) -> float:
        return (1 + variances / g**2) ** (-d / 2) * math.exp(-(distance**2) * d / (2 * (g**2 + variances)))

    exact = mean_kernel(0, 2 * scale**2) + mean_kernel(0, 2) - 2 * mean_kernel(shift, scale**2 + 1)
    a, b = torch.randn(2, repeats, n, d, dtype=torch.float64)
    found = squared_mmd(shift + scale * a, b, gaussian_kernel(g))
    assert found.shape == (repeats,)
    assert abs(found.mean().item() - exact) < 4 * found.std().item() / math.sqrt(repeats)
    assert (found < 0).any()


def test_the_order_of_a_batch_does_not_matter_to_its_mmd() -> None:
    a, b, kernel = *torch.randn(2, 6, 3, dtype=torch.float64), gaussian_kernel(1.0)
    torch.testing.assert_close(
        squared_mmd(a, b, kernel), squared_mmd(a[torch.randperm(6)], b[torch.randperm(6)], kernel)
    )


@pytest.mark.parametrize("width", [None, 0.8])
def test_info_vae_weighs_the_kl_and_the_mmd(width: float | None) -> None:
    terms = terms_of()
    torch.manual_seed(3)
    prior = torch.randn(terms.z.shape, dtype=torch.float64)
    mmd = (
        sum(squared_mmd(a, b, gaussian_kernel(width or math.sqrt(3))) for a, b in zip(terms.z, prior, strict=True)) / 2
    )
    for alpha, weight in ((0.0, 1000.0), (0.5, 3.0), (1.0, 2.0), (-2.0, 3.5)):
        torch.manual_seed(3)
        expected = (1 - alpha) * terms.kl + (alpha + weight - 1) * mmd - terms.log_px_z.mean(0)
        torch.testing.assert_close(InfoVae(alpha=alpha, mmd=weight, width=width)(terms, 0.0), expected)


@pytest.mark.parametrize("lead", [(), (4,)], ids=["one prior", "one of each example"])
def test_there_are_as_many_draws_of_the_prior_as_of_q(lead: tuple[int, ...]) -> None:
    loc = 100.0 * torch.arange(4.0).reshape(4, 1).expand(4, 3) if lead else torch.zeros(3)
    z = torch.zeros(2, 4, 3)
    p = Independent(Normal(loc, torch.ones_like(loc)), 1)
    drawn = draws_of_prior(Terms(x=z[0], z=z, q=p, p=p, log_px_z=z[..., 0]))
    assert drawn.shape == z.shape
    assert ((drawn - loc).abs() < 6).all()
    assert drawn.unique().numel() == drawn.numel()


def test_info_vae_without_either_change_is_the_elbo() -> None:
    terms, before = terms_of(), torch.get_rng_state()
    assert torch.equal(InfoVae(alpha=0.0, mmd=1.0)(terms, 0.0), Elbo()(terms, 0.0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_mmd_reaches_the_encoder_and_a_prior_that_is_learnt() -> None:
    model = build("info_vae", REAL, latent=3, alpha=1.0, posterior="bottom_up", prior="hierarchical")
    model.loss(torch.randn(6, 5)).mean().backward()
    for part in (model.encoder, model.posterior, model.prior):
        assert all(p.grad is not None and p.grad.any() for p in part.parameters())


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"alpha": 0.0, "mmd": 0.5}])
def test_a_reward_for_divergence_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="alpha must be from 1 - mmd to 1"):
        InfoVae(**options)


# DIP


@pytest.mark.parametrize("second", [False, True])
def test_dip_by_numpys_covariance(second: bool) -> None:
    mean, scale = torch.randn(2, 9, 4, dtype=torch.float64)
    scale = scale.exp()
    c = np.cov(mean.numpy(), rowvar=False, ddof=0)
    if second:
        c += np.diag((scale.numpy() ** 2).mean(0))
    off = sum(c[i, j] ** 2 for i in range(4) for j in range(4) if i != j)
    diagonal = sum((c[i, i] - 1) ** 2 for i in range(4))
    for a, b in ((1.0, 0.0), (0.0, 1.0), (3.0, 20.0)):
        objective = (DipII if second else DipI)(off_diagonal=a, diagonal=b)
        assert penalty(objective, of_codes(mean, scale)) == pytest.approx(a * off + b * diagonal)


def test_the_second_covariance_is_that_of_draws_of_the_aggregated_posterior() -> None:
    """The law of total variance, also where q(z|x) has correlations."""
    for posterior in ("diagonal", "full", "low_rank", "householder"):
        terms = terms_of(posterior, batch=5, samples=5000)
        z = terms.z.detach()
        mean = z.mean((0, 1))
        products = torch.einsum("kbi,kbj->kij", z - mean, z - mean) / 5
        error = products.std(0) / math.sqrt(len(products))
        assert ((products.mean(0) - DipII().covariance(terms.q)).abs() < 4.5 * error + 1e-3).all()
        assert mean_covariance(terms.q).diagonal().min() > 0


def test_white_codes_have_no_penalty() -> None:
    codes = torch.randn(50, 3, dtype=torch.float64)
    codes = codes - codes.mean(0)
    white = codes @ torch.linalg.inv(torch.linalg.cholesky(codes.T @ codes / 50)).T
    assert penalty(DipI(), of_codes(white, torch.ones_like(white))) == pytest.approx(0, abs=1e-9)
    half = math.sqrt(0.5) * torch.ones_like(white)
    assert penalty(DipII(), of_codes(math.sqrt(0.5) * white, half)) == pytest.approx(0, abs=1e-9)


def test_a_posterior_whose_moments_are_not_known_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"objective dip_ii asks for .* of single latents, which posterior planar does"
    ):
        untrained(true_model(), "planar", objective="dip_ii")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", sorted(PARTS["posterior"]))
def test_a_posterior_says_whether_its_marginals_are_known(name: str, training: bool) -> None:
    model = model_of(name, 6).train(training)
    q = model.infer(some(name, 6, 3))
    if model.posterior.has_marginals:
        assert marginals(q).batch_shape == (3, 8)
    else:
        with pytest.raises(ValueError, match=r"the marginals of q\(z\|x\) are not known"):
            marginals(q)


# All


@pytest.mark.parametrize("name", ["info_vae", "dip_i", "dip_ii"])
def test_a_batch_of_one_has_no_penalty(name: str) -> None:
    model = build(name, REAL, latent=3)
    terms = model.terms(torch.randn(1, 5), 1)
    torch.testing.assert_close(model.objective(terms, 0.0), Elbo()(terms, 0.0))
    model.loss(torch.randn(1, 5)).mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["info_vae", "dip_i", "dip_ii"])
def test_the_warm_up_phases_the_penalty_in(name: str) -> None:
    objective = build(name, REAL, latent=3, warmup_epochs=4).objective
    terms, losses = terms_of(), []
    for epoch in (0.0, 1.0, 4.0, 9.0):
        torch.manual_seed(1)
        losses.append(objective(terms, epoch) + terms.log_px_z.mean(0))
    assert not losses[0].any()
    torch.testing.assert_close(losses[1], losses[2] / 4)
    assert torch.equal(losses[2], losses[3])
