"""One run = one Record: a JSON file with the full configuration, the figures and where they came from."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.disk.files import read_text, remove, write_bytes
from bench.errors import UsageError
from bench.text import UNPRINTABLE, cut, printable, printable_json, short

SCHEMA = 1
# Results compare only within one protocol. Raise it when the same configuration would give other numbers, beyond the
# rounding in which any two processors differ too.
PROTOCOL = "1.1"
STATUSES = ("ok", "diverged", "error", "timeout")
# "quality" and "throughput" are about variants; "oracle" is about the judge, and has tables of its own.
KINDS = ("quality", "throughput", "oracle")
# Of a core; a speed that was measured with less is that of a machine with other work.
BUSY = 0.8
LONGEST_ID = 230

Record = dict[str, Any]
Cell = dict[str, Any]


def record_id(kind: str, cell: Cell) -> str:
    """Name of a cell's record: readable, and unique by a hash of the whole configuration and the protocol."""
    text = json.dumps([PROTOCOL, kind, cell], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    middle = {"quality": f"s{cell.get('seed')}", "throughput": f"throughput-{cell['device']}"}.get(kind, kind)
    return f"{subject(cell)}_{middle}_{digest}"


def subject(cell: Cell) -> str:
    """What names of files begin with: data set and variant, without anything that could lead to another folder."""
    name = f"{cut(Path(cell['dataset']).stem)}-{cell['binarise']}_{cut(cell['variant'])}"
    return re.sub(rf"[{UNPRINTABLE}/\\]", "_", name)


def new(kind: str, cell: Cell, provenance: dict[str, Any]) -> Record:
    """A record with nothing measured yet."""
    return {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "kind": kind,
        "id": record_id(kind, cell),
        "status": "error",
        "reason": None,
        "cell": cell,
        "model": {},
        "metrics": {},
        "errors": {},
        "latent": {},
        "curve": [],
        "timing": {},
        "provenance": provenance | {"started": datetime.now(UTC).isoformat(timespec="seconds")},
    }


def write(out: Path, record: Record, artefacts: bytes | None = None) -> None:
    """Write a record into `out/runs`, and its artefacts, in place of those of another run of its cell."""
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    path = out / "runs" / f"{record['id']}.json"
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


class Newer(ValueError):
    """A record that a later version than this one has written."""


def read(path: Path) -> Record:
    """One record, its texts fit to be printed. ValueError with a one-line reason if it is none of a known schema."""
    try:
        text = read_text(path)
        record = json.loads(text)
        # Most have neither an escape nor a letter beyond ASCII, and then nothing that JSON allows is unprintable.
        if "\\" in text or "\x7f" in text or not text.isascii():
            record = printable_json(record)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is unreadable ({error})") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise ValueError(f"{path.name} is not a record")
    if record["schema"] != SCHEMA:
        kind = Newer if isinstance(record["schema"], int) and record["schema"] > SCHEMA else ValueError
        raise kind(f"{path.name} has schema {str(record['schema'])[:20]}, this version reads {SCHEMA}")
    if not _is_whole(record):
        raise ValueError(f"{path.name} lacks parts of a record")
    return record


_Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _number(value: Any) -> bool:
    """Also no integer that is too large to reckon with."""
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)


def _scalar(value: Any) -> bool:
    return _text(value) or _number(value)


def _each(check: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _list_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _table(**checks: _Check) -> _Check:
    return lambda value: (
        isinstance(value, dict) and all(check(value[key]) for key, check in checks.items() if key in value)
    )


_TIMED = _table(median=_number, q1=_number, q3=_number, blocks=_list_of(_number))
_CHECK_NAMES = ("part", "quantity", "rule", "passed", "truth", "estimate", "error", "standard_error", "low", "high")
_CHECK = _table(
    **dict.fromkeys(_CHECK_NAMES[:3], lambda value: isinstance(value, str)),
    **dict.fromkeys(_CHECK_NAMES[3:], _number),
)
_PROBLEM = ("d", "k", "noise", "orthogonal")
# What tables and plots take for granted of a record's parts. A failed run may lack some of them.
_PARTS = _table(
    protocol=_text,
    reason=_text,
    cell=_table(
        variant=lambda value: isinstance(value, str),
        dataset=lambda value: isinstance(value, str),
        overrides=_table(),
        data_options=_table(),
        binarise=_text,
        device=_text,
        precision=_text,
        seed=lambda value: isinstance(value, int),
        budget=_table(epochs=_number, train_size=_number, batch_size=_number, lr=_number),
        measure=lambda value: _each(_scalar)(value) and _each(_number)(value | {"gap_split": None}),
    ),
    model=_each(_scalar),
    metrics=_each(lambda value: _number(value) or (_TIMED(value) and "median" in value)),
    errors=_each(_each(_number)),
    latent=_each(lambda value: _number(value) or _list_of(_number)(value)),
    curve=_list_of(_each(_number)),
    timing=_each(_number),
    provenance=_table(
        versions=_each(_text), processor_share=_number, trained=_table(), commit=_text, started=_text, data_sha256=_text
    ),
    checks=_list_of(lambda value: _CHECK(value) and set(_CHECK_NAMES) <= set(value)),
    rate_distortion=_each(_list_of(_list_of(_number))),
)


def _is_whole(record: dict[str, Any]) -> bool:
    if not isinstance(record.get("cell"), dict) or not isinstance(record.get("metrics"), dict) or not _PARTS(record):
        return False
    if record.get("kind") not in KINDS or record.get("status") not in STATUSES or not isinstance(record.get("id"), str):
        return False
    # It names files.
    if (
        not record["id"]
        or cut(record["id"], LONGEST_ID) != record["id"]
        or re.search(rf"^\.|[{UNPRINTABLE}/\\]", record["id"])
    ):
        return False
    if record["kind"] == "oracle":
        problem = record["cell"].get("data_options", {})
        if not all(key in problem for key in _PROBLEM) or not all(map(_number, problem.values())):
            return False
        if record["status"] == "ok" and not {"checks", "rate_distortion"} <= set(record):
            return False
    cell = {"variant", "overrides", "dataset", "data_options", "binarise", "device", "precision"}
    return cell | ({"seed", "budget", "measure"} if record["kind"] == "quality" else set()) <= set(record["cell"])


def read_all(out: Path, kinds: Sequence[str] = ("quality", "throughput")) -> tuple[list[Record], list[str]]:
    """The records of some kinds in a results folder, each run once and in a stable order.

    Returns:
        The records, and one line for each file that is none, each run that stands in several files (see `settle`) and
        each file that is not named after its record.
    """
    found: list[tuple[str, Record]] = []
    warnings = []
    for path in sorted((out / "runs").glob("*.json")):
        try:
            record = read(path)
        except ValueError as error:
            warnings.append(printable(str(error)))
        else:
            if record["kind"] in kinds:
                found.append((printable(path.stem), record))
    records, lines = settle(found)
    return records, warnings + lines


def machine(record: Record) -> str:
    """What a run was made on, as far as the record says."""
    return str((record.get("provenance") or {}).get("device_name") or "unknown machine")


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


def finished(out: Path, identifier: str) -> Record | None:
    """The record of a cell that needs no further run: it gave figures, or diverged, which it would do again.

    Raises:
        UsageError: if a later version of vaebench has written it, which this one must not replace.
    """
    try:
        found = read(out / "runs" / f"{identifier}.json")
    except Newer as error:
        raise UsageError(f"{error}: update vaebench, or choose another folder with --out") from error
    except ValueError:
        return None
    return found if found["status"] in ("ok", "diverged") else None


def provenance() -> dict[str, Any]:
    """Where this code and its libraries come from: git commit and dirty flag (None outside a checkout), versions."""
    packages = ("vaebench", "torch", "torchvision", "numpy")
    return {
        **_git(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
    }


def _git() -> dict[str, Any]:
    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        # Installed inside somebody's repository, this package is no part of its history.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != Path(__file__).resolve().parents[1]:
            return {"commit": None, "dirty": None}
        # The files that make the numbers: what a run wrote, or a page about it, makes no checkout dirty.
        changed = git("status", "--porcelain", "--", ":/bench", ":/variants", ":/pyproject.toml")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def origin_lines(provenances: Sequence[dict[str, Any]], machine: str) -> list[str]:
    """Lines for a page: the commits and versions of all these, what it says of the `machine`, and the days."""
    from bench.table import markdown_text

    commits = {f"`{short(s['commit'])}`" + (" with uncommitted changes" if s["dirty"] else "") for s in provenances}
    versions = {f"{name} {value}" for source in provenances for name, value in source["versions"].items()}
    days = sorted({markdown_text(source["started"][:10]) for source in provenances})
    return [
        f"commit: {', '.join(sorted(commits))}",
        f"versions: {markdown_text(', '.join(sorted(versions)))}",
        markdown_text(machine),
        f"run: {' to '.join(dict.fromkeys((days[0], days[-1])))}",
    ]
