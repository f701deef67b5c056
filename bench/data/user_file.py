"""A user's own images, from one .npz file."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.files import one_line
from bench.data.readers import Raw, from_arrays
from bench.errors import DataError
from bench.text import did_you_mean

_LABELS = {split: f"{split}_labels" for split in SPLITS}


def read(path: Path) -> Raw:
    """Read the arrays `train`, `valid` and `test` and their labels, `train_labels` and so on; only `train` must be.

    Images are `[N, H, W]` or `[N, C, H, W]`, uint8 or floats in [0, 1], alike in every split. Without `test` the
    last tenth of `train` is held out for it, and without `valid` as many of those before. Pickled objects are
    never loaded.

    Raises:
        DataError: if the file is missing or holds anything else.
    """
    arrays = _load(path)
    images = {split: _images(arrays[split], split, path) for split in SPLITS if split in arrays}
    labels = {
        split: _labels(arrays[_LABELS[split]], split, path) if _LABELS[split] in arrays else _zeros(images[split])
        for split in images
    }
    for split in images:
        if (images[split].shape[1:], images[split].dtype) != (
            images["train"].shape[1:],
            images["train"].dtype,
        ):
            raise DataError(f"{path}: {split} and train differ in shape or type; give both alike")
        if len(labels[split]) != len(images[split]):
            raise DataError(f"{path}: {split} has {len(images[split])} images but {len(labels[split])} labels")
    tenth = len(images["train"]) // 10
    for split in ("test", "valid"):
        if split not in images:
            if tenth == 0:
                raise DataError(f"{path}: too few images to hold out {split}; add an array {split}")
            for part in (images, labels):
                part["train"], part[split] = part["train"][:-tenth], part["train"][-tenth:]
    return from_arrays(images, labels, levels=255 if images["train"].dtype == np.uint8 else 1)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        with zipfile.ZipFile(path) as archive:
            if (size := sum(member.file_size for member in archive.infolist())) > _memory():
                raise ValueError(f"it unpacks to {size / 2**20:,.0f} MiB, more than this machine's memory")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except DataError:
        raise
    # A damaged archive makes zipfile and numpy raise a dozen types, from zlib.error to MemoryError.
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a .npz file of plain arrays ({one_line(error)})") from error
    known = [*SPLITS, *_LABELS.values()]
    for key in arrays:
        if key not in known:
            raise DataError(f"{path}: unknown array {key!r}{did_you_mean(key, known)}; known: {', '.join(known)}")
        if key.endswith("_labels") and key.removesuffix("_labels") not in arrays:
            raise DataError(f"{path}: has {key} but no array {key.removesuffix('_labels')!r}")
    if "train" not in arrays:
        raise DataError(f"{path}: has no array 'train' (it has: {', '.join(arrays) or 'nothing'})")
    return arrays


def _memory() -> float:
    """Bytes of memory of this machine; without end where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _images(array: NDArray[Any], split: str, path: Path) -> NDArray[Any]:
    """`[N, C, H, W]`, uint8 or float32."""
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"{path}: {split} must be of shape [N, H, W] or [N, C, H, W], got {list(array.shape)}")
    if array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        raise DataError(f"{path}: {split} seems to have its channels last; transpose it to [N, C, H, W]")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise DataError(f"{path}: {split} is of type {array.dtype}; make it uint8, or float in [0, 1]")
    # The test is written so that NaN fails it too.
    if not (array.min() >= 0 and array.max() <= 1):
        raise DataError(f"{path}: {split} has values that are NaN or outside [0, 1]; scale it, or make it uint8")
    return array.astype(np.float32)


def _labels(array: NDArray[Any], split: str, path: Path) -> NDArray[np.int64]:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{path}: {_LABELS[split]} must be whole numbers [N], got {array.dtype} {list(array.shape)}")
    return array.astype(np.int64)


def _zeros(images: NDArray[Any]) -> NDArray[np.int64]:
    return np.zeros(len(images), dtype=np.int64)
