"""The ELBO of every variant, and the curves of its training."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import band, legend_beside, parameter, rows_axis, spread_out
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import INK, add_title, look, panels
from bench.records.record import Record
from bench.stats import intervals, learning
from bench.stats.groups import BASELINE, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def elbo_by_variant(view: View) -> "Figure | None":
    """The test ELBO of every row: each seed a point, the mean a bar with its interval, the best row on top.

    A row that is far below the others would squeeze them into a line: it is named at the edge.
    """
    rows = [row for row in view.group.rows if row.values("elbo_nats")]
    if not rows:
        return None
    summaries = {row: intervals.summarise(list(row.values("elbo_nats").values())) for row in rows}
    far = _far_off(rows)
    marks = view.group.marks.get("elbo_nats", intervals.Marks())
    with panels(9.5, 0.9 + 0.42 * len(rows)) as (figure, (axis,)):
        for y, row in enumerate(rows):
            if row not in far:
                _elbo_row(axis, y, row)
        rows_axis(axis, rows, {row: "★" for row in rows if row.label in marks.best})
        axis.set_xlabel("test ELBO (nats per example), higher is better →")
        axis.grid(axis="y", visible=False)
        axis.locator_params(axis="x", nbins=8)
        axis.margins(x=0.06)
        style: Any = {"transform": axis.get_yaxis_transform(), "va": "center", "fontsize": 10, "color": INK}
        for y, row in enumerate(rows):
            if row in far:
                words = f"← {summaries[row].mean:.1f}, beyond this axis".replace("-", "\N{MINUS SIGN}")
                axis.text(0.012, y, words, **style)
        note = "Each point is one seed; the bar is the mean, the line its 95 % bootstrap interval (from 3 seeds on)."
        if marks.best:
            note += " ★: the best, and every row tied with it seed by seed."
        elif marks.learning:
            note += " No row is called the best: longer training may reverse their order."
        add_title(figure, f"ELBO by variant: {view.where}", f"{view.budget} {note}")
    return figure


def _far_off(rows: Sequence[Row]) -> set[Row]:
    """Rows that lie further below the upper half than three times as far as this is wide; of three rows none."""
    values = {row: list(row.values("elbo_nats").values()) for row in rows}
    best_first = sorted(rows, key=lambda row: -intervals.summarise(values[row]).mean)
    upper = [value for row in best_first[: math.ceil(len(rows) / 2)] for value in values[row]]
    width = max(upper) - min(upper)
    if len(rows) < 4 or max(upper) - min(map(min, values.values())) <= 3 * width:
        return set()
    return {row for row in rows if intervals.summarise(values[row]).mean < min(upper) - width}


def paired_differences(view: View) -> "Figure | None":
    """The difference of every row in ELBO from a baseline, seed by seed: a forest plot.

    The baseline is `vanilla`, or where the group has none its first row.
    """
    rows = [row for row in view.group.rows if row.values("elbo_nats")]
    if len(rows) < 2:
        return None
    base = next((row for row in rows if row.variant == BASELINE and view.group.baseline(row) is None), rows[0])
    compared = [(row, learning.compare(row, base, "elbo_nats")) for row in rows if row is not base]
    compared = [(row, each) for row, each in compared if each.difference is not None]
    if not compared:
        return None
    reach = [abs(each.difference or 0.0) for _, each in compared]
    # A difference that is far larger than the others is named at the edge.
    most = sorted(reach)[len(reach) // 2] * 4 if len(reach) > 3 else max(reach)
    with panels(9.5, 1.0 + 0.42 * len(compared)) as (figure, (axis,)):
        axis.axvline(0, color=INK, linewidth=1)
        for y, (row, each) in enumerate(compared):
            middle, style = each.difference or 0.0, look(row.variant, row.overrides)
            if abs(middle) > most:
                left = middle < 0
                words = f"← {middle:+.1f}" if left else f"{middle:+.1f} →"
                where: Any = {"transform": axis.get_yaxis_transform(), "va": "center", "fontsize": 10, "color": INK}
                side = "left" if left else "right"
                axis.text(0.012 if left else 0.988, y, words.replace("-", "\N{MINUS SIGN}"), ha=side, **where)
                continue
            if each.low is not None and each.high is not None:
                axis.plot([each.low, each.high], [y] * 2, color=style.colour, linewidth=2, solid_capstyle="butt")
            full = each.verdict in ("better", "worse")
            face = style.colour if full else "white"
            point: Any = {"marker": style.marker, "facecolor": face, "edgecolor": style.colour, "linewidth": 1.6}
            axis.scatter([middle], [y], s=48, zorder=3, **point)
        rows_axis(axis, [row for row, _ in compared])
        axis.set_xlabel("difference in test ELBO (nats), higher is better →")
        axis.grid(axis="y", visible=False)
        axis.margins(x=0.08)
        note = (
            f"{view.budget} Differences of equal seeds: the mean, and its 95 % bootstrap interval (from 3 seeds on). "
            "Full: better or worse. Hollow: not distinguishable, or longer training may still reverse it."
        )
        add_title(figure, f"Difference from {base.label}: {view.where}", note)
    return figure


def _elbo_row(axis: "Axes", y: int, row: Row) -> None:
    values = list(row.values("elbo_nats").values())
    summary, style = intervals.summarise(values), look(row.variant, row.overrides)
    if summary.low is not None and summary.high is not None:
        axis.plot([summary.low, summary.high], [y] * 2, color=style.colour, linewidth=2, solid_capstyle="butt")
    axis.plot([summary.mean] * 2, [y - 0.28, y + 0.28], color=style.colour, linewidth=2.5)
    heights = y + spread_out(len(values))
    points: Any = {"marker": style.marker, "facecolor": "white", "edgecolor": style.colour}
    axis.scatter(values, heights, s=24, linewidth=1.1, zorder=3, **points)


def learning_curves(view: View) -> "Figure | None":
    """Validation ELBO against epoch: mean over seeds, a band from lowest to highest; None for a single epoch."""
    return _drawn_curves(view, dict.fromkeys(view.group.rows, 1.0), "epoch")


def elbo_against_seconds(view: View) -> "Figure | None":
    """The same against seconds of training, of which every epoch of a row takes an equal share."""
    pace = {row: each for row in view.group.rows if (each := seconds_an_epoch(row)) is not None}
    return _drawn_curves(view, pace, "seconds of training, mean over seeds")


def seconds_an_epoch(row: Row) -> float | None:
    """Of training, over all epochs of all ok seeds that were timed: one that stopped early took as long for each of its
    own. None without any."""
    seconds = row.values("train_s")
    epochs = sum(max(curve_of(record), default=0) for record in row.ok if record.cell["seed"] in seconds)
    return sum(seconds.values()) / epochs if epochs else None


def _drawn_curves(view: View, pace: Mapping[Row, float], across: str) -> "Figure | None":
    """Curves of the rows that have a pace: what an epoch takes of the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    rows = [row for row in view.group.rows if row in pace]
    curves = {row: [curve for record in row.ok if (curve := curve_of(record))] for row in rows}
    broken = {row: [curve for record in row.failed if (curve := curve_of(record))] for row in rows}
    if not any(len(curve) > 1 for runs in (*curves.values(), *broken.values()) for curve in runs):
        return None  # one epoch is no curve
    # `shared` has the epochs that every seed of a row has, `values` its curves, `[seeds, epochs]`.
    shared = {row: sorted(set.intersection(*map(set, runs))) for row, runs in curves.items() if runs}
    values = {row: np.array([[c[e] for e in epochs] for c in curves[row]]) for row, epochs in shared.items() if epochs}
    if not values:
        return None
    devices = sorted({row.device for row in rows})
    # A legend that is higher than its figure leaves no room for the curves.
    with panels(9.5, max(5.2, 0.8 + 0.22 * len(curves))) as (figure, (axis,)):
        swept = parameter(list(values))
        best_first = sorted(values, key=lambda row: -values[row].mean(0)[-1])
        for row in values if swept else best_first:
            dashes = ("-", "--", ":")[devices.index(row.device) % 3]
            every = max(1, len(shared[row]) // 10)
            x = [pace[row] * epoch for epoch in shared[row]]
            band(axis, x, values[row], row, linestyle=dashes, markevery=every, markersize=5, linewidth=1.8)
        for row, lines in broken.items():
            for curve in lines:
                style = look(row.variant, row.overrides)
                x = [pace[row] * epoch for epoch in curve]
                axis.plot(x, list(curve.values()), color=style.colour, linestyle=":", linewidth=1.2)
        # The first epochs are far below: the axis starts where a fifth of the training is done.
        floor = min(float(each[:, each.shape[1] // 5 :].min()) for each in values.values())
        top = max(float(each.max()) for each in values.values())
        room = max(top - floor, 1.0)
        axis.set_ylim(floor - 0.04 * room, top + 0.06 * room)
        axis.set_xlabel(across)
        axis.xaxis.set_major_locator(MaxNLocator(9, integer=across == "epoch"))
        axis.set_ylabel("validation ELBO (nats per example), higher is better →")
        legend_beside(axis, title=f"by {swept}" if swept else "best at the end first")
        note = "Line: mean over the ok seeds; band: lowest to highest seed."
        if any(broken.values()):
            note += " Thin dotted lines: runs that failed."
        if any(min(curve.values()) < floor - 0.04 * room for runs in curves.values() for curve in runs):
            note += " The earliest epochs lie below the axis."
        title = "Learning curves" if across == "epoch" else "ELBO against seconds"
        if across != "epoch":
            note += " Seconds are of training alone, an equal share for each epoch."
        add_title(figure, f"{title}: {view.where}", note)
    return figure


def curve_of(record: Record) -> dict[int, float]:
    """Epoch -> validation ELBO, without nulls and non-finite values."""
    return {
        int(point["epoch"] or 0): elbo
        for point in record.curve
        if (elbo := point.get("valid_elbo_nats")) is not None and math.isfinite(elbo)
    }


PLOTS = [
    Plot("elbo_by_variant", "group", elbo_by_variant, order=1, compares=("elbo_nats",)),
    Plot("paired_differences", "group", paired_differences, order=2, compares=("elbo_nats",)),
    Plot("learning_curves", "group", learning_curves, order=8, compares=("elbo_nats",)),
    Plot("elbo_against_seconds", "group", elbo_against_seconds, order=9, compares=("elbo_nats",)),
]
