"""How time and memory grow with the data, the latent size, the importance samples and the number of cells.

`python -m tests.performance.growth` measures what is missing and writes the pages; `--report DIR` only writes them, and
needs no torch. Every point is measured in a process of its own, all points once before any is measured again."""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.disk.files import write_bytes
from bench.disk.lock import lock
from bench.errors import BenchError, MachineError, UsageError
from bench.records.provenance import provenance
from tests.performance import Parser, growth_page, laws
from tests.performance.growth_page import FLOOR
from tests.performance.laws import Series

OUT = Path("results/growth")
POINTS = "points.jsonl"
# Median and quartiles need three.
LEAST_REPEATS = 3
THREADS = 1
# A repeated run goes on only where these are what they were: points of other code or machines belong in no common line.
SAME = ("commit", "dirty", "processor", "threads", "torch")

Point = dict[str, Any]


def read(out: Path, report: bool = False) -> list[Point]:
    """The points in a results folder, in the order in which they were measured; none if there is no such file.

    Raises:
        UsageError: it holds something else, or is missing where it is to be reported.
    """
    path = out / POINTS
    try:
        points = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for point in points:
            float(point["seconds"]), float(point["memory_mb"]), point["series"], int(point["size"])
            int(point["repeat"]), point["provenance"]["versions"]["torch"]
    except FileNotFoundError:
        if report:
            raise UsageError(f"{path} does not exist: measure first, without --report") from None
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not hold points of this benchmark: choose another folder with --out") from error
    return points


def run(out: Path, series: Sequence[Series], repeats: int, say: Callable[[str], None] = print) -> list[Point]:
    """Measure what is missing in `out`, a point after the other; each is kept as soon as it is there.

    Args:
        out: results folder.
        series: what to measure.
        repeats: how often.
        say: told one line a point.

    Returns:
        All points in `out`.

    Raises:
        UsageError: `out` holds points of another commit, machine or torch.
        MachineError: a point's process ended without a result, or a file cannot be written.
    """
    points = read(out)
    here = _here()
    for point in points:
        for key in SAME:
            if _same(point["provenance"], key) != _same(here, key):
                raise UsageError(
                    f"{out} holds points measured with {key} {_same(point['provenance'], key)}, and this is "
                    f"{_same(here, key)}: choose another folder with --out"
                )
    done = {(point["series"], point["size"], point["repeat"]) for point in points}
    wanted = [(FLOOR, 0), *((s.name, size) for s in series for size in s.sizes)]
    missing = [(*what, repeat) for repeat in range(repeats) for what in wanted if (*what, repeat) not in done]
    if not missing:
        return points
    if len(missing) < repeats * len(wanted):
        say(f"{repeats * len(wanted) - len(missing)} of {repeats * len(wanted)} points are in {out} and kept")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, size in dict.fromkeys((what, size) for what, size, _ in missing if what in laws.WITH_FILES):
            in_process("prepare", what, size, folder)
        for count, (what, size, repeat) in enumerate(missing, 1):
            found = in_process("measure", what, size, folder)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            points.append(
                {"series": what, "size": size, "repeat": repeat} | found | {"provenance": here | {"started": started}}
            )
            write_bytes(out / POINTS, "".join(json.dumps(point) + "\n" for point in points).encode())
            say(f"[{count}/{len(missing)}] {what} {size:,}: {found['seconds']:.4g} s, peak {found['memory_mb']:.0f} MB")
    return points


def _here() -> dict[str, Any]:
    from bench import device

    return provenance() | {"processor": device.describe("cpu"), "threads": THREADS}


def _same(source: dict[str, Any], key: str) -> Any:
    return source["versions"][key] if key == "torch" else source.get(key)


def in_process(task: str, name: str, size: int, folder: Path) -> Point:
    """Call a function of `tests.performance.points` in a process of its own and return what it returns.

    Raises:
        MachineError: the process ended without a result.
    """
    # As for cells: a fork server imports everything once, and a process starts in milliseconds with a clean copy of it.
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["tests.performance.points"])
    ours, theirs = context.Pipe()
    # No daemon: some points start processes of their own.
    process = context.Process(target=_work, args=(theirs, task, name, size, str(folder)))
    process.start()
    theirs.close()
    try:
        kind, result = ours.recv()
    except EOFError:
        process.join()
        kind, result = "error", f"its process ended with exit code {process.exitcode}"
    except KeyboardInterrupt:
        process.kill()
        raise
    finally:
        process.join()
        ours.close()
    if kind == "error":
        raise MachineError(f"{name} at {size:,} could not be measured: {result}")
    return dict(result or {})


def _work(pipe: Connection, task: str, name: str, size: int, folder: str) -> None:
    """In the point's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.dup2(2, 1)  # standard output belongs to the command
    import torch

    from tests.performance import points

    torch.set_num_threads(THREADS)
    try:
        pipe.send(("ok", getattr(points, task)(name, size, Path(folder))))
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {' '.join(str(error).split())}"))


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tests.performance.growth",
        description="Time and memory against data size, latent size, importance samples and number of cells.",
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"results folder, by default {OUT}")
    parser.add_argument("--repeats", type=int, default=LEAST_REPEATS, help="measurements of each point, at least 3")
    parser.add_argument(
        "--axes", nargs="+", choices=list(laws.AXES), default=list(laws.AXES), help="what is to grow, by default all"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="only write the pages of DIR again")
    arguments = parser.parse_args(words)
    if arguments.repeats < LEAST_REPEATS:
        raise UsageError(f"--repeats must be at least {LEAST_REPEATS}, got {arguments.repeats}")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code of `bench.errors`, 130 when interrupted."""
    try:
        arguments = _arguments(sys.argv[1:] if words is None else words)
        out = arguments.report or arguments.out
        if arguments.report:
            print(growth_page.write(out, read(out, report=True)))
            return 0
        with lock(out):
            chosen = laws.select(arguments.axes)
            points = run(out, chosen, arguments.repeats, lambda line: print(line, file=sys.stderr))
            print(growth_page.write(out, points))
    except BenchError as error:
        print(f"growth: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ngrowth: interrupted; finished points are kept, and the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
