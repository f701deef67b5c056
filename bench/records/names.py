"""Texts about a record: names of rows, of data sets and of files, and the canonical form of its settings."""

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.records.record import Cell, Record, plain
from bench.text import LONGEST, cut


def row_name(variant: str, overrides: dict[str, Any]) -> str:
    """`"vanilla"`, or `"vanilla (latent=50, network=conv)"`."""
    if not overrides:
        return variant
    return f"{variant} ({', '.join(f'{key}={value}' for key, value in sorted(overrides.items()))})"


def row_of(cell: Cell) -> str:
    """What the row of a cell is called: its variant with its overrides, and where it was tuned with the settings of its
    trial as well."""
    tuning = cell.get("tuning")
    return row_name(cell["variant"], {**cell["overrides"], **(tuning["settings"] if tuning else {})})


def device_type(record: Record) -> str:
    """`"cuda"` for `"cuda:0"`."""
    return str(record.cell["device"]).split(":")[0]


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal settings give equal text."""
    return _SORTED.encode(value)


# `json.dumps` makes one at every call.
_SORTED = json.JSONEncoder(sort_keys=True, default=plain)


def digest(value: Any) -> str:
    """Eight hexadecimal digits of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:8]


def dataset_slug(cell: Cell) -> str:
    """`"mnist-dynamic"`; data options follow as `-key=value`. Safe as a part of file names; no other data have it."""
    parts = [str(cell["binarise"])] if cell.get("binarise") else []
    parts += [f"{key}={value}" for key, value in sorted(cell["data_options"].items())]
    return _slug_of(cell["dataset"], tuple(parts))


# Of the many records of a folder a page asks again and again for the names of few data sets.
@lru_cache
def _slug_of(name: str, parts: tuple[str, ...]) -> str:
    # A data set may be a file of the user's: its path is no part of a name.
    text = "-".join([Path(name).stem, *parts])
    made = slug(text)
    # What a stem and a slug leave out is in the digest.
    return made if made == "-".join([name, *parts]) else f"{cut(made, LONGEST - 9)}-{digest([name, *parts])}"


@lru_cache
def slug(text: str) -> str:
    """`text` as part of a file's name: nothing in it leads to another folder, and it is short enough for any disk."""
    name = re.sub(r"^\.|[^\w.=-]+", "_", text)
    return name if cut(name) == name else f"{cut(name, LONGEST - 9)}-{digest(text)}"
