"""Arrays: .npz and .npy files, and objects that hold examples."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.files import one_line
from bench.data.given.memory import memory, room
from bench.data.given.source import Source, stem
from bench.errors import DataError
from bench.text import did_you_mean

LABELS = {split: f"{split}_labels" for split in SPLITS}


def read_npz(path: Path) -> Source:
    """The arrays `train`, `valid` and `test` and their labels, `train_labels` and so on; only `train` must be, and a
    file with one array needs no name for it. Pickled objects are never loaded.

    Raises:
        DataError: the file is missing or holds anything else.
    """
    arrays = _load(path)
    known = [*SPLITS, *LABELS.values()]
    if len(arrays) == 1 and not set(arrays) & set(known):
        arrays = {"train": next(iter(arrays.values()))}
    for key in arrays:
        if key not in known:
            raise DataError(f"{path}: unknown array {key!r}{did_you_mean(key, known)}; known: {', '.join(known)}")
        if key.endswith("_labels") and key.removesuffix("_labels") not in arrays:
            raise DataError(f"{path}: has {key} but no array {key.removesuffix('_labels')!r}")
    if "train" not in arrays:
        raise DataError(f"{path}: has no array 'train' (it has: {', '.join(arrays) or 'nothing'})")
    labels = {split: arrays[key] for split, key in LABELS.items() if key in arrays}
    return Source(str(path), stem(path), {split: arrays[split] for split in SPLITS if split in arrays}, labels)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(member.file_size for member in archive.infolist())) > memory():
                raise ValueError(f"it unpacks to {size / 2**20:,.0f} MiB, more than this machine's memory")
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    # A damaged archive makes zipfile and numpy raise a dozen types, from zlib.error to MemoryError.
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a .npz file of plain arrays ({one_line(error)})") from error


def read_npy(path: Path) -> Source:
    """One array.

    Raises:
        DataError: the file is missing or holds anything else.
    """
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="c")  # which never loads a pickled object
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a .npy file of a plain array ({one_line(error)})") from error
    return Source(str(path), stem(path), {"train": array})


def read_array(given: Any, where: str) -> Source:
    """A NumPy array, a tensor, or a mapping with these by split.

    Raises:
        DataError: a mapping has other keys.
    """
    if isinstance(given, Mapping):
        known = [*SPLITS, *LABELS.values()]
        for key in given:
            if key not in known:
                raise DataError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; known: {', '.join(known)}")
        arrays = {split: as_array(given[split]) for split in SPLITS if split in given}
        labels = {split: as_array(given[key]) for split, key in LABELS.items() if key in given}
        return Source(where, "data", arrays, labels)
    return Source(where, "data", {"train": as_array(given)})


def as_array(given: Any) -> NDArray[Any]:
    """A NumPy array of an array, a tensor on any device, a list or a picture."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if not hasattr(np, str(given.dtype).removeprefix("torch.")) else given).numpy()
    return np.asarray(given)


def read_dataset(given: Any, where: str) -> Source:
    """A map-style `torch.utils.data.Dataset`, or any sequence of examples: each an array, a tensor or a picture, or a
    pair of such and its label.

    Raises:
        DataError: it has no length, it is empty, or an example is none of these or of another shape than the first.
    """
    try:
        n = len(given)
        items = [given[i] for i in range(min(n, 1))]
    except (TypeError, NotImplementedError, KeyError) as error:
        raise DataError(
            f"{where}: needs a length and examples by number, [0] to [N - 1] ({one_line(error)})"
        ) from error
    if not items:
        raise DataError(f"{where}: holds no example")
    pairs = isinstance(items[0], tuple | list) and len(items[0]) == 2
    labelled = pairs and np.ndim(as_array(items[0][1])) == 0
    if isinstance(items[0], tuple | list) and not labelled and len(items[0]) != 1:
        raise DataError(f"{where}: an example must be x or (x, label), got {len(items[0])} parts: choose one of them")
    split = (lambda item: item) if labelled else lambda item: (item[0] if isinstance(item, tuple | list) else item, 0)
    first = as_array(split(items[0])[0])
    examples, labels = room((n, *first.shape), first.dtype), []
    for i in range(n):
        x, y = split(given[i])
        x = as_array(x)
        if (x.shape, x.dtype) != (first.shape, first.dtype):
            raise DataError(
                f"{where}: example {i} is {x.dtype} {list(x.shape)}, the first one {first.dtype} {list(first.shape)}: "
                "make all alike"
            )
        examples[i] = x
        labels.append(np.asarray(as_array(y)).item())
    return Source(where, "data", {"train": examples}, {"train": np.asarray(labels)} if labelled else {})


def check(arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """DataError for what is empty, of a type without numbers, or of other axes than the training examples."""
    train = arrays["train"]
    for split, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where}: {split} is of type {array.dtype}; give numbers")
        if array.ndim < 2 or 0 in array.shape:
            raise DataError(
                f"{where}: {split} has the axes {list(array.shape)}; give at least one example and one value: vectors "
                "[N, D], signals [N, C, T] or images [N, H, W]"
            )
        if array.shape[1:] != train.shape[1:]:
            raise DataError(
                f"{where}: {split} and train differ: examples of {list(array.shape[1:])} and {list(train.shape[1:])}"
            )
        if array.dtype != train.dtype and {array.dtype.kind, train.dtype.kind} & set("bu"):
            raise DataError(f"{where}: {split} is of type {array.dtype}, and train {train.dtype}: give both alike")
