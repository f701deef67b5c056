"""One run = one Record: a JSON file with the full configuration, the figures and where they came from."""

import errno
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.errors import MachineError

SCHEMA = 1
# Results compare only within one protocol. Raise it when the same configuration would give other numbers, beyond the
# rounding in which any two processors differ too.
PROTOCOL = "1.1"
STATUSES = ("ok", "diverged", "error", "timeout")
# "quality" and "throughput" are about variants; "oracle" is about the judge, and has tables of its own.
KINDS = ("quality", "throughput", "oracle")
# How the names of files begin that are being written.
PARTIAL = ".partial-"

Record = dict[str, Any]
Cell = dict[str, Any]


def record_id(kind: str, cell: Cell) -> str:
    """Name of a cell's record: readable, and unique by a hash of the whole configuration and the protocol."""
    text = json.dumps([PROTOCOL, kind, cell], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    data = Path(cell["dataset"]).stem
    middle = {"quality": f"s{cell.get('seed')}", "throughput": f"throughput-{cell['device']}"}.get(kind, kind)
    return f"{data}-{cell['binarise']}_{cell['variant']}_{middle}_{digest}"


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


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` in one step, for good: nobody ever sees half a file, and a power cut does not undo it.

    A process that is killed here leaves a file whose name begins with `PARTIAL`; the next run removes it.

    Raises:
        MachineError: it cannot be written.
    """
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for good. OSError if it cannot be made."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that keeps its folders in its own way
            raise
    finally:
        os.close(handle)


def write(out: Path, record: Record, artefacts: bytes | None = None) -> None:
    """Write a record, and its artefacts before it, into `out/runs`."""
    if artefacts is not None:
        write_bytes(out / "runs" / f"{record['id']}.npz", artefacts)
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    write_bytes(out / "runs" / f"{record['id']}.json", text.encode())


def read(path: Path) -> Record:
    """One record. ValueError with a one-line reason if it is no record of a schema that this version knows."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is unreadable ({error})") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise ValueError(f"{path.name} is not a record")
    if record["schema"] != SCHEMA:
        raise ValueError(f"{path.name} has schema {record['schema']}, this version reads {SCHEMA}")
    if not _is_whole(record):
        raise ValueError(f"{path.name} lacks parts of a record")
    return record


def _is_whole(record: dict[str, Any]) -> bool:
    tables = ("model", "errors", "latent", "timing", "provenance")  # what a failed run may lack
    if not all(isinstance(record.get(name, {}), dict) for name in tables) or not isinstance(
        record.get("curve", []), list
    ):
        return False
    if not isinstance(record.get("cell"), dict) or not isinstance(record.get("metrics"), dict):
        return False
    if record.get("kind") not in KINDS or record.get("status") not in STATUSES or not isinstance(record.get("id"), str):
        return False
    if record["kind"] == "oracle" and record["status"] == "ok" and not isinstance(record.get("checks"), list):
        return False
    cell = {"variant", "overrides", "dataset", "data_options", "binarise", "device", "precision"}
    return cell | ({"seed", "budget", "measure"} if record["kind"] == "quality" else set()) <= set(record["cell"])


def read_all(out: Path, kinds: Sequence[str] = ("quality", "throughput")) -> tuple[list[Record], list[str]]:
    """The records of some kinds in a results folder, in a stable order, and a one-line warning for each file that is
    none."""
    records, warnings = [], []
    for path in sorted((out / "runs").glob("*.json")):
        try:
            found = read(path)
        except ValueError as error:
            warnings.append(str(error))
        else:
            if found["kind"] in kinds:
                records.append(found)
    return records, warnings


def finished(out: Path, identifier: str) -> Record | None:
    """The record of a cell that needs no further run: it gave figures, or diverged, which it would do again."""
    try:
        found = read(out / "runs" / f"{identifier}.json")
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
    commits = {f"`{str(s['commit'])[:12]}`" + (" with uncommitted changes" if s["dirty"] else "") for s in provenances}
    versions = {f"{name} {value}" for source in provenances for name, value in source["versions"].items()}
    days = sorted({source["started"][:10] for source in provenances})
    return [
        f"commit: {', '.join(sorted(commits))}",
        f"versions: {', '.join(sorted(versions))}",
        machine,
        f"run: {' to '.join(dict.fromkeys((days[0], days[-1])))}",
    ]
