"""What cells tell while they run. One codec takes it through pipes and clusters."""

import json
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import msgspec

from bench import text
from bench.records import record as records
from bench.records import schema, sources
from bench.records.record import Cell, Record


class Epochs(msgspec.Struct, frozen=True, tag=True):
    """So many epochs of a cell are done."""

    cell: Cell
    done: int


class Measured(msgspec.Struct, frozen=True, tag=True):
    """So many batches of a cell's measurement are done, of `total`."""

    cell: Cell
    what: str
    done: int
    total: int


class Note(msgspec.Struct, frozen=True, tag=True):
    """A cell has a line that a user should read."""

    cell: Cell
    line: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """A cell has ended after so many seconds. `artefacts` is an npz archive of pictures and latent points."""

    record: Record
    artefacts: bytes | None = None
    seconds: float = 0.0


Event = Epochs | Measured | Note | Done
Tell = Callable[[Event], None]


def encode(event: Event) -> bytes:
    """An event as JSON. ValueError for a number that is not finite."""
    content = msgspec.to_builtins(event, enc_hook=methodcaller("item"))  # a NumPy number has `item`
    return json.dumps(content, allow_nan=False).encode()


def decode(content: bytes) -> Event:
    """The event that `encode` was given. UsageError of one line if its record is none, ValueError if it is no event."""
    plain = text.decode(json.loads, content)
    if isinstance(plain, dict) and "record" in plain:
        plain["record"] = schema.of(plain["record"])  # a plugin may call its parts by anything
    return msgspec.convert(plain, Event)  # type: ignore[arg-type, no-any-return]


def failed(
    kind: str, cell: Cell, provenance: dict[str, Any], reason: str, *, status: str = "error", seconds: float = 0.0
) -> Done:
    """The end of a cell that could not make its record itself."""
    made = records.new(kind, cell, sources.sums(cell["variant"]) | provenance, status, reason)
    return Done(made, None, seconds)
