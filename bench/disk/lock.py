"""One writer at a time in a results folder, and nothing left behind by one that was killed."""

import contextlib
import errno
import fcntl
import json
import os
import platform
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.disk.files import PARTIAL, check_folder, is_ours, make_folder, read_bytes
from bench.errors import MachineError

FILE = ".lock"


@contextlib.contextmanager
def lock(out: Path) -> Iterator[None]:
    """Hold a results folder, made if need be, and remove the unfinished files of a run that was killed in it.

    It is the kernel's lock on an open file, so it ends with the process that holds it, however that ends. Between
    hosts it holds where the file system carries `flock` from one to the other (NFS since version 4, Lustre with
    `flock`); where there are no locks at all, a line says so and the run goes on. The folder itself is locked as well,
    where that can be, so that removing the file lets nobody in.

    Raises:
        MachineError: another process holds the folder; the message says which. Or the folder cannot be written, or a
            folder in it leads out of it.
    """
    path = out / FILE

    def busy() -> None:
        raise MachineError(
            f"{out} is in use by {_holder(path)}: wait until it has ended, or choose another folder with --out"
        )

    with contextlib.ExitStack() as stack:
        try:
            make_folder(out)
            check_folder(out, ())
            handle = stack.enter_context(held(path, busy))
            _lock_folder(out, stack, busy)
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_facts()).encode(), 0)
            _clear(out)
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error
        yield


@contextlib.contextmanager
def held(path: Path, busy: Callable[[], None]) -> Iterator[int]:
    """Hold a lock's file, made for it and removed afterwards, and yield it, open. OSError if it cannot be made.

    Args:
        path: of the file.
        busy: called once where another process holds it; what it raises ends the attempt, else we wait.
    """
    handle = _acquire(path, busy)
    try:
        yield handle
    finally:
        # Before it is let go: whoever has opened it meanwhile then sees that it is no longer the folder's lock.
        with contextlib.suppress(OSError):
            if os.path.samestat(path.lstat(), os.fstat(handle)):
                path.unlink()
        os.close(handle)


def _lock_folder(out: Path, stack: contextlib.ExitStack, busy: Callable[[], None]) -> None:
    handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy()
    except OSError:
        pass  # NFS locks no folder; there the file alone counts


def _acquire(path: Path, busy: Callable[[], None]) -> int:
    told = False
    while True:
        # For writing as well, without which NFS gives no exclusive lock.
        handle = _open(path)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    busy()
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(path.stat(follow_symlinks=False), os.fstat(handle)):
                return handle
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                print(
                    f"vaebench: {path.parent} cannot be locked ({error.strerror}): let no other run write there",
                    file=sys.stderr,
                )
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # removed, or another in its place: whoever held it has ended


def _open(path: Path) -> int:
    """The lock's file, open. MachineError for a link, no plain file, one with a second name, or with other content."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        facts = os.fstat(handle)
        plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink <= 1
        if plain and os.pread(handle, len(_BEGINS), 0) in (b"", _BEGINS):
            return handle
        os.close(handle)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise
    raise MachineError(f"{path} is no lock of vaebench: move it, or choose another folder with --out")


# Of a lock's content; see `_facts`.
_BEGINS = b'{"pid": '


def _facts() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _holder(path: Path) -> str:
    try:
        facts = json.loads(read_bytes(path))
        return (
            f"another run (process {facts['pid']} on {facts['host']}, since {facts['since']}: {facts['command'][:200]})"
        )
    except (OSError, ValueError, LookupError, TypeError):
        return "another run"  # which has just begun, or ended


def _clear(out: Path) -> None:
    for folder in (out, *(each for each in out.iterdir() if each.is_dir() and not each.is_symlink())):
        for left in filter(is_ours, folder.glob(f"{PARTIAL}*")):
            left.unlink(missing_ok=True)
