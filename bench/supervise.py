"""Runs cells side by side, one process each, and writes what they return. Only this process writes records;
a cell writes nothing but its own checkpoints, trained weights and the notes of its measurement. If this process is
killed, its cells end with it."""

import contextlib
import fcntl
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path
from typing import Any

from bench import record, sources
from bench.record import Cell, Record
from bench.streams import Patient

# Seconds that a cell has to leave tidily when it is asked to.
GRACE_S = 2.0


@dataclass
class _Running:
    kind: str
    cell: Cell
    provenance: dict[str, Any]
    process: BaseProcess
    pipe: Connection
    started: float
    epochs: int = 0


def run_cells(
    kind: str,
    cells: list[Cell],
    out: Path,
    *,
    jobs: int,
    timeout_s: float,
    provenance: dict[str, Any],
    on_epoch: Callable[[int], None],
    on_measured: Callable[[Cell, str, int, int], None],
    on_record: Callable[[Record, float], None],
    on_note: Callable[[Cell, str], None] = lambda *_: None,
) -> None:
    """Run every cell in a process of its own, at most `jobs` at a time, and write a record for each, whatever happens.

    Args:
        kind: one of `record.KINDS`.
        cells: configurations.
        out: results folder.
        jobs: processes side by side.
        timeout_s: seconds after which a cell is ended with status `timeout`.
        provenance: kept in every record.
        on_epoch: told how many further epochs have been done since its last call.
        on_measured: told a cell, a measurement, how many of its batches are done, and how many there are.
        on_record: told every written record and its wall time in seconds.
        on_note: told a cell and a line that a user should read.

    Raises:
        MachineError: a record cannot be written.
        KeyboardInterrupt: after the cells in flight have been ended; what was written stays.
    """
    # A fork server imports torch and reads the data once; a cell then starts in milliseconds with a clean copy of both.
    # Where forking is not safe, every cell starts from nothing.
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        os.environ["VAEBENCH_KEEP"] = json.dumps(sorted({(cell["dataset"], cell["binarise"]) for cell in cells}))
        context.set_forkserver_preload(["bench.preload"])
    waiting, running = list(reversed(cells)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                with _ctrl_c_held_back():
                    running.append(_start(context, kind, waiting.pop(), provenance, out))
            ready = wait([r.pipe for r in running], timeout=1.0)
            for r in list(running):
                outcome = _receive(r, on_epoch, on_measured, on_note) if r.pipe in ready else None
                if outcome is None and time.monotonic() - r.started > timeout_s:
                    outcome = _failed(r, "timeout", f"not finished after {timeout_s / 60:g} minutes"), None
                if outcome is not None:
                    _end(r, time.monotonic() + GRACE_S)
                    running.remove(r)
                    record.write(out, *outcome)
                    on_record(outcome[0], time.monotonic() - r.started)
    finally:
        for r in running:
            r.process.terminate()
        until = time.monotonic() + GRACE_S
        for r in running:
            _end(r, until)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """What is started here never sees Ctrl-C, which a terminal sends to a whole group of processes; we do, afterwards.

    A fork server in the middle of its imports would answer with a traceback of its own."""
    resource_tracker.ensure_running()  # type: ignore[attr-defined]  # which would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(context: Any, kind: str, cell: Cell, provenance: dict[str, Any], out: Path) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
    provenance = provenance | sources.sums(cell["variant"])
    request = json.dumps([kind, cell, provenance, str(out)])
    # No daemon: the loaders of streamed data are processes of their own, and a daemon may not have children.
    process = context.Process(target=_work, args=(theirs, request))
    process.start()
    theirs.close()
    return _Running(kind, cell, provenance, process, ours, time.monotonic())


def _work(pipe: Connection, request: str) -> None:
    """In the cell's process: run it and send the record back."""
    end_with_supervisor()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end: whatever is open is closed
    os.dup2(2, 1)  # standard output belongs to the command; what a variant prints goes to standard error
    sys.stdout = sys.stderr = Patient(sys.stderr)  # type: ignore[assignment]
    try:
        from bench.run import run_cell

        kind, cell, provenance, out = json.loads(request)
        result, artefacts = run_cell(
            kind,
            cell,
            provenance,
            on_epoch=lambda epoch: _send(pipe, "epoch", epoch),
            on_measured=lambda *progress: _send(pipe, "measured", *progress),
            on_note=lambda line: _send(pipe, "note", line),
            out=Path(out),
        )
        _send(pipe, "record", result, artefacts is not None)
        if artefacts is not None:
            pipe.send_bytes(artefacts)
    except BrokenPipeError:
        os._exit(1)  # the supervisor is gone, and nobody is left to report to
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


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
        os._exit(1)  # it was gone before


def _send(pipe: Connection, *message: Any) -> None:
    pipe.send_bytes(json.dumps(message, allow_nan=False).encode())


def _receive(
    r: _Running,
    on_epoch: Callable[[int], None],
    on_measured: Callable[[Cell, str, int, int], None],
    on_note: Callable[[Cell, str], None],
) -> tuple[Record, bytes | None] | None:
    try:
        message = json.loads(r.pipe.recv_bytes())
        if message[0] == "record":
            result: Record = message[1]
            artefacts = r.pipe.recv_bytes() if message[2] else None
    except (EOFError, OSError):
        r.process.join(5)
        return _failed(r, "error", f"the cell's process {_how_it_ended(r.process.exitcode)}"), None
    if message[0] == "epoch":
        on_epoch(message[1] - r.epochs)
        r.epochs = message[1]
        return None
    if message[0] == "measured":
        on_measured(r.cell, *message[1:])
        return None
    if message[0] == "note":
        on_note(r.cell, message[1])
        return None
    on_epoch(r.cell.get("budget", {}).get("epochs", 0) - r.epochs)
    return result, artefacts


def _how_it_ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "was killed by signal 9 (perhaps out of memory: try fewer --jobs)"
    if code and code < 0:
        return f"was killed by signal {-code} without a result"
    return f"exited with code {code} without a result"


def _failed(r: _Running, status: str, reason: str) -> Record:
    return record.new(r.kind, r.cell, r.provenance) | {"status": status, "reason": reason}


def _end(r: _Running, until: float) -> None:
    if r.process.is_alive():
        r.process.join(max(0.0, until - time.monotonic()))
    if r.process.is_alive():
        r.process.kill()
    r.process.join()
    r.pipe.close()
