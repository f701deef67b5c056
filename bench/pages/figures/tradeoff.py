"""Quality against speed: which rows no other row beats in both."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import INK, QUIET, add_title, look, panels
from bench.records.record import Timed
from bench.stats import intervals
from bench.stats import metrics as known
from bench.stats.answer import training_speeds
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def quality_and_speed(view: View) -> "Figure | None":
    """The best NLL that the group has, or its ELBO, against training examples per second, with the Pareto front."""
    group = view.group
    nll = [n for n in group.metrics if re.fullmatch(r"nll_is\d+_nats", n) and any(row.values(n) for row in group.rows)]
    metric = nll[-1] if nll else "elbo_nats"
    timed = {row: speed for row, speed in training_speeds(group, view.timed).items() if row.values(metric)}
    if len(timed) < 2:
        return None
    entry = known.metric(metric)
    quality = {row: intervals.summarise(list(row.values(metric).values())) for row in timed}
    sign = 1 if entry.better == "higher" else -1
    front = front_of({row: (sign * quality[row].mean, *_quartiles(speed)) for row, speed in timed.items()})
    with panels(9, 5.6) as (figure, (axis,)):
        line = sorted(front, key=lambda row: timed[row].median or 0.0)
        path: Any = {"color": QUIET, "linestyle": "--", "linewidth": 1.2, "zorder": 1}
        axis.plot([timed[row].median or 0.0 for row in line], [quality[row].mean for row in line], **path)
        for row, speed in timed.items():
            style, summary, middle = look(row.variant, row.overrides), quality[row], speed.median or 0.0
            bars: Any = {"color": style.colour, "linewidth": 1.4, "zorder": 2}
            if summary.low is not None and summary.high is not None:
                axis.plot([middle] * 2, [summary.low, summary.high], **bars)
            axis.plot(_quartiles(speed)[::2], [summary.mean] * 2, **bars)
            face = style.colour if row in front else "white"
            point: Any = {"marker": style.marker, "facecolor": face, "edgecolor": style.colour, "linewidth": 1.5}
            axis.scatter([middle], [summary.mean], s=56, zorder=3, **point)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.xaxis.set_minor_formatter("{x:,.0f}")
        axis.tick_params(axis="x", which="both", labelsize=9)
        if sign < 0:
            axis.invert_yaxis()
        axis.margins(0.12)
        axis.set_xlabel("training examples per second, faster is better →")
        axis.set_ylabel(f"{entry.label} ({entry.unit}), better is up")
        _names(figure, axis, {row: (timed[row].median or 0.0, quality[row].mean) for row in timed})
        note = (
            f"{view.budget} Point: median speed and mean over seeds, with quartiles and the 95 % interval. Full, and "
            "joined: no row is better and, within the quartiles, as fast."
        )
        add_title(figure, f"Quality and speed: {view.where}", note)
    return figure


def front_of(rows: Mapping[Row, tuple[float, float, float, float]]) -> list[Row]:
    """The rows with no better one that is as fast: it is so where its third quartile reaches the other's first.

    Args:
        rows: row -> quality (higher is better), and the first quartile, median and third quartile of its speed.
    """
    return [
        row
        for row, (quality, first, *_) in rows.items()
        if not any(other > quality and third >= first for other, _, _, third in rows.values())
    ]


def _quartiles(speed: Timed) -> tuple[float, float, float]:
    """First quartile, median, third."""
    middle = speed.median or 0.0
    return (middle if speed.q1 is None else speed.q1, middle, middle if speed.q3 is None else speed.q3)


def _names(figure: "Figure", axis: Any, points: Mapping[Row, tuple[float, float]]) -> None:
    """Every row's label where it covers no point and no other label."""
    import textalloc

    figure.draw_without_rendering()
    x, y = (list(each) for each in zip(*points.values(), strict=True))
    labels = [row.label for row in points]
    textalloc.allocate(axis, x, y, labels, x_scatter=x, y_scatter=y, textsize=10, linewidth=0.9, linecolor=INK)


PLOTS = [Plot("quality_and_speed", "group", quality_and_speed, order=3, compares=("elbo_nats",))]
