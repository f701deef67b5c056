"""Pairs of variants whose curves are simulated: what a longer training would say is known.

A curve approaches its limit by a power of the training, f(t) = limit - scale (t + 0.02)^-power, loses a little while
the step size is large (which a cosine takes away by the end of each budget), and differs from seed to seed. Two
variants have alike, not equal, scales and powers, so that many pairs cross.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bench.stats import learning
from bench.stats.learning import Gain


@dataclass
class Row:
    """Seeds of one simulated variant; the metric is the ELBO."""

    elbo: dict[int, float]
    curves: dict[int, list[dict[str, float]]]
    model: dict[str, float] = field(default_factory=lambda: {"data_dims": 784})

    def values(self, metric: str) -> dict[int, float]:
        return self.elbo if metric == "elbo_nats" else {}

    def gains(self, quantity: str) -> dict[int, Gain]:
        found = {seed: learning.gain(curve, quantity) for seed, curve in self.curves.items()}
        return {seed: gain for seed, gain in found.items() if gain}


@dataclass
class Variant:
    """One law of learning, in nats."""

    limit: float
    scale: float
    power: float
    restless: float
    noise: float
    loss_above: float

    def at(self, epochs: float) -> float:
        return self.limit - self.scale * (epochs + 0.02) ** -self.power

    def train(self, epochs: int, seeds: int, draw: np.random.Generator) -> Row:
        """A budget of its own: the step size falls to zero over these epochs."""
        row = Row({}, {})
        start = float(np.mean([self.at(step / 200) for step in range(1, 201)]))
        for seed in range(seeds):
            luck = draw.normal(0, self.noise)
            row.curves[seed] = []
            for epoch in range(1, epochs + 1):
                step = (1 + math.cos(math.pi * epoch / epochs)) / 2
                value = self.at(epoch) + luck - self.restless * step + draw.normal(0, self.noise / 4) * step
                row.curves[seed].append({"valid_elbo_nats": value, "train_loss": self.loss_above - start - luck})
            row.elbo[seed] = row.curves[seed][-1]["valid_elbo_nats"] + draw.normal(0, 0.05)
        return row


def pairs(number: int, draw: np.random.Generator) -> Iterator[tuple[Variant, Variant]]:
    """Pairs in the range of the suites on binarised MNIST."""
    for _ in range(number):
        scale, power = 30 * math.exp(draw.normal(0, 0.4)), draw.uniform(0.3, 1)
        noise = 0.5 * math.exp(draw.normal(0, 0.6))

        def variant(scale: float = scale, power: float = power, noise: float = noise) -> Variant:
            return Variant(
                limit=-90 + draw.normal(0, 4),
                scale=scale * math.exp(draw.normal(0, 0.15)),
                power=power * math.exp(draw.normal(0, 0.1)),
                restless=2 * math.exp(draw.normal(0, 0.4)),
                noise=noise,
                # A loss that is a tighter bound, the bound itself, or a weighted one.
                loss_above=draw.choice([-8.0, 0.0, 0.0, 25.0]),
            )

        yield variant(), variant()
