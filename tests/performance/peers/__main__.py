"""`python -m tests.performance.peers`: measure what is missing, then write the page. `make bench-peers` calls it."""

import importlib.util
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from bench.disk.lock import lock
from bench.errors import BenchError, MachineError, UsageError
from bench.text import hint
from tests.performance.peers import driver, page, plan

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

HELP = """Train, evaluate, estimate the NLL and sample with this suite, with pythae and with the usual example script.

Exit codes: 0 finished; 1 finished, a contestant failed; 2 wrong usage; 4 the machine lacks something; 130 interrupted,
finished rounds are kept and the same command goes on.
"""

app = App(name="bench-peers", help=HELP, help_format="plaintext", version_flags=[], suppress_keyboard_interrupt=False)


def _provenance() -> dict[str, Any]:
    from bench import device
    from bench.records.provenance import provenance

    found = provenance()
    versions = found["versions"] | {"pythae": version("pythae")}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return found | {"versions": versions, "processor": device.describe("cpu"), "started": started}


@app.default
def measure(
    *,
    out: Annotated[Path, Parameter(help="Results folder.")] = Path("results/peers"),
    rounds: Annotated[int, Parameter(help="Rounds of each task, those of earlier runs included.")] = plan.ROUNDS,
    tasks: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=True, negative="", help=f"Some of {', '.join(plan.TASKS)}; by default all."),
    ] = (),
    again: Annotated[bool, Parameter(negative="", help="Forget what earlier runs kept.")] = False,
    report: Annotated[Path | None, Parameter(help="Measure nothing: write this folder's page again.")] = None,
) -> int:
    """Measure what is missing, then write the tables, the plot and the page."""
    if report is not None:
        print(page.write(report))
        return OK
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
            [task for name, task in plan.TASKS.items() if not tasks or name in tasks],
            out,
            rounds=rounds,
            again=again,
            threads=torch.get_num_threads(),
            provenance=_provenance(),
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(page.write(out))
    return FAILED if page.failures(out) else OK


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with a documented exit code. An expected error is one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value") or OK
    except (BenchError, CycloptsError) as error:
        print(f"bench-peers: {' '.join(str(error).split())}", file=sys.stderr)
        code = error.exit_code if isinstance(error, BenchError) else USAGE
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "tests.performance.peers", *(word for word in words if word != "--again")])
        print(f"\nbench-peers: interrupted; finished rounds are kept. Go on with: {again}", file=sys.stderr)
        code = INTERRUPTED
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
