"""How every figure looks: colours, markers, sizes, and its two files."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.records.names import row_name
from bench.records.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DPI = 150
# seaborn's "colorblind" palette, with black and a dark red in place of its yellow and pink, which are too pale for thin
# lines on white.
COLOURS = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#8c613c",
    "#56b4e9",
    "#6e6e6e",
    "#000000",
    "#8b0026",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#333333"
QUIET = "#8a8a8a"
LONGEST_LABEL = 60


@dataclass(frozen=True)
class Style:
    """How one variant looks in every plot: the pair is distinct for the first 70 variants."""

    colour: str
    marker: str


def styles(records: Sequence[Record]) -> dict[str, Style]:
    """Row name -> style, by alphabet over all records, so that a variant looks the same on every data set."""
    names = sorted({row_name(record.cell["variant"], record.cell["overrides"]) for record in records})
    return {
        name: Style(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place, name in enumerate(names)
    }


def png(figure: "Figure") -> bytes:
    """The figure as PNG bytes, without a date or a software version."""
    return _save(figure, "png", {"Software": None})


def svg(figure: "Figure") -> bytes:
    """The figure as SVG bytes with text kept as text, without a date."""
    return _save(figure, "svg", {"Date": None})


def _save(figure: "Figure", form: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with house_style():
        # The layout is worked out once, so that both formats show the same picture.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def house_style(grid: bool = True) -> Iterator[None]:
    """The style of every figure, for as long as the block lasts."""
    import matplotlib
    import seaborn

    own: dict[str, Any] = {
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.labelsize": 11,
        "axes.titlelocation": "left",
        "axes.edgecolor": "#bbbbbb",
        "grid.color": "#e6e6e6",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "svg.hashsalt": "vaebench",
        "svg.fonttype": "none",
        # A dollar sign in a label is a dollar sign.
        "text.parse_math": False,
    }
    look: Any = {**seaborn.axes_style("whitegrid" if grid else "white"), **own}
    with matplotlib.rc_context(look):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, wspace=0.03)  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    return figure


def add_title(figure: "Figure", title: str, note: str) -> None:
    """A bold line that says what is shown and a quiet one that says how to read it, both at the left edge."""
    import textwrap

    # A line must not begin with a percent sign.
    note = note.replace(" %", "\N{NO-BREAK SPACE}%")
    # About 14 characters of the note's size fit in one inch.
    lines = textwrap.wrap(note, max(30, int(figure.get_figwidth() * 13.5)))
    head = textwrap.wrap(title, max(24, int(figure.get_figwidth() * 9.5)))
    height = figure.get_figheight()
    extra = 0.22 * len(head) + 0.19 * len(lines) + 0.12
    figure.set_figheight(height + extra)
    top = height + extra - 0.06
    figure.text(0.012, top / (height + extra), "\n".join(head), ha="left", va="top", fontsize=13, fontweight="bold")
    figure.text(
        0.012,
        (top - 0.22 * len(head) - 0.03) / (height + extra),
        "\n".join(lines),
        ha="left",
        va="top",
        fontsize=10,
        color="#555555",
    )
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.0, 1.0, height / (height + extra)))  # type: ignore[call-arg]


def short_label(text: str) -> str:
    """`text` as a label of an axis: its beginning, where it is long."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
