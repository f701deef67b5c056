"""The one rule for which of several records counts: of one run, of one place in a table, of one figure of a verdict."""

import hashlib
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from bench.records.names import canonical
from bench.records.record import Record, Timed, machine

# A run that diverged would diverge again. To prefer one that did not would be to choose by result.
FINISHED = ("ok", "diverged")


def figures(record: Record) -> dict[str, Any]:
    """All that a run found; two runs of one cell that agree in it are the same, however long they took and wherever."""
    parts = {key: getattr(record, key) for key in ("metrics", "errors", "latent", "curve", "checks")}
    return {"status": record.status, **{key: value for key, value in parts.items() if value}}


def key_of(record: Record) -> tuple[str, ...]:
    """What a folder holds one record of: a cell; and of its speed, which is the machine's, a cell on a machine."""
    return (record.id, machine(record)) if record.kind == "throughput" else (record.id,)


def precedence(record: Record) -> tuple[bool, float]:
    """The greatest of several records counts: a finished one before any other, of these the latest.

    It looks at no figure, so nobody can choose by them, and at no file's name, so no order changes it. Equals are told
    apart by `order`.

    Returns:
        Whether it finished, and when it started, in seconds since 1970.
    """
    return record.status in FINISHED, started(record)


def order(record: Record) -> tuple[bool, float, str]:
    """`precedence`, and a hash of all that the record says, in hexadecimal: no two unlike records have it in common."""
    return *precedence(record), hashlib.sha256(canonical(record).encode()).hexdigest()


def started(record: Record) -> float:
    """When a run started, in seconds since 1970; minus infinity if it does not say. Without an offset it is UTC."""
    try:
        time = datetime.fromisoformat(record.provenance.started or "")
    except ValueError:
        return -math.inf
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def one_of_each(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, Record]:
    """Key -> of the records that have it the one that counts, by `precedence`."""
    return {
        each: members[0] if len(members) == 1 else max(members, key=order)
        for each, members in _by_key(records, key).items()
    }


def passed_over(records: Iterable[Record], key: Callable[[Record], Any]) -> list[str]:
    """One line for each record that `one_of_each` leaves out: which one has its place, and why."""
    lines = []
    for members in _by_key(records, key).values():
        if len(members) > 1:
            *others, counts = sorted(members, key=order)
            lines += [f"{each.id} is not shown: {counts.id} has its place, {_why(counts, each)}" for each in others]
    return lines


def _by_key(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    members: dict[Any, list[Record]] = {}
    for record in records:
        members.setdefault(key(record), []).append(record)
    return members


def settle(files: Iterable[tuple[str, Record]]) -> tuple[list[Record], list[str]]:
    """Count each run once. Of several records of one cell one counts, by `precedence`; nothing is averaged.

    Args:
        files: their names without their ending, and their records.

    Returns:
        The records that count, in their order, and a line for each run that is there more than once and each file that
        is not named after its record.
    """
    runs: dict[tuple[str, ...], list[tuple[str, Record]]] = {}
    for name, record in files:
        runs.setdefault(key_of(record), []).append((name, record))
    records, lines = [], []
    for members in runs.values():
        name, counts = members[0]
        if len(members) > 1:
            name, counts = max(members, key=lambda m: (order(m[1]), m[0] == m[1].id, m[0]))
        elif name != counts.id and counts.kind != "throughput":
            lines.append(f"{name}.json is not named after its run {counts.id}, so `vaebench run` overlooks it")
        records.append(counts)
        for other, record in members:
            if other == name:
                continue
            if figures(record) == figures(counts):
                lines.append(f"{other}.json holds the same run as {name}.json; it is counted once")
            else:
                lines.append(
                    f"{other}.json and {name}.json are of one cell and differ ({difference(record, counts)}); "
                    f"the second counts, {_why(counts, record)}"
                )
    return records, lines


def _why(counts: Record, other: Record) -> str:
    first, second = precedence(counts), precedence(other)
    if first[0] != second[0]:
        return "which finished"
    return "started last" if first[1] != second[1] else "started at the same time, by a hash of both"


def difference(record: Record, other: Record) -> str:
    """In what two runs of one cell differ first: `"elbo_nats -101.2 and -101.3, on two machines"`."""
    where = "" if machine(record) == machine(other) else f", on {machine(record)} and on {machine(other)}"
    if record.status != other.status:
        return f"{record.status} and {other.status}{where}"
    for name in sorted({*record.metrics, *other.metrics}):
        pair = [each.metrics.get(name) for each in (record, other)]
        if pair[0] != pair[1]:
            one, two = (each.median if isinstance(each, Timed) else each for each in pair)
            return f"{name} {one} and {two}{where}"
    return f"not in the metrics{where}"
