"""From values per seed to means, intervals and verdicts.

Every interval is a two-sided 95 % interval over seeds, by a seeded, smoothed, studentised bootstrap. Why this form
and not the percentiles of the plain bootstrap: with 3 to 5 seeds there are 10 to 126 distinct resamples, the percentile
interval can never leave the range of the values, and it covers far less than it claims. docs/decisions/intervals.md
has the measured coverage. Fewer than 3 seeds give no interval at all.

Two models that share a seed share their data order and their binarisation noise, so a difference is taken seed by
seed first and summarised after (a paired interval). Intervals are per comparison: they are not corrected for the
number of rows in a table.
"""

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SEEDS = 3
LEVEL = 0.95
# One half of the resamples mirrors the other. For more than ten values they are fewer, as many as draw 200,000 values:
# the Monte Carlo error of the half-width stays at 1 to 2 %, as it is for fewer.
RESAMPLES = 20_000
FEWEST = 5_000
DRAWN = 200_000

Verdict = Literal["better", "worse", "not distinguishable", "still learning"]


@dataclass(frozen=True)
class Summary:
    """Mean of one value per seed, with its two-sided 95 % interval.

    Args:
        n: number of seeds.
        mean: arithmetic mean.
        std: sample standard deviation (n - 1 in the denominator); None for one seed.
        low: lower end of the interval, as far below the mean as `high` is above; None with fewer than 3 seeds.
        high: upper end; None with fewer than 3 seeds.
    """

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, None without an interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and bootstrap interval over seeds.

    Args:
        values: `[n]`, one finite value per seed.

    Raises:
        ValueError: on no values, or on one that is not finite (a NaN must never vanish into an average).
    """
    if not values:
        raise ValueError("summarise needs at least one value")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"summarise needs finite values, got {list(values)}")
    if len(values) == 1:
        return Summary(1, values[0] + 0.0, None, None, None)  # as a mean: of -0.0 it is 0.0
    return _summary(tuple(values))


@lru_cache(maxsize=2**16)
def _summary(values: tuple[float, ...]) -> Summary:
    n = len(values)
    mean = statistics.fmean(values)
    std = statistics.stdev(values) if n > 1 else None
    if std is None or n < MIN_SEEDS:
        return Summary(n, mean, std, None, None)
    half_width = bootstrap_half_width(tuple(sorted(values)))
    return Summary(n, mean, std, mean - half_width, mean + half_width)


@lru_cache(maxsize=2**16)
def bootstrap_half_width(values: tuple[float, ...]) -> float:
    """Half-width of the symmetric 95 % interval of the mean, by a smoothed studentised bootstrap.

    A resample is drawn with replacement, and each of its values gets normal noise of standard deviation s / sqrt(n), s
    being the sample's. T is the distance of its mean from the sample's over its own standard error; the half-width is
    the 95th percentile of |T| times s / sqrt(n). The noise makes up for the variance that a resample lacks, (n - 1) / n
    of the true one, and keeps apart the few values there are: unsmoothed, at n = 3, one resample in nine has no spread
    at all. The same n has the same draws, so equal values give equal intervals, byte by byte.

    Source: Hall 1988, JRSS B 50:35 (symmetric studentised bootstrap); Polansky 2000, Canadian Journal of Statistics
    28:501 (smoothing it for small samples); Hesterberg 2004, Proceedings of the American Statistical Association,
    Section on Statistics and the Environment, 2924 (the noise's standard deviation).

    Args:
        values: `[n]`, at least two, in ascending order.
    """
    std = statistics.stdev(values)
    if std == 0:
        return 0.0
    import numpy as np

    n = len(values)
    indices, noise = _draws(n)
    standardised = (np.array(values) - statistics.fmean(values)) / std
    # One array is reused, and each sum is taken once: a report does this for every row and metric.
    resamples = standardised.take(indices)
    resamples += noise
    mean = resamples.mean(0)
    resamples -= mean
    np.square(resamples, out=resamples)
    t = np.abs(mean) / (np.sqrt(resamples.sum(0) / (n - 1)) / math.sqrt(n))
    return float(np.quantile(t, LEVEL)) * std / math.sqrt(n)


@cache
def _draws(n: int) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Indices into a sample, and normal noise of deviation 1 / sqrt(n), both `[n, resamples]`, seeded by n alone.

    The second half mirrors the first, so that -x gets the half-width of x, and a against b that of b against a.
    """
    import numpy as np

    rng = np.random.default_rng(n)
    shape = (n, min(RESAMPLES, max(FEWEST, DRAWN // n)) // 2)
    indices, noise = rng.integers(n, size=shape), rng.standard_normal(shape)
    return np.hstack([indices, n - 1 - indices]), np.hstack([noise, -noise]) / math.sqrt(n)


@dataclass(frozen=True)
class Comparison:
    """A seed-by-seed difference a - b and what may be said of it.

    Args:
        n: number of seeds that both have.
        difference: mean of a - b; None when they share no seed.
        low: lower end of the 95 % interval; None with fewer than 3 shared seeds.
        high: upper end; None with fewer than 3 shared seeds.
        verdict: a is `"better"` or `"worse"` than b only if the interval leaves out zero; `"still learning"` where it
            does and longer training may reverse it, by the rule of `bench.stats.learning`.
        p_better: P(A > B), the `probability_of_improvement` over the shared seeds; None when they share none.
        reach: how far longer training may move the difference towards zero, in its unit; None where no curve says.
    """

    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    p_better: float | None = None
    reach: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, None without an interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def enough(self) -> bool:
        """Whether there were seeds enough for an interval."""
        return self.low is not None


def paired(a: Mapping[int, float], b: Mapping[int, float], higher_better: bool) -> Comparison:
    """Compare two rows on the seeds that both have.

    Args:
        a: seed -> value of the row in question.
        b: seed -> value of the row it is held against.
        higher_better: the metric's direction, from `METRICS`.

    Raises:
        ValueError: if a value is not finite.
    """
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return Comparison(0, None, None, None, "not distinguishable")
    mine, yours = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    summary = summarise([x - y for x, y in zip(mine, yours, strict=True)])
    verdict: Verdict = "not distinguishable"
    if summary.low is not None and summary.high is not None and not summary.low <= 0 <= summary.high:
        verdict = "better" if (summary.mean > 0) == higher_better else "worse"
    chance = probability_of_improvement(mine, yours) if higher_better else probability_of_improvement(yours, mine)
    return Comparison(summary.n, summary.mean, summary.low, summary.high, verdict, chance)


def probability_of_improvement(a: Sequence[float], b: Sequence[float]) -> float:
    """P(A > B): the share of all pairs of a run of A and a run of B in which A's value is higher, ties counted half.

    Pairs are not by seed: it says how often a run of A beats a run of B, not how far, and knows no uncertainty.

    Source: Agarwal et al. 2021, arXiv:2108.13264 (Mann and Whitney 1947).

    Args:
        a: `[n]`, at least one.
        b: `[k]`, at least one.
    """
    ordered = sorted(b)
    # `bisect_left` counts the values below x, `bisect_right` those up to x: a tie is counted in one of the two.
    twice = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in a)
    return twice / (2 * len(a) * len(b))


class Marks(NamedTuple):
    """Rows to be marked in one column: the best, or those of which training has yet to say which is."""

    best: Set[str] = frozenset()
    learning: Set[str] = frozenset()


def best_rows(
    rows: Mapping[str, Mapping[int, float]],
    higher_better: bool,
    compare: Callable[[str, str], Comparison] | None = None,
) -> Marks:
    """The rows that may be marked as best in one column of one comparison group.

    The row with the best mean is marked together with every row not distinguishable from it, and only if at least one
    row is distinguishably worse: otherwise nothing has been shown and nothing is marked. A row with fewer than 3
    seeds has no interval of its own, so it is not judged and never marked. A row with seeds enough of its own but fewer
    than 3 in common with the best was not held against it, so it is not marked either. Where a row is still learning
    against the best, none is the best: all that would have been marked, and such rows, are marked as learning.

    Args:
        rows: row name -> (seed -> value), the ok seeds only.
        higher_better: the metric's direction, from `METRICS`.
        compare: the verdict of one row on another, by name; `paired` of their values by default.
    """
    judged = {name: values for name, values in rows.items() if len(values) >= MIN_SEEDS}
    if not judged:
        return Marks()
    sign = 1 if higher_better else -1
    best = min(judged, key=lambda name: (-sign * statistics.fmean(judged[name].values()), name))
    compare = compare or (lambda a, b: paired(judged[a], judged[b], higher_better))
    held = {name: compare(name, best) for name in judged}
    verdicts = {comparison.verdict for comparison in held.values()}
    near = {name for name, comparison in held.items() if comparison.enough and comparison.verdict != "worse"}
    if "still learning" in verdicts:
        return Marks(learning=near)
    return Marks(best=near) if "worse" in verdicts else Marks()
