"""From values per seed to means, intervals and verdicts, and the one place that says which way is better.

Every interval is a two-sided 95 % Student-t interval over seeds. Why t and not a bootstrap: with 3 to 5 seeds a
bootstrap has only 10 to 126 distinct resamples, its percentile interval can never leave the range of the values, and
it covers far less than it claims; the t interval pays for the unknown variance and is exact when seed noise is
normal. Fewer than 3 seeds give no interval at all.

Two models that share a seed share their data order and their binarisation noise, so a difference is taken seed by
seed first and summarised after (a paired interval). Intervals are per comparison: they are not corrected for the
number of rows in a table.
"""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

MIN_SEEDS = 3
LEVEL = 0.95

Verdict = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True)
class Metric:
    """How one metric is named, rounded and judged.

    Args:
        label: short name for a header or an axis.
        unit: unit as printed, empty for a pure number.
        direction: `"higher"` or `"lower"` is better; `None` where neither is, and no row is ever marked.
        digits: decimals when printed for people (files for machines keep full precision).
        definition: one line, for legends and docs.
        cost: true for what a variant costs (time, memory, size), false for how good it is.
    """

    label: str
    unit: str
    direction: Literal["higher", "lower"] | None
    digits: int
    definition: str
    cost: bool = False

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
    "mse_per_pixel": Metric("MSE", "per pixel", "lower", 4, "squared error of the mean reconstruction, per pixel"),
    "bits_per_dim": Metric(
        "bits/dim", "bits", "lower", 4, "NLL in bits per data dimension; for binary likelihoods only"
    ),
    "train_s": Metric("training time", "s", None, 1, "wall-clock seconds of the training run", cost=True),
    "parameters": Metric("parameters", "", None, 0, "trainable parameters", cost=True),
    "train_samples_per_s": Metric(
        "training",
        "samples/s",
        "higher",
        0,
        "training examples per second, forward, backward and step",
        cost=True,
    ),
    "eval_samples_per_s": Metric(
        "evaluation", "samples/s", "higher", 0, "ELBO evaluations per second, without gradients", cost=True
    ),
    "sample_samples_per_s": Metric(
        "sampling", "samples/s", "higher", 0, "draws from the prior, decoded, per second", cost=True
    ),
    "latency_b1_ms": Metric("latency", "ms", "lower", 2, "encoding and decoding a single example", cost=True),
    "peak_memory_mb": Metric(
        "peak memory",
        "MB",
        "lower",
        0,
        "largest memory held up to the end of training: allocated on an accelerator, resident on a CPU",
        cost=True,
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
    return Metric(name, "", None, 3, "not described")


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
    """Mean of one value per seed, with its two-sided 95 % Student-t interval.

    Args:
        n: number of seeds.
        mean: arithmetic mean.
        std: sample standard deviation (n - 1 in the denominator); None for one seed.
        low: lower end of the interval; None with fewer than 3 seeds.
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
    """Mean, standard deviation and Student-t interval over seeds.

    Args:
        values: `[n]`, one finite value per seed.

    Raises:
        ValueError: on no values, or on one that is not finite (a NaN must never vanish into an average).
    """
    if not values:
        raise ValueError("summarise needs at least one value")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"summarise needs finite values, got {list(values)}")
    n = len(values)
    mean = statistics.fmean(values)
    std = statistics.stdev(values) if n > 1 else None
    if std is None or n < MIN_SEEDS:
        return Summary(n, mean, std, None, None)
    half_width = t_quantile(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half_width, mean + half_width)


def t_quantile(degrees: int) -> float:
    """The two-sided 95 % Student-t quantile, 4.303 for 2 degrees of freedom and 2.776 for 4."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Comparison:
    """A seed-by-seed difference a - b and what may be said of it.

    Args:
        n: number of seeds that both have.
        difference: mean of a - b; None when they share no seed.
        low: lower end of the 95 % Student-t interval; None with fewer than 3 shared seeds.
        high: upper end; None with fewer than 3 shared seeds.
        verdict: a is `"better"` or `"worse"` than b only if the interval leaves out zero.
    """

    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict

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
    summary = summarise([a[seed] - b[seed] for seed in seeds])
    verdict: Verdict = "not distinguishable"
    if summary.low is not None and summary.high is not None and not summary.low <= 0 <= summary.high:
        verdict = "better" if (summary.mean > 0) == higher_better else "worse"
    return Comparison(summary.n, summary.mean, summary.low, summary.high, verdict)


def sentence(comparison: Comparison, a: str, b: str, where: str, name: str = "elbo_nats") -> str:
    """One plain sentence for one comparison.

    Example: "full_covariance against vanilla on mnist-dynamic: ELBO -0.35 nats [-0.80, 0.10] over 5 paired seeds:
    not distinguishable."
    """
    entry = metric(name)
    head = f"{a} against {b} on {where}: {entry.label}"
    if comparison.difference is None:
        return f"{head}: no seed in common, not distinguishable."
    unit = f" {entry.unit}" if entry.unit else ""
    difference = f"{comparison.difference:+.{entry.digits}f}{unit}"
    seeds = f"{comparison.n} paired seed{'s' if comparison.n > 1 else ''}"
    if comparison.low is None or comparison.high is None:
        return f"{head} {difference} over {seeds}: too few seeds for an interval, not distinguishable."
    interval = f"[{comparison.low:.{entry.digits}f}, {comparison.high:.{entry.digits}f}]"
    return f"{head} {difference} {interval} over {seeds}: {comparison.verdict}."


def best_rows(rows: Mapping[str, Mapping[int, float]], higher_better: bool) -> set[str]:
    """The rows that may be marked as best in one column of one comparison group.

    The row with the best mean is marked together with every row not distinguishable from it, and only if at least one
    row is distinguishably worse: otherwise nothing has been shown and nothing is marked. A row with fewer than 3
    seeds has no interval of its own, so it is not judged and never marked. A row with seeds enough of its own but too
    few in common with the best cannot be told from it, so it is marked with it.

    Args:
        rows: row name -> (seed -> value), the ok seeds only.
        higher_better: the metric's direction, from `METRICS`.
    """
    judged = {name: values for name, values in rows.items() if len(values) >= MIN_SEEDS}
    if not judged:
        return set()
    sign = 1 if higher_better else -1
    best = min(judged, key=lambda name: (-sign * statistics.fmean(judged[name].values()), name))
    worse = {name for name, values in judged.items() if paired(values, judged[best], higher_better).verdict == "worse"}
    return judged.keys() - worse if worse else set()
