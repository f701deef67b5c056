"""Objectives that need no gradient through z: they weigh the score of q(z|x) by what was gained."""

import math

import torch
from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative
from variants.parts.objectives.base import Objective, linear_warmup, with_gradient_of
from variants.parts.objectives.importance import negative_log_mean


def leave_one_out(log_weights: Tensor) -> Tensor:
    """log 1/K (w_1 + ... + v_k + ... + w_K) for each k, v_k the geometric mean of the others: `[K, B]` -> `[K, B]`.

    It does not depend on w_k, so what is gained over it is a score's weight with no bias.

    Source: Mnih and Rezende 2016, arXiv:1602.06725, eq. 8.
    """
    k = len(log_weights)
    others = (log_weights.sum(0) - log_weights) / (k - 1)
    itself = torch.eye(k, dtype=torch.bool, device=log_weights.device).unsqueeze(-1)
    return torch.where(itself, others.unsqueeze(1), log_weights.unsqueeze(0)).logsumexp(1) - math.log(k)


class Vimco(Objective):
    """-log 1/K sum_k w_k as `Iwae`, its gradient by scores: draw k is credited with what it adds to the bound.

    The gradient is -sum_k (L - L_-k) d log q(z_k|x) - sum_k w~_k d log w_k, L_-k being `leave_one_out`. It is unbiased
    for any q(z|x), discrete or not; draws carry no gradient themselves.

    Source: Mnih and Rezende 2016, arXiv:1602.06725, eq. 9.

    Args:
        samples: K importance samples, at least 2.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    needs_path = False

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 2)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)
        loss = negative_log_mean(log_weights)
        gained = -loss.detach() - leave_one_out(log_weights.detach())
        return with_gradient_of(loss, -(gained * terms.log_qz_x).sum(0))


def antithetic(bits: Tensor, logits: Tensor) -> Tensor:
    """The bits that 1 - u gives where u gave `bits`, b = 1 if u < sigmoid(logit): drawn anew given `bits`, `[K, B, D]`.

    A bit that is 1 has a partner that is 1 with probability max(0, 2p - 1) / p, and one that is 0 with min(1, p / (1 -
    p)).
    """
    chance = torch.where(bits > 0.5, (-torch.expm1(-logits)).relu(), logits.clamp(max=0).exp())
    return torch.bernoulli(chance)


class Disarm(Objective):
    """-ELBO by its log-weights f, the gradient of the bits' logits a from pairs b, b' drawn with u and 1 - u.

    For each bit it is 1/2 (f(b) - f(b')) (-1)^b' sigmoid(|a|) where b and b' differ, and nothing where they agree. All
    other parameters are given the mean of d f(b) and d f(b'), without the score of q, whose mean is zero.

    Source: Dong, Mnih and Tucker 2020, arXiv:2006.10680, eq. 7; the same estimator: Yin, Ho and Zhou 2020 (U2G).

    Args:
        samples: K pairs.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    needs_path = False
    latents = "binary"

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        assert terms.ways is not None
        weight = linear_warmup(epoch, self.warmup_epochs)
        logits: Tensor = terms.q.base_dist.logits  # type: ignore[attr-defined]
        z = terms.z.detach()
        other = antithetic(z, logits.detach())
        f = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x.detach())
        log_ratio = terms.p.log_prob(other) - terms.q.log_prob(other).detach()
        f_other = terms.ways.log_px(other, terms.x) + weight * log_ratio
        sign = torch.where(other > 0.5, -1.0, 1.0) * (z != other)
        slope = 0.5 * (f - f_other).detach().unsqueeze(-1) * sign * logits.detach().abs().sigmoid()
        return with_gradient_of(-0.5 * (f + f_other), -(slope * logits).sum(-1)).mean(0)
