"""The linear VAE is probabilistic PCA: log p(x), the best posteriors and the trained optimum are known in closed form.

x = W z + m + N(0, s2 I) with d data dimensions and k latents; P = I + W'W/s2 is the precision of the true posterior.
"""

import pytest
import torch
from torch import Tensor

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import (
    Ppca,
    at_truth,
    diagonal_gap,
    encoder_matrix,
    exact_terms,
    linear_vae,
    mean_log_prob,
    minimise,
    precision,
    rate_distortion,
    set_posterior,
)
from variants.core import elbo, iwae
from variants.parts.objectives import Beta

N, D, K, S2 = 60, 6, 3, 0.3


@pytest.fixture
def truth() -> LinearGaussian:
    """W with columns that are not orthogonal."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(D, K, generator=generator, dtype=torch.float64)
    return LinearGaussian(w, torch.randn(D, generator=generator, dtype=torch.float64), S2)


@pytest.fixture
def x() -> Tensor:
    """Data that no such model has drawn."""
    generator = torch.Generator().manual_seed(2)
    mix = torch.randn(D, D, generator=generator, dtype=torch.float64)
    return torch.randn(N, D, generator=generator, dtype=torch.float64) @ mix.T + 1.5


def log_evidence(x: Tensor, truth: LinearGaussian) -> Tensor:
    c = truth.W @ truth.W.T + truth.noise_variance * torch.eye(len(truth.mean), dtype=x.dtype)
    return torch.distributions.MultivariateNormal(truth.mean, c).log_prob(x)


def test_evidence_formula(x: Tensor, truth: LinearGaussian) -> None:
    assert log_evidence(x, truth).mean().item() == pytest.approx(mean_log_prob(truth, x), abs=1e-9)
    torch.testing.assert_close(log_evidence(x, truth), truth.log_prob(x), rtol=0, atol=1e-9)


def test_full_posterior_at_the_truth_gives_the_evidence_of_every_example(x: Tensor, truth: LinearGaussian) -> None:
    bound = elbo(exact_terms(at_truth(truth, "full"), x))
    torch.testing.assert_close(bound, log_evidence(x, truth), rtol=0, atol=1e-9)


def test_log_weights_at_the_true_posterior_are_constant(x: Tensor, truth: LinearGaussian) -> None:
    terms, log_px = at_truth(truth, "full").terms(x, 7), log_evidence(x, truth)
    torch.testing.assert_close(terms.log_weights, log_px.expand(7, N), rtol=0, atol=1e-9)
    torch.testing.assert_close(iwae(terms), log_px, rtol=0, atol=1e-9)
    # The samples do differ: it is the weights that agree.
    assert terms.log_px_z.std(0).min() > 0.1


def test_best_diagonal_posterior_loses_exactly_the_gap(x: Tensor, truth: LinearGaussian) -> None:
    gap, p = diagonal_gap(truth), precision(truth)
    assert gap == pytest.approx(0.5 * (p.diagonal().log().sum() - torch.logdet(p)).item(), abs=1e-12)
    assert gap > 0.1
    model = at_truth(truth, "diagonal")
    bound = elbo(exact_terms(model, x))
    torch.testing.assert_close(bound, log_evidence(x, truth) - gap, rtol=0, atol=1e-9)
    (-bound.mean()).backward()
    for name, parameter in model.posterior.named_parameters():
        assert parameter.grad.abs().max() < 1e-9, name
    # The other candidate, the diagonal of the true covariance, is worse.
    set_posterior(model, encoder_matrix(truth), truth.mean, torch.linalg.inv(p).diagonal().sqrt().diag())
    assert elbo(exact_terms(model, x)).mean() < bound.mean() - 0.01


def test_no_gap_where_the_columns_are_orthogonal(x: Tensor, truth: LinearGaussian) -> None:
    w = torch.linalg.qr(truth.W)[0] * torch.tensor([3.0, 2.0, 1.0])
    turned = LinearGaussian(w, truth.mean, S2)
    assert diagonal_gap(turned) == pytest.approx(0, abs=1e-12)
    bound = elbo(exact_terms(at_truth(turned, "diagonal"), x))
    torch.testing.assert_close(bound, log_evidence(x, turned), rtol=0, atol=1e-9)


def test_ppca_optimum(x: Tensor) -> None:
    best = Ppca(x, K)
    model = at_truth(best.model, "diagonal")
    terms = exact_terms(model, x)
    assert elbo(terms).mean().item() == pytest.approx(best.log_px, abs=1e-9)
    assert terms.kl.mean().item() == pytest.approx(best.kl, abs=1e-9)
    assert terms.log_px_z.mean().item() == pytest.approx(best.recon, abs=1e-9)
    (-elbo(terms).mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() < 1e-9, name


@pytest.mark.parametrize("beta", [0.25, 1.0, 4.0])
def test_beta_posterior_minimises_the_beta_objective(x: Tensor, truth: LinearGaussian, beta: float) -> None:
    model = at_truth(truth, "full", beta_of_posterior=beta, objective="beta", beta=beta)
    assert isinstance(model.objective, Beta)
    terms = exact_terms(model, x)
    rate, distortion = rate_distortion(truth, x, beta)
    torch.testing.assert_close(terms.kl, rate, rtol=0, atol=1e-9)
    torch.testing.assert_close(terms.log_px_z.mean(0), -distortion, rtol=0, atol=1e-9)
    loss = model.objective(terms, 0.0).mean()
    parameters = list(model.posterior.parameters())
    for gradient in torch.autograd.grad(loss, parameters):
        assert gradient.abs().max() < 1e-9
    for _ in range(5):
        kept = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p in parameters:
                p.add_(0.01 * torch.randn_like(p))
            assert model.objective(exact_terms(model, x), 0.0).mean() > loss
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_exact_training_reaches_the_ppca_optimum(x: Tensor, posterior: str) -> None:
    model, best = linear_vae(D, K, posterior), Ppca(x, K)
    minimise(model, list(model.parameters()), x)
    terms = exact_terms(model, x)
    assert elbo(terms).mean().item() == pytest.approx(best.log_px, abs=1e-5)
    assert terms.kl.mean().item() == pytest.approx(best.kl, abs=1e-2)
    if posterior == "diagonal":  # it reaches the optimum by turning W until its columns are orthogonal
        gram = model.decoder.body.weight.T @ model.decoder.body.weight
        assert (gram - gram.diagonal().diag()).abs().max() < 1e-2 * gram.diagonal().max()


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_sampled_training_reaches_the_ppca_optimum(x: Tensor, posterior: str) -> None:
    steps = 500
    model, best = linear_vae(D, K, posterior, samples=4), Ppca(x, K)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(x).mean().backward()
        optimiser.step()
        schedule.step()
    reached = elbo(exact_terms(model, x)).mean().item()
    assert best.log_px - 0.05 < reached <= best.log_px + 1e-9
