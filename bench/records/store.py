"""The records of a results folder: written, read all together, and looked up by the cell they are of."""

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from bench.disk.files import remove, write_bytes
from bench.errors import UsageError
from bench.records.compact import compact
from bench.records.record import Record, plain
from bench.records.schema import Newer, read
from bench.records.settle import FINISHED, settle
from bench.text import printable


def write(out: Path, record: Record, artefacts: bytes | None = None) -> None:
    """Write a record into `out/runs`, and its artefacts, in place of those of another run of its cell."""
    text = json.dumps(plain(record), indent=1, allow_nan=False) + "\n"
    path = out / "runs" / f"{record.id}.json"
    beside = path.with_suffix(".npz")
    # Whenever this is killed, figures are there, old or new, and artefacts stand beside the record of their own run or
    # beside none. Where there was no record, they come first: a cell that has none is run again.
    first = not path.exists()
    remove(beside)
    if first and artefacts is not None:
        write_bytes(beside, artefacts)
    write_bytes(path, text.encode())
    if not first and artefacts is not None:
        write_bytes(beside, artefacts)


def read_all(out: Path, kinds: Sequence[str] = ("quality", "throughput")) -> tuple[list[Record], list[str]]:
    """The records of some kinds in a results folder, each run once and in a stable order.

    Returns:
        The records, and one line for each file that is none, each run that stands in several files (see `settle`) and
        each file that is not named after its record.
    """
    files: list[tuple[str, Record]] = []
    warnings = []
    known: dict[Hashable, Any] = {}
    for path in sorted((out / "runs").glob("*.json")):
        try:
            record = read(path)
        except ValueError as error:
            warnings.append(printable(str(error)))
        else:
            if record.kind in kinds:
                files.append((printable(path.stem), compact(record, known)))
    records, lines = settle(files)
    return records, warnings + lines


def finished(out: Path, identifier: str) -> Record | None:
    """The record of a cell that needs no further run: it gave figures, or diverged, which the same code
    would do again.

    Raises:
        UsageError: if a later version of vaebench has written it, which this one must not replace.
    """
    try:
        record = read(out / "runs" / f"{identifier}.json")
    except Newer as error:
        raise UsageError(f"{error}: update vaebench, or choose another folder with --out") from error
    except ValueError:
        return None
    return record if record.status in FINISHED else None
