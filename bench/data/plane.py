"""Points whose density is known: mixtures of Gaussians in any dimension, and curves, rings and a pinwheel of the plane.

A curve is a mixture of many equal Gaussians along it, so that its density is a finite sum.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_014
ALONG = 200
# Examples that are held against all components at once.
ROWS = 4096

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Equally likely Gaussians N(mean_c, L_c L_c').

    Attributes:
        means: `[C, d]`.
        scales: the lower triangular L, `[C, d, d]`.
    """

    means: Array
    scales: Array

    def sample(self, n: int, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """`[n, d]`, and which Gaussian each is from, `[n]`."""
        chosen = random.integers(len(self.means), size=n)
        noise = random.standard_normal((n, self.means.shape[1]))
        return self.means[chosen] + np.einsum("nij,nj->ni", self.scales[chosen], noise), chosen

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats: `[B, d]` -> `[B]`, float64, on the CPU."""
        means, scales = torch.from_numpy(self.means), torch.from_numpy(self.scales)
        d = means.shape[1]
        constant = 0.5 * d * math.log(2 * math.pi) + math.log(len(means))
        log_det = scales.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        parts = []
        for part in torch.split(x.detach().cpu().double(), ROWS):
            white = torch.linalg.solve_triangular(scales, (part.unsqueeze(1) - means).movedim(0, -1), upper=False)
            parts.append((-0.5 * white.square().sum(1) - log_det.unsqueeze(-1)).logsumexp(0) - constant)
        return torch.cat(parts)


@dataclass(frozen=True)
class Rings:
    """Rings of radius 1, 2 and 3 around the origin: the radius is Gaussian, the angle uniform.

    The radius is below zero with a probability of less than 1e-20, which the density passes over.
    """

    radii: tuple[float, ...] = (1.0, 2.0, 3.0)
    width: float = 0.1

    def sample(self, n: int, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """`[n, 2]`, and which ring each is from, `[n]`."""
        chosen = random.integers(len(self.radii), size=n)
        radius = np.array(self.radii)[chosen] + self.width * random.standard_normal(n)
        angle = 2 * np.pi * random.random(n)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), chosen

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, log p(r) - log 2 pi r: `[B, 2]` -> `[B]`, float64, on the CPU."""
        radius = x.detach().cpu().double().square().sum(-1).sqrt()
        white = (radius.unsqueeze(-1) - torch.tensor(self.radii, dtype=torch.float64)) / self.width
        normaliser = math.log(len(self.radii) * self.width) + 0.5 * math.log(2 * math.pi)
        return (-0.5 * white.square()).logsumexp(-1) - normaliser - (2 * math.pi * radius).log()


@dataclass(frozen=True)
class Pinwheel:
    """Blades that bend: a Gaussian beside the origin, turned by an angle that grows with the distance from it.

    To turn each circle by an angle of its own keeps areas, so the density is that of the point turned back.
    """

    blades: int = 5
    bend: float = 1.0
    centre: float = 1.5
    spread: tuple[float, float] = (0.4, 0.1)

    def _turned(self, x: Array, angle: Array) -> Array:
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], axis=1)

    def _angle(self, x: Array, blade: NDArray[np.int64] | int) -> Array:
        turned: Array = 2 * np.pi * blade / self.blades + self.bend * np.linalg.norm(x, axis=1)
        return turned

    def sample(self, n: int, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """`[n, 2]`, and which blade each is from, `[n]`."""
        chosen = random.integers(self.blades, size=n)
        flat = random.standard_normal((n, 2)) * self.spread + [self.centre, 0.0]
        return self._turned(flat, self._angle(flat, chosen)), chosen

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats: `[B, 2]` -> `[B]`, float64, on the CPU."""
        point = x.detach().cpu().double().numpy()
        each = []
        for blade in range(self.blades):
            white = (self._turned(point, -self._angle(point, blade)) - [self.centre, 0.0]) / self.spread
            each.append(-0.5 * np.square(white).sum(1))
        normaliser = math.log(self.blades * 2 * math.pi * self.spread[0] * self.spread[1])
        return torch.from_numpy(np.stack(each)).logsumexp(0) - normaliser


Truth = Mixture | Rings | Pinwheel


def _drawn(truth: Truth, n: int) -> tuple[Raw, Truth]:
    x, label = truth.sample(n, np.random.default_rng([SEED, 1]))
    return in_a_row(x.astype(np.float32), label, tenths(n), levels=1), truth


def _along(points: Array, width: float) -> Mixture:
    return Mixture(points, np.broadcast_to(width * np.eye(2), (len(points), 2, 2)).copy())


def mixture(d: int, classes: int, n: int) -> tuple[Raw, Truth]:
    """`n` points of so many Gaussians in `d` dimensions; the label is the Gaussian."""
    model = np.random.default_rng([SEED, 0])
    means = 3 * model.standard_normal((classes, d)) / math.sqrt(d) * math.sqrt(2)
    scales = np.tril(model.standard_normal((classes, d, d)) / math.sqrt(d), -1)
    scales += np.eye(d) * np.exp(0.5 * model.standard_normal((classes, 1, d)) - 0.5)
    return _drawn(Mixture(means, scales), n)


def moons(n: int) -> tuple[Raw, Truth]:
    """Two half circles that reach into each other; the label is the moon."""
    angle = np.pi * (np.arange(ALONG) + 0.5) / ALONG
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    raw, truth = _drawn(_along(np.concatenate([upper, [1.0, 0.5] - upper]), 0.1), n)
    return _labelled(raw, ALONG), truth


def eight_gaussians(n: int) -> tuple[Raw, Truth]:
    """Eight Gaussians on a circle; the label is the Gaussian."""
    angle = 2 * np.pi * np.arange(8) / 8
    return _drawn(_along(2 * np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.2), n)


def spiral(n: int) -> tuple[Raw, Truth]:
    """Two arms of a spiral; the label is the arm."""
    angle = 3 * np.pi * np.sqrt((np.arange(ALONG) + 0.5) / ALONG)  # so that points are as dense outside as inside
    arm = angle[:, None] / 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    raw, truth = _drawn(_along(np.concatenate([arm, -arm]), 0.1), n)
    return _labelled(raw, ALONG), truth


def _labelled(raw: Raw, size: int) -> Raw:
    """The curve instead of the Gaussian on it as label."""
    images = np.concatenate([raw.images[split] for split in raw.images])
    labels = np.concatenate([raw.labels[split] for split in raw.images]) // size
    return in_a_row(images, labels, {split: len(raw.labels[split]) for split in raw.images}, raw.levels)


def rings(n: int) -> tuple[Raw, Truth]:
    """Three rings; the label is the ring."""
    return _drawn(Rings(), n)


def pinwheel(n: int) -> tuple[Raw, Truth]:
    """Five bent blades; the label is the blade."""
    return _drawn(Pinwheel(), n)
