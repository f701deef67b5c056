"""Images that runs have kept -> contact sheets as PNG."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.pages.figures.pictures import as_colours, visible
from bench.pages.html.render import data_uri
from bench.stats.groups import Row

# Kind -> its title, and what a sheet of it shows, for those who cannot see it.
KINDS = {
    "samples": ("samples from the prior", "the decoder's mean for {n} draws from the prior"),
    "reconstructions": ("reconstructions", "{n} test inputs above, the decoder's mean for each below"),
    "code_maps": ("code maps", "{n} test inputs above, below each the code at every place, a colour an index"),
    "traversals": ("latent traversals", "each line moves one latent axis from low to high, the others fixed"),
    "interpolations_linear": ("interpolations, straight", "each line goes from one code to another, straight"),
    "interpolations_great_circle": (
        "interpolations, great circle",
        "each line goes from one code to another, along a great circle",
    ),
    "worst": ("the worst test inputs", "the {n} test inputs with the lowest ELBO above, the decoder's mean below"),
    "best": ("the best test inputs", "the {n} test inputs with the highest ELBO above, the decoder's mean below"),
}
# The two arrays of a kind that has one above the other.
PAIRED = {
    "reconstructions": ("inputs", "reconstructions"),
    "code_maps": ("inputs", "code_maps"),
    "worst": ("worst_inputs", "worst_reconstructions"),
    "best": ("best_inputs", "best_reconstructions"),
}
# Kinds whose images belong to the same inputs in every row, so that two of them have a difference.
SAME_INPUTS = ("reconstructions", "interpolations_linear", "interpolations_great_circle")
ACROSS, MOST = 8, 64
# A stripe between two images, as bright as neither ground of a page.
BETWEEN = 128


@dataclass(frozen=True)
class Sheet:
    """One contact sheet.

    Attributes:
        kind: of `KINDS`, or `"data"`.
        label: of its row, empty for the data.
        alt: what it shows.
        uri: a PNG that holds it.
        size: its width and height in pixels.
    """

    kind: str
    label: str
    alt: str
    uri: str
    size: tuple[int, int]


def sheets(rows: Sequence[Row], artefacts: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Sheet]:
    """The data, then every kind of every row, by the first of its runs that kept any. A row without a prior that it
    was trained to has no samples."""
    data_shown = False
    for row in rows:
        kept = next((artefacts[record.id] for record in row.ok if record.id in artefacts), {})
        inputs = _grey_or_rgb(kept.get("inputs"))
        if inputs is not None and not data_shown:
            data_shown = True
            words = visible(kept["inputs"])[1]
            alt = f"{len(inputs)} test inputs as the models see them{f', {words}' if words else ''}"
            yield _sheet("data", "", alt, [*_lines(inputs)])
        for kind, (_, alt) in KINDS.items():
            if kind == "samples" and row.model.has_bound is False:
                continue
            pairs = PAIRED.get(kind)
            if kind == "code_maps":
                lines = _mapped(inputs, kept.get(kind))
            else:
                lines = _beside(*(_grey_or_rgb(kept.get(name)) for name in pairs)) if pairs else _of(kept.get(kind))
            if lines:
                count = len(lines[0]) if pairs else sum(map(len, lines))
                yield _sheet(kind, row.label, f"{row.label}: {alt.format(n=count)}", lines)


def _beside(above: np.ndarray | None, below: np.ndarray | None) -> list[np.ndarray]:
    """A line above another of the same images."""
    if above is None or below is None or above.shape[1:] != below.shape[1:]:
        return []
    return [above[:ACROSS], below[:ACROSS]]


def _mapped(inputs: np.ndarray | None, maps: np.ndarray | None) -> list[np.ndarray]:
    """A line of images above one of the codes at their places."""
    if inputs is None or maps is None or maps.ndim != 3 or not maps.size:
        return []
    _, height, width, channels = inputs.shape
    return _beside(np.repeat(inputs, 3 // channels, axis=3), _grey_or_rgb(as_colours(maps, height, width)))


def _of(images: np.ndarray | None) -> list[np.ndarray]:
    """The lines of a sheet, each `[N, H, W, C]`: those that there are, or one after the other."""
    if images is not None and images.ndim == 5:
        return [line[:16] for each in images[:12] if (line := _grey_or_rgb(each)) is not None]
    shown = _grey_or_rgb(images)
    return [] if shown is None else [*_lines(shown)]


def _lines(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, min(len(images), MOST), ACROSS):
        yield images[start : start + ACROSS]


def _grey_or_rgb(images: np.ndarray | None) -> np.ndarray | None:
    """`[N, C, H, W]` uint8 -> `[N, H, W, 1 or 3]`, its visible channels; None for anything else, vectors for one."""
    if images is None or images.ndim != 4 or not images.size:
        return None
    return visible(images)[0].astype(np.uint8).transpose(0, 2, 3, 1)


def _sheet(kind: str, label: str, alt: str, lines: Sequence[np.ndarray]) -> Sheet:
    from PIL import Image

    across = max(map(len, lines))
    height, width, channels = lines[0].shape[1:]
    step = max(1, math.ceil(max(height, width) / 64))  # a larger image says no more at the size of a page
    height, width, gap = len(range(0, height, step)), len(range(0, width, step)), 1
    shape = (len(lines) * (height + gap) - gap, across * (width + gap) - gap, channels)
    canvas = np.full(shape, BETWEEN, dtype=np.uint8)
    for y, line in enumerate(lines):
        for x, image in enumerate(line):
            top, left = y * (height + gap), x * (width + gap)
            canvas[top : top + height, left : left + width] = image[::step, ::step]
    image = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Sheet(kind, label, alt, data_uri(buffer.getvalue()), (canvas.shape[1], canvas.shape[0]))
