"""Two fifths of the memory for the records of a whole folder: what many have alike is kept once, numbers as numbers."""

from array import array
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec

from bench.records.record import Record

_ABSENT = object()


class Curve(Sequence[dict[str, Any]]):
    """The rows of a learning curve, kept by columns; equal to a list of the same rows.

    Args:
        rows: a dictionary for each epoch.
    """

    __slots__ = ("_columns", "_length")

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        keys = dict.fromkeys(key for row in rows for key in row)
        self._length = len(rows)
        self._columns = {key: _numbers([row.get(key, _ABSENT) for row in rows]) for key in keys}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(self._length)[index]]
        number = range(self._length)[index]
        row = {key: column[number] for key, column in self._columns.items()}
        return {key: value for key, value in row.items() if value is not _ABSENT}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def compact(record: Record, known: dict[Hashable, Any]) -> Record:
    """The same record, changed in place: nobody may change its parts afterwards.

    Args:
        record: as it was read.
        known: what the records so far have, empty at first; the same one for all records of a folder.
    """

    def shared(part: Any) -> Any:
        if isinstance(part, str):
            return known.setdefault(part, part)
        if isinstance(part, dict | msgspec.Struct):
            return known.setdefault((type(part), msgspec.json.encode(part)), part)
        return part

    record.cell = {key: shared(value) for key, value in record.cell.items()}
    record.model = shared(record.model)
    for key in record.provenance.__struct_fields__:
        setattr(record.provenance, key, shared(getattr(record.provenance, key)))
    record.protocol = shared(record.protocol)
    record.curve = Curve(record.curve)
    record.latent = {key: _numbers(part) if isinstance(part, list) else part for key, part in record.latent.items()}
    return record


def _numbers(values: list[Any]) -> Sequence[Any]:
    """The same values. Numbers are kept as such where all are, and a whole number stays whole."""
    return array("d", values) if all(type(value) is float for value in values) else tuple(values)
