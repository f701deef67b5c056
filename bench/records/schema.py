"""Reading a record: what others may have written is checked before it is used."""

import contextlib
import re
from pathlib import Path
from typing import Any

import msgspec

from bench.disk.files import read_text
from bench.errors import UsageError
from bench.records.record import CELLS, SCHEMA, Record
from bench.settings import check_depth, convert
from bench.text import cut, decode, printable_json

LONGEST_ID = 230
# A record says its schema first; one without would pass for one of the first.
_OURS = re.compile(rf'\s*{{\s*"schema"\s*:\s*{SCHEMA}\s*,')
_RECORD = msgspec.json.Decoder(Record)


class Newer(ValueError):
    """A record that a later version than this one has written."""


def read(path: Path) -> Record:
    """One record, its texts fit to be printed. ValueError with a one-line reason if it is none of a known schema."""
    try:
        text = read_text(path, follow=False)
        # Most have neither an escape nor a letter beyond ASCII, and then nothing that JSON allows is unprintable.
        printable = text.isascii() and "\\" not in text and "\x7f" not in text
        if printable and _OURS.match(text):
            with contextlib.suppress(ValueError, UsageError):  # which is said below, by what knows the words for it
                return _checked(decode(_RECORD.decode, text))
        content = decode(msgspec.json.decode, text)
        if not printable:
            content = decode(printable_json, content)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} is unreadable ({error})") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise ValueError(f"{path.name} is not a record")
    if content["schema"] != SCHEMA:
        kind = Newer if isinstance(content["schema"], int) and content["schema"] > SCHEMA else ValueError
        raise kind(f"{path.name} has schema {str(content['schema'])[:20]}, this version reads {SCHEMA}")
    try:
        return of(content)
    except UsageError as error:
        raise ValueError(f"{path.name} is not a record: {error}") from error


def of(content: Any) -> Record:
    """A record from its JSON. UsageError of one line if it is none."""
    return _checked(convert(Record, content))


def _checked(record: Record) -> Record:
    """A record whose types are right. UsageError of one line where its content is not."""
    convert(CELLS[record.kind], record.cell, "cell")
    try:
        check_depth(record.cell)
    except ValueError as error:
        raise UsageError(f"cell: {error}") from error
    if cut(record.id, LONGEST_ID) != record.id:
        raise UsageError(f"id must be a text of at most {LONGEST_ID} bytes, got {record.id!r}")
    # The exact rate and distortion are those of a linear Gaussian model.
    curveless = "bits" in record.cell["data_options"]
    whole = record.checks and (record.rate_distortion or curveless)
    if record.kind == "oracle" and record.status == "ok" and not whole:
        raise UsageError("checks and rate_distortion must be there: it is of the oracle, and ok")
    return record
