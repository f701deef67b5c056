"""Objectives of self-normalised weights: q learns from its score alone, and no gradient passes through z."""

from itertools import pairwise

import torch
from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, between
from variants.parts.objectives.base import Objective, with_gradient_of
from variants.parts.objectives.importance import negative_log_mean


class ReweightedWakeSleep(Objective):
    """-log 1/K sum_k w_k for p; for q the cross-entropy -sum_k w~_k log q(z_k|x) with z_k and w~_k held constant.

    With w~_k = w_k / sum_j w_j the posterior so descends an estimate of KL(p(z|x) || q(z|x)): the wake phase of phi.
    Its sleep phase is left out. The value is that of the bound.

    Source: Bornschein and Bengio 2015, arXiv:1406.2751; Le et al. 2019, arXiv:1805.10469 (wake-phi).

    Args:
        samples: K importance samples, at least 2: of one, all has the weight 1, and q would fit its own draws.
    """

    needs_path = False

    def __init__(self, *, samples: int = 10) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 2)

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        log_weights = terms.log_weights.detach()
        log_p = terms.log_px_z + terms.log_pz
        surrogate = (log_weights.softmax(0) * (log_p + terms.log_qz_x)).sum(0)
        return with_gradient_of(negative_log_mean(log_weights), -surrogate)


class Thermodynamic(Objective):
    """-sum_t (b_(t+1) - b_t) E_t[log w], the left Riemann sum of log p(x) = int_0^1 E_b[log w] db: a lower bound.

    E_b is the mean under pi_b ~ q(z|x)^(1-b) p(x, z)^b, here by the self-normalised weights w_k^b of K draws of q. The
    partition is 0, then `intervals` points up to 1 that are even in log b; one interval is the ELBO. Each mean has the
    gradient E_b[d log w] + Cov_b(log w, d log pi_b) with z held constant, the covariance times K / (K - 1), as of K
    draws from pi_b.

    Source: Masrani, Le and Wood 2019, arXiv:1907.00031 (TVO).

    Args:
        intervals: of the partition.
        beta_min: the first point above 0, where there is more than one interval.
        samples: K importance samples, at least 2.
    """

    needs_path = False

    def __init__(self, *, intervals: int = 5, beta_min: float = 0.01, samples: int = 5) -> None:
        super().__init__()
        at_least("intervals", intervals, 1)
        between("beta_min", beta_min, 1e-6, 0.999)
        self.samples = at_least("samples", samples, 2)
        above = [beta_min ** (1 - t / (intervals - 1)) for t in range(intervals - 1)]
        self.partition = (0.0, *above, 1.0)

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        log_weights = terms.log_weights.detach()
        bound = torch.zeros_like(log_weights[0])
        of_p, of_q = torch.zeros_like(log_weights), torch.zeros_like(log_weights)
        for b, end in pairwise(self.partition):
            share = (b * log_weights).softmax(0)
            mean = (share * log_weights).sum(0)
            covariance = share * (log_weights - mean) * (len(share) / (len(share) - 1))
            bound = bound + (end - b) * mean
            of_p = of_p + (end - b) * (share + b * covariance)
            of_q = of_q + (end - b) * ((1 - b) * covariance - share)
        surrogate = (of_p * (terms.log_px_z + terms.log_pz) + of_q * terms.log_qz_x).sum(0)
        return with_gradient_of(-bound, -surrogate)
