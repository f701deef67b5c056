"""Where cells in other processes find a user's data: one file a data set, named after what it holds.

A file NAME-DIGEST.npz in the folder `own` of the data root has the splits, labels, and a text with the facts. It is not
packed, so that arrays are read from it in place.
"""

import contextlib
import io
import json
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.files import data_root, one_line
from bench.data.given import checksum
from bench.data.given.facts import facts_of
from bench.data.given.memory import HELD, rows
from bench.data.readers import Raw
from bench.errors import DataError, MachineError
from bench.text import cut

_ABOUT = "about.json"


def name_of(raw: Raw) -> str:
    """What tables and records call data: their name, and eight digits of their content."""
    readable = re.sub(r"[^\w-]+", "_", raw.facts.name).strip("_") or "data"
    return f"{cut(readable, 40)}-{raw.checksum[:8]}"


def path(name: str, root: str | Path | None = None) -> Path:
    """Where data of that name lie."""
    return data_root(root) / "own" / f"{name}.npz"


def write(raw: Raw) -> str:
    """Keep data, and return their name.

    Raises:
        MachineError: they cannot be written.
    """
    name = name_of(raw)
    target = path(name)
    if target.is_file():
        return name
    part = target.with_name(f".partial-{name}-{os.getpid()}")
    about = raw.facts.plain() | {"white": raw.levels, "sha256": raw.checksum}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w") as archive:
            for split in SPLITS:
                _add(archive, f"{split}.npy", np.asarray(raw.images[split]))
                _add(archive, f"{split}_labels.npy", raw.labels[split])
            archive.writestr(_ABOUT, json.dumps(about))
        part.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise MachineError(f"cannot write in {target.parent} ({one_line(error)}); set VAEBENCH_DATA") from error
    return name


def _add(archive: zipfile.ZipFile, member: str, array: NDArray[Any]) -> None:
    header = io.BytesIO()
    kind = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_2_0(header, {"descr": kind, "fortran_order": False, "shape": array.shape})
    step = rows(array)
    with archive.open(member, "w", force_zip64=True) as stream:
        stream.write(header.getvalue())
        for i in range(0, len(array), step):
            stream.write(np.ascontiguousarray(array[i : i + step]).tobytes())


def read(file: Path) -> Raw:
    """Data as `write` has kept them; those of less than a gigabyte are checked.

    Raises:
        DataError: the file is missing, damaged, or another one.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(_ABOUT))
            arrays = {info.filename: _array(file, info) for info in archive.infolist() if info.filename != _ABOUT}
        white, sha256 = about.pop("white"), about.pop("sha256")
        images = {split: arrays[f"{split}.npy"] for split in SPLITS}
        labels = {split: np.array(arrays[f"{split}_labels.npy"]) for split in SPLITS}
        facts = facts_of(about)
    # What is in the place of such a file may make zipfile and numpy raise anything.
    except Exception as error:
        raise DataError(f"{file}: cannot read it ({one_line(error)}); name the data by their path again") from error
    if sum(each.nbytes for each in images.values()) <= HELD:
        images = {split: np.array(each) for split, each in images.items()}
        if checksum(images, labels, white, facts) != sha256:
            raise DataError(f"{file}: is damaged; remove it, and name the data by their path again")
    return Raw(images, labels, white, sha256, given=facts)


def _array(file: Path, member: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of the archive, in place."""
    with file.open("rb") as stream:
        stream.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
        stream.seek(member.header_offset + 30 + name + extra)
        version = np.lib.format.read_magic(stream)
        if version != (2, 0) or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError("it is not as vaebench writes it")
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if dtype.hasobject:
            raise ValueError("it holds objects")
        return np.memmap(file, dtype, "c", stream.tell(), shape)
