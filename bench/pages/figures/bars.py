"""What figures with a row per variant have in common: axes, bars, points of seeds, and what is left out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.style import INK, LONGEST_LABEL, QUIET, ink_on, look
from bench.stats import intervals
from bench.stats.groups import BASELINE, Group, Row
from bench.text import DASH, clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Half of a 95 % interval of a normal error, in standard errors.
NORMAL = 1.96
# A white ground keeps a text or a point readable on lines and bars.
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
RING: Any = {"facecolor": "white", "edgecolor": INK, "zorder": 4}
# A figure of more rows than this is read by nobody; all rows stand in the tables.
MOST_ROWS = 30


def shown(group: Group) -> Group:
    """What of a group a figure can show: its best rows and its baseline, by labels of a bearable length."""
    rows = group.rows
    if len(rows) > MOST_ROWS:
        bases = [row for row in rows if row.variant == BASELINE and group.baseline(row) is None]
        best = [row for row in rows if row not in bases][: MOST_ROWS - len(bases[:MOST_ROWS])]
        keep = {*bases[:MOST_ROWS], *best}
        rows = tuple(row for row in rows if row in keep)
    rows = in_order(rows)
    labels = [clip(row.label, LONGEST_LABEL) for row in rows]
    repeated = {label for label, count in Counter(labels).items() if count > 1}
    clear = [f"{label} #{index + 1}" if label in repeated else label for index, label in enumerate(labels)]
    named = tuple(replace(row, label=label) for row, label in zip(rows, clear, strict=True))
    return replace(group, rows=named, of=len(group.rows) if len(named) < len(group.rows) else 0)


def parameter(rows: Sequence[Row]) -> str:
    """The one keyword in which rows of a single variant differ, and by numbers; empty where they do not."""
    overrides = [json.loads(row.overrides) for row in rows]
    keys = {key for each in overrides for key in each if any(each.get(key) != other.get(key) for other in overrides)}
    if len(rows) < 3 or len({row.variant for row in rows}) > 1 or len(keys) != 1:
        return ""
    (key,) = keys
    numbers = [each.get(key) for each in overrides]
    plain = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    return str(key) if plain else ""


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows of one variant by their rising `parameter`; others as they are."""
    if not (key := parameter(rows)):
        return tuple(rows)
    return tuple(sorted(rows, key=lambda row: json.loads(row.overrides)[key]))


def columns(row: Row, *metrics: str) -> np.ndarray:
    """`[seeds, metrics]`: the ok seeds that have every one of the metrics, in order."""
    values = [row.values(metric) for metric in metrics]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in values)))
    return np.array([[by_seed[seed] for by_seed in values] for seed in seeds]).reshape(-1, len(metrics))


def measured(group: Group, *metrics: str) -> dict[Row, np.ndarray]:
    """Row -> `[seeds, metrics]`, of the rows with a seed that has every one of the metrics."""
    by_row = {row: columns(row, *metrics) for row in group.rows}
    return {row: values for row, values in by_row.items() if len(values)}


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


def rows_axis(axis: "Axes", rows: Sequence[Row], marks: Mapping[Row, str] | None = None) -> None:
    """The first row on top, each by its label, with its mark, and with the count of runs where some failed."""
    labels = [
        f"{row.label} {(marks or {}).get(row, '')}".rstrip()
        + (f"\n{len(row.ok)}/{len(row.records)} ok" if row.failed else "")
        for row in rows
    ]
    axis.set_yticks(range(len(rows)), labels)
    axis.set_ylim(len(rows) - 0.5, -0.5)


def spread_out(count: int, reach: float = 0.16) -> np.ndarray:
    """`[count]`: heights about zero, so that points of one row do not hide each other."""
    return np.linspace(-reach, reach, count) if count > 1 else np.zeros(count)


def legend_beside(axis: "Axes", *handles: Any, title: str | None = None) -> None:
    """To the right of a panel: its labelled lines, or handles and their labels."""
    axis.legend(*handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title=title, alignment="left")


def band(axis: "Axes", x: Sequence[float], values: np.ndarray, row: Row, **line: Any) -> None:
    """A row's line through the means of `[seeds, len(x)]`, in its look, and a band from the lowest to the highest."""
    style = look(row.variant, row.overrides)
    axis.plot(x, values.mean(0), color=style.colour, marker=style.marker, label=row.label, **line)
    axis.fill_between(x, values.min(0), values.max(0), color=style.colour, alpha=0.18, linewidth=0)


def add_legend(axis: "Axes", parts: Mapping[str, str]) -> None:
    """Colours' labels, and those of lines, above the panel at its left edge."""
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, linewidth=0, label=label) for label, colour in parts.items()]
    handles = [*patches, *axis.get_legend_handles_labels()[0]]
    where: Any = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}
    axis.legend(handles=handles, frameon=False, fontsize=10, **where)


def stacked(axis: "Axes", rows: Mapping[Row, np.ndarray], parts: Mapping[str, str]) -> None:
    """One bar per row of the parts' means over seeds, the sum of every seed as a point, and the sum's interval.

    Args:
        rows: row -> `[seeds, parts]`.
        parts: label -> colour.
    """
    widest = max(float(values.mean(0).clip(0).sum()) for values in rows.values())
    ends = [0.0]
    for y, values in enumerate(rows.values()):
        totals = values.sum(1)
        first, last = _seed_points(axis, y, totals)
        # A part below zero, as noise makes it, goes to the left of zero and takes nothing off the others.
        right = left = 0.0
        for part, colour in zip(values.mean(0), parts.values(), strict=True):
            start = right if part >= 0 else left
            axis.barh(y, part, left=start, height=0.62, color=colour, linewidth=0)
            # The number keeps clear of the points.
            room = min(start + part, first) - start
            if room > 0.09 * widest:
                text: Any = {"ha": "center", "va": "center", "fontsize": 9.5, "color": ink_on(colour), "zorder": 3}
                # On a ground of its own, which a line across the bars does not cross.
                text["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 1.0}
                axis.text(start + room / 2, y, f"{part:.2f}", **text)
            right, left = right + max(part, 0.0), left + min(part, 0.0)
        ends.append(max(last, right))
        write_value(axis, y, ends[-1], f"{totals.mean():.2f}")
    zero_based(axis, ends)
    add_legend(axis, parts)


def _seed_points(axis: "Axes", y: float, values: np.ndarray) -> tuple[float, float]:
    """Every seed's value as a point with their interval behind; the leftmost and the rightmost place of them."""
    summary = intervals.summarise(values.tolist())
    if summary.low is not None and summary.high is not None:
        whisker(axis, y, summary.low, summary.high)
    axis.scatter(values, y + spread_out(len(values)), s=16, linewidth=1, **RING)
    ends = [*values.tolist(), *(end for end in (summary.low, summary.high) if end is not None)]
    return min(ends), max(ends)


def whisker(axis: "Axes", y: float, low: float, high: float) -> None:
    """A line from low to high, with a white edge that keeps it visible on the darkest bars."""
    for width, colour in ((3.6, "white"), (1.6, INK)):
        axis.plot([low, high], [y] * 2, color=colour, linewidth=width, solid_capstyle="butt", zorder=3)


def dash(axis: "Axes", y: float) -> None:
    """Nothing was measured here."""
    axis.text(0.01, y, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)


def write_value(axis: "Axes", y: float, end: float, text: str) -> None:
    """A number to the right of what it belongs to."""
    style: Any = {"va": "center", "fontsize": 9.5, "color": INK, "bbox": WHITE, "zorder": 2.5}
    axis.annotate(text, (end, y), xytext=(7, 0), textcoords="offset points", **style)


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
    for y, values in enumerate(rows.values()):
        if not len(values):
            dash(axis, y)
        for index, (column, colour) in enumerate(zip(values.T, parts.values(), strict=True)):
            if len(column):
                height = 0.72 / len(parts)
                middle = y + (index - (len(parts) - 1) / 2) * height
                axis.barh(middle, column.mean(), height=0.92 * height, color=colour, linewidth=0)
                axis.scatter(column, [middle] * len(column), s=12, linewidth=0.8, **RING)
                ends.append(float(column.max()))
                write_value(axis, middle, ends[-1], f"{column.mean():.2f}")
    zero_based(axis, ends)
    add_legend(axis, parts)
