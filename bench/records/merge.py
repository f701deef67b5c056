"""Results of several machines or people in one folder: nothing is lost, nothing is counted twice. Needs no torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import text
from bench.disk import files
from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.records import schema, settle, store
from bench.records.notes import NOTE
from bench.records.record import KINDS
from bench.text import decode


@dataclass(frozen=True)
class Merged:
    """What `merge` did.

    Attributes:
        out: the folder of all results.
        copied: number of records that were not there before.
        lines: one for each record that was there, each run with more than one record, each file that is no record; and
            for folders that were not made by reproducing the same.
    """

    out: Path
    copied: int
    lines: tuple[str, ...]


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Copy the records of results folders, and their pictures, into another. What lies there is kept.

    A record that is there, word for word, is not copied again. Of several with one id the one that counts
    (`settle.precedence`) is called by its id, another one ID.DIGEST. So the folder is the same in whatever order others
    are merged into it, and merging again changes nothing. Trained weights are not copied. What the runs reproduce
    (`bench.records.notes.NOTE`) stays known if it is the same of all folders, and else is not.

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
    _, doubts = store.read_all(out, KINDS)
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
        return files.read_text(path, follow=False)
    except (OSError, ValueError):
        return None


def _subject(note: str | None) -> object:
    """What a note says was reproduced, wherever its file lies on a machine."""
    try:
        return {key: value for key, value in decode(_NOTE.decode, note).items() if key != "path"} if note else None
    except ValueError:
        return note


_NOTE = msgspec.json.Decoder(dict[str, Any])
# Id -> `settle.order` -> the files of this record.
_Files = dict[str, dict[tuple[bool, float, str], list[Path]]]


def _copy_all(folders: Sequence[Path], runs: Path) -> tuple[int, list[str]]:
    here, _ = _files(runs)
    there, lines = _Files(), list[str]()
    for folder in folders:
        records, unreadable = _files(folder / "runs")
        lines += [f"{folder}: {line}; it is not copied" for line in unreadable]
        for identifier, twins in records.items():
            for key, paths in twins.items():
                there.setdefault(identifier, {}).setdefault(key, []).extend(paths)
    copied = 0
    for identifier in sorted({*here, *there}):
        old, new = here.get(identifier, {}), there.get(identifier, {})
        counts, *others = sorted({*old, *new}, reverse=True)
        plain = runs / f"{identifier}.json"
        targets = {key: runs / f"{identifier}.{key[-1][:10]}.json" for key in (*others, counts)}
        if not plain.exists() or any(plain in paths for paths in old.values()):
            targets[counts] = plain  # else what cannot be read has that name, and is kept
        for key, target in targets.items():  # the one that counts comes last, when its name is free
            if key in old and target != plain and plain in old[key]:
                _move_record(plain, target)
            elif key in old and target not in old[key]:
                _move_record(old[key][0], target)
            for path in new.get(key, ()):
                if key in old or path is not new[key][0]:
                    name = "" if path.name == target.name else f" as {target.name}"
                    lines.append(f"{path.parents[1]}: {path.name} is there already{name}")
                    lines += _add_pictures(path.with_suffix(".npz"), target.with_suffix(".npz"))
                else:
                    lines += _copy_record(path, target)
                    copied += 1
    return copied, lines


def _files(runs: Path) -> tuple[_Files, list[str]]:
    """The files of the records in a folder, and a line for each that is none."""
    records, lines = _Files(), list[str]()
    for path in sorted(runs.glob("*.json")):
        try:
            record = schema.read(path)
        except ValueError as error:
            lines.append(str(error))
        else:
            records.setdefault(record.id, {}).setdefault(settle.order(record), []).append(path)
    return records, lines


def _copy_record(source: Path, target: Path) -> list[str]:
    """Byte for byte, to where no record is. What a killed run left there goes. Returns what `_add_pictures` does.

    The record comes before its pictures: killed between the two, merging again finds it there and adds them.
    """
    files.remove(target.with_suffix(".npz"))
    try:
        files.write_bytes(target, files.read_bytes(source))
    except (OSError, ValueError) as error:
        raise MachineError(f"{source} changed while it was copied ({error}): merge again") from error
    return _add_pictures(source.with_suffix(".npz"), target.with_suffix(".npz"))


def _move_record(source: Path, target: Path) -> None:
    """The pictures before the record: killed between the two, merging again moves the record after them."""
    pictures = source.with_suffix(".npz")
    try:
        if files.is_ours(pictures):
            pictures.replace(target.with_suffix(".npz"))
        source.replace(target)
    except OSError as error:
        raise MachineError(f"cannot move {source}: {error.strerror}; choose another folder with --out") from error


def _add_pictures(source: Path, target: Path) -> list[str]:
    """Copied, where there are some and none stand there; else a line that says why they cannot be."""
    if os.path.lexists(source) and not os.path.lexists(target):
        try:
            files.write_bytes(target, files.read_bytes(source))
        except (OSError, ValueError) as error:
            return [f"{source} is not copied: {error}"]
    return []
