"""The ELBO of every variant, and the curves of its training."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import band, legend_beside, rows_axis, spread_out
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import QUIET, add_title, look, panels
from bench.records.record import Record
from bench.stats import intervals
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def elbo_by_variant(view: View) -> "Figure | None":
    """The test ELBO of every row: each seed a point, the mean a bar with its interval, the best row on top."""
    rows = [row for row in view.group.rows if row.values("elbo_nats")]
    if not rows:
        return None
    values = {row: list(row.values("elbo_nats").values()) for row in rows}
    summaries = {row: intervals.summarise(elbos) for row, elbos in values.items()}
    upper = [value for row in rows[: math.ceil(len(rows) / 2)] for value in values[row]]
    width = max(upper) - min(upper)
    # One far-off row would squeeze all others into a line: then the upper rows get a panel of their own.
    zoom = len(rows) > 3 and max(upper) - min(map(min, values.values())) > 3 * width
    near = [row for row in rows if summaries[row].mean >= min(upper) - width]
    with panels(9.5, 0.9 + 0.42 * len(rows), across=2 if zoom else 1, sharey=True) as (figure, axes):
        for axis in axes:
            for y, row in enumerate(rows):
                if axis is axes[0] or row in near:
                    _elbo_row(axis, y, row)
            rows_axis(axis, rows)
            axis.set_xlabel(f"test ELBO (nats{'' if zoom else ' per example'}), higher is better →")
            axis.grid(axis="y", visible=False)
            axis.locator_params(axis="x", nbins=6)
        if zoom:
            marks = [end for row in near for end in (*values[row], summaries[row].low, summaries[row].high)]
            ends = [end for end in marks if end is not None]
            pad = 0.06 * (max(ends) - min(ends)) or 0.1
            axes[0].set_title("all rows")
            axes[1].set_title("the upper rows, enlarged")
            axes[1].set_xlim(min(ends) - pad, max(ends) + pad)
            style: Any = {"transform": axes[1].get_yaxis_transform(), "va": "center", "fontsize": 10, "color": QUIET}
            for y, row in enumerate(rows):
                if row not in near:
                    axes[1].text(0.015, y, f"← {summaries[row].mean:.2f}".replace("-", "\N{MINUS SIGN}"), **style)
        add_title(
            figure,
            f"ELBO by variant: {view.where}",
            "Each point is one seed; the bar is the mean, the line its 95 % bootstrap interval (from 3 seeds on).",
        )
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
    from matplotlib.ticker import MaxNLocator

    rows = view.group.rows
    curves = {row: [curve for record in row.ok if (curve := _curve(record))] for row in rows}
    broken = {row: [curve for record in row.failed if (curve := _curve(record))] for row in rows}
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
        for row in sorted(values, key=lambda row: -values[row].mean(0)[-1]):
            dashes = ("-", "--", ":")[devices.index(row.device) % 3]
            every = max(1, len(shared[row]) // 10)
            band(axis, shared[row], values[row], row, linestyle=dashes, markevery=every, markersize=5, linewidth=1.8)
        for row, lines in broken.items():
            for curve in lines:
                style = look(row.variant, row.overrides)
                axis.plot(list(curve), list(curve.values()), color=style.colour, linestyle=":", linewidth=1.2)
        # The first epochs are far below: the axis starts where a fifth of the training is done.
        floor = min(float(each[:, each.shape[1] // 5 :].min()) for each in values.values())
        top = max(float(each.mean(0)[-1]) for each in values.values())
        room = max(top - floor, 1.0)
        axis.set_ylim(floor - 0.04 * room, top + 0.06 * room)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axis.set_ylabel("validation ELBO (nats per example), higher is better →")
        legend_beside(axis, title="best at the end first")
        note = "Line: mean over the ok seeds; band: lowest to highest seed."
        if any(broken.values()):
            note += " Thin dotted lines: runs that failed."
        if any(min(curve.values()) < floor - 0.04 * room for runs in curves.values() for curve in runs):
            note += " The earliest epochs lie below the axis."
        add_title(figure, f"Learning curves: {view.where}", note)
    return figure


def _curve(record: Record) -> dict[int, float]:
    """Epoch -> validation ELBO, without nulls and non-finite values."""
    return {
        int(point["epoch"] or 0): elbo
        for point in record.curve
        if (elbo := point.get("valid_elbo_nats")) is not None and math.isfinite(elbo)
    }


PLOTS = [
    Plot("elbo_by_variant", "group", elbo_by_variant, order=1),
    Plot("learning_curves", "group", learning_curves, order=7),
]
