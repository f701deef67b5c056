"""Which of several records of one cell counts."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from bench.records.record import Record, machine


def figures(record: Record) -> dict[str, Any]:
    """All that a run found; two runs of one cell that agree in it are the same, however long they took and wherever."""
    found = {key: record.get(key) for key in ("metrics", "errors", "latent", "curve", "checks")}
    return {"status": record["status"], **{key: value for key, value in found.items() if value}}


def place(record: Record) -> tuple[str, ...]:
    """What a folder holds one record of: a cell; and of its speed, which is the machine's, a cell on a machine."""
    return (record["id"], machine(record)) if record["kind"] == "throughput" else (record["id"],)


def standing(record: Record) -> tuple[bool, str, str]:
    """The greatest of several records of one cell counts: a finished one, as after another run; of these the latest.

    It does not look at figures, so nobody can choose by them, nor at names, so it is the same in whatever order folders
    were merged.
    """
    started = str((record.get("provenance") or {}).get("started") or "")
    text = json.dumps(record, sort_keys=True)
    return record["status"] in ("ok", "diverged"), started, hashlib.sha256(text.encode()).hexdigest()


def settle(found: Iterable[tuple[str, Record]]) -> tuple[list[Record], list[str]]:
    """Count each run once. Of several records of one cell one counts, by `standing`; nothing is averaged.

    Args:
        found: names of files without their ending, and their records.

    Returns:
        The records that count, in their order, and a line for each run that is there more than once and each file that
        is not named after its record.
    """
    places: dict[tuple[str, ...], list[tuple[str, Record]]] = {}
    for name, record in found:
        places.setdefault(place(record), []).append((name, record))
    records, lines = [], []
    for members in places.values():
        name, counts = members[0]
        if len(members) > 1:
            name, counts = max(members, key=lambda m: (standing(m[1]), m[0] == m[1]["id"], m[0]))
        elif name != counts["id"] and counts["kind"] != "throughput":
            lines.append(f"{name}.json is not named after its run {counts['id']}, so `vaebench run` overlooks it")
        records.append(counts)
        for other, record in members:
            if record is counts:
                continue
            if figures(record) == figures(counts):
                lines.append(f"{other}.json holds the same run as {name}.json; it is counted once")
            else:
                unlike, why = difference(record, counts), _why(standing(counts), standing(record))
                lines.append(
                    f"{other}.json and {name}.json are of one cell and differ ({unlike}); the second counts, {why}"
                )
    return records, lines


def _why(first: tuple[bool, str, str], second: tuple[bool, str, str]) -> str:
    if first[0] != second[0]:
        return "which finished"
    return "started last" if first[1] != second[1] else "started at the same time, by a hash of both"


def difference(record: Record, other: Record) -> str:
    """In what two runs of one cell differ first: `"elbo_nats -101.2 and -101.3, on two machines"`."""
    where = "" if machine(record) == machine(other) else f", on {machine(record)} and on {machine(other)}"
    if record["status"] != other["status"]:
        return f"{record['status']} and {other['status']}{where}"
    for name in sorted({*record["metrics"], *other["metrics"]}):
        pair = [each["metrics"].get(name) for each in (record, other)]
        if pair[0] != pair[1]:
            one, two = (each.get("median") if isinstance(each, dict) else each for each in pair)
            return f"{name} {one} and {two}{where}"
    return f"not in the metrics{where}"
