"""The note in a results folder that says of what table or suite its runs are."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.errors import UsageError

# In a results folder: what its runs are of, by `origin_of`, and of a table the profile.
NOTE = "reproduced.json"


def origin_of(kind: str, path: Path, shipped: Path, texts: Iterable[str]) -> dict[str, str]:
    """What a note says of a table or a suite: the name of a shipped one; of a user's file its name, its content, and
    where it lay, which is another place on another machine.

    Args:
        kind: `"table"` or `"suite"`.
        path: of its TOML file.
        shipped: the folder of those that have names.
        texts: what its files hold.
    """
    if path.parent == shipped:
        return {kind: path.stem}
    content = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return {kind: path.name, "sha256": content, "path": str(path.resolve())}


def find(note: Mapping[str, Any], kind: str, out: Path) -> str:
    """The name, or the path, of the table or suite that a note in the folder `out` speaks of.

    Raises:
        UsageError: it is a user's file, which is neither where it lay nor in the folder.
        KeyError: the note is of no such thing.
    """
    name = str(note[kind])
    if not name.endswith(".toml"):
        return name
    then, here = Path(str(note.get("path", name))), out / Path(name).name
    for path in (then, here):
        with contextlib.suppress(OSError):  # a name that no disk has
            if path.suffix == ".toml" and path.is_file():
                return str(path)
    files = f"{here.name} and {here.stem}.csv" if kind == "table" else here.name
    raise UsageError(f"the runs in {out} are of {files}, not found in {then.parent}: put the same there, or into {out}")
