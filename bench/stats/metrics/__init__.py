"""`METRICS`, the one place that says what each metric is: one row each, by theme in the files of this folder."""

import re
from collections.abc import Iterable
from dataclasses import replace

from bench.stats.metrics import codes, costs, evidence, factors, gaps, quality, samples
from bench.stats.metrics.entry import ABOUT, COST, FACTORS, MAIN, OTHER, THEMES, Metric, unlisted

__all__ = [
    "ABOUT",
    "COST",
    "FACTORS",
    "MAIN",
    "METRICS",
    "OTHER",
    "THEMES",
    "Metric",
    "asked_by",
    "legend",
    "metric",
    "ordered",
]

METRICS: dict[str, Metric] = {
    row.name: row for theme in (quality, gaps, codes, factors, samples, evidence, costs) for row in theme.METRICS
}
# Of names with a number, what such a name looks like.
_NUMBERED = {name: re.compile(re.escape(name).replace(r"\*", r"(\d+)")) for name in METRICS if "*" in name}


def asked_by(setting: str) -> list[Metric]:
    """The metrics that are measured where this key of `Measure` or `Clock` asks for them."""
    return [row for row in METRICS.values() if row.setting == setting]


def metric(name: str) -> Metric:
    """The entry of `METRICS` for a metric name; a name that is not listed gets no direction, so it is never ranked.

    Example: `metric("nll_is500_nats").label == "NLL (IS-500)"`.
    """
    if name in METRICS and "*" not in name:
        return METRICS[name]
    pattern, number = _pattern(name)
    return _numbered(METRICS[pattern], number) if number else unlisted(name)


def legend(names: Iterable[str]) -> list[Metric]:
    """The entries of metric names, in order; of several that differ in their number alone one, with K in its place."""
    found: dict[str, list[str]] = {}
    for name in ordered(names):
        found.setdefault(_pattern(name)[0], []).append(name)
    return [metric(same[0]) if len(same) == 1 else _numbered(METRICS[pattern], "K") for pattern, same in found.items()]


def _numbered(entry: Metric, number: str) -> Metric:
    return replace(entry, label=entry.label.replace("{K}", number), says=entry.says.replace("{K}", number))


def ordered(names: Iterable[str]) -> list[str]:
    """Metric names in the order of `METRICS`, then by their number, then unlisted names by alphabet."""
    patterns = list(METRICS)

    def position(name: str) -> tuple[int, int, str]:
        pattern, number = _pattern(name)
        return patterns.index(pattern) if pattern in METRICS else len(patterns), int(number or 0), name

    return sorted(set(names), key=position)


def _pattern(name: str) -> tuple[str, str]:
    """The key of `METRICS` whose form a name has, and the digits in place of its `*`; else the name, and none."""
    if name not in METRICS:
        for pattern, form in _NUMBERED.items():
            if match := form.fullmatch(name):
                return pattern, match[1]
    return name, ""
