"""Runs cells side by side, one process each, and writes what they return. Only this process writes records;
a cell writes nothing but its own checkpoints, trained weights and the notes of its measurement. If this process is
killed, its cells end with it."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.engines.events import Done, Epochs, Event, Measured, Note, deliver
from bench.engines.processes import ctrl_c_held_back, end_with_supervisor, how_it_ended
from bench.errors import UsageError
from bench.records import record, schema, sources
from bench.records.record import Cell, Record
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
    found = events(kind, cells, out, jobs=jobs, timeout_s=timeout_s, provenance=provenance)
    with contextlib.closing(found):
        for event in found:
            deliver(event, out, on_epoch=on_epoch, on_measured=on_measured, on_record=on_record, on_note=on_note)


def events(
    kind: str,
    cells: list[Cell],
    out: Path,
    *,
    jobs: int,
    timeout_s: float,
    provenance: dict[str, Any],
    files: Mapping[str, Path] = MappingProxyType({}),
) -> Generator[Event]:
    """Run every cell in a process of its own, and yield what happens. Nothing is written but what cells keep for
    themselves; to close it ends the cells in flight.

    Args:
        files: where users' files are, by the names that the cells have for them; by default under these names.
    """
    # Before the fork server imports any of it: a record names the code that made its numbers.
    sums = {cell["variant"]: sources.sums(cell["variant"]) for cell in cells}
    # A fork server imports torch and reads the data once; a cell then starts in milliseconds with a clean copy of both.
    # Where forking is not safe, every cell starts from nothing.
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        kept = sorted({(cell["dataset"], cell["binarise"]) for cell in cells})
        os.environ["VAEBENCH_KEEP"] = json.dumps(
            [[*choice, *(str(files[n]) for n in choice[:1] if n in files)] for choice in kept]
        )
        context.set_forkserver_preload(["bench.engines.preload"])
    waiting, running = list(reversed(cells)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                with ctrl_c_held_back():
                    cell = waiting.pop()
                    running.append(_start(context, kind, cell, provenance | sums[cell["variant"]], out))
            ready = wait([r.pipe for r in running], timeout=1.0)
            for r in list(running):
                event = _receive(r) if r.pipe in ready else None
                if not isinstance(event, Done) and time.monotonic() - r.started > timeout_s:
                    event = _failed(r, "timeout", f"not finished after {timeout_s / 60:g} minutes")
                if isinstance(event, Done):
                    _end(r, time.monotonic() + GRACE_S)
                    running.remove(r)
                if event is not None:
                    yield event
    finally:
        for r in running:
            r.process.terminate()
        until = time.monotonic() + GRACE_S
        for r in running:
            _end(r, until)


def _start(context: Any, kind: str, cell: Cell, provenance: dict[str, Any], out: Path) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
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
        from bench.cells.run import run_cell

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


def _send(pipe: Connection, *message: Any) -> None:
    pipe.send_bytes(json.dumps(message, allow_nan=False, default=record.plain).encode())


def _receive(r: _Running) -> Event:
    try:
        what, *facts = json.loads(r.pipe.recv_bytes())
        artefacts = r.pipe.recv_bytes() if what == "record" and facts[1] else None
    except (EOFError, OSError):
        r.process.join(5)
        return _failed(r, "error", f"the cell's process {how_it_ended(r.process.exitcode)}")
    if what == "epoch":
        before, r.epochs = r.epochs, facts[0]
        return Epochs(r.cell, r.epochs - before)
    if what == "measured":
        return Measured(r.cell, *facts)
    if what == "note":
        return Note(r.cell, facts[0])
    try:
        made = schema.of(facts[0])
    except UsageError as error:  # a plugin may call its parts by anything
        return _failed(r, "error", f"its record would be none: {error}")
    untold = r.cell.get("budget", {}).get("epochs", 0) - r.epochs
    return Done(made, artefacts, time.monotonic() - r.started, untold)


def _failed(r: _Running, status: str, reason: str) -> Done:
    made = record.new(r.kind, r.cell, r.provenance, status, reason)
    return Done(made, None, time.monotonic() - r.started, 0)


def _end(r: _Running, until: float) -> None:
    if r.process.is_alive():
        r.process.join(max(0.0, until - time.monotonic()))
    if r.process.is_alive():
        r.process.kill()
    r.process.join()
    r.pipe.close()
