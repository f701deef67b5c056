"""Simulated data with an exact log-density: the linear Gaussian model of probabilistic PCA."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_011


@dataclass(frozen=True)
class LinearGaussian:
    """x = Wz + mean + e with z ~ N(0, I) and e ~ N(0, noise_variance I) (Tipping and Bishop 1999).

    Attributes:
        W: `[d, k]`, float64, on the CPU.
        mean: `[d]`, float64, on the CPU.
        noise_variance: s2, the variance of the observation noise.
    """

    W: Tensor
    mean: Tensor
    noise_variance: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, log N(x; mean, WW' + s2 I).

        Args:
            x: `[B, d]`, of any float type, on any device.

        Returns:
            `[B]`, float64, on the CPU.
        """
        d = len(self.mean)
        C = self.W @ self.W.T + self.noise_variance * torch.eye(d, dtype=torch.float64)
        L = torch.linalg.cholesky(C)
        # Tensors go to the CPU first: not every device has float64.
        centred = x.detach().cpu().double() - self.mean
        whitened = torch.linalg.solve_triangular(L, centred.T, upper=False)
        log_det = 2 * L.diagonal().log().sum()
        log_p: Tensor = -0.5 * (d * math.log(2 * math.pi) + log_det + whitened.square().sum(0))
        return log_p


def make(d: int, k: int, noise: float, orthogonal: bool, n: int) -> tuple[Raw, LinearGaussian]:
    """Draw the model and `n` examples of it, from fixed seeds of their own: the model does not depend on `n`.

    Args:
        d: data dimensions.
        k: latent dimensions.
        noise: s2, the variance of the observation noise.
        orthogonal: make the columns of W orthogonal, each as long as it would have been.
        n: number of examples in all.

    Returns:
        The examples `[n, d]` in float32 (drawn in float64), and the truth they were drawn from.
    """
    model = np.random.default_rng([SEED, 0])
    W, mean = model.standard_normal((d, k)), model.standard_normal(d)
    if orthogonal:
        W = np.linalg.qr(W).Q * np.linalg.norm(W, axis=0)
    examples = np.random.default_rng([SEED, 1])
    z, e = examples.standard_normal((n, k)), examples.standard_normal((n, d))
    x = (z @ W.T + mean + math.sqrt(noise) * e).astype(np.float32)
    raw = in_a_row(x, np.zeros(n, dtype=np.int64), tenths(n), levels=1)
    return raw, LinearGaussian(torch.from_numpy(W), torch.from_numpy(mean), noise)
