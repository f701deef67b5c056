"""Points of the growth benchmark -> tables, a plot and a page that explains them. Needs no torch."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import text
from bench.disk.files import write_bytes
from bench.errors import UsageError
from bench.pages import grids
from bench.pages.origins import origin_lines
from bench.records.record import Provenance
from tests.performance import laws
from tests.performance.laws import AXES, LEAST_MB, SERIES, SLACK, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = dict[str, Any]
FLOOR = "floor"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over repeats."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value; one stands for all three."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def text(self, digits: int = 3) -> str:
        """`"1.23 [1.20, 1.31]"`, with so many significant digits."""
        return f"{_short(self.median, digits)} [{_short(self.q1, digits)}, {_short(self.q3, digits)}]"


@dataclass(frozen=True)
class Size:
    """What was measured at one size.

    Attributes:
        size: of the work.
        repeats: how often it was measured.
        seconds: of the work.
        memory_mb: peak resident memory of its process.
        parameters: of the model, where it grows.
    """

    size: int
    repeats: int
    seconds: Spread
    memory_mb: Spread
    parameters: int | None


@dataclass(frozen=True)
class Line:
    """One series as measured.

    Attributes:
        series: what was expected.
        sizes: two or more, ascending.
        floor_mb: peak of a process that has imported everything and does nothing.
    """

    series: Series
    sizes: tuple[Size, ...]
    floor_mb: float

    @property
    def x(self) -> list[float]:
        """Sizes."""
        return [float(size.size) for size in self.sizes]

    @property
    def seconds(self) -> list[float]:
        """Medians."""
        return [size.seconds.median for size in self.sizes]

    @property
    def above_mb(self) -> list[float]:
        """Median peak memory above the floor, at least `LEAST_MB`."""
        return [max(LEAST_MB, size.memory_mb.median - self.floor_mb) for size in self.sizes]

    def verdict(self) -> str:
        """One for time and memory together: what is steeper than expected is named."""
        found = {
            "time": laws.verdict(laws.slope(self.x, self.seconds), self.series.time),
            "memory": laws.verdict(laws.slope(self.x, self.above_mb), self.series.memory),
        }
        steeper = [name for name, word in found.items() if word != "within"]
        return f"{' and '.join(steeper)} steeper than expected" if steeper else "within"


def lines(points: Sequence[Point]) -> list[Line]:
    """The series of which at least two sizes were measured, in the order of `SERIES`.

    Raises:
        UsageError: there are none, or nothing says what the floor is.
    """
    floor = [float(point["memory_mb"]) for point in points if point["series"] == FLOOR]
    found = []
    for series in SERIES:
        own = [point for point in points if point["series"] == series.name]
        sizes = sorted({int(point["size"]) for point in own})
        if len(sizes) > 1 and floor:
            measured = tuple(_size(size, [p for p in own if p["size"] == size]) for size in sizes)
            found.append(Line(series, measured, statistics.median(floor)))
    if not found:
        raise UsageError(
            "no series has been measured at two sizes yet; run `python -m tests.performance.growth` to its end"
        )
    return found


def _size(size: int, points: Sequence[Point]) -> Size:
    return Size(
        size,
        len(points),
        Spread.of([float(point["seconds"]) for point in points]),
        Spread.of([float(point["memory_mb"]) for point in points]),
        points[0].get("parameters"),
    )


def write(out: Path, points: Sequence[Point]) -> str:
    """Write growth.csv, growth.md, growth.png, growth.svg and README.md into `out`; returns text for the terminal.

    Raises:
        UsageError: the points are too few.
        MachineError: a file cannot be written.
    """
    from bench.pages.figures import style

    found = lines(points)
    picture = figure(found)
    write_bytes(out / "growth.csv", _csv(found).encode())
    write_bytes(out / "growth.md", _tables(found).encode())
    write_bytes(out / "growth.png", style.png(picture))
    write_bytes(out / "growth.svg", style.svg(picture))
    write_bytes(out / "README.md", _page(found, points).encode())
    return f"{grids.text_grid(summary(found), width=160)}\n\nTables, a plot and a page that explains them: {out}"


def summary(found: Sequence[Line]) -> grids.Grid:
    """One line a series: fitted slopes beside the expected ones, the exponent of what grows, and a verdict."""
    headers = ["series", "sizes", "time: slope", "at most", "grows with", "memory: slope", "at most", "verdict"]
    cells = []
    for line in found:
        grown = laws.law(line.x, line.seconds).exponent if len(line.sizes) > 3 else None
        cells.append(
            [
                f"{_axis(line.series)}: {line.series.label}",
                f"{line.sizes[0].size:,} to {line.sizes[-1].size:,}",
                f"{laws.slope(line.x, line.seconds):.2f}",
                f"{line.series.time:g}",
                text.DASH if grown is None else f"{_letter(line.series)}^{grown:.2f}",
                f"{laws.slope(line.x, line.above_mb):.2f}",
                f"{line.series.memory:g}",
                line.verdict(),
            ]
        )
    return headers, [[grids.Cell(cell, cell.endswith("steeper than expected")) for cell in line] for line in cells]


def _axis(series: Series) -> str:
    return AXES[series.axis]


def _letter(series: Series) -> str:
    """`"d"` of `"latent size d"`."""
    last = _axis(series).split()[-1]
    return last if len(last) == 1 else "n"


def sizes_grid(line: Line) -> grids.Grid:
    """One line a size: time, memory, the floor beside it, and the model's parameters where they grow."""
    grows = line.sizes[0].parameters is not None
    each = f"one {_letter(line.series)} more (s)"
    headers = [_axis(line.series), f"time per {line.series.work} (s)", each, "peak memory (MB)", "floor (MB)"]
    headers += [*(["parameters"] if grows else []), "repeats"]
    cells = []
    for before, size in zip([None, *line.sizes], line.sizes, strict=False):
        step = (
            text.DASH
            if before is None
            else _short((size.seconds.median - before.seconds.median) / (size.size - before.size), 2)
        )
        cells.append(
            [
                f"{size.size:,}",
                size.seconds.text(),
                step,
                size.memory_mb.text(4),
                f"{line.floor_mb:,.0f}",
                *([grids.number(size.parameters, 0)] if grows else []),
                str(size.repeats),
            ]
        )
    return headers, [[grids.Cell(cell) for cell in line] for line in cells]


def _short(value: float, digits: int) -> str:
    """So many significant digits, without an exponent where it can be: `"0.00123"`, `"1,230"`."""
    text = f"{value:,.{digits}g}"
    return f"{value:,.0f}" if "e+" in text else text


def _tables(found: Sequence[Line]) -> str:
    blocks = [grids.markdown_grid(summary(found))]
    for line in found:
        series = line.series
        blocks.append(f"**{_axis(series)}: {series.label}.** Time per {series.work}. Expected: {series.why}.")
        blocks.append(grids.markdown_grid(sizes_grid(line)))
    return "\n\n".join(blocks) + "\n"


def _csv(found: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "series",
            "size",
            "repeats",
            *(f"{what}_{part}" for what in ("seconds", "memory_mb") for part in ("q1", "median", "q3")),
            "floor_mb",
            "parameters",
        ]
    )
    for line in found:
        for size in line.sizes:
            spreads = [
                getattr(spread, part) for spread in (size.seconds, size.memory_mb) for part in ("q1", "median", "q3")
            ]
            writer.writerow([line.series.name, size.size, size.repeats, *spreads, line.floor_mb, size.parameters])
    return text.getvalue()


READING = (
    "Every point is a process of its own, so its peak memory is its own: resident memory as the system counts it, "
    "of the measuring process alone. **Floor**: a process that has imported everything and does "
    "nothing. All points are measured once before any is measured again, so a slow minute of the machine falls on "
    "all of them. Figures are medians with quartiles over the repeats; all on the CPU with one thread.",
    "**Slope**: of log time and of log memory above the floor over log size, fitted to the upper half of the sizes, "
    f"where what grows shows best. 1 is proportional, 2 quadratic, 0 flat. Memory above the floor below {LEAST_MB:g} "
    f"MB counts as {LEAST_MB:g} MB. **Expected** stands in the code, written before the measurement, and is a most: "
    f"a series is steeper than expected where its slope is more than {SLACK:g} above it.",
    "**Grows with**: time = fixed part + c x^exponent, fitted to all sizes with relative errors equal. It says how "
    "the growing part grows where the fixed part still hides it. A dash: what grows is less than a tenth of the time "
    "at the largest size, or there are fewer than four sizes. It is no better than the timings: near 1 is 1.",
    "**One more**: by how much the time rises from one size to the next, over the difference in size.",
    "**Data size**: one training pass of `vanilla`, batch 128, dynamic binarisation, over the first N examples of "
    "MNIST, resident; all 70,000 are read and checked whatever N is, which is most of the memory. Streamed: N colour "
    "JPEG photographs of 32 x 32 in one zip archive, read by worker processes that are started for the pass.",
    "**Latent size**: one training step of the MLP on a batch of 128, 28 x 28 pixels. The full covariance has "
    "d (d + 1) / 2 numbers for each example and as many columns in the encoder's last layer: its time and parameters "
    "grow with d^2.",
    "**Importance samples**: seconds an image for log p(x) from K draws of `vanilla`, 2 to 64 images in a batch, "
    "so that a turn is full at any K.",
    "**Cells, report**: `vaebench report` over made-up records. **Cells, supervisor**: what a suite costs beyond its "
    "cells' own training and measuring, with cells that do next to nothing: starting the process, loading the data, "
    "building the model, sending and writing the record. One cell is run before the clock starts.",
)
NOT_COVERED = (
    "accelerators; more than one thread; image sizes and network widths; memory of the workers that read streamed data",
    "annealed importance sampling, inference gaps and ELBO surgery, whose costs `docs/metrics.md` states",
    "reading real photographs from a slow disk: the archive here is small and lies in the page cache",
)


def _page(found: Sequence[Line], points: Sequence[Point]) -> str:
    steeper = [line for line in found if line.verdict() != "within"]
    names = ", ".join(f"{_axis(line.series)}: {line.series.label} ({line.verdict()})" for line in steeper)
    blocks = [
        "# How time and memory grow",
        "Generated by `python -m tests.performance.growth` from [`points.jsonl`](points.jsonl). Do not edit.",
        f"{len(found) - len(steeper)} of {len(found)} series grow no faster than expected"
        + (f"; faster: {names}." if names else "."),
        "![Time and memory against data size, latent size, importance samples and cells](growth.png)",
        _tables(found).rstrip(),
        "The same figures as [CSV](growth.csv); every single measurement is in [`points.jsonl`](points.jsonl).",
        "## How to read this",
        "\n".join(f"- {line}" for line in READING),
        "## What is not covered",
        "\n".join(f"- {line}" for line in NOT_COVERED),
        "## Where the numbers come from",
        "\n".join(f"- {line}" for line in _sources(points)),
    ]
    return "\n\n".join(blocks) + "\n"


def _sources(points: Sequence[Point]) -> list[str]:
    """Commit, versions, processor and days of the points."""
    sources = [point["provenance"] for point in points]
    machines = {f"{s['processor']}, {s['cpu_count']} cores, threads {s['threads']}" for s in sources}
    known = Provenance.__struct_fields__
    provenances = [Provenance(**{key: value for key, value in source.items() if key in known}) for source in sources]
    return origin_lines(provenances, f"processor: {'; '.join(sorted(machines))}")


def figure(found: Sequence[Line]) -> "Figure":
    """Above time, below memory above the floor; a column for each axis, all scales logarithmic."""
    from bench.pages.figures import style

    axes = [axis for axis in AXES if any(line.series.axis == axis for line in found)]
    with style.house_style():
        picture = style.new_figure(3.9 * len(axes) + 0.6, 7.2)
        panels = picture.subplots(2, len(axes), squeeze=False, sharex="col")
        for column, axis in zip(panels.T, axes, strict=True):
            own = [line for line in found if line.series.axis == axis]
            for place, line in enumerate(own):
                look = style.Style(style.COLOURS[place], style.MARKERS[place])
                _draw(column[0], line.x, [size.seconds for size in line.sizes], look, line.series.label)
                above = [
                    Spread(*(max(LEAST_MB, value - line.floor_mb) for value in (m.q1, m.median, m.q3)))
                    for m in (size.memory_mb for size in line.sizes)
                ]
                _draw(column[1], line.x, above, look, line.series.label)
            works = list(dict.fromkeys(line.series.work for line in own))
            column[0].set_title(f"time per {works[0]}" if len(works) == 1 else "time", fontsize=11)
            column[0].set_ylabel("seconds")
            column[1].set_title("peak memory above the floor", fontsize=11)
            column[1].set_ylabel("MB")
            column[1].set_xlabel(AXES[axis])
            for panel in column:
                _guides(panel)
            column[0].legend(loc="best", fontsize=9, framealpha=0.9)
        style.add_title(
            picture,
            "How time and memory grow",
            "Median over repeats, each in a process of its own; whisker: quartiles. Both scales are logarithmic, and "
            "thin grey lines rise in proportion to the size (slope 1). Floor: a process that has imported everything "
            f"and does nothing, {found[0].floor_mb:,.0f} MB; less than {LEAST_MB:g} MB above it is drawn as "
            f"{LEAST_MB:g} MB. CPU, one thread.",
        )
    return picture


def _draw(axis: "Axes", x: Sequence[float], spreads: Sequence[Spread], look: Any, label: str) -> None:
    """One series with its quartiles."""
    median = [spread.median for spread in spreads]
    reach = [[s.median - s.q1 for s in spreads], [s.q3 - s.median for s in spreads]]
    style = {"color": look.colour, "marker": look.marker, "markersize": 5, "linewidth": 1.6, "capsize": 2}
    axis.errorbar(x, median, yerr=reach, label=label, **style)


def _guides(axis: "Axes") -> None:
    """Logarithmic scales over at least one and a half powers of ten, plain numbers, and lines of slope 1 behind."""
    import numpy as np
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = np.log10(axis.get_ylim())
    room = max(0.0, 1.5 - (high - low)) / 2
    low, high = low - room, high + room
    left, right = np.log10(axis.get_xlim())
    for start in np.arange(np.floor(low - (right - left)), high, 1.0):
        axis.plot(
            10 ** np.array([left, right]),
            10 ** np.array([start, start + right - left]),
            color="#d5d5d5",
            linewidth=0.8,
            zorder=0,
        )
    axis.set_xlim(10**left, 10**right)
    axis.set_ylim(10**low, 10**high)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(LogLocator(10, subs=(1.0, 3.0), numticks=12))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ticks.set_minor_locator(NullLocator())
