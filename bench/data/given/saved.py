"""Data sets of Hugging Face's `datasets`: an object, a folder that it saved, or a name on its hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.entry import SPLITS
from bench.data.files import one_line, require
from bench.data.given import arrays, tables
from bench.data.given.source import Source, some
from bench.errors import DataError
from bench.text import hint

HUB = "hf://"
_SPLITS = {"validation": "valid", "val": "valid"} | {split: split for split in SPLITS}


def is_saved(folder: Path) -> bool:
    """Whether `datasets` has saved something in a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read(given: Any, where: str, name: str, *, image: str | None, label: str | None, drop: tuple[str, ...]) -> Source:
    """Its column of images, or else its numeric columns; `label` is the column of classes.

    Raises:
        DataError: it cannot be had, or has no such columns.
        MachineError: datasets is not installed.
    """
    if isinstance(given, str | Path):
        datasets = require("datasets", "datasets", f"to read {where}")
        try:
            at_hub = str(given).startswith(HUB)
            given = datasets.load_dataset(str(given)[len(HUB) :]) if at_hub else datasets.load_from_disk(str(given))
        except Exception as error:
            raise DataError(f"{where}: cannot read it as a data set of datasets ({one_line(error)})") from error
    parts = {"train": given} if not isinstance(given, Mapping) else {_SPLITS.get(k, k): given[k] for k in given}
    if "train" not in parts:
        raise DataError(f"{where}: has no split train (it has: {some(map(str, parts))})")
    read_parts = {
        split: _one(parts[split], where, name, image, label, drop)
        for split in ("train", "valid", "test")
        if split in parts
    }
    train = read_parts["train"]
    return Source(
        where,
        name,
        {split: part.arrays["train"] for split, part in read_parts.items()},
        {split: part.labels["train"] for split, part in read_parts.items() if part.labels},
        train.columns,
        train.layout,
    )


def _one(part: Any, where: str, name: str, image: str | None, label: str | None, drop: tuple[str, ...]) -> Source:
    columns = list(part.column_names)
    for option, column in (("image", image), ("label", label)):
        if column is not None and column not in columns:
            raise DataError(f"{where}: {option}={column} is no column of it; {hint(column, columns)}")
    images = [column for column in columns if type(part.features[column]).__name__ == "Image"]
    if image is None and len(images) > 1:
        raise DataError(
            f"{where}: has several columns of images: say {' or '.join(f'image={each}' for each in images)}"
        )
    chosen = image or (images[0] if images else None)
    if chosen is None:
        return tables.of_frame(part.to_pandas(), where, name, label=label, drop=drop)
    source = arrays.read_dataset(_Column(part, chosen), where)
    labels = {"train": np.asarray(part[label])} if label else {}
    return Source(where, name, source.arrays, labels)


class _Column:
    """The images of a column, read one at a time."""

    def __init__(self, part: Any, image: str) -> None:
        self.part, self.image = part, image

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> Any:
        return arrays.as_array(self.part[index][self.image])
