"""A folder of pictures: sub-folders are classes, and folders named after splits are splits."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.files import one_line
from bench.data.given.memory import room
from bench.data.given.source import Source, some, stem
from bench.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_SPLITS = {"training": "train", "val": "valid", "validation": "valid"} | {split: split for split in SPLITS}
_GREY = ("1", "L", "LA")
# The tag of EXIF that says how a camera was held; from 5 on it lay on its side.
_ORIENTATION = 0x0112


def read_folder(folder: Path, size: int | str | None) -> Source:
    """The pictures of a folder and of the folders in it, in the order of their paths, `[N, C, H, W]` uint8.

    One channel if all are grey, else three; transparency is left out. With `size`, the middle of the right proportions
    is cut out and resized (bilinear).

    Args:
        folder: with pictures, with a sub-folder a class, or with `train`, `valid` and `test` that have these.
        size: side in pixels, or `"HxW"`; None where all are of one size.

    Raises:
        DataError: there are none, one cannot be read, or they are of several sizes and `size` is not given.
    """
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot read it ({one_line(error)})") from error
    splits = {_SPLITS[path.name.lower()]: path for path in below if path.name.lower() in _SPLITS}
    says: list[str] = []
    if splits and "train" not in splits:
        raise DataError(f"{folder}: has {some(path.name for path in splits.values())} but no folder train")
    if splits and (beside := [path.name for path in below if path.name.lower() not in _SPLITS]):
        raise DataError(f"{folder}: has {some(beside)} beside its splits: give folders of splits, or of classes, alone")
    parts = splits or {"train": folder}
    files = {split: _files(part) for split, part in parts.items()}
    for split, found in files.items():
        if not found:
            raise DataError(f"{parts[split]}: holds no pictures ({', '.join(ENDINGS)})")
    others = sum(path.suffix.lower() not in ENDINGS for part in parts.values() for path in _below(part))
    if others:
        says.append(f"{others} file{'s' * (others > 1)} of {folder.name} that are no pictures are left out")
    height, width, channels = _form([path for found in files.values() for path in found], size)
    arrays: dict[str, NDArray[Any]] = {}
    for split, found in files.items():
        arrays[split] = room((len(found), channels, height, width), np.uint8)
        for i, path in enumerate(found):
            arrays[split][i] = _picture(path, height, width, channels)
    labels = {split: _classes(parts[split], found) for split, found in files.items()}
    if not all(label for each in labels.values() for label in each):
        labels = {}
    return Source(
        str(folder), stem(folder), arrays, {k: np.array(v) for k, v in labels.items()}, layout="NCHW", says=says
    )


def _below(folder: Path) -> list[Path]:
    """The files of a folder and of the folders in it, by their paths; hidden ones are none.

    Raises:
        DataError: the folder, or one in it, cannot be read.
    """
    try:
        here = [path for path in folder.iterdir() if not path.name.startswith(".")]
        there = [path for each in here if each.is_dir() for path in each.iterdir() if not path.name.startswith(".")]
        return sorted(path for path in here + there if path.is_file())
    except OSError as error:
        raise DataError(f"{folder}: cannot read it ({one_line(error)})") from error


def _files(folder: Path) -> list[Path]:
    return [path for path in _below(folder) if path.suffix.lower() in ENDINGS]


def _classes(folder: Path, files: list[Path]) -> list[str]:
    """Of each file the first folder on the way to it; nothing for one that lies in `folder` itself."""
    return ["" if path.parent == folder else path.relative_to(folder).parts[0] for path in files]


def _form(files: list[Path], size: int | str | None) -> tuple[int, int, int]:
    """Height, width and channels of all."""
    sizes: dict[tuple[int, int], Path] = {}
    grey = True
    for path in files:
        with _opened(path) as picture:
            turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            sizes.setdefault(picture.size if turned else picture.size[::-1], path)
            grey = grey and picture.mode in _GREY
            if picture.mode.startswith(("I", "F")):
                raise DataError(f"{path}: has more than 8 bits a channel; convert it to 8 bits, or give arrays as .npz")
    channels = 1 if grey else 3
    if size is not None:
        found = re.fullmatch(r"(\d+)(?:x(\d+))?", str(size))
        if not found or not all(1 <= int(each) <= 4096 for each in found.groups(found[1])):
            raise DataError(f"size must be a number of pixels such as 32, or HxW such as 32x48, got {size!r}")
        return int(found[1]), int(found[2] or found[1]), channels
    if len(sizes) > 1:
        shown = some((f"{h} x {w} in {path.name}" for (h, w), path in sizes.items()), 2)
        raise DataError(f"{files[0].parent}: pictures of {len(sizes)} sizes ({shown}): say size=32, or size=HxW")
    ((height, width),) = sizes
    return height, width, channels


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            yield picture
    except DataError:
        raise
    # Of a damaged file the library raises anything; of one that unpacks to gigabytes a DecompressionBombError.
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a picture ({one_line(error)})") from error


def _picture(path: Path, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """`[C, H, W]`, turned as the camera says, its middle cut out and resized."""
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            across = min(picture.width, picture.height * width / height)
            down = across * height / width
            left, top = (picture.width - across) / 2, (picture.height - down) / 2
            box = (left, top, left + across, top + down)
            picture = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
        array = np.asarray(picture, dtype=np.uint8)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)
