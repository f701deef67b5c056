"""Simulated counts with exact probabilities: clusters of independent negative binomials."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_013
# Counts of a cluster are around this.
MEAN = 8.0


@dataclass(frozen=True)
class CountMixture:
    """c uniform, x_i ~ NB(mean_ci, dispersion): of variance mean + mean^2 / dispersion.

    Attributes:
        mean: `[clusters, d]`, float64, on the CPU.
        dispersion: theta, above 0.
    """

    mean: Tensor
    dispersion: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, a sum over the clusters.

        Args:
            x: `[B, d]`, whole numbers from 0 on, of any float type, on any device.

        Returns:
            `[B]`, float64, on the CPU.
        """
        x, theta = x.detach().cpu().double().unsqueeze(1), torch.tensor(self.dispersion, dtype=torch.float64)
        binomial = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
        p = self.mean / (self.mean + theta)
        log_px = (binomial + theta * torch.log1p(-p) + x * p.log()).sum(-1)
        log_p: Tensor = log_px.logsumexp(1) - math.log(len(self.mean))
        return log_p


def make(d: int, clusters: int, dispersion: float, n: int) -> tuple[Raw, CountMixture]:
    """Draw the clusters and `n` examples of them, from fixed seeds of their own: the clusters do not depend on `n`.

    Args:
        d: data dimensions.
        clusters: their number; an example's is its label.
        dispersion: theta of all counts.
        n: number of examples in all.

    Returns:
        The examples `[n, d]` in float32, and the truth they were drawn from.
    """
    mean = MEAN * np.exp(np.random.default_rng([SEED, 0]).standard_normal((clusters, d)))
    examples = np.random.default_rng([SEED, 1])
    c = examples.integers(clusters, size=n)
    rate = mean[c] * examples.gamma(dispersion, 1 / dispersion, size=(n, d))
    raw = in_a_row(examples.poisson(rate).astype(np.float32), c, tenths(n), levels=1)
    return raw, CountMixture(torch.from_numpy(mean), dispersion)
