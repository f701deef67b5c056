"""The oracle suite, end to end: check what is missing, one process a problem, then write its page."""

import sys
from pathlib import Path
from typing import Any

from bench import device as devices
from bench import supervise
from bench.device import default_jobs
from bench.disk.lock import lock
from bench.errors import MachineError
from bench.execute import Outcome, unfinished
from bench.oracle.suite import OracleSuite
from bench.pages import oracle
from bench.records import provenance, record, schema
from bench.records.record import ORACLE, Cell, Record


def execute(
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
        return _run(suite, out, cells, side=jobs or default_jobs(device), again=again)


def _run(suite: OracleSuite, out: Path, cells: list[Cell], *, side: int, again: bool) -> Outcome:
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

    supervise.run_cells(
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
