"""One writer at a time in a results folder, and nothing left behind by one that was killed."""

import contextlib
import fcntl
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import MachineError
from bench.record import PARTIAL, make_folder

FILE = ".lock"


@contextlib.contextmanager
def lock(out: Path) -> Iterator[None]:
    """Hold a results folder, made if need be, and remove the unfinished files of a run that was killed in it.

    It is the kernel's lock on an open file, so it ends with the process that holds it, however that ends. Between
    hosts it holds where the file system carries `flock` from one to the other (NFS since version 4, Lustre with
    `flock`); where there are no locks at all, a line says so and the run goes on.

    Raises:
        MachineError: another process holds the folder; the message says which. Or the folder cannot be written.
    """
    path = out / FILE
    handle = None
    try:
        make_folder(out)
        handle = _acquire(path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_facts()).encode(), 0)
        _clear(out)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        raise MachineError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error
    try:
        yield
    finally:
        # Before it is let go: whoever has opened it meanwhile then sees that it is no longer the folder's lock.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _acquire(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError:
            holder = _holder(path)
            os.close(handle)
            raise MachineError(
                f"{path.parent} is in use by {holder}: wait until it has ended, or choose another folder with --out"
            ) from None
        except OSError as error:
            print(
                f"vaebench: {path.parent} cannot be locked ({error.strerror}): let no other run write there",
                file=sys.stderr,
            )
            return handle
        os.close(handle)


def _facts() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return (
            f"another run (process {facts['pid']} on {facts['host']}, since {facts['since']}: {facts['command'][:200]})"
        )
    except (OSError, ValueError, LookupError, TypeError):
        return "another run"  # which has just begun, or ended


def _clear(out: Path) -> None:
    for place in (out, *(folder for folder in out.iterdir() if folder.is_dir())):
        for left in place.glob(f"{PARTIAL}*"):
            left.unlink(missing_ok=True)
