"""Ranks of the same rows over several data sets."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.stats import metrics
from bench.stats.groups import Group

# Below this many data sets a rank test says next to nothing.
ENOUGH = 6


@dataclass(frozen=True)
class Ranks:
    """Ranks by mean in one metric, 1 the best; equal means share the middle of their places.

    Attributes:
        metric: its name.
        groups: one for each data set.
        ranks: label -> its rank in each, the lowest mean rank first. Rows that any group lacks are left out.
        critical: difference of mean ranks that is significant at 5 % by Nemenyi's test.
    """

    metric: str
    groups: tuple[Group, ...]
    ranks: dict[str, list[float]]
    critical: float

    @property
    def tied(self) -> list[tuple[int, int]]:
        """First and last place, from 0, of every longest stretch of rows of which no two differ at 5 %."""
        means = [statistics.fmean(each) for each in self.ranks.values()]
        ends = [max(b for b in range(a, len(means)) if means[b] - means[a] < self.critical) for a in range(len(means))]
        return [(a, b) for a, b in enumerate(ends) if b > a and (a == 0 or ends[a - 1] < b)]

    def borda(self, label: str) -> float:
        """Rows beaten, over all data sets; a tie counts half."""
        return sum(len(self.ranks) - rank for rank in self.ranks[label])


def ranks(groups: Sequence[Group], metric: str) -> Ranks | None:
    """Ranks over the data sets of these groups, of which none may be there twice; None for less than 2 of either.

    Source: Demsar 2006, JMLR 7:1 (mean ranks and the critical difference).
    """
    by_group = [{row.label: s.mean for row in group.rows if (s := row.summary(metric))} for group in groups]
    shared = set.intersection(*map(set, by_group)) if by_group else set()
    if len(groups) < 2 or len(shared) < 2:
        return None
    sign = metrics.metric(metric).sign
    found: dict[str, list[float]] = {label: [] for label in shared}
    for means in by_group:
        for label in shared:
            better = sum(sign * means[other] < sign * means[label] for other in shared)
            equal = sum(means[other] == means[label] for other in shared)
            found[label].append(better + (equal + 1) / 2)
    ordered = dict(sorted(found.items(), key=lambda item: (statistics.fmean(item[1]), item[0])))
    return Ranks(metric, tuple(groups), ordered, critical_difference(len(shared), len(groups)))


def critical_difference(rows: int, datasets: int) -> float:
    """How far apart two mean ranks must be to differ at 5 %, by Nemenyi's test."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(0.95, rows, math.inf)) / math.sqrt(2)
    return q * math.sqrt(rows * (rows + 1) / (6 * datasets))
