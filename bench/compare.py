"""Paired differences between variants: what `vaebench compare` says."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bench import stats, table

# Metrics in the units of the data: they compare across likelihoods with different supports, nats do not.
DATA_UNITS = ("mse_per_pixel",)


@dataclass(frozen=True)
class Difference:
    """One metric of one variant against the baseline on one comparison group.

    Attributes:
        dataset: data set and binarisation.
        variant: row label.
        baseline: row label it is held against.
        metric: metric name; None if the two are in no common group.
        comparison: `stats.Comparison` as a dictionary; None likewise.
        sentence: the same in plain words.
    """

    dataset: str
    variant: str
    baseline: str
    metric: str | None
    comparison: dict[str, Any] | None
    sentence: str


def differences(records: Iterable[dict[str, Any]], baseline: str) -> list[Difference]:
    """Every row against the baseline variant's row on the same data and device.

    Rows of one comparison group are compared in every metric that has a direction. If they differ in nothing but the
    likelihood's support, only the metrics in data units are; otherwise none is, and a sentence says why.
    """
    groups = table.groups(records)
    homes: dict[tuple[str, str], tuple[table.Group, table.Row]] = {}
    for group in groups:
        for row in group.rows:
            key = (group.dataset, row.device)
            # Of several rows of the baseline variant the one with the fewest changes stands for it.
            if row.variant == baseline and (key not in homes or len(row.overrides) < len(homes[key][1].overrides)):
                homes[key] = group, row
    found = []
    for group in groups:
        for row in group.rows:
            home, base = homes.get((group.dataset, row.device), (group, row))
            if row is base:
                continue
            unequal = [key for key, value in group.settings.items() if home.settings[key] != value]
            if unequal:
                found.append(_refusal(group, row, home, base, unequal))
            for metric in group.metrics:
                comparable = not unequal or (unequal == ["support"] and metric in DATA_UNITS)
                if comparable and _judged(metric) and row.values(metric) and base.values(metric):
                    found.append(_difference(group.dataset, row, base, metric))
    return found


def _judged(metric: str) -> bool:
    entry = stats.metric(metric)
    return entry.direction is not None and not entry.cost


def _difference(dataset: str, row: table.Row, base: table.Row, metric: str) -> Difference:
    higher = stats.metric(metric).direction == "higher"
    result = stats.paired(row.values(metric), base.values(metric), higher_better=higher)
    words = stats.sentence(result, row.label, base.label, dataset, metric)
    return Difference(dataset, row.label, base.label, metric, asdict(result), words)


def _refusal(group: table.Group, row: table.Row, home: table.Group, base: table.Row, unequal: list[str]) -> Difference:
    reasons = "; ".join(f"{key} {group.settings[key]!r} against {home.settings[key]!r}" for key in unequal)
    words = f"{row.label} against {base.label} on {group.dataset}: nats are not comparable ({reasons})."
    return Difference(group.dataset, row.label, base.label, None, None, words)
