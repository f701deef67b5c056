"""Files on disk: where they lie, how they are fetched, and that they are the right bytes."""

import errno
import gzip
import hashlib
import importlib
import lzma
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

from bench.data.entry import DataSet, File
from bench.errors import DataError, MachineError

# The timeout lets a slow server answer, and a run without a network says so soon.
TIMEOUT_S = 10.0
# A mirror with fewer bytes a second is as good as stalled.
SLOWEST = 1000
_UNPACK = {".gz": gzip.decompress, ".xz": lzma.decompress}


def data_root(root: str | Path | None = None) -> Path:
    """Where data sets lie: `root`, else $VAEBENCH_DATA, else `vaebench` in the XDG cache folder."""
    if root is not None:
        return at_home(root)
    if chosen := os.environ.get("VAEBENCH_DATA"):
        return at_home(chosen)
    return at_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vaebench"


def at_home(path: str | Path) -> Path:
    """A path with its `~` resolved, or as it is where nobody has that home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def folder_of(dataset: DataSet, root: str | Path | None = None) -> Path:
    """The folder that a data set is read from: the first of its own folders that has it, else ROOT/NAME."""
    here = data_root(root) / dataset.name
    return next((folder for folder in dataset.folders if not missing(dataset, folder)), here)


def missing(dataset: DataSet, folder: Path) -> list[File]:
    """The files of a data set that `folder` lacks."""
    return [file for file in dataset.files if not _is_file(folder / file.name)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no disk has, or a folder that may not be looked into
        return False


def fetch(dataset: DataSet, folder: Path) -> None:
    """Download what `folder` lacks. A file appears there only when it is whole and its checksum is right.

    Of several processes that fetch one data set, one downloads and the others wait.

    Raises:
        DataError: if a file cannot be had.
        MachineError: if the folder cannot be written, or a downloader that a file needs is not installed.
    """
    from bench.disk.lock import FILE, held

    absent = missing(dataset, folder)
    for file in absent:
        if file.url is None:
            raise DataError(f"{dataset.name}: {file.name} is missing; install vaebench again, or put it in {folder}")
    if not absent:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / FILE, partial(_say_waiting, dataset.name)):
            for left in folder.glob(".partial-*"):  # a killed download left them
                shutil.rmtree(left)
            for file in missing(dataset, folder):  # another process may have fetched some by now
                with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as scratch:
                    _download(dataset.name, file, Path(scratch) / file.name, folder)
                    (Path(scratch) / file.name).replace(folder / file.name)
    except OSError as error:
        raise MachineError(f"cannot write in {folder} ({one_line(error)}); set VAEBENCH_DATA") from error


def _say_waiting(name: str) -> None:
    print(f"vaebench: waiting for another process that fetches {name}", file=sys.stderr, flush=True)


def _download(name: str, file: File, path: Path, folder: Path) -> None:
    """Bring a file to `path`; it belongs in `folder`. DataError if it cannot be had, OSError if the disk is full."""
    url = str(file.url)
    advice = f"put {file.name} in {folder}, or set VAEBENCH_DATA to a folder that has {name}/{file.name}"
    try:
        if url.startswith("https://drive.google.com/"):
            _from_drive(name, url, path)
        else:
            with path.open("wb") as stream:
                for chunk in _received(url):
                    stream.write(chunk)
        if (md5 := _md5(path)) != file.md5:
            with path.open("rb") as stream:
                page = stream.read(100).lstrip().startswith(b"<")
            what = "a web page came instead" if page else "other bytes came"
            raise ValueError(f"{what}, of md5 {md5}, not {file.md5}")
    except MachineError:
        raise
    except urllib.error.HTTPError as error:
        error.close()  # the error is an open answer too
        raise DataError(f"{name}: could not fetch {url} ({error}); {advice}") from error
    # Downloaders raise what they like: URLError, HTTPException, and more from the one for Google Drive.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DataError(f"{name}: could not fetch {url} ({one_line(error)}); {advice}") from error


def _received(url: str) -> Iterator[bytes]:
    """The bytes of a file on the network, piece by piece; OSError or HTTPException if they do not all come."""
    from tqdm import tqdm

    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        length = answer.length
        got, counted, since = 0, 0, time.monotonic()
        with tqdm(total=length, unit="B", unit_scale=True, desc=url.rpartition("/")[2], disable=None) as bar:
            while chunk := answer.read1(1 << 20):
                yield chunk
                got += len(chunk)
                bar.update(len(chunk))
                # A mirror that sends a byte now and then never runs into the timeout of its connection.
                if (now := time.monotonic()) - since > TIMEOUT_S:
                    if got - counted < SLOWEST * TIMEOUT_S:
                        raise TimeoutError(f"only {got - counted} bytes came in {TIMEOUT_S:g} seconds")
                    counted, since = got, now
        if length is not None and got < length:
            raise ConnectionError(f"the connection ended after {got:,} of {length:,} bytes")


def _from_drive(name: str, url: str, path: Path) -> None:
    """A file of Google Drive, which asks questions before it sends a large one."""
    require("gdown", "gdown", f"to fetch {name}")
    utils = require("torchvision.datasets.utils", "torchvision", f"to fetch {name}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        utils.download_url(url, str(path.parent), path.name)
    finally:
        socket.setdefaulttimeout(before)


def check_md5(path: Path, file: File) -> None:
    """Refuse an archive that is not the published one.

    Raises:
        DataError: if it is missing, unreadable or different.
    """
    try:
        md5 = _md5(path)
    except OSError as error:
        raise DataError(f"cannot read {path} ({one_line(error)})") from error
    if md5 != file.md5:
        raise DataError(f"{path} is not the published file (md5 {md5}, not {file.md5}); remove it and fetch it again")


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
    sha256 = hashlib.sha256(content).hexdigest()
    if file.sha256 not in (None, sha256):
        raise DataError(f"{path} holds other data (sha256 {sha256}, not {file.sha256}); replace it, it was not used")
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


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
