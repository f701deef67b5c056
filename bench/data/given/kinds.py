"""What kind of values there are: binary, in [0, 1], real, levels or counts. It is guessed by looking at them, and
refused where two readings are possible."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bench.data.given.facts import SCALES, Scale, Scaling
from bench.errors import DataError
from variants.data_spec import Kind

KINDS: tuple[Kind, ...] = get_args(Kind)
WHITE = 255
# Pictures whose largest value is below this are hardly of 256 grey levels.
DARKEST = 64
# Above it float32 leaves out whole numbers.
MOST_COUNTED = 2**24
# Values that are looked at in one go.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Look:
    """What values look like.

    Attributes:
        low, high: the least and the largest.
        whole: whether all are whole numbers.
        two: whether there are no others than these two.
        type: letter of their type in NumPy.
        zeros: share of columns, or of channels, that hold a zero.
    """

    low: float
    high: float
    whole: bool
    two: bool
    type: str
    zeros: float

    def words(self) -> str:
        """`"whole numbers from 0 to 17"`."""
        return f"{'whole numbers' if self.whole else 'numbers'} from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Reading:
    """How values are read.

    Attributes:
        kind: of `KINDS`, "levels" being kept as "unit" with `binarise`.
        white: the value that means 1 of values that are kept as uint8; 1 for others.
        scaling: from the values as given to those that are modelled, before anything is fitted.
        words: the same for people.
        binarise: how they are used.
    """

    kind: Kind
    white: int
    scaling: Scaling
    words: str
    binarise: str = "none"

    def kept(self, values: NDArray[Any]) -> NDArray[Any]:
        """`[N, *shape]` as given -> as `bench.data.readers.Raw` holds them."""
        if self.white != 1:
            return values.astype(np.uint8, copy=False)
        x = self.scaling.apply(values)
        return x.astype({"binary": np.uint8, "counts": np.int32}.get(self.kind, np.float32))


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, CHUNK // max(1, array[:1].size))
    return (array[i : i + rows] for i in range(0, len(array), rows))


def look(arrays: Mapping[str, NDArray[Any]]) -> Look:
    """Look at all values of all splits."""
    chunks = [chunk for array in arrays.values() for chunk in _chunks(array)]
    low, high = float(min(c.min() for c in chunks)), float(max(c.max() for c in chunks))
    kind = chunks[0].dtype.kind
    whole = kind in "biu" or all(bool((c == np.rint(c)).all()) for c in chunks)
    two = all(bool(((c == low) | (c == high)).all()) for c in chunks)
    axes = tuple(axis for axis in range(chunks[0].ndim) if axis != 1)
    zeros = np.any([(c == 0).any(axes) for c in chunks], axis=0)
    return Look(low, high, whole, two, kind, float(zeros.mean()))


def check_finite(arrays: Mapping[str, NDArray[Any]], where: str, columns: Sequence[str]) -> None:
    """DataError for values that are missing or infinite: how many, and where the first one is."""
    for split, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        nan = sum(int(np.isnan(chunk).sum()) for chunk in _chunks(array))
        infinite = sum(int(np.isinf(chunk).sum()) for chunk in _chunks(array))
        if not nan + infinite:
            continue
        row = next(i for i, x in enumerate(array) if not np.isfinite(x).all())
        place = np.argwhere(~np.isfinite(array[row]))[0].tolist()
        first = f"at [{', '.join(map(str, [row, *place]))}]"
        if columns:
            bad = [name for i, name in enumerate(columns) if not np.isfinite(array[:, i]).all()]
            first = f"in example {row + 1}, column {columns[place[0]]!r}"
            first += f"; columns with such: {', '.join(bad[:5])}" + (f" and {len(bad) - 5} more" * (len(bad) > 5))
        found = " and ".join(f"{n:,} {what}" for n, what in ((nan, "missing (NaN)"), (infinite, "infinite")) if n)
        raise DataError(
            f"{where}: {split} has {found} of {array.size:,} values, the first {first}: fill them, or leave these "
            "examples out"
        )


def settle(
    seen: Look, layout: str, *, kind: str | None, levels: int | None, scale: Scale | None, where: str
) -> Reading:
    """How values are read: as asked, or by a guess.

    Args:
        seen: what they look like.
        layout: of `bench.data.given.layout.LAYOUTS`.
        kind: of `KINDS`, None to have it guessed.
        levels: L of values 0 to L - 1; None to have it guessed.
        scale: of `SCALES`, None to have it guessed.
        where: names the data in an error.

    Raises:
        DataError: the values are not of that kind, or a guess could be wrong; the line names the options.
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"{where}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if scale is not None and scale not in SCALES:
        raise DataError(f"{where}: scale must be one of {', '.join(SCALES)}, got {scale!r}")
    ranges: dict[str, Kind] = {"unit": "unit", "standard": "real"}
    fitted = ranges.get(scale or "none")
    if fitted and kind not in (None, fitted):
        raise DataError(f"{where}: scale={scale} makes values of kind={fitted}, and not of kind={kind}")
    if fitted:
        return Reading(fitted, 1, Scaling(), seen.words())
    if levels is not None and (seen.low < 0 or seen.high > levels - 1 or not seen.whole):
        raise DataError(f"{where}: levels={levels} are the whole numbers from 0 to {levels - 1}; found {seen.words()}")
    if kind is None:
        kind = "unit" if levels is not None else _guess(seen, layout, where)
    return _READ[kind](seen, layout, levels, where)


def _guess(seen: Look, layout: str, where: str) -> str:
    pictures = "H" in layout
    grey = f"kind=unit levels={max(256, int(seen.high) + 1)} (grey levels)"
    if seen.whole and seen.low >= 0:
        if seen.type == "b" or (seen.two and seen.low == 0 and seen.high in (1, WHITE)):
            return "binary"
        if pictures and seen.low == seen.high <= WHITE:
            return "unit"
        if pictures and DARKEST <= seen.high <= WHITE:
            return "unit"
        if pictures or (layout == "ND" and seen.type == "u" and DARKEST <= seen.high <= WHITE):
            raise _two_readings(where, seen, grey, "kind=counts")
        if layout == "ND" and seen.zeros >= 0.5:
            return "counts"
        raise _two_readings(where, seen, "kind=counts", "kind=real")
    if seen.low >= 0 and seen.high <= 1:
        return "unit"
    if pictures and seen.low >= 0 and seen.high > 1:
        if DARKEST <= seen.high <= WHITE:
            return "unit"
        raise _two_readings(where, seen, "kind=real", "scale=unit")
    return "unit" if pictures and _from_minus_one(seen) else "real"


def _from_minus_one(seen: Look) -> bool:
    return -1 <= seen.low < -0.9 and 0.9 < seen.high <= 1 and not seen.whole


def _two_readings(where: str, seen: Look, one: str, other: str) -> DataError:
    return DataError(f"{where} holds {seen.words()}, which may be read in two ways: say {one} or {other}")


def _binary(seen: Look, _layout: str, _levels: int | None, where: str) -> Reading:
    if seen.low not in (0, seen.high) or seen.low < 0 or not seen.two:
        raise DataError(
            f"{where}: kind=binary needs two values, 0 and another one; found {seen.words()}: kind=unit with a "
            "binarisation (threshold, fixed or dynamic) makes zeros and ones of grey values"
        )
    high = seen.high or 1.0
    words = "zeros and ones" if high == 1 else f"0 and {high:g}, read as zeros and ones"
    return Reading("binary", 1, Scaling(factor=high), words)


def _unit(seen: Look, _layout: str, levels: int | None, where: str) -> Reading:
    one_grey = seen.type == "u" and seen.low == seen.high
    if levels is None and seen.low >= 0 and seen.high <= 1 and not one_grey:
        return Reading("unit", 1, Scaling(), "numbers in [0, 1]")
    if levels is None and _from_minus_one(seen):
        return Reading("unit", 1, Scaling(shift=-1.0, factor=2.0), "numbers in [-1, 1], read as (x + 1) / 2")
    if seen.low < 0 or seen.high > (WHITE if levels is None else levels - 1):
        raise DataError(
            f"{where}: kind=unit needs numbers in [0, 1] or grey levels from 0 to {WHITE}; found {seen.words()}: say "
            "levels=L for the whole numbers from 0 to L - 1, scale=unit to have the training split's range brought to "
            "[0, 1], or kind=real"
        )
    white = WHITE if levels is None else levels - 1
    words = f"grey levels from 0 to {white}, over {white}"
    small = seen.whole and white <= WHITE
    return Reading("unit", white if small else 1, Scaling(factor=float(white)), words)


def _real(seen: Look, _layout: str, _levels: int | None, _where: str) -> Reading:
    return Reading("real", 1, Scaling(), seen.words())


def _as_levels(seen: Look, layout: str, levels: int | None, where: str) -> Reading:
    read = _unit(seen, layout, levels or WHITE + 1, where)
    if not seen.whole or read.white == 1:
        raise DataError(f"{where}: kind=levels needs whole numbers from 0 to {WHITE} at most; found {seen.words()}")
    return Reading("unit", read.white, read.scaling, f"{read.white + 1} levels", binarise="levels")


def _counts(seen: Look, _layout: str, _levels: int | None, where: str) -> Reading:
    if not seen.whole or seen.low < 0 or seen.high > MOST_COUNTED:
        raise DataError(
            f"{where}: kind=counts needs whole numbers from 0 to {MOST_COUNTED:,}; found {seen.words()}: kind=real "
            "takes any number"
        )
    return Reading("counts", 1, Scaling(), f"counts from {seen.low:g} to {seen.high:g}")


_READ = {"binary": _binary, "unit": _unit, "real": _real, "levels": _as_levels, "counts": _counts}


def fit(train: NDArray[Any], scale: Scale | None) -> Scaling:
    """The scaling of real values, fitted on the training split: of vectors for each column, else for each channel; one
    range for all pixels of pictures and points of signals that go to [0, 1].

    Where none was asked for, values that are standardised already stay as they are.

    Args:
        train: `[N, *shape]`, as given, channels first.
        scale: `"unit"`, `"standard"`, `"none"`; None to have it guessed.
    """
    if scale == "none":
        return Scaling()
    axes = (0, *range(2, train.ndim))
    if scale == "unit":
        axes = axes if train.ndim == 2 else tuple(range(train.ndim))
        low, high = (np.asarray(f(train, axis=axes), dtype=np.float64) for f in (np.min, np.max))
        return Scaling("unit", low, np.where(high > low, high - low, 1.0))
    mean = np.asarray(train.mean(axes, dtype=np.float64))
    deviation = np.asarray(train.std(axes, dtype=np.float64))
    varies = deviation > 1e-12 * np.maximum(1.0, np.abs(mean))
    if scale is None and bool(((np.abs(mean) <= 1) & (deviation >= 0.25) & (deviation <= 4))[varies].all()):
        return Scaling()
    shape = (-1,) + (1,) * (train.ndim - 2)
    return Scaling("standard", mean.reshape(shape), np.where(varies, deviation, 1.0).reshape(shape))


def constant(train: NDArray[Any]) -> list[int]:
    """The columns `[N, D]` that have one value in the whole training split."""
    return [int(i) for i in np.flatnonzero((train == train[:1]).all(0))] if train.ndim == 2 else []
