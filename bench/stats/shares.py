"""How much of the variance of a metric is the variant's, and how much the seed's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.stats.groups import Group
from bench.stats.intervals import LEVEL


@dataclass(frozen=True)
class Share:
    """Of the variance of one metric over all runs of a group.

    Attributes:
        rows: variants that have at least two seeds.
        runs: their runs.
        variant: share that is between variants, 0 to 1; the rest is between seeds of one variant.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    rows: int
    runs: int
    variant: float
    low: float
    high: float


def share(rows: Iterable[Mapping[int, float]]) -> Share | None:
    """The intraclass correlation of one-way analysis of variance, variants as classes and seeds as their members.

    The interval is exact for normal values of equal variance and equally many seeds.

    Source: Shrout and Fleiss 1979, Psychological Bulletin 86:420, ICC(1, 1); Searle 1971, "Linear models", chapter 9
    (unequal numbers). The question: Locatello et al. 2019, arXiv:1811.12359, section 5.4.

    Args:
        rows: of each variant, seed -> value.

    Returns:
        None with fewer than two variants of two seeds, or where nothing varies.
    """
    kept = [list(row.values()) for row in rows if len(row) > 1]
    n, a = sum(map(len, kept)), len(kept)
    if a < 2:
        return None
    means = [sum(row) / len(row) for row in kept]
    grand = sum(map(sum, kept)) / n
    between = sum(len(row) * (mean - grand) ** 2 for row, mean in zip(kept, means, strict=True)) / (a - 1)
    within = sum((value - mean) ** 2 for row, mean in zip(kept, means, strict=True) for value in row) / (n - a)
    if within == 0:
        return None if between == 0 else Share(a, n, 1.0, 1.0, 1.0)
    from scipy import stats

    size = (n - sum(len(row) ** 2 for row in kept) / n) / (a - 1)
    tail = 1 - (1 - LEVEL) / 2

    def of(ratio: float) -> float:
        return max(0.0, (ratio - 1) / (ratio - 1 + size))

    ratio = between / within
    low = of(ratio / stats.f.ppf(tail, a - 1, n - a))
    return Share(a, n, of(ratio), low, of(ratio * stats.f.ppf(tail, n - a, a - 1)))


def shares(group: Group, metrics: Iterable[str]) -> dict[str, Share]:
    """Metric -> its `share` in a group, without those that have none."""
    found = {name: share(row.values(name) for row in group.rows) for name in metrics}
    return {name: each for name, each in found.items() if each is not None}
