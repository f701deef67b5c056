"""What is asked of the aggregated posterior q(z) = 1/N sum_n q(z|x_n), estimated from a batch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from variants.core.rotated import RotatedNormal
from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative, number, positive
from variants.parts.objectives.base import Sampled, draws_of_prior, linear_warmup


def stratified_weights(
    batch: int, data_size: int, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Tensor:
    """W with q(z_i) ~ sum_m W_im q(z_i|x_m), q(z) = 1/N sum_n q(z|x_n), for z_i ~ q(z|x_i) and a batch of B of the N.

    x_i is in the batch for certain and counts for itself, W_ii = 1/N. The other B - 1 are drawn without replacement
    and stand for the other N - 1 examples, W_im = (N - 1) / (N (B - 1)). Every row sums to 1, the estimate of q(z_i) is
    unbiased, and for B = N it is q(z_i). A batch of one example knows no others: its W is 1, which is biased.

    This is the mean over the order of the batch of the matrix of Chen et al., in which one of the others, the last,
    has (N - M) / (N M) and the rest have 1/M, M = B - 1: equally unbiased, of no more variance, exact for B = N.

    Source: Chen, Li, Grosse and Duvenaud 2018, arXiv:1802.04942, appendix C.2 (minibatch stratified sampling).

    Args:
        batch: B, from 1 to N.
        data_size: N.
        dtype: of the result.
        device: of the result.

    Returns:
        `[B, B]`.

    Raises:
        ValueError: on more examples in the batch than there are.
    """
    if batch > data_size:
        raise ValueError(f"a batch of {batch} examples cannot be drawn from a data_size of {data_size}")
    diagonal = 1 / data_size if batch > 1 else 1.0
    other = (1 - diagonal) / max(1, batch - 1)
    return torch.full((batch, batch), other, dtype=dtype, device=device).fill_diagonal_(diagonal)


def marginals(q: Distribution) -> Distribution:
    """The distributions of single latents q(z_j|x), batch shape `[B, D]`, of a q(z|x) with event shape `[D]`.

    Raises:
        ValueError: q is neither a product of its marginals nor Gaussian.
    """
    if isinstance(q, Independent) and q.reinterpreted_batch_ndims == 1:
        base: Distribution = q.base_dist
        return base
    if isinstance(q, MultivariateNormal | LowRankMultivariateNormal | RotatedNormal):
        return Normal(q.mean, q.variance.sqrt(), validate_args=False)
    raise ValueError(f"the marginals of q(z|x) are not known: {type(q).__name__} is neither Independent nor Gaussian")


def total_correlation(terms: Terms, data_size: int) -> Tensor:
    """TC of the aggregated posterior q(z) = 1/N sum_n q(z|x_n), in nats: E_q(z)[log q(z) - sum_j log q(z_j)].

    log q(z_i) and each log q(z_ij) are estimated with `stratified_weights`, once for each density.

    Source: Chen, Li, Grosse and Duvenaud 2018, arXiv:1802.04942, eq. 2 and appendix C.2.

    Args:
        terms: of a batch drawn without replacement from the training examples.
        data_size: N, number of training examples.

    Returns:
        `[B]`, each example's share of the mean over q(z), averaged over the K samples.

    Raises:
        ValueError: the marginals of q(z|x) are not known, or B > N.
    """
    weights = stratified_weights(terms.z.shape[1], data_size, dtype=terms.z.dtype, device=terms.z.device)
    # One row a z, one column a posterior: [K, B, B] of joint densities and [K, B, B, D] of marginal ones.
    z = terms.z.unsqueeze(2)
    log_qz = (weights.log() + terms.q.log_prob(z)).logsumexp(2)
    log_qz_j = (weights.log().unsqueeze(-1) + marginals(terms.q).log_prob(z)).logsumexp(2)
    return (log_qz - log_qz_j.sum(-1)).mean(0)


class TotalCorrelation(Sampled):
    """-(E_q log p(x|z) - I(n; z) - beta TC - sum_j KL(q(z_j) || p(z_j))) = -ELBO + (beta - 1) TC.

    The mutual information, TC and (under a factorised prior) the dimension-wise KL add up to the mean of
    KL(q(z|x) || p(z)). Where that has a closed form, only (beta - 1) TC is left to be estimated; beta = 1 is `Elbo`.

    Source: Chen, Li, Grosse and Duvenaud 2018, beta-TCVAE, arXiv:1802.04942, eq. 4 with alpha = gamma = 1. Its
    default beta = 6 is that of the authors' published training command.

    Args:
        data_size: N, number of training examples; `assemble` takes it from the data.
        beta: weight of TC, at least 0.
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which all but the reconstruction is phased in linearly; 0 for none.

    Raises:
        ValueError: the number of training examples is not known, or a value is out of range.
    """

    needs_marginals = True

    def __init__(
        self, *, data_size: int | None = None, beta: float = 6.0, samples: int = 1, warmup_epochs: float = 0
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        if data_size is None:
            raise ValueError(
                "the objective total_correlation needs the number of training examples: "
                "give the option data_size, or a DataSpec with its size"
            )
        self.data_size = at_least("data_size", data_size, 1)
        self.beta = not_negative("beta", beta)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        penalty = terms.kl + (self.beta - 1) * total_correlation(terms, self.data_size)
        return linear_warmup(epoch, self.warmup_epochs) * penalty - terms.log_px_z.mean(0)


# k(a, b) as a function of |a - b|^2.
Kernel = Callable[[Tensor], Tensor]


def gaussian_kernel(width: float) -> Kernel:
    """exp(-|a - b|^2 / (2 width^2))."""
    return lambda squares: (squares / (-2 * width**2)).exp()


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """Unbiased estimate of MMD^2 between two distributions.

    E k(a, a') + E k(b, b') - 2 E k(a, b): a draw is never compared with itself, so the estimate may be negative. One
    draw of each is no estimate: 0.

    Source: Gretton et al. 2012, JMLR 13:723, eq. 3.

    Args:
        a: n draws of the one, `[..., n, D]`.
        b: n draws of the other, `[..., n, D]`.
        kernel: k, of squared distances.

    Returns:
        `[...]`.
    """
    n = a.shape[-2]
    if n == 1:
        return torch.zeros_like(a[..., 0, 0])

    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return kernel((a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1))

    with_itself = kernel(a.new_zeros(()))
    within = (pairs(a, a) + pairs(b, b)).sum((-1, -2)) - 2 * n * with_itself
    return within / (n * (n - 1)) - 2 * pairs(a, b).mean((-1, -2))


class InfoVae(Sampled):
    """-(E_q log p(x|z) - (1 - alpha) KL - (alpha + mmd - 1) MMD^2(q(z), p(z))), q(z) the aggregated posterior.

    alpha = 0 and mmd = 1 is `Elbo`; alpha = 1 leaves no KL, so that z may tell as much of x as q(z) = p(z) allows. Each
    of the K draws of a batch is one sample of q(z), beside as many draws of p(z). A batch of one has no MMD.

    Source: Zhao, Song and Ermon 2017, arXiv:1706.02262, eq. 6 (with MMD as the divergence).

    Args:
        alpha: at most 1.
        mmd: lambda of the paper, at least 1 - alpha.
        width: of the kernel exp(-|z - z'|^2 / (2 width^2)); None for the square root of the number of latents.
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which all but the reconstruction is phased in linearly; 0 for none.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.0,
        mmd: float = 1000.0,
        width: float | None = None,
        samples: int = 1,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.alpha = number("alpha", alpha)
        self.mmd = number("mmd", mmd)
        if not 1 - mmd <= alpha <= 1:
            raise ValueError(f"alpha must be from 1 - mmd to 1, got {alpha:g} with the mmd {mmd:g}")
        self.width = None if width is None else positive("width", width)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's MMD."""
        penalty = (1 - self.alpha) * terms.kl
        if weight := self.alpha + self.mmd - 1:
            kernel = gaussian_kernel(self.width or math.sqrt(terms.z.shape[-1]))
            distance = squared_mmd(terms.z, draws_of_prior(terms), kernel)
            penalty = penalty + weight * distance.mean()
        return linear_warmup(epoch, self.warmup_epochs) * penalty - terms.log_px_z.mean(0)


def mean_covariance(q: Distribution) -> Tensor:
    """E_x Cov[z|x] of the examples of a batch, `[D, D]`.

    Raises:
        ValueError: the covariance of q(z|x) is not known.
    """
    if isinstance(q, MultivariateNormal | LowRankMultivariateNormal | RotatedNormal):
        return q.covariance_matrix.mean(0)
    return marginals(q).variance.mean(0).diag()


class DipI(Sampled):
    """-ELBO + a sum_(i != j) C_ij^2 + b sum_i (C_ii - 1)^2, C the covariance over the batch of the means of q(z|x).

    A batch of one has no covariance, and no penalty.

    Source: Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848 (DIP-VAE-I).

    Args:
        off_diagonal: a.
        diagonal: b.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which all but the reconstruction is phased in linearly; 0 for none.
    """

    needs_marginals = True

    def __init__(
        self, *, off_diagonal: float = 10.0, diagonal: float = 100.0, samples: int = 1, warmup_epochs: float = 0
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.off_diagonal = not_negative("off_diagonal", off_diagonal)
        self.diagonal = not_negative("diagonal", diagonal)

    def covariance(self, q: Distribution) -> Tensor:
        """`[D, D]`."""
        mean = marginals(q).mean
        centred = mean - mean.mean(0)
        return centred.T @ centred / len(mean)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's penalty."""
        penalty = terms.kl
        if len(terms.x) > 1:
            c = self.covariance(terms.q)
            variances = c.diagonal()
            off = c.square().sum() - variances.square().sum()
            penalty = penalty + self.off_diagonal * off + self.diagonal * (variances - 1).square().sum()
        return linear_warmup(epoch, self.warmup_epochs) * penalty - terms.log_px_z.mean(0)


class DipII(DipI):
    """`DipI` with C the covariance of the aggregated posterior: that of the means and, on top, E_x Cov[z|x].

    Source: Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848 (DIP-VAE-II).

    Args:
        off_diagonal: a.
        diagonal: b.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which all but the reconstruction is phased in linearly; 0 for none.
    """

    def __init__(
        self, *, off_diagonal: float = 10.0, diagonal: float = 10.0, samples: int = 1, warmup_epochs: float = 0
    ) -> None:
        super().__init__(off_diagonal=off_diagonal, diagonal=diagonal, samples=samples, warmup_epochs=warmup_epochs)

    def covariance(self, q: Distribution) -> Tensor:
        """`[D, D]`."""
        return super().covariance(q) + mean_covariance(q)
