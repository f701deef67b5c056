"""Simulated data that no linear model fits, with an exact log-density: a fixed random flow of Gaussian noise."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_012
LAYERS, WIDTH = 4, 16
# LOG_SCALE bounds log s in each layer, SHIFT is the size of t.
LOG_SCALE, SHIFT = 0.5, 1.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """u -> (a, b exp(s(a)) + t(a)) for (a, b) = u - 2 v v'u: a reflection mixes what a coupling then bends.

    Attributes:
        direction: v, a unit vector, `[d]`.
        hidden: `[width, d // 2]`.
        bias: `[width]`.
        log_scale: `[d - d // 2, width]`.
        shift: `[d - d // 2, width]`.
    """

    direction: Array
    hidden: Array
    bias: Array
    log_scale: Array
    shift: Array

    def _reflected(self, u: Array) -> Array:
        return u - 2 * (u @ self.direction)[:, None] * self.direction

    def _bend(self, a: Array) -> tuple[Array, Array]:
        h = np.tanh(a @ self.hidden.T + self.bias)
        return LOG_SCALE * np.tanh(h @ self.log_scale.T), h @ self.shift.T

    def forward(self, u: Array) -> Array:
        """`[N, d]` -> `[N, d]`."""
        a, b = np.split(self._reflected(u), [self.hidden.shape[1]], axis=1)
        s, t = self._bend(a)
        return np.concatenate([a, b * np.exp(s) + t], axis=1)

    def inverse(self, x: Array) -> tuple[Array, Array]:
        """`[N, d]` -> the u whose image it is, and log |det| of the Jacobian there, `[N]`."""
        a, b = np.split(x, [self.hidden.shape[1]], axis=1)
        s, t = self._bend(a)
        return self._reflected(np.concatenate([a, (b - t) * np.exp(-s)], axis=1)), s.sum(1)


@dataclass(frozen=True)
class RandomFlow:
    """x = f_L(... f_1(u)) with u ~ N(0, diag(scale^2)): k directions of scale one, and noise in the others.

    Attributes:
        layers: f_1 to f_L.
        scale: `[d]`.
    """

    layers: tuple[Layer, ...]
    scale: Array

    def forward(self, u: Array) -> Array:
        """`[N, d]` -> `[N, d]`."""
        for layer in self.layers:
            u = layer.forward(u)
        return u

    def inverse(self, x: Array) -> tuple[Array, Array]:
        """`[N, d]` -> the u whose image it is, and log |det| of the Jacobian there, `[N]`."""
        log_det = np.zeros(len(x))
        for layer in reversed(self.layers):
            x, more = layer.inverse(x)
            log_det = log_det + more
        return x, log_det

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, log N(u; 0, diag(scale^2)) - log |det du -> dx|.

        Args:
            x: `[B, d]`, of any float type, on any device.

        Returns:
            `[B]`, float64, on the CPU.
        """
        u, log_det = self.inverse(x.detach().cpu().double().numpy())
        squares = np.square(u / self.scale).sum(1)
        constant = len(self.scale) * math.log(2 * math.pi) + 2 * np.log(self.scale).sum()
        return torch.from_numpy(-0.5 * (squares + constant) - log_det)


def make(d: int, k: int, noise: float, n: int) -> tuple[Raw, RandomFlow]:
    """Draw the flow and `n` examples of it, from fixed seeds of their own: the flow does not depend on `n`.

    Args:
        d: data dimensions, at least 2.
        k: directions of scale one.
        noise: the variance of the others.
        n: number of examples in all.

    Returns:
        The examples `[n, d]` in float32 (drawn in float64), and the truth they were drawn from.
    """
    model = np.random.default_rng([SEED, 0])
    layers = []
    for _ in range(LAYERS):
        direction = model.standard_normal(d)
        hidden = model.standard_normal((WIDTH, d // 2)) * (2 / math.sqrt(d // 2))
        bias = model.standard_normal(WIDTH)
        log_scale, shift = model.standard_normal((2, d - d // 2, WIDTH)) / math.sqrt(WIDTH)
        layers.append(Layer(direction / np.linalg.norm(direction), hidden, bias, 2 * log_scale, SHIFT * shift))
    flow = RandomFlow(tuple(layers), np.where(np.arange(d) < k, 1.0, math.sqrt(noise)))
    u = np.random.default_rng([SEED, 1]).standard_normal((n, d)) * flow.scale
    raw = in_a_row(flow.forward(u).astype(np.float32), np.zeros(n, dtype=np.int64), tenths(n), levels=1)
    return raw, flow
