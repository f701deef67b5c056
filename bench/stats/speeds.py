"""The throughput records of one data set, by the conditions under which they were measured."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.names import dataset_slug, device_type, row_name
from bench.records.record import Record, machine
from bench.stats.groups import age


@dataclass(frozen=True)
class Throughput:
    """The latest throughput record of every (variant, overrides) of one data set, by measuring conditions.

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


def throughput(records: Iterable[Record], dataset: str) -> Throughput:
    """Collect the throughput records of one data set (`"mnist-dynamic"`)."""
    found = [record for record in records if record["kind"] == "throughput" and dataset_slug(record["cell"]) == dataset]
    columns: dict[str, dict[str, Record]] = {}
    seen: dict[tuple[str, str], set[str]] = {}
    for record in found:
        for key, value in conditions(record).items():
            seen.setdefault((device_type(record), key), set()).add(value)
    for record in sorted(found, key=age):
        cell, device = record["cell"], device_type(record)
        label = device
        for key, value in conditions(record).items():
            # A precision other than the usual is always named: these columns stand beside rows of any.
            if len(seen[device, key]) > 1 or (key == "precision" and value != "fp32"):
                label += f", {value}"
        columns.setdefault(label, {})[row_name(cell["variant"], cell.get("overrides") or {})] = record
    return Throughput({label: columns[label] for label in sorted(columns)})


def conditions(record: Record) -> dict[str, str]:
    """What a speed depends on beside the variant and the device type, in words."""
    cell = record["cell"]
    return {
        "batch_size": f"batch {cell.get('batch_size')}",
        "precision": str(cell.get("precision")),
        "threads": f"{cell.get('threads')} threads",
        "machine": machine(record),
        "protocol": f"protocol {record.get('protocol')}",
    }
