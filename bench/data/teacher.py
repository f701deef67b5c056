"""Data of a VAE that nobody trained: a fixed random network of two latents, so few that log p(x) is an integral."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_015
WIDTH = 32
# Numbers of pairs of example and latent at once.
PAIRS = 2**21


@dataclass(frozen=True)
class Teacher:
    """x = V tanh(U z + b) + e with z ~ N(0, I) of two dimensions and e ~ N(0, noise_variance I).

    Attributes:
        U: `[width, 2]`.
        b: `[width]`.
        V: `[d, width]`.
        noise_variance: of e.
    """

    U: Tensor
    b: Tensor
    V: Tensor
    noise_variance: float

    def decode(self, z: Tensor) -> Tensor:
        """`[..., 2]` -> `[..., d]`."""
        return torch.tanh(z @ self.U.T + self.b) @ self.V.T

    def log_prob(self, x: Tensor, step: float | None = None) -> Tensor:
        """log p(x) in nats, by the trapezoidal rule over the plane of z; for smooth integrands like this one its error
        falls faster than any power of the step. To 1e-6 nats with the steps that are taken.

        Args:
            x: `[B, d]`, of any float type, on any device.
            step: of the rule; None for one that suits the noise.

        Returns:
            `[B]`, float64, on the CPU.
        """
        step = step or min(0.1, 0.2 * math.sqrt(self.noise_variance))
        axis = step * torch.arange(-math.ceil(6.5 / step), math.ceil(6.5 / step) + 1, dtype=torch.float64)
        z = torch.cartesian_prod(axis, axis)
        mean, s2, d = self.decode(z), self.noise_variance, len(self.V)
        log_pz = -0.5 * z.square().sum(-1) - math.log(2 * math.pi) + 2 * math.log(step)
        # |x - m|^2 = |x|^2 - 2 x'm + |m|^2, as a product of matrices.
        offset = log_pz - 0.5 * mean.square().sum(-1) / s2 - 0.5 * d * math.log(2 * math.pi * s2)
        parts = []
        for part in torch.split(x.detach().cpu().double(), max(1, PAIRS // len(z))):
            joint = offset + part @ mean.T / s2
            parts.append(joint.logsumexp(1) - 0.5 * part.square().sum(-1) / s2)
        return torch.cat(parts)


def make(d: int, noise: float, n: int) -> tuple[Raw, Teacher]:
    """Draw the network and `n` examples of it, from fixed seeds of their own: the network does not depend on `n`."""
    model = np.random.default_rng([SEED, 0])
    U, b = 1.5 * model.standard_normal((WIDTH, 2)), model.standard_normal(WIDTH)
    V = 1.5 * model.standard_normal((d, WIDTH)) / math.sqrt(WIDTH)
    teacher = Teacher(torch.from_numpy(U), torch.from_numpy(b), torch.from_numpy(V), noise)
    examples = np.random.default_rng([SEED, 1])
    z, e = examples.standard_normal((n, 2)), examples.standard_normal((n, d))
    x = (np.tanh(z @ U.T + b) @ V.T + math.sqrt(noise) * e).astype(np.float32)
    return in_a_row(x, np.zeros(n, dtype=np.int64), tenths(n), levels=1), teacher
