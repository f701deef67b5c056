"""What figures with a row per variant have in common: axes, bars, points of seeds, and what is left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.pages.figures.style import INK, QUIET, short_label
from bench.stats import intervals
from bench.stats.groups import BASELINE, Group, Row
from bench.text import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Half of a 95 % interval of a normal error, in standard errors.
NORMAL = 1.96
# A figure of more rows than this is read by nobody; all rows stand in the tables.
MOST_ROWS = 30


def seeds_label(row: Row) -> str:
    """The row's label, with the count of runs where some failed."""
    return row.label + (f"\n{len(row.ok)}/{len(row.records)} ok" if row.failed else "")


def where_of(group: Group) -> str:
    """The data and likelihood of a group, for a title."""
    apart = f", {group.apart}" if group.apart else ""
    return f"{group.dataset}, {group.settings['support']} likelihood{apart}{selection([group])}"


def selection(groups: Sequence[Group]) -> str:
    """`" (the best 30 of 1,000 rows)"`, empty where all are shown."""
    if not any(group.of for group in groups):
        return ""
    shown, of = sum(len(group.rows) for group in groups), sum(group.of or len(group.rows) for group in groups)
    return f" (the best {shown:,} of {of:,} rows)"


def shown(group: Group) -> Group:
    """What of a group a figure can show: its best rows and its baseline, by labels of a bearable length."""
    rows = group.rows
    if len(rows) > MOST_ROWS:
        bases = [row for row in rows if row.variant == BASELINE and group.baseline(row) is None]
        best = [row for row in rows if row not in bases][: MOST_ROWS - len(bases[:MOST_ROWS])]
        keep = {*bases[:MOST_ROWS], *best}
        rows = tuple(row for row in rows if row in keep)
    labels = [short_label(row.label) for row in rows]
    repeated = {label for label, count in Counter(labels).items() if count > 1}
    clear = [f"{label} #{place + 1}" if label in repeated else label for place, label in enumerate(labels)]
    named = tuple(replace(row, label=label) for row, label in zip(rows, clear, strict=True))
    return replace(group, rows=named, of=len(group.rows) if len(named) < len(group.rows) else 0)


def columns(row: Row, *metrics: str) -> np.ndarray:
    """`[seeds, metrics]`: the ok seeds that have every one of the metrics, in order."""
    values = [row.values(metric) for metric in metrics]
    seeds = sorted(set.intersection(*(set(found) for found in values)))
    return np.array([[found[seed] for found in values] for seed in seeds]).reshape(-1, len(metrics))


def measured(group: Group, *metrics: str) -> dict[Row, np.ndarray]:
    """Row -> `[seeds, metrics]`, of the rows with a seed that has every one of the metrics."""
    found = {row: columns(row, *metrics) for row in group.rows}
    return {row: values for row, values in found.items() if len(values)}


def left_out(group: Group, shown: Sequence[Row], metric: str = "", why: str = "") -> str:
    """A sentence that names the group's other rows and says why they are not shown; empty if there are none.

    Args:
        shown: the rows that are.
        metric: a row with a bound that reports it, if only as null, was measured,
        why: so this is what it lacks.
    """
    names = []
    for row in group.rows:
        if row not in shown:
            if not row.ok:
                reason = "no run finished"
            elif row.model.has_bound is False:
                reason = "has no bound"
            elif any(metric in record.metrics for record in row.ok):
                reason = why
            else:
                reason = "not measured"
            names.append(f"{row.label} ({reason})")
    return f" Not shown: {', '.join(names)}." if names else ""


def rows_axis(axis: "Axes", rows: Sequence[Row]) -> None:
    """The first row on top, each by its label."""
    axis.set_yticks(range(len(rows)), [seeds_label(row) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)


def add_legend(axis: "Axes", parts: Mapping[str, str]) -> None:
    """Colours' labels, and those of lines, above the panel at its left edge."""
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, linewidth=0, label=label) for label, colour in parts.items()]
    handles = [*patches, *axis.get_legend_handles_labels()[0]]
    axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=10, borderaxespad=0.2
    )


def stacked(axis: "Axes", rows: Mapping[Row, np.ndarray], parts: Mapping[str, str]) -> None:
    """One bar per row of the parts' means over seeds, the sum of every seed as a point, and the sum's interval.

    Args:
        rows: row -> `[seeds, parts]`.
        parts: label -> colour.
    """
    widest = max(float(values.mean(0).clip(0).sum()) for values in rows.values())
    ends = [0.0]
    for place, values in enumerate(rows.values()):
        totals = values.sum(1)
        first, last = _seed_points(axis, place, totals)
        # A part below zero, as noise makes it, goes to the left of zero and takes nothing off the others.
        right = left = 0.0
        for part, colour in zip(values.mean(0), parts.values(), strict=True):
            start = right if part >= 0 else left
            axis.barh(place, part, left=start, height=0.62, color=colour, linewidth=0)
            # The number keeps clear of the points.
            room = min(start + part, first) - start
            if room > 0.09 * widest:
                axis.text(start + room / 2, place, f"{part:.2f}", ha="center", va="center", fontsize=9.5, color="white")
            right, left = right + max(part, 0.0), left + min(part, 0.0)
        ends.append(max(last, right))
        write_value(axis, place, ends[-1], f"{totals.mean():.2f}")
    zero_based(axis, ends)
    add_legend(axis, parts)


def _seed_points(axis: "Axes", place: float, values: np.ndarray) -> tuple[float, float]:
    """Every seed's value as a point with their interval behind; the leftmost and the rightmost place of them."""
    summary = intervals.summarise(values.tolist())
    if summary.low is not None and summary.high is not None:
        for width, colour in ((3.6, "white"), (1.6, INK)):
            axis.plot(
                [summary.low, summary.high],
                [place, place],
                color=colour,
                linewidth=width,
                solid_capstyle="butt",
                zorder=3,
            )
    offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    axis.scatter(values, place + offsets, s=16, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=4)
    ends = [*values.tolist(), *(end for end in (summary.low, summary.high) if end is not None)]
    return min(ends), max(ends)


def write_value(axis: "Axes", place: float, end: float, text: str) -> None:
    """A number to the right of what it belongs to."""
    axis.annotate(
        text,
        (end, place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        zorder=2.5,
    )


def zero_based(axis: "Axes", ends: Sequence[float], room: float = 1.16) -> None:
    """From zero, or from where noise goes below it, with room for numbers at the right end."""
    low = min(0.0, axis.dataLim.x0)
    axis.set_xlim(low * 1.15, room * max(ends) or 1)
    axis.axvline(0, color="#bbbbbb", linewidth=1, zorder=1)
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=6)


def paired_bars(axis: "Axes", rows: Mapping[Row, np.ndarray], parts: Mapping[str, str]) -> None:
    """For every row a thin bar per part, one below the other: the mean over seeds, with every seed as a point.

    Args:
        rows: row -> `[seeds, parts]`; without seeds it gets a dash.
        parts: label -> colour.
    """
    ends = [0.0]
    for place, values in enumerate(rows.values()):
        if not len(values):
            axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
        for index, (column, colour) in enumerate(zip(values.T, parts.values(), strict=True)):
            if len(column):
                height = 0.72 / len(parts)
                middle = place + (index - (len(parts) - 1) / 2) * height
                axis.barh(middle, column.mean(), height=0.92 * height, color=colour, linewidth=0)
                axis.scatter(
                    column, [middle] * len(column), s=12, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=4
                )
                ends.append(float(column.max()))
                write_value(axis, middle, ends[-1], f"{column.mean():.2f}")
    zero_based(axis, ends)
    add_legend(axis, parts)
