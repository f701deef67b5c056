"""The ELBO of every variant, and the curves of its training."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.pages.figures.bars import seeds_label, where_of
from bench.pages.figures.style import QUIET, Style, add_title, house_style, new_figure
from bench.records.record import Record
from bench.stats import intervals
from bench.stats.groups import Group, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def elbo_by_variant(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """The test ELBO of every row: each seed a point, the mean a bar with its interval, the best row on top."""
    rows = [row for row in group.rows if row.values("elbo_nats")]
    if not rows:
        return None
    values = {row: list(row.values("elbo_nats").values()) for row in rows}
    summaries = {row: intervals.summarise(found) for row, found in values.items()}
    upper = [value for row in rows[: math.ceil(len(rows) / 2)] for value in values[row]]
    width = max(upper) - min(upper)
    # One far-off row would squeeze all others into a line: then the upper rows get a panel of their own.
    zoom = len(rows) > 3 and max(upper) - min(map(min, values.values())) > 4 * width
    near = [row for row in rows if summaries[row].mean >= min(upper) - width]
    edges = [
        value for row in near for value in (*values[row], summaries[row].low, summaries[row].high) if value is not None
    ]
    with house_style():
        figure = new_figure(9.5, 0.9 + 0.42 * len(rows))
        axes = figure.subplots(1, 2 if zoom else 1, sharey=True, squeeze=False)[0]
        for axis in axes:
            for place, row in enumerate(rows):
                if axis is axes[0] or row in near:
                    _elbo_row(axis, place, row, looks[row.name])
            axis.set_yticks(range(len(rows)), [seeds_label(row) for row in rows])
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_xlabel("test ELBO (nats per example), higher is better →")
            axis.grid(axis="y", visible=False)
            axis.locator_params(axis="x", nbins=6)
        if zoom:
            pad = 0.06 * (max(edges) - min(edges)) or 0.1
            axes[0].set_title("all rows")
            axes[1].set_title("the upper rows, enlarged")
            axes[1].set_xlim(min(edges) - pad, max(edges) + pad)
            for axis in axes:
                axis.set_xlabel("test ELBO (nats), higher is better →")
            for place, row in enumerate(rows):
                if row not in near:
                    axes[1].text(
                        0.015,
                        place,
                        f"← {summaries[row].mean:.2f}",
                        transform=axes[1].get_yaxis_transform(),
                        va="center",
                        fontsize=10,
                        color=QUIET,
                    )
        add_title(
            figure,
            f"ELBO by variant: {where_of(group)}",
            "Each point is one seed; the bar is the mean, the line its 95 % bootstrap interval (from 3 seeds on).",
        )
    return figure


def _elbo_row(axis: "Axes", place: int, row: Row, look: Style) -> None:
    values = row.values("elbo_nats")
    summary = intervals.summarise(list(values.values()))
    offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0.0]
    if summary.low is not None and summary.high is not None:
        axis.plot([summary.low, summary.high], [place, place], color=look.colour, linewidth=2, solid_capstyle="butt")
    axis.plot([summary.mean] * 2, [place - 0.28, place + 0.28], color=look.colour, linewidth=2.5)
    axis.scatter(
        list(values.values()),
        [place + offset for offset in offsets],
        s=24,
        marker=look.marker,
        facecolor="white",
        edgecolor=look.colour,
        linewidth=1.1,
        zorder=3,
    )


def learning_curves(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """Validation ELBO against epoch: mean over seeds, a band from lowest to highest; None for a single epoch."""
    from matplotlib.ticker import MaxNLocator

    curves = {row: [curve for record in row.ok if (curve := _curve(record))] for row in group.rows}
    curves = {row: found for row, found in curves.items() if found}
    broken = {row: [curve for record in row.failed if (curve := _curve(record))] for row in group.rows}
    if not any(len(curve) > 1 for found in [*curves.values(), *broken.values()] for curve in found):
        return None  # one epoch is no curve
    with house_style():
        # A legend that is higher than its figure leaves no room for the curves.
        figure = new_figure(9.5, max(5.2, 0.8 + 0.22 * len(curves)))
        axis = figure.subplots()
        devices = sorted({row.device for row in group.rows})
        last: dict[Row, float] = {}
        floors = []
        for row, found in curves.items():
            look = looks[row.name]
            epochs = sorted(set.intersection(*(set(curve) for curve in found)))
            if not epochs:
                continue
            values = np.array([[curve[epoch] for epoch in epochs] for curve in found])
            mean = values.mean(0)
            axis.plot(
                epochs,
                mean,
                color=look.colour,
                linestyle=("-", "--", ":")[devices.index(row.device) % 3],
                marker=look.marker,
                markevery=max(1, len(epochs) // 10),
                markersize=5,
                linewidth=1.8,
                label=row.label,
            )
            axis.fill_between(epochs, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)
            last[row] = float(mean[-1])
            # The first epochs are far below: the axis starts where a fifth of the training is done.
            floors.append(float(values[:, len(epochs) // 5 :].min()))
        for row, lines in broken.items():
            for curve in lines:
                axis.plot(
                    list(curve),
                    list(curve.values()),
                    color=looks[row.name].colour,
                    linestyle=":",
                    linewidth=1.2,
                )
        if not last:
            return None
        top = max(last.values())
        room = max(top - min(floors), 1.0)
        axis.set_ylim(min(floors) - 0.04 * room, top + 0.06 * room)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axis.set_ylabel("validation ELBO (nats per example), higher is better →")
        handles = {row.label: handle for row, handle in zip(last, axis.get_legend_handles_labels()[0], strict=True)}
        order = [row.label for row in sorted(last, key=lambda row: -last[row])]
        axis.legend(
            [handles[label] for label in order],
            order,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            title="best at the end first",
            alignment="left",
        )
        note = "Line: mean over the ok seeds; band: lowest to highest seed."
        if any(broken.values()):
            note += " Thin dotted lines: runs that failed."
        if any(min(map(min, (c.values() for c in found))) < min(floors) - 0.04 * room for found in curves.values()):
            note += " The earliest epochs lie below the axis."
        add_title(figure, f"Learning curves: {where_of(group)}", note)
    return figure


def _curve(record: Record) -> dict[int, float]:
    """Epoch -> validation ELBO, without nulls and non-finite values."""
    return {
        int(point["epoch"] or 0): elbo
        for point in record.curve
        if (elbo := point.get("valid_elbo_nats")) is not None and math.isfinite(elbo)
    }
