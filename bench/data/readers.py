"""From files to arrays: one reader for each kind of file, and which data set uses which."""

import hashlib
import math
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.factors import Factors
from bench.data.files import check_md5, one_line, require, unpacked
from bench.data.given.facts import Facts
from bench.data.sets import SETS
from bench.errors import BenchError, DataError

# The digits that scikit-learn ships have this sum, by `from_arrays`.
DIGITS_SHA256 = "0b64f280552cdbed2b3cc9e3ea4f7e848c92966a019b3e52528c58eb99bf4b6a"


class OnDemand(Protocol):
    """Examples that are read or drawn one at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


class Photos:
    """Photographs inside a zip archive, read one at a time.

    Indexing gives `[3, size, size]` uint8: the centre crop of `crop` pixels, resized to `size`.
    """

    def __init__(self, archive: Path, names: list[str], crop: int, size: int) -> None:
        self.archive, self.names, self.crop, self.size = archive, names, crop, size
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None}

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        from PIL import Image

        # A forked worker must not share its parent's position in the file.
        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), zipfile.ZipFile(self.archive)
        with self._open[1].open(self.names[index]) as stream, Image.open(stream) as photo:
            left, top = (photo.width - self.crop) // 2, (photo.height - self.crop) // 2
            box = (left, top, left + self.crop, top + self.crop)
            small = photo.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.array(small).transpose(2, 0, 1)


@dataclass(frozen=True)
class Raw:
    """A data set as read, before any binarisation.

    Attributes:
        images: by split `[N, *shape]`, uint8 counts out of `levels` or float32; or what hands them out one at a time.
        labels: by split `[N]`, zeros where there are none.
        levels: the count that means white; 1 for float32.
        checksum: sha256 of the data.
        factors: what each example was made from, where that is known.
        prepared: whole splits under a binarisation, by both names, where `bench.data.keep` has prepared them.
        given: of a user's own data, what was decided about them.
    """

    images: Mapping[str, NDArray[Any] | OnDemand]
    labels: Mapping[str, NDArray[np.int64]]
    levels: int
    checksum: str
    factors: Factors | None = None
    prepared: dict[tuple[str, str], NDArray[Any]] = field(default_factory=dict, compare=False)
    given: Facts | None = None

    @property
    def facts(self) -> Facts:
        """What was decided about a user's own data; of these alone."""
        assert self.given is not None
        return self.given


def from_arrays(images: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[np.int64]], levels: int) -> Raw:
    """Raw of arrays by split. The checksum is over images, then labels, of train, valid and test."""
    checksum = hashlib.sha256()
    for split in SPLITS:
        checksum.update(images[split].tobytes())
        checksum.update(labels[split].tobytes())
    return Raw(images, labels, levels, checksum.hexdigest())


def in_a_row(images: NDArray[Any], labels: NDArray[Any], sizes: Mapping[str, int], levels: int) -> Raw:
    """Raw of examples that lie in the order train, valid, test.

    Raises:
        DataError: if there are not as many images and labels as the sizes say.
    """
    total = sum(sizes.values())
    if not len(images) == len(labels) == total:
        raise DataError(f"read {len(images)} images and {len(labels)} labels where there must be {total}")
    ends = np.cumsum([sizes[split] for split in SPLITS])[:-1]
    return from_arrays(
        dict(zip(SPLITS, np.split(images, ends), strict=True)),
        dict(zip(SPLITS, np.split(labels.astype(np.int64), ends), strict=True)),
        levels,
    )


def parse_idx(content: bytes, path: Path) -> NDArray[np.uint8]:
    """An array in the idx format: two zero bytes, type 8 (uint8), number of axes, big-endian sizes, values.

    Raises:
        DataError: if it is not that.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{path} is not an idx file of bytes")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * len(shape))
    if values.size != math.prod(shape):
        raise DataError(f"{path} holds {values.size} values where its header says {shape}")
    return values.reshape(shape)


def _read_idx(name: str, folder: Path) -> Raw:
    train_x, train_y, test_x, test_y = (
        parse_idx(unpacked(folder / file.name, file), folder / file.name) for file in SETS[name].files
    )
    images, labels = np.concatenate([train_x, test_x])[:, None], np.concatenate([train_y, test_y])
    return in_a_row(images, labels, SETS[name].splits, levels=255)


def _read_digits(name: str, _folder: Path) -> Raw:
    datasets = require("sklearn.datasets", "scikit-learn", "for the data set digits")
    digits = datasets.load_digits()
    raw = in_a_row(digits.images.astype(np.uint8)[:, None], digits.target, SETS[name].splits, levels=16)
    if raw.checksum != DIGITS_SHA256:
        raise DataError(f"scikit-learn's digits are altered (sha256 {raw.checksum}); install scikit-learn again")
    return raw


def _read_photographs(name: str, _folder: Path) -> Raw:
    datasets = require("sklearn.datasets", "scikit-learn", f"for the data set {name}")
    photos = datasets.load_sample_images().images
    splits, side = SETS[name].splits, SETS[name].shape[-1]
    random = np.random.RandomState(0)  # its draws are the same in every version of NumPy
    labels = np.arange(sum(splits.values())) % len(photos)
    return in_a_row(np.stack([_crop(photos[label], side, random) for label in labels]), labels, splits, levels=255)


def _crop(photo: NDArray[np.uint8], side: int, random: np.random.RandomState) -> NDArray[np.uint8]:
    """`[3, side, side]` at a random place of `[H, W, 3]`."""
    top, left = (random.randint(length - side + 1) for length in photo.shape[:2])
    return photo[top : top + side, left : left + side].transpose(2, 0, 1)


def _read_breast_cancer(name: str, _folder: Path) -> Raw:
    datasets = require("sklearn.datasets", "scikit-learn", f"for the data set {name}")
    table = datasets.load_breast_cancer()
    train = table.data[: SETS[name].splits["train"]]
    columns = ((table.data - train.mean(0)) / train.std(0)).astype(np.float32)
    return in_a_row(columns, table.target, SETS[name].splits, levels=1)


def _read_omniglot(name: str, folder: Path) -> Raw:
    """Ink is white, as in MNIST. Characters are numbered in the order of paths, background set first."""
    Image = require("PIL.Image", "pillow", "for the data set omniglot")
    images: dict[str, list[NDArray[np.uint8]]] = {split: [] for split in SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in SPLITS}
    characters: dict[str, int] = {}
    for file in SETS[name].files:
        check_md5(folder / file.name, file)
        with zipfile.ZipFile(folder / file.name) as archive:
            for path in sorted(path for path in archive.namelist() if path.endswith(".png")):
                character, _, drawer = path.removesuffix(".png").rpartition("_")
                split = "train" if int(drawer) <= 14 else "valid" if int(drawer) == 15 else "test"
                with archive.open(path) as stream, Image.open(stream) as page:
                    small = page.convert("L").resize((28, 28), Image.Resampling.BOX)
                images[split].append(255 - np.array(small)[None])
                labels[split].append(characters.setdefault(character, len(characters)))
    return from_arrays(
        {split: np.stack(images[split]) for split in SPLITS},
        {split: np.array(labels[split], dtype=np.int64) for split in SPLITS},
        levels=255,
    )


_ARRAY_PARTS = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays and nothing else: an md5 is too weak a reason to run what a pickle says."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in _ARRAY_PARTS:
            return _ARRAY_PARTS[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")


def _unpickle(stream: IO[bytes] | None) -> Any:
    if stream is None:
        raise DataError("cifar10: the archive has a folder where a batch must be")
    # Python 2 wrote the file, and its strings are bytes: latin1 keeps them as they are.
    return _ArraysOnly(stream, encoding="latin1").load()


def _read_cifar10(name: str, folder: Path) -> Raw:
    (file,) = SETS[name].files
    check_md5(folder / file.name, file)
    members = [f"cifar-10-batches-py/{batch}" for batch in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
    with tarfile.open(folder / file.name) as archive:
        batches = [_unpickle(archive.extractfile(member)) for member in members]
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch["labels"] for batch in batches])
    return in_a_row(images, labels, SETS[name].splits, levels=255)


def _read_svhn(name: str, folder: Path) -> Raw:
    io = require("scipy.io", "scipy", "for the data set svhn")
    images, labels = [], []
    for file in SETS[name].files:
        check_md5(folder / file.name, file)
        content = io.loadmat(folder / file.name)
        images.append(np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1)))
        labels.append(content["y"].ravel())
    # The files write the digit 0 as 10.
    return in_a_row(np.concatenate(images), np.concatenate(labels) % 10, SETS[name].splits, levels=255)


def _read_celeba(name: str, folder: Path) -> Raw:
    """Has no labels. The checksum is over the two files as they are: to unpack all would take minutes."""
    require("PIL.Image", "pillow", "for the data set celeba")
    checksum = hashlib.sha256()
    for file in SETS[name].files:
        check_md5(folder / file.name, file)
        with (folder / file.name).open("rb") as stream:
            checksum.update(hashlib.file_digest(stream, "sha256").digest())
    archive, partition = (folder / file.name for file in SETS[name].files)
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    for line in partition.read_text().splitlines():
        photo, number = line.split()
        names[SPLITS[int(number)]].append(f"img_align_celeba/{photo}")
    return Raw(
        {split: Photos(archive, names[split], crop=148, size=64) for split in SPLITS},
        {split: np.zeros(len(names[split]), dtype=np.int64) for split in SPLITS},
        levels=255,
        checksum=checksum.hexdigest(),
    )


_READERS: dict[str, Callable[[str, Path], Raw]] = {
    "mnist": _read_idx,
    "fashion_mnist": _read_idx,
    "kmnist": _read_idx,
    "omniglot": _read_omniglot,
    "digits": _read_digits,
    "photographs32": _read_photographs,
    "photographs64": _read_photographs,
    "photographs128": _read_photographs,
    "breast_cancer": _read_breast_cancer,
    "cifar10": _read_cifar10,
    "svhn": _read_svhn,
    "celeba": _read_celeba,
}


def read(name: str, folder: Path) -> Raw:
    """Read a data set from the files in `folder`, and check them.

    Raises:
        DataError: if they are missing, unreadable or other than published.
        MachineError: if a package that the reader needs is not installed.
    """
    try:
        raw = _READERS[name](name, folder)
    except BenchError:
        raise
    # A damaged archive makes its library raise anything. MD5 is no proof of whose file it is.
    except Exception as error:
        said = f"{type(error).__name__}: {one_line(error)}"
        raise DataError(
            f"{name}: cannot read the files in {folder} ({said}); remove them and fetch them again"
        ) from error
    sizes = {split: len(raw.images[split]) for split in SPLITS}
    if sizes != dict(SETS[name].splits):
        raise DataError(f"{name}: read splits of {sizes} where there must be {dict(SETS[name].splits)}")
    return raw
