"""Objectives: what training minimises. The first door out of a model; no reported number ever passes through it."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from variants.core.rotated import RotatedNormal
from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative


class Objective(nn.Module, ABC):
    """Abstract. A subclass takes its own keyword options and implements `forward`.

    Attributes:
        samples: K, the posterior draws per example that training asks for.
        warmup_epochs: passes over the data during which the loss is not yet the one that is meant.
        needs_path: whether it differentiates through z; if not, its z carry no gradient, whatever the posterior.
        latents: the only kind of latents that it is for; None for any.
    """

    samples: int = 1
    warmup_epochs: float = 0
    needs_path: bool = True
    latents: str | None = None

    @abstractmethod
    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example `[B]`, after `epoch` (fractional) passes over the data."""


def linear_warmup(epoch: float, epochs: float) -> float:
    """Weight of the KL: from 0 to 1 over the first `epochs` passes. Source: Bowman et al. 2016, arXiv:1511.06349."""
    return 1.0 if epochs == 0 else min(1.0, epoch / epochs)


class Elbo(Objective):
    """-ELBO, the KL in closed form where there is one.

    Source: Kingma and Welling 2014, arXiv:1312.6114.

    Args:
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


class Beta(Objective):
    """-(E_q log p(x|z) - beta KL).

    Source: Higgins et al. 2017, beta-VAE, ICLR, eq. 4.

    Args:
        beta: weight of the KL, at least 0.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which beta is phased in linearly; 0 for none.
    """

    def __init__(self, *, beta: float = 4.0, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.beta = not_negative("beta", beta)
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


def negative_log_mean(log_weights: Tensor) -> Tensor:
    """-log 1/K sum_k w_k of log w_k `[K, B]`, `[B]`; its gradient is -sum_k w~_k d log w_k, w~_k = w_k / sum_j w_j."""
    return math.log(len(log_weights)) - log_weights.logsumexp(0)


class Iwae(Objective):
    """-log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^w with the warm-up weight w, which is 1 after the warm-up.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, eq. 8.

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)
        return negative_log_mean(log_weights)


class IwaeDreg(Objective):
    """The bound of `Iwae` with doubly reparameterised gradients: same value, same expected gradient, less noise.

    With w~_k = w_k / sum_j w_j, what is not part of q is given sum_k w~_k d log w_k, as in `Iwae`, and q is given
    sum_k w~_k^2 (d log w_k / dz_k) (dz_k / dphi): the score of q is left out of each log w_k, and since the w~_k depend
    on z too, it comes back as a second reparameterised term (w~_k^2 - w~_k) (d log w_k / dz_k) (dz_k / dphi). Under a
    warm-up with weight w this term carries w, so the factor at z_k is 1 - w + w w~_k times the weight w~_k.

    A prior that shares parameters with the encoder is no part of q: those get sum_k w~_k d log p(z_k) as well.

    The factor is put on the gradient at `terms.z` by a hook, which saves a second pass through the decoder. So these
    terms must serve no other loss; and within one compiled graph no gradient would pass by the hook.

    Source: Tucker, Lawson, Gu and Maddison 2018, arXiv:1810.04152, eq. 8 (IWAE-DReG).

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    eager = True

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)
        factor = (1 - weight + weight * log_weights.detach().softmax(0)).unsqueeze(-1)
        if terms.z.requires_grad:
            terms.z.register_hook(lambda gradient: factor * gradient)  # type: ignore[no-untyped-call]
        return negative_log_mean(log_weights)


class StickingTheLanding(Objective):
    """-ELBO by its log-weights, with the score of q left out of the gradient: none of it is noise at the exact q.

    The score has the mean zero, and is the only part of the gradient that does not vanish where q(z|x) = p(z|x).

    Source: Roeder, Wu and Duvenaud 2017, arXiv:1703.09194.

    Args:
        samples: K draws over which the log-weights are averaged.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        return -(terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)).mean(0)


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
    own = 1 / data_size if batch > 1 else 1.0
    other = (1 - own) / max(1, batch - 1)
    return torch.full((batch, batch), other, dtype=dtype, device=device).fill_diagonal_(own)


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


class TotalCorrelation(Objective):
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

    def __init__(
        self, *, data_size: int | None = None, beta: float = 6.0, samples: int = 1, warmup_epochs: float = 0
    ) -> None:
        super().__init__()
        if data_size is None:
            raise ValueError(
                "the objective total_correlation needs the number of training examples: "
                "give the option data_size, or a DataSpec with its size"
            )
        self.data_size = at_least("data_size", data_size, 1)
        self.beta = not_negative("beta", beta)
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        penalty = terms.kl + (self.beta - 1) * total_correlation(terms, self.data_size)
        return linear_warmup(epoch, self.warmup_epochs) * penalty - terms.log_px_z.mean(0)


class Reconstruction(Objective):
    """-log p(x|z) alone: with a fixed-variance Gaussian it is the mean squared error of the plain autoencoder.

    Source: Hinton and Salakhutdinov 2006, Science 313:504.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        return -terms.log_px_z.mean(0)
