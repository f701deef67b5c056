"""Files on disk: where they lie, how they are fetched, and that they are the right bytes."""

import gzip
import hashlib
import importlib
import lzma
import os
import socket
import tempfile
import zlib
from pathlib import Path
from types import ModuleType

from bench.data.sets import DataSet, File
from bench.errors import DataError, MachineError

# Long enough for a slow server to answer, short enough that a run without a network says so at once.
TIMEOUT_S = 10.0
_UNPACK = {".gz": gzip.decompress, ".xz": lzma.decompress}


def data_root(root: str | Path | None = None) -> Path:
    """Where data sets lie: `root`, else $VAEBENCH_DATA, else `vaebench` in the XDG cache folder."""
    if root is not None:
        return Path(root).expanduser()
    if chosen := os.environ.get("VAEBENCH_DATA"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vaebench"


def folder_of(dataset: DataSet, root: str | Path | None = None) -> Path:
    """The folder that a data set is read from: the first of its own places that has it, else ROOT/NAME."""
    here = data_root(root) / dataset.name
    return next((place for place in dataset.places if not missing(dataset, place)), here)


def missing(dataset: DataSet, folder: Path) -> list[File]:
    """The files of a data set that `folder` lacks."""
    return [file for file in dataset.files if not (folder / file.name).is_file()]


def fetch(dataset: DataSet, folder: Path) -> None:
    """Download what `folder` lacks. A file appears there only when it is whole and its checksum is right.

    Raises:
        DataError: if a file cannot be had.
        MachineError: if the folder cannot be written, or torchvision, whose downloader is used, is missing.
    """
    for file in missing(dataset, folder):
        if file.url is None:
            raise DataError(f"{dataset.name}: {file.name} is missing; install vaebench again, or put it in {folder}")
        advice = f"put {file.name} in {folder}, or set VAEBENCH_DATA to a folder that has {dataset.name}/{file.name}"
        utils = require("torchvision.datasets.utils", "torchvision", f"to fetch {dataset.name}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".partial-")
        except OSError as error:
            raise MachineError(f"cannot write in {folder} ({one_line(error)}); set VAEBENCH_DATA") from error
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT_S)
        try:
            with scratch:
                utils.download_url(file.url, scratch.name, file.name, file.md5)
                (Path(scratch.name) / file.name).replace(folder / file.name)
        # Downloaders raise what they like: URLError, RuntimeError, and more from the one for Google Drive.
        except Exception as error:
            raise DataError(f"{dataset.name}: could not fetch {file.url} ({one_line(error)}); {advice}") from error
        finally:
            socket.setdefaulttimeout(before)


def check_md5(path: Path, file: File) -> None:
    """Refuse an archive that is not the published one.

    Raises:
        DataError: if it is missing, unreadable or different.
    """
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, _md5).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path} ({one_line(error)})") from error
    if found != file.md5:
        raise DataError(f"{path} is not the published file (md5 {found}, not {file.md5}); remove it and fetch it again")


def unpacked(path: Path, file: File) -> bytes:
    """The bytes of a packed file, checked: by their own sha256 where it is known, else by the archive's md5.

    Raises:
        DataError: if the file is missing, unreadable or different.
    """
    if file.sha256 is None:
        check_md5(path, file)
    try:
        content = _UNPACK[path.suffix](path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"cannot read {path} ({one_line(error)}); remove it and fetch or install it again") from error
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 not in (None, found):
        raise DataError(f"{path} holds other data (sha256 {found}, not {file.sha256}); replace it, it was not used")
    return content


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Raises:
        MachineError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MachineError(f"{package} is needed {purpose}: pip install {package}") from error


def one_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
