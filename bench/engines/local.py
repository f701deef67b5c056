"""Runs cells side by side on this machine, one process each. A cell writes nothing but its own checkpoints, trained
weights and the notes of its measurement. If this process is killed, its cells end with it."""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bench.cells.events import Done, Event, decode, encode, failed
from bench.engines import Engine, Job
from bench.engines.processes import (
    ctrl_c_held_back,
    end_with_supervisor,
    how_it_ended,
    told_of_limits,
    without_main,
)
from bench.engines.streams import PipeSafeStream
from bench.errors import UsageError
from bench.records import sources
from bench.records.record import Cell
from bench.text import said

# Seconds that a cell has to leave tidily when it is asked to.
GRACE_S = 2.0
# Bytes of a pipe that are read at once, and how often before the other cells have their turn.
READ, READS = 2**16, 32


@dataclass
class _Running:
    cell: Cell
    process: BaseProcess
    pipe: Connection
    started: float
    # Of a message that has come in part.
    part: bytearray = field(default_factory=bytearray)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Local(Engine):
    """Processes of this machine."""

    measures_speed = True

    def device(self, asked: str) -> str:
        """`auto` is this machine's accelerator, where it has one. UsageError or MachineError for what it has not."""
        from bench import device

        return device.resolve(asked)

    def events(self, job: Job) -> Generator[Event]:
        """Each cell in a process of its own; by default one at a time."""
        # The sums are taken before the fork server imports the code: a record names the code that made its numbers.
        sums = {cell["variant"]: sources.sums(cell["variant"]) for cell in job.cells}
        context = _context(job)
        waiting, running = list(reversed(job.cells)), list[_Running]()
        try:
            while waiting or running:
                while waiting and len(running) < (job.side_by_side or 1):
                    with told_of_limits(), ctrl_c_held_back():
                        cell = waiting.pop()
                        running.append(_start(context, job, cell, job.provenance | sums[cell["variant"]]))
                # A process that a cell has left behind may hold its pipe open.
                ready = wait([each for r in running for each in (r.pipe, r.process.sentinel)], timeout=1.0)
                for r in list(running):
                    gone = not r.process.is_alive()
                    events, done = _received(r, job) if gone or r.pipe in ready else ([], None)
                    if done is None and gone:
                        done = _ended(r, job)
                    if done is None and r.seconds > job.timeout_s:
                        line = f"not finished after {job.timeout_s / 60:g} minutes"
                        done = failed(job.kind, r.cell, job.provenance, line, status="timeout", seconds=r.seconds)
                    yield from events
                    if done is not None:
                        _end(r, time.monotonic() + GRACE_S)
                        running.remove(r)
                        yield done
        finally:
            for r in running:
                r.process.terminate()
            until = time.monotonic() + GRACE_S
            for r in running:
                _end(r, until)


def _context(job: Job) -> Any:
    """A fork server imports torch and reads the data once; a cell then starts in milliseconds with a clean copy of
    both. Where forking is not safe, every cell starts from nothing."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    choices = sorted({(cell["dataset"], cell["binarise"]) for cell in job.cells})
    keep = [[*choice, *(str(job.files[name]) for name in choice[:1] if name in job.files)] for choice in choices]
    os.environ["VAEBENCH_KEEP"] = json.dumps(keep)
    context.set_forkserver_preload(["bench.engines.preload"])
    return context


def _start(context: Any, job: Job, cell: Cell, provenance: dict[str, Any]) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
    request = json.dumps([job.kind, cell, provenance, str(job.out)])
    # No daemon: the loaders of streamed data are processes of their own, and a daemon may not have children.
    process = context.Process(target=_work, args=(theirs, request))
    with without_main():
        process.start()
    theirs.close()
    return _Running(cell, process, ours, time.monotonic())


def _work(pipe: Connection, request: str) -> None:
    """In the cell's process: run it, and send what it tells and its record."""
    end_with_supervisor()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cell that is asked to end closes what is open
    os.dup2(2, 1)  # standard output belongs to the command; what a variant prints goes to standard error
    sys.stdout = sys.stderr = PipeSafeStream(sys.stderr)  # type: ignore[assignment]
    try:
        from bench.cells.run import run_cell

        def tell(event: Event) -> None:
            _send(pipe, encode(event) + b"\n")

        kind, cell, provenance, out = json.loads(request)
        try:
            tell(Done(*run_cell(kind, cell, provenance, tell, Path(out))))
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            tell(failed(kind, cell, provenance, said(error)))
    except BrokenPipeError:
        os._exit(1)  # the supervisor is gone, and nobody is left to report to
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _send(pipe: Connection, content: bytes) -> None:
    """A whole message: JSON on a line of its own."""
    left = memoryview(content)
    while left:
        left = left[os.write(pipe.fileno(), left) :]


def _received(r: _Running, job: Job) -> tuple[list[Event], Done | None]:
    """What has come whole, and the end of the cell if it is among that.

    Nothing is waited for: a cell may be killed in the middle of a message, and what it has left behind may hold its
    pipe open.
    """
    events: list[Event] = []
    read = b"."
    for _ in range(READS):
        if not read or not r.pipe.poll():
            break
        read = os.read(r.pipe.fileno(), READ)
        r.part += read
    *lines, r.part = r.part.split(b"\n")
    for line in lines:
        try:
            event = decode(bytes(line))
        except (UsageError, ValueError) as error:
            words = f"its record would be none: {error}"
            return events, failed(job.kind, r.cell, job.provenance, words, seconds=r.seconds)
        if isinstance(event, Done):
            return events, Done(event.record, event.artefacts, r.seconds)
        events.append(event)
    return events, None if read else _ended(r, job)


def _ended(r: _Running, job: Job) -> Done:
    """Of a process that has left without a result."""
    r.process.join(5)
    line = f"the cell's process {how_it_ended(r.process.exitcode)}"
    return failed(job.kind, r.cell, job.provenance, line, seconds=r.seconds)


def _end(r: _Running, until: float) -> None:
    if r.process.is_alive():
        r.process.join(max(0.0, until - time.monotonic()))
    if r.process.is_alive():
        r.process.kill()
    r.process.join()
    r.pipe.close()
