"""A suite, end to end: check it, run what is missing, time each variant alone on its device, write its page."""

import contextlib
import glob
import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import data, engines
from bench import device as devices
from bench.cells import weights
from bench.cells.events import Done
from bench.device import cores, default_jobs
from bench.disk.files import check_folder, is_ours, remove
from bench.disk.lock import lock
from bench.engines import Engine, Job
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.pages import oracle, report
from bench.pages.page import Report, reference_of
from bench.records import provenance, record, schema, settle, sources, store
from bench.records.record import ORACLE, TRAINED, TRIAL, Cell, Record
from bench.resume import checkpoint
from bench.suites.oracle import OracleSuite
from bench.suites.suite import Suite
from bench.sweeps import conformance, fitting, plan, tune
from bench.sweeps.progress import Progress
from bench.text import printable

HERE = Local()
# Before the name of weights that wait for others as good.
ASIDE = ".before-"
# Of a folder with more files than this nothing is read to estimate a time.
MOST_READ = 2000


@dataclass(frozen=True)
class Outcome:
    """What running a suite did.

    Attributes:
        out: the results folder.
        ran: cells that were run now.
        skipped: cells that were finished before.
        records: the records of the suite's cells, in the order of its cells.
        failed: one line for every cell without figures, or whose figures are not what they should be.
        report: what was written, and the text for the terminal; no text where nothing was run and the page stands.
    """

    out: Path
    ran: int
    skipped: int
    records: list[Record]
    failed: list[str]
    report: Report


def execute(
    suite: Suite | OracleSuite,
    out: Path,
    *,
    engine: Engine = HERE,
    device: str = "auto",
    jobs: int | None = None,
    quality: bool = True,
    again: bool = False,
    page: Callable[[Path], Report] | None = None,
) -> Outcome:
    """Run what is missing of a suite and write its report.

    Args:
        suite: a configured suite.
        out: results folder; finished runs in it are kept and not run again.
        engine: what cells run on. Throughput is left out where it cannot be measured.
        device: `auto` or a device type. Cells run there; throughput is measured there and on the CPU. Of an oracle
            suite `auto` is the CPU, for its models are tiny and the figures then repeat everywhere.
        jobs: cells side by side; by default one a core on the CPU, and one at a time on an accelerator.
        quality: train and measure; False measures throughput alone.
        again: run what is finished as well.
        page: writes the report, instead of the usual one.

    Raises:
        UsageError, DataError, MachineError: before any cell is run.
        KeyboardInterrupt: what finished stays.
    """
    judge = isinstance(suite, OracleSuite)  # an oracle suite checks the judge
    device = engine.device("cpu" if judge and device == "auto" else device)
    said: list[str] = []
    if isinstance(suite, Suite):
        refused = fitting.unfit(suite)
        said = [*_of_data(suite), *fitting.lines(suite, refused)]
        wanted = {
            kind: [cell for cell in cells if fitting.subject_of(cell) not in refused]
            for kind, cells in _wanted(suite, engine, device, quality).items()
        }
    else:
        wanted = {str(ORACLE): suite.cells(device)}
    if judge and engine.measures_speed:
        devices.require_float64(device)
    reference = reference_of(out, suite.name)
    write = page or (oracle.write if judge else partial(report.write, reference=reference))
    side = jobs or (default_jobs(device) if engine.measures_speed else None)
    with lock(out):
        check_folder(out)  # what its page would replace, before hours are spent
        for line in said:
            print(f"vaebench: {printable(line)}", file=sys.stderr)
        total = sum(map(len, wanted.values()))
        limit = 60 * suite.timeout_min
        ran, failed = _run_missing(engine, wanted, out, reference, side=side, timeout_s=limit, again=again)
        if isinstance(suite, Suite) and wanted.get(TRIAL):
            found, _ = _read(out, {TRIAL: wanted[TRIAL]})
            chosen, lines = tune.tuned(suite, device, found)
            more: dict[str, list[Cell]] = {"quality": chosen}
            again_ran, again_failed = _run_missing(
                engine, more, out, reference, side=side, timeout_s=limit, again=again
            )
            ran, failed, total = ran + again_ran, failed + again_failed + lines, total + len(chosen)
            wanted["quality"] = wanted["quality"] + chosen
        stands = not ran and page is None and plan.up_to_date(out)
        # Before the records are held here: of 100,000, twice would be gigabytes.
        written = Report(out, (), (), "") if stands else write(out)
        records, gone = _read(out, wanted)
        failed += gone + (oracle.failures(records) if judge else _failures(records))
        records = [each for each in records if each.kind != TRIAL]
        return Outcome(out, ran, total - ran, records, failed, written)


def _of_data(suite: Suite) -> list[str]:
    """What was decided about the data, before anything is trained on them."""
    lines: list[str] = []
    for choice in suite.datasets:
        lines += choice.says
        asked = {(variant.budget or suite.budget).train_size for variant in suite.variants}
        if too_many := [n for n in asked if n and choice.size and n > choice.size]:
            lines.append(
                f"{choice.name} has fewer than {min(too_many):,} training examples: all {choice.size:,} are used"
            )
    return lines


def _read(out: Path, wanted: Mapping[str, list[Cell]]) -> tuple[list[Record], list[str]]:
    """The records of the wanted cells, and a line for each that is there no more."""
    records, lines = [], []
    for identifier in (record.record_id(kind, cell) for kind, cells in wanted.items() for cell in cells):
        try:
            records.append(schema.read(out / "runs" / f"{identifier}.json"))
        except ValueError:
            lines.append(f"{identifier}: its record was removed or changed during the run: run the same again")
    return records, lines


def _wanted(suite: Suite, engine: Engine, device: str, quality: bool) -> dict[str, list[Cell]]:
    """The cells of a suite by kind. UsageError or MachineError if there are none, or none can run."""
    timed = suite.throughput_cells(["cpu"] if device == "cpu" else ["cpu", device], threads=cores())
    if timed and not engine.measures_speed:
        timed = []
        line = "throughput is left out, for on a cluster no cell has a machine to itself"
        print(f"vaebench: {line}; `vaebench throughput` measures it here", file=sys.stderr)
    if not quality and not timed:
        raise UsageError(f"suite {suite.name} measures no throughput: set throughput.blocks to at least 3")
    for each in {device, *(cell["device"] for cell in timed)} if engine.measures_speed else ():
        if suite.compile:
            devices.require_compiler(each)
        if suite.precision == "bf16":
            devices.require_bf16(each)
    trials = tune.trials(suite, device) if quality else []
    quality_cells = suite.cells(device) if quality else []
    return {**({str(TRIAL): trials} if trials else {}), "quality": quality_cells, "throughput": timed}


def _run_missing(
    engine: Engine,
    wanted: dict[str, list[Cell]],
    out: Path,
    reference: Path | None,
    *,
    side: int | None,
    timeout_s: float,
    again: bool,
) -> tuple[int, list[str]]:
    """Run those of the wanted cells, by kind, that have no result; returns how many, and the lines of `_work_off`."""
    missing, lines = unfinished(out, wanted, again=again)
    cells = [*itertools.chain(*missing.values())]
    for name in dict.fromkeys(cell["dataset"] for cell in cells):
        data.fetch(name)
    conformance.check((cell["variant"], cell["overrides"]) for cell in cells if "variant" in cell)
    _put_back(out)  # what a killed run had set aside
    if again:
        _set_aside(out, {kind: missing[kind] for kind in TRAINED if kind in missing})
    works = plan.expected(missing, _earlier(out, reference), side) if cells else {}
    total, things = sum(map(len, wanted.values())), "problems" if ORACLE in wanted else "runs"
    finished = f"{total - len(cells)} of {total} {things} are finished in {out}"
    if not cells:
        lines = [f"nothing to do: {finished}; --again does them anew", *lines]
    else:
        kept = [f"{finished} and not run again; --again does it"] if len(cells) < total else []
        lines = [*kept, *lines, plan.line(missing, out, side=side, works=works)]
    progress = Progress(cells, works)
    for line in lines:
        progress.say(line)
    failed: list[str] = []
    try:
        for kind in missing:
            at_once = 1 if kind == "throughput" else side
            job = Job(kind, missing[kind], out, provenance.provenance(), at_once, timeout_s, again)
            failed += _work_off(engine, job, progress)
    finally:
        _put_back(out)
        progress.close()
    return len(cells), failed


def _earlier(out: Path, reference: Path | None) -> list[Record]:
    """Records that say how long runs take: of this folder, unless it is too large to be read for that, and of ours."""
    folders = [folder for folder in (out, reference) if folder and (folder / "runs").is_dir()]
    small = (f for f in folders if sum(1 for _ in itertools.islice((f / "runs").iterdir(), MOST_READ)) < MOST_READ)
    return [each for folder in small for each in store.read_all(folder, record.KINDS)[0]]


def _work_off(engine: Engine, job: Job, progress: Progress) -> list[str]:
    """Run the cells of a job, and write and show what happens.

    Returns:
        A line for each cell that failed where it has an earlier record with figures, which stays.
    """
    kept: list[str] = []
    started = time.perf_counter()
    pure: list[float | None] = []
    with contextlib.closing(engines.run(engine, job)) as events:
        for event in events:
            if isinstance(event, Done):
                made = event.record
                if made.status not in settle.FINISHED and store.finished(job.out, made.id):
                    kept.append(f"{made.id}: {made.status}, {made.reason}; its earlier record stays")
                else:
                    store.write(job.out, made, event.artefacts)
                pure.append(_pure_seconds(event.record))
            progress.tell(event)
    if len(pure) < len(job.cells):
        raise MachineError(f"the engine ended with {len(pure)} of {len(job.cells)} runs done: run the same again")
    if line := _overhead(pure, time.perf_counter() - started, job.side_by_side):
        progress.say(line)
    return kept


def _set_aside(out: Path, cells: Mapping[str, list[Cell]]) -> None:
    """Let cells be trained again: what is half done goes, and trained weights wait for others as good."""
    for kind, cell in ((kind, cell) for kind, members in cells.items() for cell in members):
        kept = weights.path(out, cell)
        notes = kept.parent.glob(f"{glob.escape(record.record_id(kind, cell))}_*.notes.json")
        for path in (checkpoint.path(kept), *notes):
            remove(path)
        if is_ours(kept):
            kept.rename(kept.with_name(ASIDE + kept.name))
        else:
            remove(kept)


def _put_back(out: Path) -> None:
    """Weights that were set aside stand again where none have taken their place."""
    for path in (out / "weights").glob(f"{ASIDE}*"):
        if is_ours(kept := path.with_name(path.name.removeprefix(ASIDE))):
            remove(path)
        elif is_ours(path):
            path.rename(kept)


def _failures(records: Sequence[Record]) -> list[str]:
    """A line for each that failed; that a trial diverges is what a search may find."""
    bad = (r for r in records if r.status != "ok" and (r.kind, r.status) != (TRIAL, "diverged"))
    return [f"{r.id}: {r.status}, {r.reason}" for r in bad]


def unfinished(out: Path, wanted: Mapping[str, list[Cell]], *, again: bool) -> tuple[dict[str, list[Cell]], list[str]]:
    """The cells, by kind, that have no result in a folder; all if `again`. And lines that say what is odd about those
    that were finished before.

    Results of other code are kept, and counted in a line; of a record that does not say which code made it, nothing is.
    What diverged is kept only if this very code made it: other code may do better, and no result is lost.
    """
    if again:
        for kind, cells in wanted.items():
            for cell in cells:
                store.finished(out, record.record_id(kind, cell))  # refuses what a later version has written
        return dict(wanted), []
    missing: dict[str, list[Cell]] = {kind: [] for kind in wanted}
    commits: list[str] = []
    finished = diverged = 0
    for kind, cell in ((kind, cell) for kind, cells in wanted.items() for cell in cells):
        old = store.finished(out, record.record_id(kind, cell))
        if old is None:
            missing[kind].append(cell)
            continue
        finished += 1
        made, code = old.provenance, sources.sums(cell["variant"])["code_sha256"]
        if old.status == "diverged" and made.code_sha256 != code:
            missing[kind].append(cell)
            diverged += 1
        elif made.code_sha256 not in (None, code):
            commits.append(str(made.commit)[:12])
    lines = []
    if diverged:
        lines.append(f"{diverged} of {finished} finished runs diverged under other code: run again")
    if commits:
        which = f"commit {', '.join(sorted(set(commits)))}"
        line = f"{len(commits)} of {finished} finished runs were made by other code ({which}): kept"
        lines.append(f"{line}; --again runs them anew")
    return missing, lines


def _pure_seconds(made: Record) -> float | None:
    """What a run spent on training and measuring alone; None if that was not all done now."""
    trained = made.provenance.trained
    now = made.status == "ok" and made.kind in TRAINED and trained and trained.started == made.provenance.started
    return sum(seconds or 0.0 for seconds in made.timing.values()) if now else None


def _overhead(pure: list[float | None], wall: float, jobs: int | None) -> str | None:
    seconds = [each for each in pure if each is not None]
    # The last of a few runs leave jobs idle, which is no overhead.
    if jobs is None or not seconds or len(seconds) < max(len(pure), 4 * jobs):
        return None
    ratio = wall / (sum(seconds) / jobs)
    return f"{len(pure)} runs in {wall:.0f} s, {ratio:.2f} x their training and measuring over {jobs} side by side"
