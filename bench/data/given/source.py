"""What a reader hands on: arrays by split, with their labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError


@dataclass
class Source:
    """Data as read, nothing decided yet.

    Attributes:
        where: names them in an error.
        name: what they are called in tables.
        arrays: by split `[N, ...]`, at least `"train"`; axes in any order that `layout` knows.
        labels: by split, where there are some: `[N]`, of any type.
        columns: of a table, the names of its columns.
        layout: where the reader knows it.
        says: what the reader decided, a line each.
        held: whether the splits are whole, or have yet to be held out of `"train"`.
    """

    where: str
    name: str
    arrays: dict[str, NDArray[Any]]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    layout: str | None = None
    says: list[str] = field(default_factory=list)


def stem(path: Path) -> str:
    """What the data of a file or a folder are called: links do not make another name."""
    path = path.resolve()
    return path.name if path.is_dir() else path.stem


def coded(labels: Mapping[str, NDArray[Any]], where: str) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """Labels as whole numbers, the same in all splits, and their names where they were no numbers.

    Raises:
        DataError: they are not one for each example, or measurements rather than classes.
    """
    for split, values in labels.items():
        if values.ndim != 1:
            raise DataError(
                f"{where}: the labels of {split} have the axes {list(values.shape)}; give one for each example"
            )
    kinds = {values.dtype.kind for values in labels.values()}
    if kinds <= set("iub"):
        return {split: values.astype(np.int64) for split, values in labels.items()}, ()
    if kinds & set("fc"):
        found = next(values for values in labels.values() if values.dtype.kind in "fc")
        if not np.isfinite(found).all() or (found != np.rint(found)).any():
            raise DataError(f"{where}: labels must be classes, whole numbers or texts; found {found[:3].tolist()}")
        return {split: values.astype(np.int64) for split, values in labels.items()}, ()
    texts = {split: np.array([str(each) for each in values]) for split, values in labels.items()}
    names = sorted(set().union(*(set(values.tolist()) for values in texts.values())))
    return {split: np.searchsorted(names, values).astype(np.int64) for split, values in texts.items()}, tuple(names)


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
