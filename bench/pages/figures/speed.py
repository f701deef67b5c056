"""Throughput by variant and device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.pages.figures.bars import MOST_ROWS
from bench.pages.figures.style import INK, QUIET, Style, add_title, house_style, new_figure, short_label
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.speeds import Throughput
from bench.text import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def throughput(timed: Throughput, looks: Mapping[str, Style], dataset: str) -> "Figure | None":
    """Training, evaluation and sampling speed: one line of panels per device, medians with quartile whiskers."""
    metrics = ("train_samples_per_s", "eval_samples_per_s", "sample_samples_per_s")
    columns = {
        label: {name: record for name, record in column.items() if record.status == "ok"}
        for label, column in timed.columns.items()
    }
    columns = {label: column for label, column in columns.items() if column}
    if not columns:
        return None
    names = sorted({name for column in columns.values() for name in column})
    if len(names) > MOST_ROWS:

        def fastest(name: str) -> float:
            found = [column[name].metrics.get(metrics[0]) for column in columns.values() if name in column]
            return -max((each.median or 0.0 for each in found if isinstance(each, Timed)), default=0.0)

        dataset += f" (the fastest {MOST_ROWS} of {len(names):,} in training)"
        names = sorted(sorted(names, key=fastest)[:MOST_ROWS])
    with house_style():
        figure = new_figure(11, len(columns) * (0.9 + 0.34 * len(names)))
        panels = figure.subplots(len(columns), len(metrics), sharey=True, squeeze=False)
        for line, (label, column) in zip(panels, columns.items(), strict=True):
            for axis, metric in zip(line, metrics, strict=True):
                _bars(axis, names, column, metric, looks)
                axis.set_title(f"{known.metric(metric).label} on {short_label(label)}")
                axis.set_xlabel("samples/s, higher is better →")
            line[0].set_yticks(range(len(names)), [short_label(name) for name in names])
            line[0].set_ylim(len(names) - 0.5, -0.5)
        add_title(
            figure,
            f"Throughput by variant: {dataset}",
            "Bar: median over timed blocks; whisker: first to third quartile. Axes differ between panels.",
        )
    return figure


def _bars(
    axis: "Axes", names: Sequence[str], column: Mapping[str, Record], metric: str, looks: Mapping[str, Style]
) -> None:
    ends = [0.0]
    for place, name in enumerate(names):
        found = column[name].metrics.get(metric) if name in column else None
        if not isinstance(found, Timed) or found.median is None:
            axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
            continue
        median = found.median
        low, high = (median if end is None else end for end in (found.q1, found.q3))
        axis.barh(place, median, height=0.68, color=looks[name].colour, alpha=0.85, linewidth=0)
        # A white edge keeps the whisker visible on the darkest bars.
        for width, colour in ((3.6, "white"), (1.6, INK)):
            axis.plot([low, high], [place, place], color=colour, linewidth=width, solid_capstyle="butt")
        axis.annotate(
            _short(median),
            (max(high, median), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=INK,
        )
        ends.append(max(high, median))
    axis.set_xlim(0, 1.24 * max(ends) or 1)
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter(_tick)


def _short(value: float) -> str:
    """Three significant digits: `"950"`, `"12.3k"`, `"1.60M"`."""
    size, letter = next(((size, letter) for size, letter in ((1e6, "M"), (1e3, "k")) if abs(value) >= size), (1, ""))
    value /= size
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}{letter}"


def _tick(value: float, _: float = 0) -> str:
    """`"0"`, `"12k"`, `"1.5M"`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
