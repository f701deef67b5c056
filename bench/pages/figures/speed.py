"""Throughput by variant and device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.pages.figures.bars import MOST_ROWS, dash, whisker, write_value, zero_based
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import LONGEST_LABEL, add_title, look, panels
from bench.records.names import canonical
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.speeds import threads
from bench.text import clip

# Quartiles that are further apart than this share of the median speak of a disturbed machine.
DISTURBED = 0.5

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def throughput(view: View) -> "Figure | None":
    """Training, evaluation and sampling speed: one line of panels per device, medians with quartile whiskers."""
    metrics = ("train_samples_per_s", "eval_samples_per_s", "sample_samples_per_s")
    columns = {
        label: {name: record for name, record in column.items() if record.status == "ok"}
        for label, column in view.timed.columns.items()
    }
    columns = {label: column for label, column in columns.items() if column}
    if not columns:
        return None
    names = sorted({name for column in columns.values() for name in column})
    where = view.dataset

    def fastest(name: str) -> float:
        speeds = [column[name].metrics.get(metrics[0]) for column in columns.values() if name in column]
        return -max((each.median or 0.0 for each in speeds if isinstance(each, Timed)), default=0.0)

    if len(names) > MOST_ROWS:
        where += f" (the fastest {MOST_ROWS} of {len(names):,} in training)"
    names = sorted(names, key=fastest)[:MOST_ROWS]
    height = len(columns) * (0.9 + 0.34 * len(names))
    with panels(11, height, len(columns), len(metrics), sharey=True) as (figure, axes):
        pairs = [(label, metric) for label in columns for metric in metrics]
        for axis, (label, metric) in zip(axes, pairs, strict=True):
            _bars(axis, names, columns[label], metric)
            axis.set_title(f"{known.metric(metric).label} on {clip(label, LONGEST_LABEL)}")
            axis.set_xlabel("samples/s, higher is better →")
            axis.set_yticks(range(len(names)), [clip(name, LONGEST_LABEL) for name in names])
            axis.set_ylim(len(names) - 0.5, -0.5)
        add_title(
            figure,
            f"Throughput by variant: {where}",
            "Bar: median over timed blocks; whisker: first to third quartile; ? where they are so far apart that the "
            "machine had other work. The fastest in training first; axes differ between panels. "
            + _conditions(columns),
        )
    return figure


def _conditions(columns: Mapping[str, Mapping[str, Record]]) -> str:
    """Batch, threads and processor, where all records agree."""
    records = [record for column in columns.values() for record in column.values()]
    facts = [
        {f"batch {r.cell.get('batch_size')}" for r in records},
        {threads(r.cell) for r in records},
    ]
    facts.append({str(r.provenance.device_name) for r in records if r.provenance.device_name})
    common = [next(iter(each)) for each in facts if len(each) == 1]
    return f"{', '.join(common)}." if common else ""


def _bars(axis: "Axes", names: Sequence[str], column: Mapping[str, Record], metric: str) -> None:
    ends = [0.0]
    for y, name in enumerate(names):
        speed = column[name].metrics.get(metric) if name in column else None
        if not isinstance(speed, Timed) or speed.median is None:
            dash(axis, y)
            continue
        cell, median = column[name].cell, speed.median
        low, high = (median if end is None else end for end in (speed.q1, speed.q3))
        style = look(cell["variant"], canonical(cell.get("overrides") or {}))
        axis.barh(y, median, height=0.68, color=style.colour, alpha=0.85, linewidth=0)
        whisker(axis, y, low, high)
        ends.append(max(high, median))
        write_value(axis, y, ends[-1], _short(median) + (" ?" if high - low > DISTURBED * median else ""))
    zero_based(axis, ends, room=1.24)
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter(_tick)


def _short(value: float) -> str:
    """Three significant digits: `"950"`, `"12.3k"`, `"1.60M"`."""
    value = float(f"{value:.3g}")  # 999,600 is a million
    size, letter = next(((size, letter) for size, letter in ((1e6, "M"), (1e3, "k")) if abs(value) >= size), (1, ""))
    value /= size
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}{letter}"


def _tick(value: float, _: float = 0) -> str:
    """`"0"`, `"12k"`, `"1.5M"`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


PLOTS = [Plot("throughput", "dataset", throughput)]
