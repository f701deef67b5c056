"""Which axis is which: images, signals or vectors, with their channels first in the end."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

# N examples; D columns, H rows and W columns of pixels, C channels, T points in time.
LAYOUTS = ("ND", "NHW", "NCHW", "NHWC", "NCT", "NTC")
# Of an axis of at most so many channels one need not look at the others.
FEW = 4
WORDS = {2: "vectors", 3: "signals", 4: "images"}


def arrange(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """`[N, *shape]` with channels first: `[N, D]`, `[N, C, T]` or `[N, C, H, W]`; a view."""
    if layout == "NHW":
        return array[:, None]
    return np.moveaxis(array, -1, 1) if layout in ("NHWC", "NTC") else array


def settle(shape: tuple[int, ...], asked: str | None, grey: bool, where: str) -> str:
    """The layout of an array.

    Args:
        shape: of the array, N first.
        asked: the option `layout`, None to have it found.
        grey: whether the values are those of pictures: 8 bits, or in [0, 1].
        where: names the array in an error.

    Raises:
        DataError: no such layout, or both of two readings are possible; the line names the option that settles it.
    """
    axes = {2: ("ND",), 3: ("NHW", "NCT", "NTC"), 4: ("NCHW", "NHWC")}.get(len(shape))
    if axes is None:
        raise DataError(
            f"{where} has the axes {list(shape)}; give vectors [N, D], signals [N, C, T], or images [N, H, W], "
            "[N, C, H, W] or [N, H, W, C]"
        )
    if asked is not None:
        if asked not in LAYOUTS:
            raise DataError(f"{where}: layout must be one of {', '.join(LAYOUTS)}, got {asked!r}")
        if asked not in axes:
            raise DataError(f"{where} has the axes {list(shape)}, and layout={asked} needs {len(asked)} of them")
        return asked
    found = _three(shape, grey) if len(shape) == 3 else _four(shape) if len(shape) == 4 else axes
    if len(found) > 1:
        both = " or ".join(f"layout={each}" for each in found)
        raise DataError(f"{where} has the axes {list(shape)}, which may be read in two ways: say {both}")
    return found[0]


def _three(shape: tuple[int, ...], grey: bool) -> tuple[str, ...]:
    _, first, last = shape
    if min(first, last) < FEW:
        return ("NCT",) if first <= last else ("NTC",)
    return ("NHW",) if first == last or grey else ("NHW", "NCT")


def _four(shape: tuple[int, ...]) -> tuple[str, ...]:
    _, first, second, last = shape
    found = []
    if first <= FEW or first < min(second, last):
        found.append("NCHW")
    if last <= FEW or last < min(first, second):
        found.append("NHWC")
    return tuple(found) or ("NCHW", "NHWC")
