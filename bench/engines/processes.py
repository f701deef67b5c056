"""How a process ends with the one that started it, and how it ended."""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import parent_process
from tempfile import gettempdir
from types import ModuleType

from bench.errors import MachineError


@contextlib.contextmanager
def told_of_limits() -> Iterator[None]:
    """MachineError, in one line, where no process can be started here."""
    try:
        yield
    except OSError as error:  # no more processes or files, or a socket's path that is too long
        raise MachineError(
            f"no process can be started ({error}): look at TMPDIR ({gettempdir()}) and ulimit"
        ) from error


@contextlib.contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """What is started here never sees Ctrl-C, which a terminal sends to a whole group of processes; we do, afterwards.

    A fork server in the middle of its imports would answer with a traceback of its own."""
    resource_tracker.ensure_running()  # type: ignore[attr-defined]  # which would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """What is started here does not run the script again that we were started with: it needs nothing of it, and a
    user's script has no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def end_with_supervisor() -> None:
    """Have the kernel end this process when its supervisor has gone, in whatever way, and whatever runs here.

    This is a child of the fork server, and cannot ask for its supervisor's death. But that holds the other end of the
    pipe through which this process was described; at its closing the kernel sends SIGIO, which ends a process.
    """
    supervisor = parent_process()
    if supervisor is None:
        return
    pipe = supervisor.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([pipe], timeout=0):
        os._exit(1)  # the supervisor was gone before


def how_it_ended(code: int | None) -> str:
    """In words, of a process that left no result."""
    if code == -signal.SIGKILL:
        return "was killed by signal 9 (perhaps out of memory: try fewer --jobs)"
    if code and code < 0:
        return f"was killed by signal {-code} without a result"
    return f"exited with code {code} without a result"
