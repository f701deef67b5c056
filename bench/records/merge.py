"""Results of several machines or people in one folder: nothing is lost, nothing is counted twice. Needs no torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import text
from bench.disk import files
from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.records import record, schema, settle, store
from bench.records.notes import NOTE
from bench.records.record import Record


@dataclass(frozen=True)
class Merged:
    """What `merge` did.

    Attributes:
        out: the folder of all results.
        copied: number of records that were not there before.
        lines: one for each record that was there, each run with more than one set of figures, each file that is no
            record; and for folders that were not made by reproducing the same.
    """

    out: Path
    copied: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Twin:
    """A record in the folder of all results, by its file's name without the ending."""

    name: str
    figures: str
    standing: tuple[bool, str, str]


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Copy the records of results folders, and their pictures, into another. What lies there is kept.

    A record with the same figures as one that is there is not copied again. One with other figures is kept beside it:
    the one that counts (`record.standing`) is called by its id, another one ID.DIGEST. So the tables are the same in
    whatever order folders are merged, and merging again changes nothing. Trained weights are not copied. What the runs
    reproduce (`bench.reproduce.page.NOTE`) stays known if it is the same of all folders, and else is not.

    Args:
        folders: results folders, as `vaebench run --out` leaves them.
        out: results folder, new or not.

    Raises:
        UsageError: a folder holds no records.
        MachineError: another process writes in `out`, or a file cannot be written.
    """
    others = [folder for folder in folders if folder.resolve() != out.resolve()]
    for folder in others:
        if not any((folder / "runs").glob("*.json")):
            raise UsageError(f"no records in {folder}: name folders of results, those that have a folder runs")
    with lock(out):
        unlike = _merge_notes(others, out)
        copied, lines = _copy_all(others, out / "runs")
    _, doubts = store.read_all(out, record.KINDS)
    return Merged(out, copied, tuple(map(text.printable, [*lines, *doubts, *unlike])))


def _merge_notes(folders: Sequence[Path], out: Path) -> list[str]:
    """Keep the note of what was reproduced if all folders that hold records have the same; else a line for each other.

    It is done before records are copied: killed between the two, a second merge finds the folder as if it had ended.
    """
    held = [*([out] if any((out / "runs").glob("*.json")) else []), *folders]
    notes = {folder: _note(folder / NOTE) for folder in held}
    if not any(note is not None for note in notes.values()):
        return []
    first, *rest = held
    lines = [
        f"{folder} and {first} are not both of one reproduced table or suite: {out} is taken for ordinary results"
        for folder in rest
        if _subject(notes[folder]) != _subject(notes[first])
    ]
    note = notes[first]
    if lines or note is None:
        files.remove(out / NOTE)
    elif _note(out / NOTE) != note:
        files.write_bytes(out / NOTE, note.encode())
    return lines


def _note(path: Path) -> str | None:
    """The note of what was reproduced; None without one that could be read."""
    try:
        return files.read_text(path)
    except (OSError, ValueError):
        return None


def _subject(note: str | None) -> object:
    """What a note says was reproduced, wherever its file lies on a machine."""
    try:
        return {key: value for key, value in json.loads(note).items() if key != "path"} if note else None
    except (ValueError, AttributeError, RecursionError):
        return note


def _copy_all(folders: Sequence[Path], runs: Path) -> tuple[int, list[str]]:
    here: dict[tuple[str, ...], list[_Twin]] = {}
    for path in sorted(runs.glob("*.json")):
        try:
            found = schema.read(path)
        except ValueError:
            continue  # it is named below, with all that is wrong in this folder
        here.setdefault(settle.place(found), []).append(_twin(path.stem, found))
    copied, lines = 0, list[str]()
    for folder in folders:
        for path in sorted((folder / "runs").glob("*.json")):
            try:
                found = schema.read(path)
            except ValueError as error:
                lines.append(f"{folder}: {error}; it is not copied")
                continue
            twins = here.setdefault(settle.place(found), [])
            mine = _twin(found["id"], found)
            if same := next((twin for twin in twins if twin.figures == mine.figures), None):
                name = "" if same.name == path.stem else f" as {same.name}.json"
                lines.append(f"{folder}: {path.name} is there already{name}")
                _add_pictures(path.with_suffix(".npz"), runs / f"{same.name}.npz")
                continue
            if (runs / f"{mine.name}.json").exists():
                old = next((twin for twin in twins if twin.name == mine.name), None)
                if old and old.standing < mine.standing:
                    aside = _Twin(_aside(old), old.figures, old.standing)
                    _move_record(runs / f"{old.name}.json", runs / f"{aside.name}.json")
                    twins[twins.index(old)] = aside
                else:
                    mine = _Twin(_aside(mine), mine.figures, mine.standing)
            _copy_record(path, runs / f"{mine.name}.json")
            twins.append(mine)
            copied += 1
    return copied, lines


def _twin(name: str, found: Record) -> _Twin:
    text = json.dumps(settle.figures(found), sort_keys=True)
    return _Twin(name, hashlib.sha256(text.encode()).hexdigest(), settle.standing(found))


def _aside(twin: _Twin) -> str:
    return f"{twin.name}.{twin.standing[-1][:10]}"


def _copy_record(source: Path, target: Path) -> None:
    """Byte for byte, to where no record is. What a killed run left there goes.

    The record comes before its pictures: killed between the two, merging again finds it there and adds them.
    """
    files.remove(target.with_suffix(".npz"))
    files.write_bytes(target, source.read_bytes())
    _add_pictures(source.with_suffix(".npz"), target.with_suffix(".npz"))


def _move_record(source: Path, target: Path) -> None:
    """The pictures before the record: killed between the two, merging again moves the record after them."""
    pictures = source.with_suffix(".npz")
    try:
        if pictures.is_file():
            pictures.replace(target.with_suffix(".npz"))
        source.replace(target)
    except OSError as error:
        raise MachineError(f"cannot move {source}: {error.strerror}; choose another folder with --out") from error


def _add_pictures(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        files.write_bytes(target, source.read_bytes())
