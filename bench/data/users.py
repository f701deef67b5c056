"""Data of a user's own, as the program knows them: by path, by the name they have in records, or as objects."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.files import at_home
from bench.data.sets import SETS, check_binarise
from bench.errors import DataError, UsageError
from bench.text import did_you_mean
from variants.data_spec import DataSpec

if TYPE_CHECKING:
    import torch

    from bench.data.batches import Data
    from bench.data.readers import Raw

# What a user's own files end in; a folder is one too.
ENDINGS = (".npz", ".npy", ".csv", ".tsv", ".parquet", ".pq", ".h5ad")
# What a user's data are called in records: a name, and eight digits of what they hold.
STORED = re.compile(r"[\w-]+-[0-9a-f]{8}")
# What may be said of them, see `bench.data.given.Options`.
OPTIONS = ("kind", "levels", "scale", "layout", "size", "label", "drop", "layer", "image", "name", "test", "valid")


def is_user_file(name: str) -> bool:
    """Whether `name` is the path of a user's own data, or what these are called in records, rather than a named set."""
    if not isinstance(name, str) or name in SETS:
        return False
    if name.lower().endswith(ENDINGS) or "/" in name or os.sep in name or STORED.fullmatch(name):
        return True
    try:
        return name not in ("", ".", "..") and Path(name).exists()
    except (ValueError, OSError):  # no file may have such a name
        return False


def own(
    source: Any,
    *,
    test: Any = None,
    valid: Any = None,
    labels: Any = None,
    test_labels: Any = None,
    valid_labels: Any = None,
    kind: str | None = None,
    levels: int | None = None,
    scale: str | None = None,
    layout: str | None = None,
    size: int | str | None = None,
    label: str | int | None = None,
    drop: Any = (),
    layer: str | None = None,
    image: str | None = None,
    name: str | None = None,
    binarise: str | None = None,
    train_size: int | None = None,
    device: "str | torch.device" = "cpu",
) -> "Data":
    """Data of your own, as `load` gives a named set: what was decided is in `Data.says`, a line each.

    Args:
        source: a path, an array, a tensor, a data frame, a `torch.utils.data.Dataset`, an AnnData or a data set of
            Hugging Face's `datasets`; see `bench.data.given`.
        test: data like `source`, instead of a tenth that is held out; so too `valid`.
        labels: a class for each example, `[N]`, where the source has none; so too `test_labels`, `valid_labels`.
        kind: `"binary"`, `"unit"` (in [0, 1]), `"real"`, `"levels"` or `"counts"`; found where it can be only one.
        levels, scale, layout, size, label, drop, layer, image, name: see `bench.data.given.Options`.
        binarise: `"dynamic"`, `"fixed"`, `"threshold"` or `"none"`, the default.
        train_size: use only the first so many training examples, or all if there are fewer.
        device: where batches are to be.

    Raises:
        UsageError: a binarisation that there is not, or that the data cannot have.
        DataError: data that cannot be read, are no numbers, or could be read in two ways.
        MachineError: a package is needed that is not installed.
    """
    from bench.data.given import Options, prepare

    options = Options(
        test=test,
        valid=valid,
        labels=labels,
        test_labels=test_labels,
        valid_labels=valid_labels,
        kind=kind,
        levels=levels,
        scale=scale,
        layout=layout,
        size=size,
        label=label,
        drop=drop,
        layer=layer,
        image=image,
        name=name,
    )
    return loaded(prepare(source, options), binarise, train_size, device)


def store(loaded: "Data") -> str:
    """Keep data of your own in the data root, where cells in other processes find them, and return their name there.

    Raises:
        MachineError: the data root cannot be written.
    """
    from bench.data.given import store as own_store

    return own_store.write(loaded.raw)


def file_of(name: str) -> Path:
    """The file that has data of a user's own, by their name or path, as other machines are sent it (see `keep`).

    Raises:
        As `load`.
    """
    from bench.data.given import store as own_store

    return own_store.path(own_store.write(read(name, {})))


@dataclass(frozen=True)
class Chosen:
    """Data of a user's own, ready to be named in cells.

    Attributes:
        name: what cells call them.
        binarise: their binarisation.
        options: what sets them apart beside the name, for tables.
        says: a line on what was decided each.
        size: number of training examples.
    """

    name: str
    binarise: str
    options: dict[str, Any]
    says: tuple[str, ...]
    size: int


def choose(name: str, binarise: str | None, options: Mapping[str, object]) -> Chosen:
    """Read data of a user's own by their path, and keep them where cells find them.

    Raises:
        As `own`.
    """
    from bench.data.given import store as own_store

    raw = read(name, options)
    how = _binarisation(raw, binarise)
    return Chosen(own_store.write(raw), how, raw.facts.options, raw.facts.says, len(raw.images["train"]))


def read(name: str, options: Mapping[str, object], root: str | Path | None = None) -> "Raw":
    """A user's data, by their path or by what they are called in records."""
    from bench.data.given import Options, prepare
    from bench.data.given import store as own_store

    stored = STORED.fullmatch(name) is not None
    if stored and own_store.path(name, root).is_file():
        raw = _stored(own_store.path(name, root))
        if other := {key: value for key, value in options.items() if raw.facts.options.get(key) != value}:
            words = ", ".join(f"{key}={value}" for key, value in other.items())
            raise UsageError(f"{name} was made without {words}: name these data by their path to have it otherwise")
        return raw
    if stored and not at_home(name).exists():
        raise DataError(
            f"{name}: these data are not in {own_store.path(name, root).parent}; name them by their path again"
        )
    for key in options:
        if key not in OPTIONS:
            raise UsageError(
                f"{name}: unknown option {key!r}{did_you_mean(key, OPTIONS)}; it takes {', '.join(OPTIONS)}"
            )
    return prepare(name, Options(**options))  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _stored(file: Path) -> "Raw":
    """What a file of the store has; its name says what that is."""
    from bench.data.given import store as own_store

    return own_store.read(file)


def spec(raw: "Raw", binarise: str | None) -> DataSpec:
    """Shape and kind of one example, number of training examples.

    Raises:
        UsageError: a binarisation that there is not, or that the data cannot have.
    """
    from bench.data.batches import Data

    how = _binarisation(raw, binarise)
    images = raw.images["train"]
    shape, size = images[0].shape, len(images)
    if how == "none":
        result = DataSpec(shape, raw.facts.kind, size)
    elif how not in ("levels", "dequantise"):
        result = DataSpec(shape, "binary", size)
    elif raw.levels == 1:
        raise UsageError(f"{raw.facts.name}: floats have no levels; give uint8, or use binarise='none', not {how!r}")
    else:
        result = DataSpec(shape, "levels" if how == "levels" else "unit", size, levels=raw.levels + 1)
    return replace(result, mean=lambda: Data("", how, {}, result, raw, None, "cpu").mean())


def loaded(raw: "Raw", binarise: str | None, train_size: int | None, device: "str | torch.device") -> "Data":
    """Data that are ready to be walked through."""
    from bench.data.batches import Data
    from bench.data.given import store as own_store

    how, name = _binarisation(raw, binarise), own_store.name_of(raw)
    return Data(name, how, raw.facts.options, spec(raw, how), raw, train_size, device)


def _binarisation(raw: "Raw", binarise: str | None) -> str:
    how = raw.facts.binarise if binarise is None else binarise
    check_binarise(raw.facts.name, how, raw.facts.kind)
    return how
