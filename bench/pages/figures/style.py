"""How every figure looks: colours, markers, sizes, and its two files."""

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image as Pictures


DPI = 150
# So far, of 255, are the colours of a PNG from those that were drawn, on average.
MOST_OFF = 0.5
# A plot has fewer, a photograph more.
MOST_COLOURS = 2**14
# seaborn's "colorblind" palette, its orange and light blue darker, and with black and a dark red in place of its yellow
# and pink: each is seen on white, `SEEN` to 1.
COLOURS = (
    "#0173b2",
    "#c77f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#8c613c",
    "#2f93d1",
    "#6e6e6e",
    "#000000",
    "#8b0026",
)
# Classes of examples: seen on white and on the page's dark ground, and no colours of variants.
CLASSES = (
    *("#4e79a7", "#d97a12", "#d94f52", "#3f958c", "#59a14f"),
    *("#a98510", "#b07aa1", "#d9629a", "#9c755f", "#8a8f98"),
)
# The least contrast of a mark with its ground: WCAG 2.2, 1.4.11.
SEEN = 3.0
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h")
# The order of the built-in variants gives their looks: a new one goes to the end, or has a look by its name.
FIXED = (
    *("vanilla", "full_covariance", "conv", "conv_full_covariance", "beta"),
    *("iwae", "low_rank", "autoencoder", "linear", "hierarchical"),
    *("sticking_the_landing", "householder_flow", "gated", "inverse_autoregressive_flow", "beta_tc"),
    *("iwae_dreg", "planar_flow", "hierarchical_vamp", "vamp_prior", "hierarchical_top_down"),
    *("batch_norm_posterior", "bernoulli_disarm", "bernoulli_vimco", "capacity", "combination_iwae"),
    *("concrete", "cyclical", "delta", "denoising", "dip_i"),
    *("dip_ii", "flow_prior", "free_bits", "geco", "gumbel_softmax"),
    *("info_vae", "joint", "laplace", "mixture_prior", "multiply_iwae"),
    *("partial_iwae", "renyi", "reweighted_wake_sleep", "sigma_vae", "skip"),
    *("spline_flow", "student_t", "sylvester_flow", "thermodynamic", "two_stage"),
    *("vr_max", "factor", "adversarial", "vae_gan", "wae_mmd"),
    *("sliced_wasserstein", "wae_gan", "rae_l2", "rae_gp", "discretised_logistic"),
    *("categorical_pixels", "beta_binomial", "heteroscedastic", "negative_binomial", "zero_inflated"),
    *("vq", "vq_ema", "fsq", "lfq", "residual_vq", "sq_vae"),
    *("semi_amortised", "iterative", "hamiltonian", "hyperspherical", "poincare"),
    *("lagging", "ladder", "deep_top_down", "residual_conv", "vq_spatial"),
    "deep_top_down_conv",
)
# Markers of built-in variants as registered; all others have the rest.
FIRST = 8
INK = "#333333"
QUIET = "#6b6b6b"
LONGEST_LABEL = 60


@dataclass(frozen=True)
class Style:
    """How one row looks in every plot."""

    colour: str
    marker: str


def look(variant: str, overrides: str = "{}") -> Style:
    """How a variant looks on every page, whatever stands beside it.

    Overrides have a shade of the variant's colour, from the palest that is seen on white for a low number to a dark one
    for a high number, and a marker of their own, which is the same for every variant.

    Args:
        variant: its name.
        overrides: canonical JSON.
    """
    if variant in FIXED:
        index = FIXED.index(variant)
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[(index + index // len(COLOURS)) % FIRST]
        # Pairs of a colour and a marker are then used up: the next have the colours darker.
        if index >= len(COLOURS) * FIRST:
            colour = mixed(colour, 0, 0.57)
    else:
        index = crc32(variant.encode())
        colour, marker = COLOURS[index % len(COLOURS)], _other_marker(variant)
    changed = json.loads(overrides)
    if not changed:
        return Style(colour, marker)
    values = list(changed.values())
    number = len(values) == 1 and isinstance(values[0], int | float) and values[0] > 0
    depth = math.atan(math.log(values[0])) / math.pi if number else crc32(overrides.encode()) % 101 / 100 - 0.5
    return Style(_shade(colour, depth), _other_marker(overrides))


def _other_marker(name: str) -> str:
    return MARKERS[FIRST + crc32(name.encode()) % (len(MARKERS) - FIRST)]


def _shade(colour: str, depth: float) -> str:
    """From the palest tint of a colour that is seen on white, for a depth of -0.5, to a dark shade, for 0.5."""
    palest = next(tint for step in range(51) if contrast(tint := mixed(colour, 255, 1 - step / 50), "#ffffff") >= SEEN)
    return mixed(palest, 0, 0.5 * (depth + 0.5))


def mixed(colour: str, end: int, share: float) -> str:
    """The colour with so large a share of a grey."""
    return "#" + "".join(f"{round(part + share * (end - part)):02x}" for part in _parts(colour))


def readable(colour: str) -> str:
    """The colour, as much darker as a text in it must be to be read on white: 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    return next(shade for step in range(21) if contrast(shade := mixed(colour, 0, step / 20), "#ffffff") >= 4.5)


def contrast(a: str, b: str) -> float:
    """Of two colours, from 1 to 21 (WCAG 2)."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in (x / 255 for x in _parts(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))


def ink_on(colour: str) -> str:
    """The colour of text that is read better on this one: of white and black the one of higher contrast."""
    return "white" if contrast(colour, "#ffffff") > contrast(colour, "#000000") else "black"


def png(figure: "Figure") -> bytes:
    """The figure as PNG bytes, without a date or a software version: of 64 or 256 colours where nobody sees that there
    are no more, which takes a third of the bytes."""
    from PIL import Image, ImageChops, ImageStat

    drawn = Image.open(io.BytesIO(_save(figure, "png", {"Software": None}))).convert("RGB")
    buffer = io.BytesIO()
    for shown in (*_fewer(drawn), drawn):
        if max(ImageStat.Stat(ImageChops.difference(drawn, shown.convert("RGB"))).mean) < MOST_OFF:
            break
    shown.save(buffer, "png", dpi=(DPI, DPI))
    return buffer.getvalue()


def _fewer(drawn: "Pictures.Image") -> "list[Pictures.Image]":
    """A picture of 64 of its colours, and of 256, each other one as the nearest of them.

    The most frequent one first, then always that which is worst shown so far: its squared distance from the nearest,
    times its pixels. So the colour of a few points is kept before shades of the edges of lines.
    """
    import numpy as np
    from PIL import Image

    pixels = np.asarray(drawn, dtype=np.uint32) @ np.array([2**16, 2**8, 1], dtype=np.uint32)
    found, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    if len(found) > MOST_COLOURS:  # a photograph
        return [drawn.quantize(colours, dither=Image.Dither.NONE) for colours in (64, 256)]
    rgb = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int64)
    kept, nearest = [int(counts.argmax())], np.zeros(len(rgb), dtype=np.uint8)
    off = np.square(rgb - rgb[kept[0]]).sum(1)
    made = []
    for size in (64, 256):
        while len(kept) < size and off.any():
            kept.append(int((counts * off).argmax()))
            other = np.square(rgb - rgb[kept[-1]]).sum(1)
            nearest[other < off] = len(kept) - 1
            off = np.minimum(off, other)
        few = Image.fromarray(nearest[places].reshape(pixels.shape))
        few.putpalette(rgb[kept].astype(np.uint8).tobytes())
        made.append(few)
    return made


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

    settings: dict[str, Any] = {
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
    look: Any = {**seaborn.axes_style("whitegrid" if grid else "white"), **settings}
    # Ours alone: a user's matplotlibrc may ask for LaTeX, or for sizes of its own.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(look)
        yield


@contextmanager
def panels(
    width: float, height: float, down: int = 1, across: int = 1, *, grid: bool = True, **how: Any
) -> "Iterator[tuple[Figure, list[Axes]]]":
    """A figure of so many inches in the house style, and its panels line by line; `how` as for `subplots`."""
    with house_style(grid):
        figure = new_figure(width, height)
        yield figure, list(figure.subplots(down, across, squeeze=False, **how).ravel())


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
    figure.text(0.012, top / (height + extra), "\n".join(head), va="top", fontsize=13, fontweight="bold")
    below = (top - 0.22 * len(head) - 0.03) / (height + extra)
    figure.text(0.012, below, "\n".join(lines), va="top", fontsize=10, color="#555555")
    figure.get_layout_engine().set(rect=(0.0, 0.0, 1.0, height / (height + extra)))  # type: ignore[union-attr, call-arg]
