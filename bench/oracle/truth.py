"""Closed forms of the linear Gaussian model, and the linear VAE put at any point of its parameters.

x = Wz + m + N(0, s2 I) with z ~ N(0, I), d data dimensions and k latents. The posterior has the precision
P = I + W'W/s2 for every x (Tipping and Bishop 1999, JRSS B 61:611; Lucas et al. 2019, arXiv:1911.02469). All in nats
and float64. The formulas use nothing of `variants.core` and nothing of the judge: both are checked against them.
"""

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from bench.data.gaussian import LinearGaussian
from variants import DataSpec, build
from variants.core import VAE, Terms

LOG_2PI = math.log(2 * math.pi)


def precision(truth: LinearGaussian, beta: float = 1.0) -> Tensor:
    """I + W'W / (beta s2), `[k, k]`: the precision of the posterior that minimises -E log p(x|z) + beta KL."""
    P: Tensor = torch.eye(truth.W.shape[1], dtype=torch.float64) + truth.W.T @ truth.W / (beta * truth.noise_variance)
    return P


def encoder_matrix(truth: LinearGaussian, beta: float = 1.0) -> Tensor:
    """V = (W'W + beta s2 I)^-1 W', `[k, d]`: that posterior's mean is V (x - m)."""
    V: Tensor = torch.linalg.solve(precision(truth, beta), truth.W.T) / (beta * truth.noise_variance)
    return V


def mean_log_prob(truth: LinearGaussian, x: Tensor) -> float:
    """Mean log p(x) of x `[B, d]`: -1/2 [d log 2pi + log|C| + tr(C^-1 S)], S the second moment of x - m."""
    d = len(truth.mean)
    C = truth.W @ truth.W.T + truth.noise_variance * torch.eye(d, dtype=torch.float64)
    S = (x - truth.mean).T @ (x - truth.mean) / len(x)
    mahalanobis: float = torch.linalg.solve(C, S).trace().item()
    return -0.5 * (d * LOG_2PI + torch.logdet(C).item() + mahalanobis)


def negative_entropy(truth: LinearGaussian) -> float:
    """E log p(x) over the model's own data, -1/2 [d log 2pi + log|C| + d]. One log p(x) has the variance d/2."""
    d = len(truth.mean)
    C = truth.W @ truth.W.T + truth.noise_variance * torch.eye(d, dtype=torch.float64)
    return -0.5 * (d * LOG_2PI + torch.logdet(C).item() + d)


def diagonal_gap(truth: LinearGaussian) -> float:
    """log p(x) - ELBO of the best diagonal posterior, 1/2 [sum_i log P_ii - log|P|], the same for every x."""
    P = precision(truth)
    return 0.5 * (P.diagonal().log().sum().item() - torch.logdet(P).item())


def has_finite_weight_variance(truth: LinearGaussian) -> bool:
    """Whether the importance weights of the best diagonal posterior have a variance: 2P - diag(P) is then positive."""
    P = precision(truth)
    return bool(torch.linalg.eigvalsh(2 * P - P.diagonal().diag()).min() > 0)


def log_power(truth: LinearGaussian, power: float) -> float:
    """log E_q (w / p(x))^b, b = `power`, for the best diagonal posterior q, the same for every x; inf if it diverges.

    q and the true posterior have one mean; with Q = diag(P) and P_b = (1 - b) Q + b P the integral of q^(1-b) p^b is
    |Q|^((1-b)/2) |P|^(b/2) / |P_b|^(1/2). So log p(x) + log_power(1 - a) / (1 - a) is the Renyi bound of order a, and
    with b = n the chi upper bound CUBO_n is log p(x) + log_power(n) / n.
    """
    P = precision(truth)
    Q = P.diagonal().diag()
    mixed = (1 - power) * Q + power * P
    if torch.linalg.eigvalsh(mixed).min() <= 0:
        return math.inf
    log_det: Tensor = (1 - power) * torch.logdet(Q) + power * torch.logdet(P) - torch.logdet(mixed)
    return 0.5 * log_det.item()


def thermodynamic_integrand(truth: LinearGaussian, beta: float) -> float:
    """E_b[log w] - log p(x) under pi_b ~ q^(1-b) p(x, z)^b, same q: the derivative of `log_power` in b."""
    P = precision(truth)
    Q = P.diagonal().diag()
    mixed = (1 - beta) * Q + beta * P
    slope: Tensor = torch.logdet(P) - torch.logdet(Q) - torch.linalg.solve(mixed, P - Q).trace()
    return 0.5 * slope.item()


def rate_distortion(truth: LinearGaussian, x: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """KL(q || p) and -E_q log p(x|z), each `[B]`, of the posterior that is best for `beta` (Alemi et al. 2018,
    arXiv:1711.00464), for x `[B, d]`."""
    W, s2 = truth.W, truth.noise_variance
    d, k = W.shape
    P = precision(truth, beta)
    covariance = torch.linalg.inv(P)
    mean = (x - truth.mean) @ encoder_matrix(truth, beta).T
    rate = 0.5 * (covariance.trace() + mean.square().sum(-1) - k + torch.logdet(P))
    residual = (x - truth.mean - mean @ W.T).square().sum(-1) + (W @ covariance @ W.T).trace()
    return rate, 0.5 * (d * (LOG_2PI + math.log(s2)) + residual / s2)


def widened_iwae_gap(k: int, widening: float, samples: int) -> float:
    """log p(x) - E[IWAE-K], K = `samples`, where q is the true posterior with its covariance times `widening`.

    Then w / p(x) = s^(k/2) exp(-(s - 1) c / 2) with s the widening and c chi-squared of k degrees of freedom, whatever
    x. With log a = int (e^-t - e^-at) dt/t it follows that E log(1/K sum_i w_i) = int (e^-t - (E e^-tw/K)^K) dt/t, two
    nested integrals. Both are trapezoids in the logarithm of their variable: the integrands are smooth and vanish at
    either end, where the rule converges faster than any power of its step.
    """
    log_c = np.linspace(-70.0, 6.5, 3000)
    c = np.exp(log_c)
    mass = np.exp(0.5 * k * log_c - 0.5 * c - 0.5 * k * math.log(2) - math.lgamma(0.5 * k)) * (log_c[1] - log_c[0])
    weight = np.exp(0.5 * k * math.log(widening) - 0.5 * (widening - 1) * c)
    log_t = np.linspace(-30.0, 60.0, 1500)
    t = np.exp(log_t)
    laplace = np.array([mass @ np.exp(-value / samples * weight) for value in t])
    return -float(np.sum(np.exp(-t) - laplace**samples) * (log_t[1] - log_t[0]))


class Ppca:
    """Probabilistic PCA of data x `[n, d]`: the maximum-likelihood linear Gaussian model with k latents.

    Attributes:
        model: its W (columns orthogonal), mean and noise variance.
        log_px: mean log p(x) there, -1/2 [d log 2pi + sum_{i<=k} log l_i + (d - k) log s2 + d], l the eigenvalues of
            the data covariance in falling order and s2 the mean of the last d - k.
        kl: mean KL of the posterior to the prior there, 1/2 sum_{i<=k} log(l_i / s2).
        recon: mean E_q log p(x|z) there, -d/2 (log(2 pi s2) + 1).
    """

    def __init__(self, x: Tensor, k: int) -> None:
        n, d = x.shape
        mean = x.mean(0)
        values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / n)
        top, s2 = values.flip(0)[:k], values.flip(0)[k:].mean().item()
        self.model = LinearGaussian(vectors.flip(1)[:, :k] * (top - s2).sqrt(), mean, s2)
        self.log_px = -0.5 * (d * LOG_2PI + top.log().sum().item() + (d - k) * math.log(s2) + d)
        self.kl = 0.5 * (top / s2).log().sum().item()
        self.recon = -0.5 * d * (LOG_2PI + math.log(s2) + 1)


def linear_vae(d: int, k: int, posterior: Literal["diagonal", "full"], **options: Any) -> VAE:
    """The variant `linear` for data `[d]`, one covariance for all x, in float64 on the CPU."""
    options = {"latent": k, "posterior": posterior, "shared_covariance": True} | options
    return build("linear", DataSpec((d,), "real"), **options).double()


def set_decoder(model: VAE, truth: LinearGaussian) -> None:
    """Give a linear VAE the decoder and the noise of `truth`."""
    layer = model.decoder.body
    assert isinstance(layer, torch.nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(truth.W)
        layer.bias.copy_(truth.mean)
        model.likelihood.log_sigma.fill_(0.5 * math.log(truth.noise_variance))


def set_posterior(model: VAE, V: Tensor, m: Tensor, scale_tril: Tensor) -> None:
    """q(z|x) = N(V (x - m), L L') for a linear VAE with a shared covariance; a diagonal one takes L's diagonal."""
    with torch.no_grad():
        model.posterior.loc.weight.copy_(V)
        model.posterior.loc.bias.copy_(-V @ m)
        model.posterior.log_scale.value.copy_(scale_tril.diagonal().log())
        if hasattr(model.posterior, "off_diagonal"):
            unit = scale_tril / scale_tril.diagonal().unsqueeze(-1)  # L = diag(sigma) (I + N)
            below = model.posterior.below.to(scale_tril.device)
            model.posterior.off_diagonal.value.copy_(unit[below[0], below[1]])


def at_truth(
    truth: LinearGaussian,
    posterior: Literal["diagonal", "full"],
    *,
    beta_of_posterior: float = 1.0,
    widening: float = 1.0,
    **options: Any,
) -> VAE:
    """The linear VAE with the true decoder and the best posterior of a family, its covariance times `widening`.

    Args:
        truth: the decoder and the noise.
        posterior: the family.
        beta_of_posterior: which objective the posterior is best for; 1 for the ELBO.
        widening: factor of its covariance.
        options: keywords of the variant.
    """
    d, k = truth.W.shape
    model = linear_vae(d, k, posterior, **options)
    set_decoder(model, truth)
    P = precision(truth, beta_of_posterior)
    # The best diagonal has the variances 1 / P_ii, not the diagonal of the inverse.
    covariance = torch.linalg.inv(P) if posterior == "full" else P.diagonal().reciprocal().diag()
    set_posterior(
        model, encoder_matrix(truth, beta_of_posterior), truth.mean, torch.linalg.cholesky(widening * covariance)
    )
    return model


def exact_terms(model: VAE, x: Tensor) -> Terms:
    """Terms of a linear VAE whose averages over z are expectations under q, without Monte Carlo error.

    The 2k samples mu +- sqrt(k) L e_i have exactly the mean and covariance of q, and log p(x|z) is quadratic in z.

    Args:
        model: with a normal posterior.
        x: `[B, d]`.
    """
    q = model.infer(x)
    if isinstance(q, MultivariateNormal):
        scale_tril = q.scale_tril
    elif isinstance(q, Independent) and isinstance(q.base_dist, Normal):
        scale_tril = q.base_dist.scale.diag_embed()
    else:
        raise TypeError(f"a normal posterior is needed, not {type(q).__name__}")
    step = math.sqrt(q.event_shape[0]) * scale_tril.movedim(-1, 0)
    z = torch.cat([q.mean + step, q.mean - step])
    return Terms(x=x, z=z, q=q, p=model.prior(), log_px_z=model.likelihood.log_prob(model.decoder(z), x))


def minimise(model: VAE, parameters: list[torch.nn.Parameter], x: Tensor) -> None:
    """Bring `parameters` of a linear VAE to a minimum of its own objective on x `[B, d]`, without sampling noise."""
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=300,
        history_size=30,
        tolerance_grad=1e-7,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimiser.zero_grad()
        loss = model.objective(exact_terms(model, x), 0.0).mean()
        loss.backward()
        return float(loss.detach())

    optimiser.step(closure)  # type: ignore[no-untyped-call]
