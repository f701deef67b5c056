"""How time and memory grow with the data, the latent size, the importance samples and the number of cells.

`python -m tests.performance.growth` measures what is missing and writes the pages; `--report DIR` only writes them, and
needs no torch. Every point is measured in a process of its own, all points once before any is measured again."""

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bench.disk.files import write_bytes
from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.records.provenance import provenance
from tests.performance import command, growth_page, laws, run_command
from tests.performance.laws import FLOOR, Point, Series

POINTS = "points.jsonl"
# Median and quartiles need three.
LEAST_REPEATS = 3
THREADS = 1
# A repeated run goes on only where these are what they were: points of other code or machines belong in no common line.
SAME = ("commit", "dirty", "processor", "threads", "torch")

app = command("growth", "Time and memory against data size, latent size, importance samples and number of cells.")


def read(out: Path) -> list[Point]:
    """The points in a results folder, in the order in which they were measured; none if there is no such file.

    Raises:
        UsageError: it holds something else.
    """
    path = out / POINTS
    try:
        points = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for point in points:
            float(point["seconds"]), float(point["memory_mb"]), point["series"], int(point["size"])
            int(point["repeat"]), _same(point["provenance"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not hold points of this benchmark: choose another folder with --out") from error
    return points


def _same(source: dict[str, Any]) -> dict[str, Any]:
    return {key: source["versions"][key] if key == "torch" else source.get(key) for key in SAME}


def run(out: Path, series: Sequence[Series], repeats: int, say: Callable[[str], None]) -> list[Point]:
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
    points, here = read(out), _here()
    for point in points:
        for key, value in _same(point["provenance"]).items():
            if value != _same(here)[key]:
                raise UsageError(
                    f"{out} holds points measured with {key} {value}, and this is {_same(here)[key]}: choose another "
                    "folder with --out"
                )
    done = {(point["series"], point["size"], point["repeat"]) for point in points}
    wanted = [(FLOOR, 0), *((s.name, size) for s in series for size in s.sizes)]
    missing = [(*what, repeat) for repeat in range(repeats) for what in wanted if (*what, repeat) not in done]
    with tempfile.TemporaryDirectory() as folder:
        for name, size in dict.fromkeys((name, size) for name, size, _ in missing if name in laws.WITH_FILES):
            in_process("prepare", name, size, folder)
        for count, (name, size, repeat) in enumerate(missing, 1):
            figures = in_process("measure", name, size, folder)
            source = here | {"started": datetime.now(UTC).isoformat(timespec="seconds")}
            points.append({"series": name, "size": size, "repeat": repeat} | figures | {"provenance": source})
            write_bytes(out / POINTS, "".join(json.dumps(point) + "\n" for point in points).encode())
            took = f"{figures['seconds']:.4g} s, peak {figures['memory_mb']:.0f} MB"
            say(f"[{count}/{len(missing)}] {name} {size:,}: {took}")
    return points


def _here() -> dict[str, Any]:
    from bench import device

    return provenance() | {"processor": device.describe("cpu"), "threads": THREADS}


def in_process(task: str, name: str, size: int, folder: str) -> Point:
    """Call a function of `tests.performance.points` in a process of its own and return what it returns.

    Raises:
        MachineError: it raised an error, or the process ended without a result.
    """
    # As for cells: a fork server imports everything once, and a process starts in milliseconds with a clean copy of it.
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["tests.performance.points"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_work, task, name, size, folder).result() or {}
        except Exception as error:
            raise MachineError(f"{name} at {size:,} could not be measured: {type(error).__name__}: {error}") from error


def _work(task: str, name: str, size: int, folder: str) -> Point | None:
    """In the point's process."""
    os.dup2(2, 1)  # standard output belongs to the command
    import torch

    from tests.performance import points

    torch.set_num_threads(THREADS)
    figures: Point | None = getattr(points, task)(name, size, Path(folder))
    return figures


@app.default
def measure(
    *,
    out: Annotated[Path, Parameter(help="Results folder.")] = Path("results/growth"),
    repeats: Annotated[int, Parameter(help="Measurements of each point, at least 3.")] = LEAST_REPEATS,
    axes: Annotated[
        tuple[Literal["data", "latent", "samples", "cells"], ...],
        Parameter(consume_multiple=True, negative="", help="What is to grow, by default all."),
    ] = ("data", "latent", "samples", "cells"),
    report: Annotated[Path | None, Parameter(help="Measure nothing: write this folder's pages again.")] = None,
) -> None:
    """Measure what is missing, then write the tables, the plot and the page."""
    if report is not None:
        print(growth_page.write(report, read(report)))
        return
    if repeats < LEAST_REPEATS:
        raise UsageError(f"--repeats must be at least {LEAST_REPEATS}, got {repeats}")
    with lock(out):
        points = run(out, laws.select(axes), repeats, lambda line: print(line, file=sys.stderr))
        print(growth_page.write(out, points))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    return run_command(app, words, "finished points are kept, and the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
