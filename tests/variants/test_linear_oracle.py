"""The linear VAE is probabilistic PCA: log p(x), the best posteriors and the trained optimum are known in closed form.

x = W z + m + N(0, s2 I) with d data dimensions and k latents; P = I + W'W/s2 is the precision of the true posterior.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from variants import DataSpec, build
from variants.core import VAE, Terms, elbo, iwae
from variants.parts.objectives import Beta

N, D, K, S2 = 60, 6, 3, 0.3
EYE = torch.eye(K, dtype=torch.float64)


@pytest.fixture
def decoder() -> tuple[Tensor, Tensor]:
    """W with columns that are not orthogonal, and m."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(D, K, generator=generator, dtype=torch.float64)
    return w, torch.randn(D, generator=generator, dtype=torch.float64)


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    mix = torch.randn(D, D, generator=generator, dtype=torch.float64)
    return torch.randn(N, D, generator=generator, dtype=torch.float64) @ mix.T + 1.5


def linear_model(posterior: str, **options: object) -> VAE:
    options = {"latent": K, "posterior": posterior, "shared_covariance": True} | options
    return build("linear", DataSpec((D,), "real"), **options).double()


def set_decoder(model: VAE, w: Tensor, m: Tensor, s2: float) -> None:
    with torch.no_grad():
        model.decoder.body.weight.copy_(w)
        model.decoder.body.bias.copy_(m)
        model.likelihood.log_sigma.fill_(0.5 * math.log(s2))


def set_posterior(model: VAE, v: Tensor, m: Tensor, scale_tril: Tensor) -> None:
    """q(z|x) = N(v (x - m), L L')."""
    with torch.no_grad():
        model.posterior.loc.weight.copy_(v)
        model.posterior.loc.bias.copy_(-v @ m)
        model.posterior.log_scale.value.copy_(scale_tril.diagonal().log())
        if hasattr(model.posterior, "off_diagonal"):
            below = model.posterior.below
            unit = scale_tril / scale_tril.diagonal().unsqueeze(-1)  # L = diag(sigma) (I + N)
            model.posterior.off_diagonal.value.copy_(unit[below[0], below[1]])


def exact_terms(model: VAE, x: Tensor) -> Terms:
    """Terms whose 2k samples mu +- sqrt(k) L e_i have exactly the mean and covariance of q.

    log p(x|z) is quadratic in z, so its average over them is E_q log p(x|z): this ELBO has no Monte Carlo error.
    """
    q = model.infer(x)
    scale_tril = q.scale_tril if isinstance(q, MultivariateNormal) else q.base_dist.scale.diag_embed()
    step = math.sqrt(q.event_shape[0]) * scale_tril.movedim(-1, 0)
    z = torch.cat([q.mean + step, q.mean - step])
    return Terms(x=x, z=z, q=q, p=model.prior(), log_px_z=model.likelihood.log_prob(model.decoder(z), x))


def log_evidence(x: Tensor, w: Tensor, m: Tensor, s2: float) -> Tensor:
    return MultivariateNormal(m, w @ w.T + s2 * torch.eye(len(m), dtype=x.dtype)).log_prob(x)


def encoder_matrix(w: Tensor, s2: float) -> Tensor:
    return torch.linalg.solve(w.T @ w + s2 * EYE, w.T)


def full_at_truth(w: Tensor, m: Tensor) -> VAE:
    model = linear_model("full")
    set_decoder(model, w, m, S2)
    covariance = torch.linalg.inv(EYE + w.T @ w / S2)
    set_posterior(model, encoder_matrix(w, S2), m, torch.linalg.cholesky(covariance))
    return model


def test_evidence_formula(x: Tensor, decoder: tuple[Tensor, Tensor]) -> None:
    w, m = decoder
    c = w @ w.T + S2 * torch.eye(D, dtype=torch.float64)
    s = (x - m).T @ (x - m) / N
    mean = -0.5 * (D * math.log(2 * math.pi) + torch.logdet(c) + torch.linalg.solve(c, s).trace())
    torch.testing.assert_close(log_evidence(x, w, m, S2).mean(), mean, rtol=0, atol=1e-9)


def test_full_posterior_at_the_truth_gives_the_evidence_of_every_example(
    x: Tensor, decoder: tuple[Tensor, Tensor]
) -> None:
    model, truth = full_at_truth(*decoder), log_evidence(x, *decoder, S2)
    torch.testing.assert_close(elbo(exact_terms(model, x)), truth, rtol=0, atol=1e-9)


def test_log_weights_at_the_true_posterior_are_constant(x: Tensor, decoder: tuple[Tensor, Tensor]) -> None:
    terms, truth = full_at_truth(*decoder).terms(x, 7), log_evidence(x, *decoder, S2)
    torch.testing.assert_close(terms.log_weights, truth.expand(7, N), rtol=0, atol=1e-9)
    torch.testing.assert_close(iwae(terms), truth, rtol=0, atol=1e-9)
    # The samples do differ: it is the weights that agree.
    assert terms.log_px_z.std(0).min() > 0.1


def test_best_diagonal_posterior_loses_exactly_the_gap(x: Tensor, decoder: tuple[Tensor, Tensor]) -> None:
    w, m = decoder
    precision = EYE + w.T @ w / S2
    gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert gap > 0.1
    model = linear_model("diagonal")
    set_decoder(model, w, m, S2)
    set_posterior(model, encoder_matrix(w, S2), m, precision.diagonal().rsqrt().diag())
    bound = elbo(exact_terms(model, x))
    torch.testing.assert_close(bound, log_evidence(x, w, m, S2) - gap, rtol=0, atol=1e-9)
    (-bound.mean()).backward()
    for name, parameter in model.posterior.named_parameters():
        assert parameter.grad.abs().max() < 1e-9, name
    # The other candidate, the diagonal of the true covariance, is worse.
    set_posterior(model, encoder_matrix(w, S2), m, torch.linalg.inv(precision).diagonal().sqrt().diag())
    assert elbo(exact_terms(model, x)).mean() < bound.mean() - 0.01


def test_no_gap_where_the_columns_are_orthogonal(x: Tensor, decoder: tuple[Tensor, Tensor]) -> None:
    w, m = torch.linalg.qr(decoder[0])[0] * torch.tensor([3.0, 2.0, 1.0]), decoder[1]
    model = linear_model("diagonal")
    set_decoder(model, w, m, S2)
    set_posterior(model, encoder_matrix(w, S2), m, (EYE + w.T @ w / S2).diagonal().rsqrt().diag())
    torch.testing.assert_close(elbo(exact_terms(model, x)), log_evidence(x, w, m, S2), rtol=0, atol=1e-9)


class Ppca:
    """The maximum-likelihood solution for data `[n, d]`."""

    def __init__(self, x: Tensor, k: int = K) -> None:
        self.m = x.mean(0)
        eigenvalues, vectors = torch.linalg.eigh((x - self.m).T @ (x - self.m) / len(x))
        self.top, rest = eigenvalues.flip(0)[:k], eigenvalues.flip(0)[k:]
        self.s2 = rest.mean().item()
        self.w = vectors.flip(1)[:, :k] * (self.top - self.s2).sqrt()
        d = x.shape[1]
        log_2pi = math.log(2 * math.pi)
        self.evidence = -0.5 * (d * log_2pi + self.top.log().sum().item() + (d - k) * math.log(self.s2) + d)
        self.kl = 0.5 * (self.top / self.s2).log().sum().item()
        self.reconstruction = -0.5 * d * (log_2pi + math.log(self.s2)) - 0.5 * d


def test_ppca_optimum(x: Tensor) -> None:
    best = Ppca(x)
    model = linear_model("diagonal")
    set_decoder(model, best.w, best.m, best.s2)
    precision = EYE + best.w.T @ best.w / best.s2
    set_posterior(model, encoder_matrix(best.w, best.s2), best.m, precision.diagonal().rsqrt().diag())
    terms = exact_terms(model, x)
    assert elbo(terms).mean().item() == pytest.approx(best.evidence, abs=1e-9)
    assert terms.kl.mean().item() == pytest.approx(best.kl, abs=1e-9)
    assert terms.log_px_z.mean().item() == pytest.approx(best.reconstruction, abs=1e-9)
    (-elbo(terms).mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() < 1e-9, name


@pytest.mark.parametrize("beta", [0.25, 1.0, 4.0])
def test_beta_posterior_minimises_the_beta_objective(x: Tensor, decoder: tuple[Tensor, Tensor], beta: float) -> None:
    w, m = decoder
    model = linear_model("full", objective="beta", beta=beta)
    assert isinstance(model.objective, Beta)
    set_decoder(model, w, m, S2)
    covariance = torch.linalg.inv(EYE + w.T @ w / (beta * S2))
    set_posterior(model, encoder_matrix(w, beta * S2), m, torch.linalg.cholesky(covariance))
    loss = model.objective(exact_terms(model, x), 0.0).mean()
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
    model, best = linear_model(posterior), Ppca(x)
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=600, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = model.objective(exact_terms(model, x), 0.0).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    terms = exact_terms(model, x)
    assert elbo(terms).mean().item() == pytest.approx(best.evidence, abs=1e-5)
    assert terms.kl.mean().item() == pytest.approx(best.kl, abs=1e-2)
    if posterior == "diagonal":  # it reaches the optimum by turning W until its columns are orthogonal
        gram = model.decoder.body.weight.T @ model.decoder.body.weight
        assert (gram - gram.diagonal().diag()).abs().max() < 1e-2 * gram.diagonal().max()


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_sampled_training_reaches_the_ppca_optimum(x: Tensor, posterior: str) -> None:
    steps = 500
    model, best = linear_model(posterior, samples=4), Ppca(x)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(x).mean().backward()
        optimiser.step()
        schedule.step()
    reached = elbo(exact_terms(model, x)).mean().item()
    assert best.evidence - 0.05 < reached <= best.evidence + 1e-9
