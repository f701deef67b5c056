"""Images that a run has kept: reconstructions, samples and maps of codes."""

import colorsys
import io
import math
import os
import re
import textwrap
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.disk.files import LARGEST, read_bytes
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import add_title, panels
from bench.records.record import Record
from bench.stats.groups import Row
from bench.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# What a run keeps (`bench.cells.pictures`), by name: the kinds of numbers, the fewest and the most axes. Values are no
# larger than LARGEST_VALUE; what has none, such as an empty bin, is NaN.
FORMS = {
    r"(best_|worst_)?(inputs|reconstructions)|samples": ("u", 2, 4),
    r"traversals|interpolations_\w+": ("u", 3, 5),
    r"latent_mean|\w+_quantiles": ("f", 2, 2),
    r"latent_cov": ("f", 3, 3),
    r"code_maps": ("u", 3, 3),
    r"labels|\w+_axes|class_labels|class_counts": ("iu", 1, 1),
    r"\w+": ("fiu", 1, 1),
}
PLANE = ("latent_mean", "latent_cov", "latent_axes", "labels")
LARGEST_VALUE = 1e30


def load_artefacts(folder: Path, records: Sequence[Record]) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Read FOLDER/<id>.npz of every ok quality record that left one.

    Returns:
        id -> name -> array, and one line for every file that cannot be read, or has arrays that no run keeps.
    """
    artefacts: dict[str, dict[str, np.ndarray]] = {}
    warnings = []
    for record in records:
        path = folder / f"{record.id}.npz"
        if record.kind == "quality" and record.status == "ok" and os.path.lexists(path):
            try:
                with io.BytesIO(read_bytes(path)) as file, zipfile.ZipFile(file) as members:
                    if (size := sum(member.file_size for member in members.infolist())) > LARGEST:
                        raise ValueError(f"it would unpack to {size:,} bytes")
                    file.seek(0)
                    with np.load(file, allow_pickle=False) as arrays:
                        found = dict(arrays)
                artefacts[record.id] = fitting = _fitting(found)
                if odd := sorted(printable(name)[:40] for name in found.keys() - fitting.keys()):
                    warnings.append(f"{path.name} has arrays that no run keeps; left out: {', '.join(odd[:8])}")
            except Exception as error:  # a damaged zip raises anything from zipfile, zlib or numpy
                warnings.append(f"cannot read {path.name} ({' '.join(str(error).split())}); its plots are left out")
    return artefacts, warnings


def _fitting(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that are of their form; those of the latent plane only where they speak of the same points."""
    fitting = {name: array for name, array in arrays.items() if _has_form(name, array)}
    plane = [fitting.get(name) for name in PLANE]
    if not all(part is not None and np.isfinite(part).all() for part in plane) or not _agree(*plane):  # type: ignore[arg-type]
        fitting = {name: array for name, array in fitting.items() if name not in PLANE}
    return fitting


def _has_form(name: str, array: np.ndarray) -> bool:
    kinds, least, most = next((form for pattern, form in FORMS.items() if re.fullmatch(pattern, name)), ("", 0, 0))
    if array.dtype.kind not in (*kinds,) or not least <= array.ndim <= most or not array.size:
        return False
    return not (np.abs(array[~np.isnan(array)].astype(float)) > LARGEST_VALUE).any()


def _agree(mean: np.ndarray, covariance: np.ndarray, axes: np.ndarray, labels: np.ndarray) -> bool:
    points, shown = mean.shape
    return (covariance.shape, axes.shape, labels.shape) == ((points, shown, shown), (shown,), (points,))


def _kept(view: View, row: Row) -> Mapping[str, np.ndarray]:
    """What the first seed has kept that kept anything."""
    return next((view.artefacts[record.id] for record in row.ok if record.id in view.artefacts), {})


def _pictures(view: View, name: str) -> Iterator[tuple[Row, np.ndarray]]:
    """Rows with images to show: the array `name`, `[N, H, W, 3]` uint8."""
    for row in view.rows:
        kept = _kept(view, row)
        if name in kept and (images := _as_rgb(kept[name])) is not None:
            yield row, images


def visible(images: np.ndarray) -> tuple[np.ndarray, str]:
    """The channels of `[N, C, H, W]` that are shown, the first one or three, and words on those that are not."""
    channels = images.shape[1]
    shown = 1 if channels < 3 else 3
    first = "first" if shown == 1 else "first three"
    return images[:, :shown], "" if channels == shown else f"the {first} of {channels} channels"


def _as_rgb(images: np.ndarray) -> np.ndarray | None:
    """`[N, C, H, W]` -> `[N, H, W, 3]` of the visible channels; None for anything else, vectors for one."""
    if images.ndim != 4 or not images.size:
        return None
    shown, _ = visible(images)
    return np.repeat(shown, 3 // shown.shape[1], axis=1).transpose(0, 2, 3, 1)


def _channels(view: View, row: Row) -> str:
    """A sentence on channels that are not shown."""
    inputs = _kept(view, row).get("inputs")
    words = visible(inputs)[1] if inputs is not None and inputs.ndim == 4 else ""
    return f" Shown: {words}." if words else ""


def as_colours(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Indices of codes `[N, h, w]` as images `[N, 3, height, width]` uint8: a colour an index, a block a place."""
    # Hues a golden section apart: indices next to each other, and any few first ones, are far apart.
    used, places = np.unique(maps, return_inverse=True)
    hues = [(i * 0.618034) % 1 for i in used.tolist()]
    palette = np.array([colorsys.hsv_to_rgb(h, 0.6, 0.95 - 0.4 * (i % 2)) for h, i in zip(hues, used, strict=True)])
    coloured = (255 * palette[places.reshape(maps.shape)]).round().astype(np.uint8)
    down, across = (np.arange(n) * m // n for n, m in zip((height, width), maps.shape[1:], strict=True))
    return np.moveaxis(coloured[:, down][:, :, across], -1, 1)


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """`[N, H, W, 3]` -> one picture, `columns` wide, with thin white lines between the images."""
    count, height, width, _ = images.shape
    gap = max(1, height // 16)
    lines = math.ceil(count / columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _lined(lines: Sequence[tuple[str, np.ndarray]], title: str, note: str) -> "Figure":
    """Lines of images `[N, H, W, 3]`, each with its label."""
    across = max(len(images) for _, images in lines)
    with panels(2.4 + 0.75 * across, 0.1 + 0.8 * len(lines), down=len(lines), grid=False) as (figure, axes):
        for axis, (label, images) in zip(axes, lines, strict=True):
            axis.imshow(_mosaic(images, across), interpolation="nearest")
            axis.set_anchor("W")
            _bare(axis)
            weight = "bold" if label == "input" else "normal"
            axis.set_ylabel(label, rotation=0, ha="right", va="center", fontweight=weight, labelpad=8)
        add_title(figure, title, note)
    return figure


def reconstructions(view: View) -> "Figure | None":
    """Inputs above the mean reconstruction of every row; inputs are repeated where a row saw others."""
    count = 10
    lines: list[tuple[str, np.ndarray]] = []
    shown: bytes | None = None
    drawn = list(_pictures(view, "reconstructions"))
    for row, images in drawn:
        inputs = _as_rgb(_kept(view, row).get("inputs", np.empty(0)))
        if inputs is not None and inputs[:count].tobytes() != shown:
            shown = inputs[:count].tobytes()
            lines.append(("input", inputs[:count]))
        elbo = row.summary("elbo_nats")
        score = f"\nELBO {elbo.mean:.1f}".replace("-", "\N{MINUS SIGN}") if elbo else ""
        lines.append((row.label + score, images[:count]))
    if not lines:
        return None
    return _lined(
        lines,
        f"Reconstructions: {view.where}",
        "Top: test inputs as the model sees them. Below: the decoder's mean for the same inputs, first seed; the "
        f"score is the mean over seeds.{_channels(view, drawn[0][0])}",
    )


def samples(view: View) -> "Figure | None":
    """Decoded draws from the prior, a sheet per row that has one."""
    sheets = [(row, images) for row, images in _pictures(view, "samples") if row.model.has_bound is not False]
    if not sheets:
        return None
    named = [(row.label, images[:32]) for row, images in sheets]
    # Data of the first row's likelihood stand first, for what samples should look like.
    data = _as_rgb(_kept(view, sheets[0][0]).get("inputs", np.empty(0)))
    if data is not None:
        named.insert(0, ("data", data[:32]))
    across = min(3, len(named))
    down = math.ceil(len(named) / across)
    with panels(max(3.4 * across, 5.0), 2.1 * down, down, across, grid=False) as (figure, axes):
        for axis, (label, images) in zip(axes, named, strict=False):
            axis.imshow(_mosaic(images, 8), interpolation="nearest")
            axis.set_anchor("NW")
            lines = "\n".join(textwrap.wrap(label, 36))
            axis.set_title(lines, fontsize=11, fontweight="bold" if label == "data" else "normal")
            _bare(axis)
        for axis in axes[len(named) :]:
            axis.set_visible(False)
        add_title(
            figure,
            f"Samples from the prior: {view.where}",
            "The decoder's mean for draws from p(z), first seed, not picked by eye; data: test examples as the model "
            f"sees them.{_channels(view, sheets[0][0])}",
        )
    return figure


def code_maps(view: View) -> "Figure | None":
    """Inputs above the index of the code at each place, of every row whose codes are a map."""
    lines: list[tuple[str, np.ndarray]] = []
    for row, inputs in _pictures(view, "inputs"):
        maps = _kept(view, row).get("code_maps")
        if maps is not None and maps.ndim == 3 and len(maps):
            coloured = _as_rgb(as_colours(maps, *inputs.shape[1:3]))
            assert coloured is not None
            lines += [("input", inputs[: len(maps)]), (row.label, coloured)]
    if not lines:
        return None
    return _lined(
        lines,
        f"Code maps: {view.where}",
        "Test inputs as the model sees them, and below each the code at every place: a colour an index, within a row. "
        "First seed.",
    )


def _bare(axis: "Axes") -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for edge in axis.spines.values():
        edge.set_visible(False)


PLOTS = [
    Plot("reconstructions", "setting", reconstructions, order=10),
    Plot("samples", "setting", samples, order=11),
    Plot("code_maps", "setting", code_maps, order=13),
]
