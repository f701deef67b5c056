"""`python -m tests.performance.peers`: measure, then write the page. `make bench-peers` calls it."""

import importlib.util
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.text import hint
from tests.performance import command, run_command
from tests.performance.peers import driver, page, plan

HELP = """Train, evaluate, estimate the NLL and sample with this suite, with pythae and with the usual example script.

Exit codes: 0 finished; 1 finished, a contestant failed; 2 wrong usage; 4 the machine lacks something; 130 interrupted.
"""

app = command("bench-peers", HELP)


def _provenance() -> dict[str, Any]:
    from bench import device
    from bench.records.provenance import provenance

    source = provenance()
    versions = source["versions"] | {"pythae": version("pythae")}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return source | {"versions": versions, "processor": device.describe("cpu"), "started": started}


@app.default
def measure(
    *,
    out: Annotated[Path, Parameter(help="Results folder.")] = Path("results/peers"),
    rounds: Annotated[int, Parameter(help="Rounds of each task.")] = plan.ROUNDS,
    tasks: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=True, negative="", help=f"Some of {', '.join(plan.TASKS)}; by default all."),
    ] = tuple(plan.TASKS),
    again: Annotated[bool, Parameter(negative="", help="Replace what an earlier run kept.")] = False,
    report: Annotated[Path | None, Parameter(help="Measure nothing: write this folder's page again.")] = None,
) -> int:
    """Measure, then write the tables, the plot and the page."""
    if report is not None:
        print(page.write(report))
        return 0
    if rounds < 1:
        raise UsageError(f"--rounds must be at least 1, got {rounds}")
    for name in tasks:
        if name not in plan.TASKS:
            raise UsageError(f"unknown task {name!r}: {hint(name, plan.TASKS)}")
    if importlib.util.find_spec("pythae") is None:
        raise MachineError("pythae is not installed here: run make bench-peers")
    import torch

    with lock(out):
        driver.run(
            [task for name, task in plan.TASKS.items() if name in tasks],
            out,
            rounds=rounds,
            again=again,
            threads=torch.get_num_threads(),
            provenance=_provenance(),
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(page.write(out))
    return int(bool(page.failures(out)))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    return run_command(app, words, "finished rounds are kept; write their page with --report")


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)
    sys.exit(main())
