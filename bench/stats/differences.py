"""Paired differences between the rows of comparison groups, and the sentence that says one."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import UsageError
from bench.records import names
from bench.records.record import Record
from bench.stats import learning, metrics
from bench.stats.groups import Group, Row, after, baseline_row
from bench.stats.groups import groups as grouped
from bench.stats.intervals import Comparison

# Paired seeds from which on P(better) says more than the verdict.
MANY = 10


def sentence(comparison: Comparison, a: str, b: str, where: str, name: str = "elbo_nats") -> str:
    """One plain sentence for one comparison.

    P(better), which knows no uncertainty, is said with a verdict only, and from `MANY` seeds on: of few it is nearly
    always 0 or 1. Shares differ in percentage points.

    Example: "conv against vanilla on mnist-dynamic after 10 epochs of the whole training split: ELBO +6.15 nats [4.57,
    7.73] over 3 paired seeds: better."

    Args:
        comparison: of `a` with `b`.
        a: row label.
        b: row label.
        where: data set and budget, in words.
        name: the metric.
    """
    entry = metrics.metric(name)
    head = f"{a} against {b} on {where}: {entry.label}"
    digits, factor, unit = entry.digits, 1, f" {entry.unit}" if entry.unit else ""
    if entry.unit == "share":
        digits, factor, unit = entry.digits - 2, 100, " percentage points"
    if comparison.difference is None:
        return f"{head}: no seed in common, not distinguishable."
    difference = f"{comparison.difference * factor:+.{digits}f}{unit}"
    seeds = f"over {comparison.n} paired seed{'s' if comparison.n > 1 else ''}"
    if comparison.low is None or comparison.high is None:
        return f"{head} {difference} {seeds}: too few seeds for an interval, not distinguishable."
    interval = f"[{comparison.low * factor:.{digits}f}, {comparison.high * factor:.{digits}f}]"
    if comparison.verdict == "still learning":
        far = "may" if comparison.reach is None else f"may move it by {comparison.reach:.{digits}f}{unit} and"
        return f"{head} {difference} {interval} {seeds}: still learning, no verdict; longer training {far} reverse it."
    judged = comparison.verdict in ("better", "worse") and comparison.p_better is not None and comparison.n >= MANY
    chance = f", P(better) {comparison.p_better:.2f}," if judged else ""
    return f"{head} {difference} {interval}{chance} {seeds}: {comparison.verdict}."


@dataclass(frozen=True)
class Difference:
    """One metric of one variant against the baseline in one comparison group.

    Attributes:
        dataset: data set and binarisation.
        variant: row label.
        baseline: row label it is held against.
        metric: metric name.
        budget: what both were trained with: epochs, training examples, step size.
        comparison: `intervals.Comparison` as a dictionary.
        sentence: the same in plain words.
    """

    dataset: str
    variant: str
    baseline: str
    metric: str
    budget: dict[str, Any]
    comparison: dict[str, Any]
    sentence: str


def differences(records: Iterable[Record], baseline: str) -> list[Difference]:
    """Every row against the baseline variant's row on the same data and device, in every metric that is ranked.

    A row of which every run failed before its model was built has no values, and nothing is said of it.

    Raises:
        UsageError: if a row with values stands in another comparison group than the baseline's, with what differs.
    """
    groups = grouped(records)
    group_of = {row: group for group in groups for row in group.rows}
    result = []
    for group in groups:
        for row in group.rows:
            # The baseline may stand in any group of the same data: one that cannot be compared is refused, not skipped.
            same_data = [other for other, its_group in group_of.items() if _data(its_group) == _data(group)]
            base = baseline_row(same_data, baseline, row.device)
            if base is None or row is base or not row.ok or not base.ok:
                continue
            base_group = group_of[base]
            unequal = [key for key, value in group.settings.items() if base_group.settings[key] != value]
            if unequal:
                reasons = "; ".join(
                    f"{key} {group.settings[key]!r}, not {base_group.settings[key]!r}" for key in unequal
                )
                raise UsageError(
                    f"{row.label} cannot be compared with {base.label} on {group.dataset}, they are in different "
                    f"comparison groups: {reasons}; run both with the same settings"
                )
            for metric in group.metrics:
                if metrics.metric(metric).ranked and row.values(metric) and base.values(metric):
                    result.append(_difference(group, row, base, metric))
    return result


def _data(group: Group) -> str:
    """Tuned runs are held against tuned ones."""
    return names.canonical([group.settings.get(key) for key in ("dataset", "data_options", "binarise", "tuned")])


def _difference(group: Group, row: Row, base: Row, metric: str) -> Difference:
    result = learning.compare(row, base, metric)
    where = f"{group.dataset} {after(group.settings)}"
    words = sentence(result, row.label, base.label, where, metric)
    return Difference(group.dataset, row.label, base.label, metric, group.settings["budget"], asdict(result), words)
