"""Points of the growth benchmark -> tables, a plot and a page that explains them. Needs no torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.pages import grids
from bench.pages.blocks import Block, Items, Table, Text, markdown
from bench.pages.figures import style
from bench.pages.origins import origin_lines
from bench.pages.page import Page, csv_text
from bench.records.record import Provenance
from bench.text import DASH
from tests.performance import Spread, laws
from tests.performance.laws import AXES, FLOOR, LEAST_MB, SERIES, Point, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTES = Path(__file__).with_name("growth_notes.md")
COMMAND = "python -m tests.performance.growth"


@dataclass(frozen=True)
class Size:
    """What was measured at one size: seconds of the work, peak resident memory, parameters where the model grows."""

    size: int
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

    def above_mb(self, part: str = "median") -> list[float]:
        """Median, or a quartile, of the peak memory above the floor, at least `LEAST_MB`."""
        return [max(LEAST_MB, getattr(size.memory_mb, part) - self.floor_mb) for size in self.sizes]

    def slopes(self) -> dict[str, tuple[float, float]]:
        """Of time and memory: slope, and how much was expected at most."""
        return {
            "time": (laws.slope(self.x, self.seconds), self.series.time),
            "memory": (laws.slope(self.x, self.above_mb()), self.series.memory),
        }

    def verdict(self) -> str:
        """One for time and memory together: what is steeper than expected is named."""
        steeper = [name for name, pair in self.slopes().items() if laws.verdict(*pair) != "within"]
        return f"{' and '.join(steeper)} steeper than expected" if steeper else "within"


def lines(points: Sequence[Point]) -> list[Line]:
    """The series of which at least two sizes were measured, in the order of `SERIES`.

    Raises:
        UsageError: there are none, or nothing says what the floor is.
    """
    by_size: dict[tuple[str, int], list[Point]] = {}
    for point in sorted(points, key=lambda point: int(point["size"])):
        by_size.setdefault((point["series"], point["size"]), []).append(point)
    floor = [float(point["memory_mb"]) for point in by_size.get((FLOOR, 0), [])]
    measured = []
    for series in SERIES:
        sizes = tuple(_size(size, group) for (name, size), group in by_size.items() if name == series.name)
        if len(sizes) > 1 and floor:
            measured.append(Line(series, sizes, statistics.median(floor)))
    if not measured:
        raise UsageError(f"no series has been measured at two sizes yet; run `{COMMAND}` to its end")
    return measured


def _size(size: int, group: Sequence[Point]) -> Size:
    seconds, memory_mb = (Spread.of([float(point[key]) for point in group]) for key in ("seconds", "memory_mb"))
    return Size(size, seconds, memory_mb, group[0].get("parameters"))


def write(out: Path, points: Sequence[Point]) -> str:
    """Write growth.csv, growth.md, growth.png, growth.svg and README.md into `out`; returns text for the terminal.

    Raises:
        UsageError: the points are too few.
        MachineError: a file cannot be written.
    """
    measured = lines(points)
    steeper = [line for line in measured if line.verdict() != "within"]
    names = ", ".join(f"{AXES[line.series.axis]}: {line.series.label} ({line.verdict()})" for line in steeper)
    sources = [point["provenance"] for point in points]
    machines = {f"{s['processor']}, {s['cpu_count']} cores, threads {s['threads']}" for s in sources}
    tables: list[Block] = [Table(summary(measured))]
    for line in measured:
        series = line.series
        tables.append(Text(f"**{AXES[series.axis]}: {series.label}.** Time per {series.work}. Expected: {series.why}."))
        tables.append(Table(sizes_grid(line)))
    page = Page(out, "How time and memory grow", by=COMMAND, source="[`points.jsonl`](points.jsonl)")
    page.add(
        Text(
            f"{len(measured) - len(steeper)} of {len(measured)} series grow no faster than expected"
            + (f"; faster: {names}." if names else ".")
        )
    )
    page.picture(
        "growth", figure(measured), "Time and memory against data size, latent size, importance samples and cells"
    )
    page.add(*tables)
    page.attach("growth.csv", csv_text(_rows(measured)))
    page.attach("growth.md", markdown(tables))
    page.add(
        Text("The same figures as [CSV](growth.csv); every single measurement is in [`points.jsonl`](points.jsonl)."),
        Text(NOTES.read_text(encoding="utf-8").rstrip().format(least_mb=LEAST_MB, slack=laws.SLACK)),
    )
    known = Provenance.__struct_fields__
    provenances = [Provenance(**{key: value for key, value in source.items() if key in known}) for source in sources]
    origin = origin_lines(provenances, f"processor: {'; '.join(sorted(machines))}")
    page.section("Where the numbers come from", Items(origin))
    page.screen = [tables[0], Text(f"Tables, a plot and a page that explains them: {out}")]
    return page.write().terminal.rstrip()


def summary(measured: Sequence[Line]) -> grids.Grid:
    """One line a series: fitted slopes beside the expected ones, the exponent of what grows, and a verdict."""
    headers = ["series", "sizes", "time: slope", "at most", "grows with", "memory: slope", "at most", "verdict"]
    rows = []
    for line in measured:
        grown = laws.exponent(line.x, line.seconds) if len(line.sizes) > 3 else None
        (time, time_most), (memory, memory_most) = line.slopes().values()
        texts = [
            f"{AXES[line.series.axis]}: {line.series.label}",
            f"{line.sizes[0].size:,} to {line.sizes[-1].size:,}",
            f"{time:z.2f}",
            f"{time_most:g}",
            DASH if grown is None else f"{_letter(line.series)}^{grown:.2f}",
            f"{memory:z.2f}",
            f"{memory_most:g}",
            line.verdict(),
        ]
        rows.append([grids.Entry(text, text.endswith("steeper than expected")) for text in texts])
    return headers, rows


def _letter(series: Series) -> str:
    """`"d"` of `"latent size d"`."""
    last = AXES[series.axis].split()[-1]
    return last if len(last) == 1 else "n"


def sizes_grid(line: Line) -> grids.Grid:
    """One line a size: time, memory, the floor beside it, and the model's parameters where they grow."""
    grows = line.sizes[0].parameters is not None
    more = f"one {_letter(line.series)} more (s)"
    headers = [AXES[line.series.axis], f"time per {line.series.work} (s)", more, "peak memory (MB)", "floor (MB)"]
    headers += [*(["parameters"] if grows else []), "repeats"]
    rows = []
    for before, size in zip((None, *line.sizes), line.sizes, strict=False):
        rise = DASH
        if before is not None:
            rise = _short((size.seconds.median - before.seconds.median) / (size.size - before.size), 2)
        texts = [
            f"{size.size:,}",
            _with_quartiles(size.seconds, 3),
            rise,
            _with_quartiles(size.memory_mb, 4),
            f"{line.floor_mb:,.0f}",
            *([grids.number(size.parameters, 0)] if grows else []),
            str(size.seconds.n),
        ]
        rows.append(texts)
    return grids.grid(headers, rows)


def _with_quartiles(spread: Spread, digits: int) -> str:
    """`"1.23 [1.20, 1.31]"`, with so many significant digits."""
    median, q1, q3 = (_short(value, digits) for value in (spread.median, spread.q1, spread.q3))
    return f"{median} [{q1}, {q3}]"


def _short(value: float, digits: int) -> str:
    """So many significant digits, without an exponent where it can be: `"0.00123"`, `"1,230"`."""
    text = f"{value:,.{digits}g}"
    return f"{value:,.0f}" if "e+" in text else text


def _rows(measured: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for line in measured:
        for size in line.sizes:
            row = {"series": line.series.name, "size": size.size, "repeats": size.seconds.n}
            for what in ("seconds", "memory_mb"):
                row |= {f"{what}_{part}": getattr(getattr(size, what), part) for part in ("q1", "median", "q3")}
            yield row | {"floor_mb": line.floor_mb, "parameters": size.parameters}


def figure(measured: Sequence[Line]) -> "Figure":
    """Above time, below memory above the floor; a column for each axis, all scales logarithmic."""
    axes = [axis for axis in AXES if any(line.series.axis == axis for line in measured)]
    with style.house_style():
        picture = style.new_figure(3.9 * len(axes) + 0.6, 7.2)
        panels = picture.subplots(2, len(axes), squeeze=False, sharex="col")
        for (above, below), axis in zip(panels.T, axes, strict=True):
            group = [line for line in measured if line.series.axis == axis]
            for colour, marker, line in zip(style.COLOURS, style.MARKERS, group, strict=False):
                look = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.6, "capsize": 2}
                seconds = [[getattr(s.seconds, part) for s in line.sizes] for part in ("median", "q1", "q3")]
                memory = [line.above_mb(part) for part in ("median", "q1", "q3")]
                for panel, values in ((above, seconds), (below, memory)):
                    reach = [[abs(a - b) for a, b in zip(values[0], end, strict=True)] for end in values[1:]]
                    panel.errorbar(line.x, values[0], yerr=reach, label=line.series.label, **look)
            works = list(dict.fromkeys(line.series.work for line in group))
            above.set_title(f"time per {works[0]}" if len(works) == 1 else "time", fontsize=11)
            above.set_ylabel("seconds")
            below.set_title("peak memory above the floor", fontsize=11)
            below.set_ylabel("MB")
            below.set_xlabel(AXES[axis])
            for panel in (above, below):
                _guides(panel)
            above.legend(loc="best", fontsize=9, framealpha=0.9)
        style.add_title(
            picture,
            "How time and memory grow",
            "Median over repeats, each in a process of its own; whisker: quartiles. Both scales are logarithmic, and "
            "thin grey lines rise in proportion to the size (slope 1). Floor: a process that has imported everything "
            f"and does nothing, {measured[0].floor_mb:,.0f} MB; less than {LEAST_MB:g} MB above it is drawn as "
            f"{LEAST_MB:g} MB. CPU, one thread.",
        )
    return picture


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
    guide: dict[str, Any] = {"color": "#d5d5d5", "linewidth": 0.8, "zorder": 0}
    for start in np.arange(np.floor(low - (right - left)), high, 1.0):
        axis.plot(10 ** np.array([left, right]), 10 ** np.array([start, start + right - left]), **guide)
    axis.set_xlim(10**left, 10**right)
    axis.set_ylim(10**low, 10**high)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(LogLocator(10, subs=(1.0, 3.0), numticks=12))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ticks.set_minor_locator(NullLocator())
