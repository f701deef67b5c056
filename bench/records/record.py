"""One run = one Record: a JSON file with the full configuration, the figures and where they came from."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.text import UNPRINTABLE, cut

SCHEMA = 1
# Results compare only within one protocol. Raise it when the same configuration would give other numbers, beyond the
# rounding in which any two processors differ too.
PROTOCOL = "1.2"
STATUSES = ("ok", "diverged", "error", "timeout")
# "quality" and "throughput" are about variants; "oracle" is about the judge, and has tables of its own.
ORACLE = "oracle"
KINDS = ("quality", "throughput", ORACLE)
# Of a core; a speed that was measured with less is that of a machine with other work.
BUSY = 0.8

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


def machine(record: Record) -> str:
    """What a run was made on, as far as the record says."""
    return str((record.get("provenance") or {}).get("device_name") or "unknown machine")
