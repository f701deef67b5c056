"""Where the KL goes: into what the code tells about the example, and into how far all codes together are from the
prior; and how it is spread over the latent axes.

With n uniform on the N examples, q(z) = 1/N sum_n q(z|x_n) and z ~ q(z|x_n),

    1/N sum_n KL(q(z|x_n) || p(z)) = I_q(n; z) + KL(q(z) || p(z)).

Source: Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound".
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.distributions import Distribution, LowRankMultivariateNormal, MultivariateNormal, Normal, kl_divergence

from bench.judge.gaps import own_family, scale_tril
from variants.core import VAE, kl_parts
from variants.core.rotated import RotatedNormal

# Numbers per tensor of pairs of draws and components: 2^21 float64 are 16 MiB.
CHUNK_NUMBERS = 2**21


@torch.no_grad()
def mutual_information(model: VAE, x: Tensor, components: Iterable[Tensor]) -> dict[str, Tensor]:
    """I_q(n; z) = 1/N sum_n E_q(z|x_n) [log q(z|x_n) - log q(z)], how well a code tells its example from the N others.

    One z ~ q(z|x) for each of M examples, against the whole mixture q(z). Each example's own component is part of q(z),
    so no term is above log N. Leaving it out would estimate another quantity, which has no such bound.

    The figure is a property of the N examples, not of the model alone: where the posteriors hardly overlap it is log N
    whatever the model, and says no more than that. The marginal KL is the KL less this figure; taken from the KL over
    all N examples it is exact but for the error of the mutual information, whereas a mean of log q(z) - log p(z) over
    the draws would add the spread of log p(z), and of the KL from example to example.

    Source: Hoffman and Johnson 2016, section 2; the rate and its parts: Alemi et al. 2018, arXiv:1711.00464.

    Args:
        model: with a bound; left in evaluation mode.
        x: `[M, *shape]`, evenly spaced among the N examples.
        components: all N examples, in batches `[C, *shape]`.

    Returns:
        `mutual_information`: `[M]` in nats, float64 on the CPU. Its standard deviation over sqrt(M) is the standard
        error for the draws of z and the choice of M among the N examples together, which one draw each cannot tell
        apart; N itself is held fixed.

    Raises:
        ValueError: the model has no bound, or x is not among the components.
    """
    model.eval()
    if not model.has_bound:
        raise ValueError("a model without a bound has no mutual information")
    q = model.infer(x)
    z = q.sample()
    log_qz_x = q.log_prob(z).cpu().double()
    log_sum, n = torch.full((len(x),), -math.inf, dtype=torch.float64), 0
    for batch in components:
        log_sum = torch.logaddexp(log_sum, log_prob_pairs(model.infer(batch), z).logsumexp(1))
        n += len(batch)
    information = log_qz_x - (log_sum - math.log(n))
    if information.max() > math.log(n) + 1e-2:
        raise ValueError("x must be among the components: the aggregated posterior has the own component in it")
    # A posterior in single precision has other last digits in another batch: no more than that is cut off here.
    information = information.clamp(max=math.log(n))
    return {"mutual_information": information}


@torch.no_grad()
def latent_axes(model: VAE, batches: Iterable[Tensor]) -> dict[str, list[float]] | None:
    """How each latent axis is used: KL of its marginal to the prior's, and how far its posterior mean varies.

    For a diagonal posterior the axes' KL sum to the whole KL. For a correlated one they sum to less: what is missing is
    the total correlation of q(z|x), KL(q(z|x) || prod_j q(z_j|x)).

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2 (variance of the mean: an axis is active
    where it is above 0.01).

    Args:
        model: left in evaluation mode.
        batches: all N examples, at least 2, in batches `[B, *shape]`.

    Returns:
        `kl_per_dim`: per axis, 1/N sum_n KL(q(z_j|x_n) || p(z_j)) in nats. `mean_variance`: per axis, the unbiased
        variance over the examples of the posterior mean. None where these have no closed form: it takes a Gaussian
        posterior and a diagonal Gaussian prior, or products of the same axes with a known KL.
    """
    model.eval()
    p = model.prior()
    kls: list[Tensor] = []
    means: list[Tensor] = []
    for x in batches:
        q = model.infer(x)
        gaussian = own_family(q) is not None or isinstance(q, RotatedNormal)
        kl: Tensor | None
        if gaussian and own_family(p) == "diagonal":
            kl = kl_divergence(Normal(q.mean, q.stddev), Normal(p.mean, p.stddev))
        else:
            kl = kl_parts(q, p, q.mean.unsqueeze(0))
        if kl is None or kl.shape != q.mean.shape or hasattr(q, "kl_parts"):
            return None
        kls.append(kl.cpu().double())
        means.append(q.mean.cpu().double())
    return {"kl_per_dim": torch.cat(kls).mean(0).tolist(), "mean_variance": torch.cat(means).var(0).tolist()}


def log_prob_pairs(q: Distribution, z: Tensor) -> Tensor:
    """log q_c(z_m) of every point under every component, in bounded memory.

    Args:
        q: batch shape `[C]`, event shape `[D]`.
        z: `[M, D]`.

    Returns:
        `[M, C]` float64 on the CPU.
    """
    size = max(1, CHUNK_NUMBERS // (q.batch_shape.numel() * z.shape[-1]))
    rows = [z[i : i + size] for i in range(0, len(z), size)]
    if not isinstance(q, MultivariateNormal | LowRankMultivariateNormal):
        return torch.cat([q.log_prob(part.unsqueeze(1)).cpu().double() for part in rows])
    # L^-1 (z - mu) for all pairs by one matrix product; a triangular solve for each is many times slower. L^-1 z and
    # L^-1 mu nearly cancel, hence double precision, which is the CPU's: not every device has it.
    lower, loc = scale_tril(q).cpu().double(), q.mean.cpu().double()
    inverse = torch.linalg.solve_triangular(lower, torch.eye(lower.shape[-1], dtype=lower.dtype), upper=False)
    offset = (inverse @ loc.unsqueeze(-1)).squeeze(-1)
    constant = -lower.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * lower.shape[-1] * math.log(2 * math.pi)
    parts = []
    for part in rows:
        white = (part.cpu().double() @ inverse.flatten(0, 1).T).unflatten(-1, offset.shape) - offset
        parts.append(constant - 0.5 * white.square().sum(-1))
    return torch.cat(parts)
