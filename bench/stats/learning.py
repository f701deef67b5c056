"""Whether training still moves a difference: a verdict that longer training may reverse is held back.

A run's gain g is what its validation curve f still gained per doubling of the training, in nats per example:

    g = (f(T) - f(h)) / log2(T / h),    T the last look and h = T // 2;    after one look  g = f(1) + its training loss,

the end of the pass against the mean over it. The reach of a pair is how far training ten times longer may move their
difference: the paired drift at its pace per doubling, as far as it is adverse, and no less than a share of the gain,

    reach = max(0.3 max(|g_a|, |g_b|),  log2(10) max(0, g_behind - g_ahead)),    g the means over the shared seeds.

A verdict is given where the difference is larger than its interval's half width and the reach together, in quadrature:
two independent errors. docs/decisions/still_learning.md has the choice and its error rates.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench.records.record import Model
from bench.stats import intervals, metrics
from bench.stats.intervals import Comparison

# A verdict must outlast a training that is this many times longer.
LONGER = 10
# Two variants may differ in what they have yet to gain by this share of what either still gains.
SHARE = 0.3
BOUND, RECONSTRUCTION = "elbo_nats", "recon_nats"


@dataclass(frozen=True)
class Gain:
    """What a run's training still gained: nats per example and doubling of the training, and its looks in all."""

    nats: float
    looks: int


class Trained(Protocol):
    """What is asked of a row."""

    @property
    def model(self) -> Model:
        """Facts of the model; `data_dims` is the number of values of an example."""

    def values(self, metric: str) -> Mapping[int, float]:
        """Seed -> value."""

    def gains(self, quantity: str) -> Mapping[int, Gain]:
        """Seed -> gain in `elbo_nats` or `recon_nats`."""


def gain(curve: Sequence[Mapping[str, Any]], quantity: str) -> Gain | None:
    """The gain of one run in `elbo_nats` or `recon_nats`; None where its curve does not say.

    The loss after one look is the variant's own, which need not be the bound: a scale, and no more.
    """
    looks, half = len(curve), len(curve) // 2
    if not looks:
        return None
    last = curve[-1].get(f"valid_{quantity}")
    first = curve[half - 1].get(f"valid_{quantity}") if half else curve[-1].get("train_loss")
    if last is None or first is None:
        return None
    nats = (float(last) - first) / math.log2(looks / half) if half else float(last) + first
    return Gain(nats, looks) if math.isfinite(nats) else None


def reach(a: Trained, b: Trained, comparison: Comparison, metric: str, quantity: str = BOUND) -> float:
    """How far longer training may move the difference `comparison` of a and b in `metric` towards zero, in nats.

    Infinite where the curves do not say: no look, or one look and a loss that is below the bound.
    """
    shared = sorted(a.values(metric).keys() & b.values(metric).keys())
    mine, yours = ([row.gains(quantity).get(seed) for seed in shared] for row in (a, b))
    pairs = [(x, y) for x, y in zip(mine, yours, strict=True) if x and y]
    if not pairs or len(pairs) < len(shared):
        return math.inf
    means = [statistics.fmean(x.nats for x in side) for side in zip(*pairs, strict=True)]
    least = SHARE * max(map(abs, means))
    if min(x.looks for pair in pairs for x in pair) < 2:
        return least if min(means) > 0 else math.inf
    ahead, behind = means if comparison.verdict == "better" else reversed(means)
    return max(least, math.log2(LONGER) * (behind - ahead))


def compare(a: Trained, b: Trained, metric: str) -> Comparison:
    """Row `a` against row `b`, seed by seed, the verdict held back where training still moves their difference.

    The ELBO's curve speaks of every metric in nats or bits. In another unit a verdict is given where that of the ELBO
    is (of the reconstruction, where a row has no bound), or where the curves move less than the seeds differ. Of the
    accuracies of a code the likelihood says little, so that one look is not enough for them.
    """
    entry = metrics.metric(metric)
    comparison = intervals.paired(a.values(metric), b.values(metric), entry.better == "higher")
    if comparison.verdict == "not distinguishable":
        return comparison
    if entry.unit in ("nats", "bits"):
        far = reach(a, b, comparison, metric)
        if entry.unit == "bits":
            far /= (a.model.data_dims or math.nan) * math.log(2)
        comparison = replace(comparison, reach=far if math.isfinite(far) else None)
        settled = _outlasts(comparison, far)
    else:
        settled = _settled(a, b, entry)
    return comparison if settled else replace(comparison, verdict="still learning")


def _settled(a: Trained, b: Trained, entry: metrics.Metric) -> bool:
    """Whether the pair's curves carry a verdict in a metric that has none of its own."""
    quantity = BOUND if a.values(BOUND) and b.values(BOUND) else RECONSTRUCTION
    comparison = intervals.paired(a.values(quantity), b.values(quantity), higher_better=True)
    width = comparison.half_width
    if width is None or comparison.difference is None:
        return False
    looks = [gain.looks for row in (a, b) for gain in row.gains(quantity).values()]
    if not looks or (not entry.by_likelihood and min(looks) < 2):
        return False
    ahead = replace(comparison, verdict="better" if comparison.difference > 0 else "worse")
    nats = reach(a, b, ahead, quantity, quantity)
    return nats <= width or _outlasts(comparison, nats)


def _outlasts(comparison: Comparison, reach: float) -> bool:
    return abs(comparison.difference or 0.0) > math.hypot(comparison.half_width or 0.0, reach)
