"""A suite, end to end: check it, run what is missing, time each variant alone on its device, write its page."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import data
from bench import device as devices
from bench.cells import weights
from bench.device import cores, default_jobs
from bench.disk.lock import lock
from bench.engines import local
from bench.errors import MachineError, UsageError
from bench.pages import oracle, report
from bench.pages.page import Report, reference_of
from bench.records import provenance, record, schema, sources, store
from bench.records.record import ORACLE, Cell, Record
from bench.resume import checkpoint
from bench.suites.oracle import OracleSuite
from bench.suites.suite import Suite
from bench.sweeps.configure import check_train_size
from bench.sweeps.progress import Progress

if TYPE_CHECKING:
    from bench.engines.ray import Cluster


@dataclass(frozen=True)
class Outcome:
    """What running a suite did.

    Attributes:
        out: the results folder.
        ran: cells that were run now.
        skipped: cells that were finished before.
        records: the records of the suite's cells, in the order of its cells.
        failed: one line for every cell without figures, or whose figures are not what they should be.
        report: what was written, and the text for the terminal.
    """

    out: Path
    ran: int
    skipped: int
    records: list[Record]
    failed: list[str]
    report: Report


def execute(
    suite: Suite,
    out: Path,
    *,
    device: str = "auto",
    jobs: int | None = None,
    quality: bool = True,
    again: bool = False,
    page: Callable[[Path], Report] | None = None,
    cluster: "Cluster | None" = None,
) -> Outcome:
    """Run what is missing of a suite and write its report.

    Args:
        suite: a configured suite.
        out: results folder; finished cells in it are kept and not run again.
        device: `auto` or a device type. Cells run there; throughput is measured there and on the CPU.
        jobs: cells side by side; by default one a core on the CPU, and one at a time on an accelerator.
        quality: train and measure; False measures throughput alone.
        again: run what is finished as well.
        page: writes the report, instead of the usual one.
        cluster: where cells run, instead of this machine; throughput is then not measured.

    Raises:
        UsageError, DataError, MachineError: before any cell is run.
        KeyboardInterrupt: what finished stays.
    """
    device = cluster.resolve(device) if cluster else devices.resolve(device)
    where = ["cpu"] if device == "cpu" else ["cpu", device]
    trained = suite.cells(device) if quality else []
    timed = suite.throughput_cells(where, threads=cores())
    if cluster and timed:
        timed = []
        print(
            "vaebench: throughput is left out, for on a cluster no cell has a machine to itself; "
            "`vaebench throughput` measures it here",
            file=sys.stderr,
        )
    if not quality and not timed:
        raise UsageError(f"suite {suite.name} measures no throughput: set throughput.blocks to at least 3")
    check_train_size(suite)
    for each in {device, *(cell["device"] for cell in timed)} if not cluster else ():
        if suite.compile:
            devices.require_compiler(each)
        if suite.precision == "bf16":
            devices.require_bf16(each)
    page = page or partial(report.write, reference=reference_of(out, suite.name))
    with lock(out):
        side = jobs if cluster else jobs or default_jobs(device)
        run_cells = partial(cluster.run_cells, again=again) if cluster else local.run_cells
        return _run(suite, out, trained, timed, side=side, again=again, page=page, run_cells=run_cells)


def _run(
    suite: Suite,
    out: Path,
    trained: list[Cell],
    timed: list[Cell],
    *,
    side: int | None,
    again: bool,
    page: Callable[[Path], Report],
    run_cells: Callable[..., None],
) -> Outcome:
    found = unfinished(out, {"quality": trained, "throughput": timed}, again=again)
    missing, untimed = found.cells["quality"], found.cells["throughput"]
    skipped = len(trained) + len(timed) - len(missing) - len(untimed)
    if missing or untimed:
        for choice in suite.datasets:
            data.fetch(choice.name)
    if again:
        for cell in missing:
            kept = weights.path(out, cell)
            kept.unlink(missing_ok=True)
            checkpoint.path(kept).unlink(missing_ok=True)
            for notes in (out / "weights").glob(f"{record.record_id('quality', cell)}_*.notes.json"):
                notes.unlink()
    progress = Progress(len(missing) + len(untimed), sum(cell["budget"]["epochs"] for cell in missing))
    if skipped:
        progress.say(
            f"{skipped} of {len(trained) + len(timed)} cells are finished in {out} and not run again; --again does it"
        )
    for line in found.lines:
        progress.say(line)
    started = time.perf_counter()
    pure: list[float | None] = []

    def on_record(found: Record, seconds: float) -> None:
        progress.record(found, seconds)
        if found.kind == "quality":
            pure.append(_pure_seconds(found))
            if len(pure) == len(missing) and (line := _overhead(pure, time.perf_counter() - started, side)):
                progress.say(line)

    try:
        for kind, cells, side_by_side in (
            ("quality", missing, side),
            ("throughput", untimed, 1),
        ):
            run_cells(
                kind,
                cells,
                out,
                jobs=side_by_side,
                timeout_s=60 * suite.timeout_min,
                provenance=provenance.provenance(),
                on_epoch=progress.epochs,
                on_measured=progress.measured,
                on_note=progress.note,
                on_record=on_record,
            )
    finally:
        progress.close()
    written = page(out)  # before the records are held here: of 100,000, twice would be gigabytes
    identifiers = [record.record_id("quality", c) for c in trained] + [record.record_id("throughput", c) for c in timed]
    records = [schema.read(out / "runs" / f"{identifier}.json") for identifier in identifiers]
    return Outcome(
        out=out,
        ran=len(missing) + len(untimed),
        skipped=skipped,
        records=records,
        failed=[f"{r.id}: {r.status}, {r.reason}" for r in records if r.status != "ok"],
        report=written,
    )


@dataclass(frozen=True)
class Unfinished:
    """What is to be run: cells by kind, and lines that say what is odd about those that were finished before."""

    cells: dict[str, list[Cell]]
    lines: list[str]


def unfinished(out: Path, wanted: Mapping[str, list[Cell]], *, again: bool) -> Unfinished:
    """The cells that have no result in a folder, or one of data that have since changed; all of them if `again`.

    Results of other code are kept, and counted in a line; of a record that does not say which code made it, nothing is.
    What diverged is kept only if this very code made it: other code may do better, and no result is lost.
    """
    if again:
        return Unfinished(dict(wanted), [])
    missing: dict[str, list[Cell]] = {kind: [] for kind in wanted}
    commits: list[str] = []
    changed: list[str] = []
    finished = diverged = 0
    checksum = cache(data.verify)
    for kind, cell in ((kind, cell) for kind, cells in wanted.items() for cell in cells):
        found = store.finished(out, record.record_id(kind, cell))
        if found is None:
            missing[kind].append(cell)
            continue
        finished += 1
        made, code = found.provenance, sources.sums(cell["variant"])["code_sha256"]
        if found.status == "diverged" and made.code_sha256 != code:
            missing[kind].append(cell)
            diverged += 1
        elif data.is_user_file(cell["dataset"]) and made.data_sha256 != checksum(cell["dataset"]):
            missing[kind].append(cell)
            changed.append(cell["dataset"])
        elif made.code_sha256 not in (None, code):
            commits.append(str(made.commit)[:12])
    lines = []
    if changed:
        names = ", ".join(sorted(set(changed)))
        lines.append(f"{len(changed)} of {finished} finished cells were made of what {names} held before: run again")
    if diverged:
        lines.append(f"{diverged} of {finished} finished cells diverged under other code: run again")
    if commits:
        which = ", ".join(sorted(set(commits)))
        lines.append(
            f"{len(commits)} of {finished} finished cells were made by other code (commit {which}): kept; "
            "--again runs them anew"
        )
    return Unfinished(missing, lines)


def _pure_seconds(found: Record) -> float | None:
    """What a run spent on training and measuring alone; None if that was not all done now."""
    trained = found.provenance.trained
    now = found.status == "ok" and trained is not None and trained.started == found.provenance.started
    return sum(seconds or 0.0 for seconds in found.timing.values()) if now else None


def _overhead(pure: list[float | None], wall: float, jobs: int | None) -> str | None:
    seconds = [each for each in pure if each is not None]
    # Of a few runs the last ones leave jobs idle, which is no overhead.
    if jobs is None or len(seconds) < len(pure) or len(seconds) < 4 * jobs:
        return None
    ratio = wall / (sum(seconds) / jobs)
    return f"{len(pure)} runs in {wall:.0f} s, {ratio:.2f} x their training and measuring over {jobs} side by side"


def execute_oracle(
    suite: OracleSuite, out: Path, *, device: str = "auto", jobs: int | None = None, again: bool = False
) -> Outcome:
    """Run what is missing of an oracle suite and write its page.

    Args:
        suite: the problems.
        out: results folder; problems with a record in it are not run again.
        device: a device type; `auto` is the CPU, for the models are tiny and the figures then repeat everywhere.
        jobs: problems side by side; by default one a core on the CPU, and one at a time on an accelerator.
        again: run what is finished as well.

    Raises:
        UsageError, MachineError: before anything is run.
        KeyboardInterrupt: what finished stays.
    """
    device = "cpu" if device == "auto" else devices.resolve(device)
    if device == "mps":
        raise MachineError("the oracle suite needs double precision, which mps does not have: use --device cpu")
    cells = suite.cells(device)
    with lock(out):
        return _run_oracle(suite, out, cells, side=jobs or default_jobs(device), again=again)


def _run_oracle(suite: OracleSuite, out: Path, cells: list[Cell], *, side: int, again: bool) -> Outcome:
    found = unfinished(out, {ORACLE: cells}, again=again)
    missing = found.cells[ORACLE]
    if len(missing) < len(cells):
        finished = f"{len(cells) - len(missing)} of {len(cells)} problems are finished in {out}"
        _say(f"{finished} and not run again; --again does it")
    for line in found.lines:
        _say(line)
    done = 0

    def on_record(found: Record, seconds: float) -> None:
        nonlocal done
        done += 1
        _say(f"[{done}/{len(missing)}] {oracle.name(found)}: {oracle.verdict(found)} ({seconds:.1f} s)")

    def nothing(*_: Any) -> None: ...

    local.run_cells(
        ORACLE,
        missing,
        out,
        jobs=side,
        timeout_s=60 * suite.timeout_min,
        provenance=provenance.provenance(),
        on_epoch=nothing,
        on_measured=nothing,
        on_record=on_record,
    )
    records = [schema.read(out / "runs" / f"{record.record_id(ORACLE, cell)}.json") for cell in cells]
    return Outcome(
        out=out,
        ran=len(missing),
        skipped=len(cells) - len(missing),
        records=records,
        failed=oracle.failures(records),
        report=oracle.write(out),
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
