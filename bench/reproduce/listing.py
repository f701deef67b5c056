"""What `vaebench reproduce --list` shows: tables, rows, what they cost on this machine, what is already computed."""

from collections.abc import Iterator
from typing import Any

from bench.device import default_jobs
from bench.pages import grids, page
from bench.records import names, store
from bench.records.record import Cell, Record
from bench.reproduce import cost, published
from bench.reproduce.committed import suites
from bench.reproduce.published import Row, Table, folder
from bench.reproduce.verdict import same_run
from bench.text import DASH


def entries(name: str, device: str) -> Iterator[dict[str, Any]]:
    """One dictionary for each row and profile of a table: runs, epochs, seconds, and what is computed."""
    chosen = published.load(name)
    for profile in chosen.reasons:
        here = _records(folder(chosen, profile))
        committed = _records(page.REFERENCE / "reproduce" / f"{chosen.name}-{profile}")
        first: dict[str, str] = {}
        for row in chosen.rows:
            entry = _entry(chosen, profile, row, device, here, committed)
            run = _text(chosen.suite(profile, [row]).cells(device)[0])
            yield entry | {"same_run_as": first.get(run)}
            first.setdefault(run, row.name)


def _records(out: Any) -> list[Record]:
    return store.read_all(out)[0] if out.is_dir() else []


def _entry(
    chosen: Table, profile: str, row: Row, device: str, here: list[Record], committed: list[Record]
) -> dict[str, Any]:
    cells = chosen.suite(profile, [row]).cells(device)
    estimate = cost.known(cells[0], here) or _estimates.get(_text(cells[0]))
    if estimate is None:
        estimate = _estimates[_text(cells[0])] = cost.estimate(cells[0])
    return {
        "table": chosen.name,
        "profile": profile,
        "row": row.name,
        "title": row.title,
        "runs": len(cells),
        "epochs": cells[0]["budget"]["epochs"],
        "seconds_per_run": estimate.seconds,
        "measured": estimate.measured,
        "here": _done(cells, here),
        "committed": _done(cells, committed),
    }


# Rows of several tables may be one run, and their profiles one model.
_estimates: dict[str, cost.Cost] = {}


def _text(cell: Cell) -> str:
    return names.canonical({key: value for key, value in cell.items() if key != "seed"})


def _done(cells: list[Cell], records: list[Record]) -> int:
    ok = [record for record in records if record.status == "ok"]
    return sum(any(same_run(record, c) and record.cell["seed"] == c["seed"] for record in ok) for c in cells)


def text(name: str, device: str) -> str:
    """The name and title of a table, and a line for each of its rows."""
    chosen = published.load(name)
    listed = list(entries(name, device))
    headers = ["row", "what", "profile", "runs x epochs", "time a run", "computed"]
    lines = []
    for row in chosen.rows:
        names = [row.name, row.title]
        for entry in (entry for entry in listed if entry["row"] == row.name):
            about = "" if entry["measured"] else "about "
            computed = [f"{entry[key]}/{entry['runs']} {key}" for key in ("here", "committed") if entry[key]]
            facts = [
                entry["profile"],
                f"{entry['runs']} x {entry['epochs']:,}",
                about + duration(entry["seconds_per_run"]),
                ", ".join(computed) or DASH,
            ]
            lines.append([grids.Entry(cell) for cell in names + facts])
            names = ["", ""]
    jobs = default_jobs(device)
    totals = []
    for profile in chosen.reasons:
        missing = [e for e in listed if e["profile"] == profile and not e["same_run_as"]]
        seconds = sum(e["seconds_per_run"] * (e["runs"] - e["here"]) for e in missing) / jobs
        totals.append(f"{profile}: about {duration(seconds)} for what is missing here")
    side = f", {jobs} side by side" if jobs > 1 else ""
    hint = f" Begin with --rows {' '.join(chosen.start)}." if chosen.start else ""
    head = f"{chosen.name}: {chosen.title} ({chosen.source})"
    return f"{head}\n{grids.text_grid((headers, lines), grids.terminal_width())}\n{'; '.join(totals)}{side}.{hint}\n"


def results() -> str:
    """What `vaebench reproduce results` can run again."""
    known = " ".join(suites())
    return f"results: the committed results of our own suites, run again: --rows {known} (quick without)"


def duration(seconds: float) -> str:
    """`"40 s"`, `"12 min"`, `"3.5 h"`, `"6 days"`."""
    for size, unit in ((86400 * 2, "days"), (3600 * 1.5, "h"), (90, "min")):
        if seconds >= size:
            value = seconds / {"days": 86400, "h": 3600, "min": 60}[unit]
            return f"{value:.1f} {unit}" if value < 10 and unit != "min" else f"{value:.0f} {unit}"
    return f"{seconds:.0f} s"
