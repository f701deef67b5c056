"""What cells tell while they run, and what is done with it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.records import store
from bench.records.record import Cell, Record


class Epochs(NamedTuple):
    """A cell has finished so many further epochs."""

    cell: Cell
    more: int


class Measured(NamedTuple):
    """A cell has finished some of the batches of a measurement."""

    cell: Cell
    what: str
    done: int
    total: int


class Note(NamedTuple):
    """A cell has a line that a user should read."""

    cell: Cell
    line: str


class Done(NamedTuple):
    """A cell has ended."""

    record: Record
    artefacts: bytes | None
    seconds: float
    epochs: int  # of its budget that it has not told of


Event = Epochs | Measured | Note | Done


def deliver(
    event: Event,
    out: Path,
    *,
    on_epoch: Callable[[int], None],
    on_measured: Callable[[Cell, str, int, int], None],
    on_record: Callable[[Record, float], None],
    on_note: Callable[[Cell, str], None] = lambda *_: None,
) -> None:
    """Write the record of an event that has one, and tell whoever is concerned; see `run_cells`."""
    match event:
        case Epochs(_, more):
            on_epoch(more)
        case Measured(cell, what, done, total):
            on_measured(cell, what, done, total)
        case Note(cell, line):
            on_note(cell, line)
        case Done(found, artefacts, seconds, epochs):
            on_epoch(epochs)
            store.write(out, found, artefacts)
            on_record(found, seconds)
