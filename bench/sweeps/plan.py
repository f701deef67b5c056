"""What a run will take, from what such runs have taken: said before it begins, and while it goes on."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.disk.files import HTML
from bench.records.names import canonical
from bench.records.record import ORACLE, TRIAL, Cell, Record, record_id

# Timed blocks of a throughput run, for each of what it times; beside them it warms up.
TIMED, WARM_UP_S = 4, 2.0


@dataclass(frozen=True)
class Work:
    """Seconds of one run: of its training, and of all else."""

    train_s: float
    rest_s: float


def expected(wanted: Mapping[str, Sequence[Cell]], records: Iterable[Record], side: int | None) -> dict[str, Work]:
    """Id of a record -> what its run will take of the wall clock; empty if no earlier run says so.

    A run is expected to take as long as earlier ones of its settings with any seed, and one without such as long as the
    mean of the others.

    Args:
        wanted: cells by kind.
        records: earlier ones, of this folder or of the committed results.
        side: how many run side by side.
    """
    seen: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        train, measure = record.timing.get("train_s"), record.timing.get("measure_s")
        if record.status == "ok" and train is not None and measure is not None:
            seen.setdefault(_settings(record.cell), []).append((train, measure))
    works: dict[str, Work | None] = {}
    for kind, cells in wanted.items():
        for cell in cells:
            name = record_id(kind, cell)
            if "blocks" in cell:
                works[name] = Work(0.0, WARM_UP_S + TIMED * cell["blocks"] * cell["block_s"])
            elif found := seen.get(_settings(cell)):
                train, measure = (statistics.fmean(each) / (side or 1) for each in zip(*found, strict=True))
                works[name] = Work(train, measure)
            else:
                works[name] = None
    known = [work for name, work in works.items() if work and work.train_s]
    if not known:
        return {}
    mean = Work(statistics.fmean(w.train_s for w in known), statistics.fmean(w.rest_s for w in known))
    return {name: work or mean for name, work in works.items()}


def _settings(cell: Cell) -> str:
    keys = ("variant", "overrides", "dataset", "data_options", "binarise", "budget", "measure", "precision", "device")
    return canonical([cell.get(key) for key in keys])


def line(wanted: Mapping[str, Sequence[Cell]], out: Path, *, side: int | None, works: Mapping[str, Work]) -> str:
    """`"Plan: 27 runs to train, 9 to time, on cpu, 2 side by side, into results/quick, about 4 min"`."""
    kinds = {
        "quality": "to train and score",
        "throughput": "to time",
        str(TRIAL): "to choose settings by",
        str(ORACLE): "to check",
    }
    counts = {kinds.get(kind, kind): len(cells) for kind, cells in wanted.items() if cells}
    first, *rest = counts.items()
    words = [f"{first[1]} run{'s' if first[1] > 1 else ''} {first[0]}", *(f"{n} {what}" for what, n in rest)]
    devices = sorted({str(cell["device"]) for cells in wanted.values() for cell in cells})
    words.append(f"on {' and '.join(devices)}")
    if side and side > 1 and any(cells for kind, cells in wanted.items() if kind != "throughput"):
        words.append(f"{side} side by side")
    words.append(f"into {out}")
    if works:
        words.append(f"about {duration(sum(work.train_s + work.rest_s for work in works.values()))} by earlier runs")
    return f"Plan: {', '.join(words)}"


def duration(seconds: float) -> str:
    """`"40 s"`, `"4 min"`, `"2.5 h"`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def up_to_date(out: Path) -> bool:
    """Whether the folder's page was written after its last record."""
    page = out / HTML
    try:
        written = page.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns < written for path in (out / "runs").iterdir())
    except OSError:
        return False
