"""What may stand in a record's file, and reading one: what others may have written is checked before it is used."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.disk.files import read_text
from bench.records.record import KINDS, SCHEMA, STATUSES, Record
from bench.text import UNPRINTABLE, cut, printable_json

LONGEST_ID = 230


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
