"""The throughput records of one data set, by the conditions under which they were measured."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.names import canonical, dataset_slug, device_type, row_name
from bench.records.record import Cell, Record, machine
from bench.records.settle import one_of_each, passed_over
from bench.stats.groups import Group, Row
from bench.stats.once import of_records


@dataclass(frozen=True)
class Throughput:
    """The throughput record that counts of every (variant, overrides) of one data set, by measuring conditions.

    Args:
        columns: condition label -> {row name -> record}. The label is the device type, with batch size, precision,
            threads, machine and protocol added only where the records of that device differ in them, and a precision
            that is not fp32. So speeds of two machines never stand in one column.
    """

    columns: dict[str, dict[str, Record]]

    @property
    def names(self) -> list[str]:
        """Every row name that was timed, by alphabet."""
        return sorted({name for column in self.columns.values() for name in column})


@of_records
def throughput(records: Iterable[Record], dataset: str) -> Throughput:
    """Collect the throughput records of one data set (`"mnist-dynamic"`)."""
    timed = [record for record in _timed(records) if dataset_slug(record.cell) == dataset]
    columns: dict[str, dict[str, Record]] = {}
    seen: dict[tuple[str, str], set[str]] = {}
    for record in timed:
        for key, value in conditions(record).items():
            seen.setdefault((device_type(record), key), set()).add(value)
    for record in one_of_each(timed, _measurement_key).values():
        cell, device = record.cell, device_type(record)
        label = device
        for key, value in conditions(record).items():
            # A precision other than fp32 is always named: these columns stand beside rows of every precision.
            if len(seen[device, key]) > 1 or (key == "precision" and value != "fp32"):
                label += f", {value}"
        columns.setdefault(label, {})[row_name(cell["variant"], cell["overrides"])] = record
    return Throughput({label: columns[label] for label in sorted(columns)})


def of_group(group: Group, timed: Throughput) -> dict[Row, Record]:
    """The timing of each row of a group that may be compared with those of the others.

    It has the group's precision. Of the machines and other conditions on one device type those count that time most
    rows, for all rows on it: no gap is filled by a speed from elsewhere.
    """
    found: dict[Row, Record] = {}
    for device in {row.device for row in group.rows}:
        rows = [row for row in group.rows if row.device == device]
        columns = [_of(rows, column, group.settings["precision"]) for column in timed.columns.values()]
        most = max(columns, key=len, default={})
        found |= most
    return {row: found[row] for row in group.rows if row in found}


def _of(rows: Iterable[Row], column: dict[str, Record], precision: str | None) -> dict[Row, Record]:
    timings = ((row, column[row.name]) for row in rows if row.name in column)
    return {
        row: record
        for row, record in timings
        if record.status == "ok" and device_type(record) == row.device and record.cell.get("precision") == precision
    }


def not_shown(records: Iterable[Record]) -> list[str]:
    """One line for each throughput record that another of its key counts before: their blocks differ, say."""
    return passed_over(_timed(records), _measurement_key)


def _timed(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.kind == "throughput"]


def _measurement_key(record: Record) -> str:
    cell = record.cell
    row = row_name(cell["variant"], cell["overrides"])
    return canonical([dataset_slug(cell), row, device_type(record), conditions(record)])


def threads(cell: Cell) -> str:
    """`"1 thread"`: on how many a speed was measured."""
    count = cell.get("threads")
    return "1 thread" if count == 1 else f"{count} threads"


def conditions(record: Record) -> dict[str, str]:
    """What a speed depends on beside the variant and the device type, in words."""
    cell = record.cell
    return {
        "batch_size": f"batch {cell.get('batch_size')}",
        "precision": str(cell.get("precision")),
        "threads": threads(cell),
        "machine": machine(record),
        "protocol": f"protocol {record.protocol}",
    }
