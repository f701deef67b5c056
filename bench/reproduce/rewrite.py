"""The page of a folder of results, written anew for what was run in it."""

from pathlib import Path
from typing import Any

import msgspec

from bench.disk.files import read_text
from bench.errors import UsageError
from bench.pages import oracle, report
from bench.pages.page import Report, reference_of
from bench.records.notes import NOTE, find
from bench.reproduce import committed
from bench.reproduce.page import write
from bench.reproduce.published import load
from bench.text import decode

_NOTE = msgspec.json.Decoder(dict[str, Any])


def rewritten(out: Path) -> Report:
    """Write the page of any folder of results anew: of a suite, of the oracle, or of what was reproduced.

    Raises:
        UsageError: it holds no results, or those of something that is no longer there.
        MachineError: a file cannot be written.
    """
    if (reproduced := rewrite(out)) is not None:
        return reproduced
    if oracle.holds_only_oracle(out):
        return oracle.write(out)
    return report.write(out, reference=reference_of(out, out.resolve().name))


def rewrite(out: Path) -> Report | None:
    """Write the page of a folder anew, for what was run in it; None if it is no folder of `write`.

    Raises:
        UsageError: its table, or suite, is no longer there, or is broken.
        MachineError: a file cannot be written.
    """
    path = out / NOTE
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:  # a name that no disk has, or a folder that may not be entered
        raise UsageError(f"{out} cannot be read: {error.strerror}") from error
    try:
        note = decode(_NOTE.decode, read_text(path, follow=False))
        profile = None if "suite" in note else str(note["profile"])
        name = find(note, "suite" if profile is None else "table", out)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path} cannot be read: run `vaebench reproduce` again with --out {out}") from error
    if profile is None:
        return committed.rewrite(out, name)
    published = load(name)
    return write(out, published, published.profile(profile), ())
