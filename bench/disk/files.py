"""Whole files: written in one step, removed for good, read up to a size."""

import errno
import os
import tempfile
from pathlib import Path

from bench.errors import MachineError

# How the names of files begin that are being written.
PARTIAL = ".partial-"
# No record, suite or published table comes near it; a file that does is not read into memory.
LARGEST = 64 * 2**20


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` in one step, for good: nobody ever sees half a file, and a power cut does not undo it.

    A process that is killed here leaves a file whose name begins with `PARTIAL`; the next run removes it.

    Raises:
        MachineError: it cannot be written.
    """
    try:
        try:
            _replace(path, content)
        except FileNotFoundError:
            # A report needs no lock: a run that began beside it took the unfinished file for a killed one's.
            _replace(path, content)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error


def _replace(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for good. OSError if it cannot be made."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that keeps its folders in its own way
            raise
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file, if it is there, for good. MachineError if that cannot be done."""
    try:
        if path.exists():
            path.unlink(missing_ok=True)
            _sync(path.parent)
    except OSError as error:
        raise MachineError(f"cannot remove {path}: {error.strerror}; choose another folder with --out") from error


def read_text(path: Path) -> str:
    """A file of text that others may have made. OSError, or ValueError for no UTF-8 and for more than `LARGEST`."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST:,} bytes")
    return path.read_text(encoding="utf-8")
