"""From values per seed to means, intervals and verdicts, and the one place that says which way is better.

Every interval is a two-sided 95 % interval over seeds, by a seeded, smoothed, studentised bootstrap. Why this form
and not the percentiles of the plain bootstrap: with 3 to 5 seeds there are 10 to 126 distinct resamples, the percentile
interval can never leave the range of the values, and it covers far less than it claims. docs/decisions/intervals.md
has the measured coverage. Fewer than 3 seeds give no interval at all.

Two models that share a seed share their data order and their binarisation noise, so a difference is taken seed by
seed first and summarised after (a paired interval). Intervals are per comparison: they are not corrected for the
number of rows in a table.
"""

import math
import re
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SEEDS = 3
LEVEL = 0.95
# Half of them mirror the other half. At 3 values the Monte Carlo error of the half-width is about 2 %.
RESAMPLES = 20_000

Verdict = Literal["better", "worse", "not distinguishable"]

# The tables that a metric may stand in, in the order of the page.
MAIN, COST = "Main", "Cost"
THEMES = (
    MAIN,
    "Inference gaps",
    "Latent code",
    "Representation and reconstruction",
    "Evidence sandwich",
    "Other",
    COST,
)
GAPS, CODE, REPRESENTATION, SANDWICH, OTHER = THEMES[1:6]


@dataclass(frozen=True)
class Metric:
    """How one metric is named, rounded and judged. docs/metrics.md has its formula, source and cost.

    Args:
        label: short name for a header or an axis.
        unit: unit as printed, empty for a pure number.
        direction: `"higher"` or `"lower"` is better; `None` where neither is, and no row is ever marked.
        digits: decimals when printed for people (files for machines keep full precision).
        definition: one line, for legends and docs.
        theme: the table it stands in, one of `THEMES`; `COST` for what a variant costs (time, memory, size), which is
            never ranked.
    """

    label: str
    unit: str
    direction: Literal["higher", "lower"] | None
    digits: int
    definition: str
    theme: str = MAIN

    @property
    def cost(self) -> bool:
        """Whether it says what a variant costs, not how good it is."""
        return self.theme == COST

    @property
    def ranked(self) -> bool:
        """Whether rows are compared, and the best marked, in this metric."""
        return self.direction is not None and not self.cost

    @property
    def arrow(self) -> str:
        """`↑` where higher is better, `↓` where lower is, else empty."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.direction]

    @property
    def header(self) -> str:
        """Label, arrow and unit: `"ELBO ↑ (nats)"`."""
        unit = f"({self.unit})" if self.unit else ""
        return " ".join(part for part in (self.label, self.arrow, unit) if part)


# `*` in a name stands for a whole number, which takes the place of `{K}` in the label and the definition.
METRICS: dict[str, Metric] = {
    "elbo_nats": Metric(
        "ELBO",
        "nats",
        "higher",
        2,
        "evidence lower bound with beta = 1 on the test split, reconstruction minus KL, per example",
    ),
    "nll_is*_nats": Metric(
        "NLL (IS-{K})",
        "nats",
        "lower",
        2,
        "-log p(x) on the test split, by {K} importance samples from q(z|x) per example; in expectation too high",
    ),
    "nll_optimised_nats": Metric(
        "NLL (IS, optimised q)",
        "nats",
        None,
        2,
        "-log p(x) on the test split, by 500 importance samples from the best full Gaussian for each example, found by "
        "search, so that it hardly depends on how good the encoder is; in expectation too high; from a few test "
        "examples, the same for all seeds, which no interval over seeds sees, so it is not ranked",
    ),
    "recon_nats": Metric(
        "recon",
        "nats",
        None,
        2,
        "mean log p(x|z) with z drawn from q(z|x); a higher KL buys more of it, so it is not ranked",
    ),
    "kl_nats": Metric("KL", "nats", None, 2, "KL(q(z|x) || p(z)), the rate; neither high nor low is good in itself"),
    "inference_gap_nats": Metric(
        "gap",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO, an estimate of KL(q(z|x) || p(z|x)), in expectation too low; a weak "
        "decoder has a small one, so it is not ranked",
    ),
    "active_units": Metric(
        "active units", "", None, 1, "latent axes whose posterior mean varies over the data (variance > 0.01)"
    ),
    "active_units_layer*": Metric(
        "active units, layer {K}", "", None, 1, "active units of the {K}-th layer of latents, the first nearest to x"
    ),
    "mse_per_pixel": Metric("MSE", "per pixel", "lower", 4, "squared error of the mean reconstruction, per pixel"),
    "bits_per_dim": Metric(
        "bits/dim", "bits", "lower", 4, "NLL in bits per data dimension; for binary likelihoods only"
    ),
    "inference_gap_optimised_nats": Metric(
        "inference gap",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the encoder's posterior, log p(x) by importance samples from the best "
        "full Gaussian for each example: approximation plus amortisation",
        GAPS,
    ),
    "approximation_gap_nats": Metric(
        "approximation",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the best posterior of the variant's own family for each example",
        GAPS,
    ),
    "amortisation_gap_nats": Metric(
        "amortisation",
        "nats",
        None,
        2,
        "ELBO of the best posterior of the variant's own family for each example minus that of the encoder's posterior",
        GAPS,
    ),
    "approximation_gap_diagonal_nats": Metric(
        "approximation, diagonal",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the best diagonal Gaussian for each example, on the same decoder",
        GAPS,
    ),
    "approximation_gap_full_nats": Metric(
        "approximation, full",
        "nats",
        None,
        2,
        "the same for the best Gaussian with a full covariance",
        GAPS,
    ),
    "train_elbo_nats": Metric(
        "ELBO, training examples",
        "nats",
        None,
        2,
        "ELBO of the encoder's posterior on the first training examples; they were trained on, so it is not ranked",
        GAPS,
    ),
    "train_elbo_optimised_nats": Metric(
        "ELBO, training examples, optimised q",
        "nats",
        None,
        2,
        "the same of the best posterior of the variant's own family for each of them",
        GAPS,
    ),
    "train_nll_optimised_nats": Metric(
        "NLL, training examples, optimised q",
        "nats",
        None,
        2,
        "-log p(x) of the first training examples, by importance samples from the best full Gaussian for each",
        GAPS,
    ),
    "mutual_information_nats": Metric(
        "mutual information",
        "nats",
        None,
        2,
        "I(n; z) between an example's index and its code, by the mixture of all posteriors; at most the log of their "
        "number, and a part of the KL",
        CODE,
    ),
    "marginal_kl_nats": Metric(
        "marginal KL",
        "nats",
        None,
        2,
        "KL(q(z) || p(z)) of the aggregated posterior: the KL minus the mutual information",
        CODE,
    ),
    "probe_accuracy": Metric(
        "probe accuracy",
        "share",
        "higher",
        4,
        "share of test examples whose class a logistic regression on the posterior mean finds",
        REPRESENTATION,
    ),
    "knn_accuracy": Metric(
        "5-NN accuracy",
        "share",
        "higher",
        4,
        "share of test examples whose class the five nearest posterior means of training examples find",
        REPRESENTATION,
    ),
    "ssim": Metric(
        "SSIM",
        "",
        "higher",
        4,
        "structural similarity between a test image and its mean reconstruction, at most 1",
        REPRESENTATION,
    ),
    "nll_ais_nats": Metric(
        "NLL (AIS)",
        "nats",
        None,
        2,
        "-log p(x) on the test split, by annealed importance sampling, without q(z|x); in expectation too high; from a "
        "few test examples, the same for all seeds, which no interval over seeds sees, so it is not ranked",
        SANDWICH,
    ),
    "ais_acceptance": Metric(
        "acceptance",
        "share",
        None,
        2,
        "mean share of Hamiltonian moves accepted in the forward paths; far from 0.65 the chains were not tuned",
        SANDWICH,
    ),
    "bdmc_lower_nats": Metric(
        "log p(x) at least",
        "nats",
        None,
        2,
        "log p(x) of examples drawn from the model itself, by annealing from the prior; in expectation too low",
        SANDWICH,
    ),
    "bdmc_upper_nats": Metric(
        "log p(x) at most",
        "nats",
        None,
        2,
        "the same by annealing back from the latents that the examples were drawn with; in expectation too high",
        SANDWICH,
    ),
    "bdmc_gap_nats": Metric(
        "upper minus lower",
        "nats",
        None,
        2,
        "bounds in expectation the error of annealed importance sampling on the model's own examples",
        SANDWICH,
    ),
    "train_s": Metric("training time", "s", None, 1, "wall-clock seconds of the training run", COST),
    "parameters": Metric("parameters", "", None, 0, "trainable parameters", COST),
    "train_samples_per_s": Metric(
        "training",
        "samples/s",
        "higher",
        0,
        "training examples per second, forward, backward and step",
        COST,
    ),
    "train_mflop": Metric(
        "work per training example", "MFLOP", None, 2, "operations of matrix products and convolutions", COST
    ),
    "matrix_peak_gflops": Metric(
        "matrix peak", "GFLOP/s", None, 0, "speed of a large matrix product on the same device", COST
    ),
    "train_mfu": Metric(
        "FLOP utilisation",
        "share",
        "higher",
        2,
        "operations of matrix products and convolutions in training, per second, over the device's matrix peak",
        COST,
    ),
    "eval_samples_per_s": Metric(
        "evaluation", "samples/s", "higher", 0, "ELBO evaluations per second, without gradients", COST
    ),
    "sample_samples_per_s": Metric(
        "sampling", "samples/s", "higher", 0, "draws from the prior, decoded, per second", COST
    ),
    "latency_b1_ms": Metric("latency", "ms", "lower", 2, "encoding and decoding a single example", COST),
    "peak_memory_mb": Metric(
        "peak memory",
        "MB",
        "lower",
        0,
        "largest memory held up to the end of training: allocated on an accelerator, resident on a CPU",
        COST,
    ),
}


def metric(name: str) -> Metric:
    """The entry of `METRICS` for a metric name; a name that is not listed gets no direction, so it is never ranked.

    Example: `metric("nll_is500_nats").label == "NLL (IS-500)"`.
    """
    if name in METRICS and "*" not in name:
        return METRICS[name]
    for pattern, entry in METRICS.items():
        if number := _number(pattern, name):
            return replace(
                entry,
                label=entry.label.replace("{K}", number),
                definition=entry.definition.replace("{K}", number),
            )
    return Metric(name, "", None, 3, "not described", OTHER)


def ordered(names: Iterable[str]) -> list[str]:
    """Metric names in the order of `METRICS`, then by their number, then unlisted names by alphabet."""
    patterns = list(METRICS)

    def position(name: str) -> tuple[int, int, str]:
        if name in METRICS:
            return patterns.index(name), 0, name
        for index, pattern in enumerate(patterns):
            if number := _number(pattern, name):
                return index, int(number), name
        return len(patterns), 0, name

    return sorted(set(names), key=position)


def _number(pattern: str, name: str) -> str | None:
    """The digits that stand for `*` when the name has the pattern's form, else None."""
    if "*" not in pattern:
        return None
    found = re.fullmatch(re.escape(pattern).replace(r"\*", r"(\d+)"), name)
    return found.group(1) if found else None


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
    places, noise = _draws(n)
    standardised = (np.array(values) - statistics.fmean(values)) / std
    # In place, and each sum once: it is done for every row and metric of a report.
    resamples = standardised.take(places)
    resamples += noise
    mean = resamples.mean(0)
    resamples -= mean
    np.square(resamples, out=resamples)
    t = np.abs(mean) / (np.sqrt(resamples.sum(0) / (n - 1)) / math.sqrt(n))
    return float(np.quantile(t, LEVEL)) * std / math.sqrt(n)


@cache
def _draws(n: int) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Places in a sample and normal noise of standard deviation 1 / sqrt(n), both `[n, RESAMPLES]`, seeded by n alone.

    The second half mirrors the first, so that -x gets the half-width of x, and a against b that of b against a.
    """
    import numpy as np

    rng = np.random.default_rng(n)
    shape = (n, RESAMPLES // 2)
    places, noise = rng.integers(n, size=shape), rng.standard_normal(shape)
    return np.hstack([places, n - 1 - places]), np.hstack([noise, -noise]) / math.sqrt(n)


@dataclass(frozen=True)
class Comparison:
    """A seed-by-seed difference a - b and what may be said of it.

    Args:
        n: number of seeds that both have.
        difference: mean of a - b; None when they share no seed.
        low: lower end of the 95 % interval; None with fewer than 3 shared seeds.
        high: upper end; None with fewer than 3 shared seeds.
        verdict: a is `"better"` or `"worse"` than b only if the interval leaves out zero.
        p_better: P(A > B), the `probability_of_improvement` over the shared seeds; None when they share none.
    """

    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    p_better: float | None = None

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
    # Below x, and below or equal: a tie is counted in one of the two.
    twice = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in a)
    return twice / (2 * len(a) * len(b))


def sentence(comparison: Comparison, a: str, b: str, where: str, name: str = "elbo_nats") -> str:
    """One plain sentence for one comparison.

    Example: "full_covariance against vanilla on mnist-dynamic: ELBO -0.35 nats [-0.80, 0.10], P(better) 0.32, over 5
    paired seeds: not distinguishable."
    """
    entry = metric(name)
    head = f"{a} against {b} on {where}: {entry.label}"
    if comparison.difference is None:
        return f"{head}: no seed in common, not distinguishable."
    unit = f" {entry.unit}" if entry.unit else ""
    difference = f"{comparison.difference:+.{entry.digits}f}{unit}"
    seeds = f"{comparison.n} paired seed{'s' if comparison.n > 1 else ''}"
    chance = "" if comparison.p_better is None else f", P(better) {comparison.p_better:.2f},"
    if comparison.low is None or comparison.high is None:
        return f"{head} {difference}{chance} over {seeds}: too few seeds for an interval, not distinguishable."
    interval = f"[{comparison.low:.{entry.digits}f}, {comparison.high:.{entry.digits}f}]"
    return f"{head} {difference} {interval}{chance} over {seeds}: {comparison.verdict}."


def best_rows(rows: Mapping[str, Mapping[int, float]], higher_better: bool) -> set[str]:
    """The rows that may be marked as best in one column of one comparison group.

    The row with the best mean is marked together with every row not distinguishable from it, and only if at least one
    row is distinguishably worse: otherwise nothing has been shown and nothing is marked. A row with fewer than 3
    seeds has no interval of its own, so it is not judged and never marked. A row with seeds enough of its own but fewer
    than 3 in common with the best was not held against it, so it is not marked either.

    Args:
        rows: row name -> (seed -> value), the ok seeds only.
        higher_better: the metric's direction, from `METRICS`.
    """
    judged = {name: values for name, values in rows.items() if len(values) >= MIN_SEEDS}
    if not judged:
        return set()
    sign = 1 if higher_better else -1
    best = min(judged, key=lambda name: (-sign * statistics.fmean(judged[name].values()), name))
    held = {name: paired(values, judged[best], higher_better) for name, values in judged.items()}
    worse = {name for name, found in held.items() if found.verdict == "worse"}
    if not worse:
        return set()
    return {name for name, found in held.items() if found.enough and name not in worse}
