"""A run of the micro benchmarks beside the committed baseline: `make bench-micro` prints a ratio for each.

Machines differ, so every run also times reference work that no change of this code can touch, and a ratio is
(now / reference now) / (baseline / reference of the baseline). Nothing fails because it is slow: the reader decides."""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.disk.files import write_bytes
from bench.errors import BenchError, UsageError
from bench.pages.page import REFERENCE
from bench.records.provenance import provenance
from tests.performance import Parser

BASELINE = REFERENCE / "micro.json"
# Reference work: benchmarks whose names contain this.
REFERENCE_WORK = "test_reference["
# From here on a line says "slower", and below its inverse "faster".
SLOWER = 1.25
# The benchmarks run with so many: with all cores they measure what else the machine does.
THREADS = 1
# Where these differ the ratios lean on the reference work alone.
MACHINE = ("processor", "torch", "threads")


@dataclass(frozen=True)
class Run:
    """Medians and interquartile ranges of one run, in seconds.

    Attributes:
        times: name -> (median, interquartile range), reference work included.
        source: `processor`, `torch`, `threads` and `commit`.
    """

    times: dict[str, tuple[float, float]]
    source: dict[str, Any]

    @property
    def references(self) -> set[str]:
        """Names of the reference work."""
        return {name for name in self.times if REFERENCE_WORK in name}

    @property
    def reference(self) -> float:
        """Geometric mean of the reference work's medians: arithmetic, memory and dispatch count alike."""
        logs = [math.log(self.times[name][0]) for name in self.references]
        return math.exp(math.fsum(logs) / len(logs))

    @property
    def benchmarks(self) -> dict[str, float]:
        """Name -> median of everything but the reference work."""
        return {name: median for name, (median, _) in self.times.items() if name not in self.references}


@dataclass(frozen=True)
class Ratio:
    """One benchmark against the baseline.

    Attributes:
        name: of the benchmark.
        ratio: of the times relative to the reference work; above 1 is slower than the baseline.
        raw: of the times as they are.
        now: seconds.
        then: seconds.
    """

    name: str
    ratio: float
    raw: float
    now: float
    then: float

    @property
    def mark(self) -> str:
        """`"slower"`, `"faster"` or nothing."""
        return "slower" if self.ratio > SLOWER else "faster" if self.ratio < 1 / SLOWER else ""


def of_pytest(path: Path) -> Run:
    """The run in a file of `pytest --benchmark-json`.

    Raises:
        UsageError: it cannot be read, holds something else, or lacks the reference work.
    """
    content = _load(path)
    try:
        times = {_name(found): (found["stats"]["median"], found["stats"]["iqr"]) for found in content["benchmarks"]}
        run = _checked(Run(times, {}))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} holds no run of the micro benchmarks ({error}): run make bench-micro") from error
    return run


def _name(found: Mapping[str, Any]) -> str:
    """Without the file, of which there is but one."""
    return str(found["fullname"]).rpartition("::")[2]


def here() -> dict[str, Any]:
    """Where this process runs, in the words of a baseline."""
    import torch

    from bench import device

    origin = provenance()
    return {
        "processor": device.describe("cpu"),
        "torch": str(torch.__version__),
        "threads": THREADS,
        "commit": origin["commit"],
        "dirty": origin["dirty"],
    }


def read(path: Path) -> Run:
    """A baseline.

    Raises:
        UsageError: there is none, or the file holds something else.
    """
    if not path.exists():
        raise UsageError(f"no baseline {path}: write one with make bench-micro BASELINE=write")
    content = _load(path)
    try:
        times = {str(name): (t["median_s"], t["iqr_s"]) for name, t in content["benchmarks"].items()}
        return _checked(Run(times, {key: content[key] for key in (*MACHINE, "commit")}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no baseline ({error}): write one with make bench-micro BASELINE=write") from error


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({' '.join(str(error).split())})") from error


def _checked(run: Run) -> Run:
    """`run`; ValueError if it has no reference work, no benchmarks, or a time that is none."""
    for name, (median, _) in run.times.items():
        if not (isinstance(median, int | float) and math.isfinite(median) and median > 0):
            raise ValueError(f"the median of {name} is {median!r}")
    if not run.benchmarks or len(run.benchmarks) == len(run.times):
        raise ValueError("it needs benchmarks and reference work")
    return run


def write(path: Path, run: Run, source: Mapping[str, Any]) -> None:
    """Keep a run as the baseline: sorted, so that a new one is a readable difference. MachineError if it cannot be."""
    # A line a benchmark; digits beyond the noise would be noise in every difference.
    benchmarks = {
        name: {"median_s": float(f"{median:.4g}"), "iqr_s": float(f"{spread:.2g}")}
        for name, (median, spread) in run.times.items()
    }
    text = json.dumps({**source, "benchmarks": benchmarks}, indent=1, sort_keys=True)
    write_bytes(path, (re.sub(r"{\s+(\"iqr_s\".*?),\s+(.*?)\s+}", r"{\1, \2}", text) + "\n").encode())


def compare(now: Run, then: Run) -> list[Ratio]:
    """The benchmarks that both runs have, slowest first. UsageError if their reference work is not the same."""
    if now.references != then.references:
        raise UsageError("the baseline has other reference work: write a new one with make bench-micro BASELINE=write")
    scale, before = then.reference / now.reference, then.benchmarks
    ratios = [
        Ratio(name, median / before[name] * scale, median / before[name], median, before[name])
        for name, median in now.benchmarks.items()
        if name in before
    ]
    return sorted(ratios, key=lambda found: (-found.ratio, found.name))


def text(now: Run, then: Run) -> str:
    """What is printed: notes, then one line a benchmark, slowest ratio first."""
    ratios = compare(now, then)
    width = max([len(found.name) for found in ratios], default=0)
    lines = [f"Against the baseline of commit {str(then.source['commit'])[:12]}; above 1 is slower than it."]
    for key in MACHINE:
        if now.source[key] != then.source[key]:
            lines.append(f"note: {key} is {now.source[key]} here and {then.source[key]} in the baseline")
    speed = now.reference / then.reference
    lines.append(f"note: the reference work takes {speed:.2f} x the baseline's time, which the ratio takes out")
    lines.append(f"{'benchmark'.ljust(width)}  ratio    raw        now   baseline")
    lines += [
        f"{f.name.ljust(width)}  {f.ratio:5.2f}  {f.raw:5.2f}  {_time(f.now):>9}  {_time(f.then):>9}  {f.mark}".rstrip()
        for f in ratios
    ]
    for words, names in (
        ("not in the baseline", now.benchmarks.keys() - then.benchmarks.keys()),
        ("in the baseline alone", then.benchmarks.keys() - now.benchmarks.keys()),
    ):
        lines += [f"{words}: {', '.join(sorted(names))}"] if names else []
    slower = sum(found.mark == "slower" for found in ratios)
    lines.append(f"{slower} of {len(ratios)} are more than {SLOWER} x slower than the baseline")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    """`"12.3 ms"`, three significant digits."""
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("us", 1e-6))
    return f"{seconds / size:.3g} {unit}"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code of `bench.errors`."""
    parser = Parser(prog="python -m tests.performance.micro", description="Ratios of a run to the committed baseline.")
    parser.add_argument("run", type=Path, help="file of pytest --benchmark-json")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="by default results/reference/micro.json")
    parser.add_argument("--write", action="store_true", help="make this run the baseline instead")
    try:
        arguments = parser.parse_args(words)
        run = of_pytest(arguments.run)
        if arguments.write:
            write(arguments.baseline, run, here())
            print(f"{len(run.times)} times written to {arguments.baseline}")
        else:
            print(text(Run(run.times, here()), read(arguments.baseline)))
    except BenchError as error:
        print(f"micro: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
