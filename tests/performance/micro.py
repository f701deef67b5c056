"""A run of the micro benchmarks beside the committed baseline: `make bench-micro` prints a ratio for each.

Machines differ, so every run also times reference work that no change of this code can touch, and a ratio is
(now / reference now) / (baseline / reference of the baseline). Nothing fails because it is slow: the reader decides."""

import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bench.disk.files import write_bytes
from bench.errors import UsageError
from bench.pages.page import REFERENCE
from bench.records.provenance import provenance
from tests.performance import command, run_command

BASELINE = REFERENCE / "micro.json"
WRITE = "write one with make bench-micro BASELINE=write"
# Reference work: benchmarks whose names contain this.
REFERENCE_WORK = "test_reference["
# From here on a line says "slower", and below its inverse "faster".
SLOWER = 1.15
# The benchmarks run with so many: with all cores they measure what else the machine does.
THREADS = 1
# Where these differ the ratios lean on the reference work alone.
MACHINE = ("processor", "torch", "threads")

app = command("micro", "Ratios of a run to the committed baseline.")


def here() -> dict[str, Any]:
    """Where this process runs, in the words of a baseline."""
    import torch

    from bench import device

    source = provenance()
    machine = {"processor": device.describe("cpu"), "torch": str(torch.__version__), "threads": THREADS}
    return machine | {"commit": source["commit"], "dirty": source["dirty"]}


def load(path: Path) -> dict[str, Any]:
    """A baseline, or a file of `pytest --benchmark-json` in the form of one, without where it was run.

    Raises:
        UsageError: it cannot be read, holds something else, or lacks the reference work.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content["benchmarks"], list):
            content["benchmarks"] = {
                # Without the file, of which there is one. More digits would be noise in every difference.
                each["fullname"].rpartition("::")[2]: {
                    "median_s": float(f"{each['stats']['median']:.4g}"),
                    "iqr_s": float(f"{each['stats']['iqr']:.2g}"),
                }
                for each in content["benchmarks"]
            }
        if not 0 < min(each["median_s"] for each in content["benchmarks"].values()) < float("inf"):
            raise ValueError("a median is not above 0")
        if not reference(content):
            raise ValueError("it has no reference work")
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): {WRITE}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} holds no micro benchmarks ({error}): {WRITE}") from error
    return content  # type: ignore[no-any-return]


def reference(run: Mapping[str, Any]) -> dict[str, float]:
    """Reference work -> median."""
    return {name: each["median_s"] for name, each in run["benchmarks"].items() if REFERENCE_WORK in name}


def write(path: Path, run: Mapping[str, Any]) -> None:
    """Keep a run as the baseline: sorted, a line a benchmark, so that a new one is a readable difference."""
    text = json.dumps(here() | {"benchmarks": run["benchmarks"]}, indent=1, sort_keys=True)
    write_bytes(path, (re.sub(r"{\s+(\"iqr_s\".*?),\s+(.*?)\s+}", r"{\1, \2}", text) + "\n").encode())


def compare(now: Mapping[str, Any], then: Mapping[str, Any]) -> str:
    """Notes, then one line a benchmark, slowest ratio first. UsageError if the reference work is not the same."""
    if reference(now).keys() != reference(then).keys():
        raise UsageError(f"the baseline has other reference work: {WRITE}")
    # Geometric means: arithmetic, memory and dispatch count alike.
    speed = statistics.geometric_mean(reference(now).values()) / statistics.geometric_mean(reference(then).values())
    names = [name for name in now["benchmarks"] if name in then["benchmarks"] and REFERENCE_WORK not in name]
    times = {name: (now["benchmarks"][name]["median_s"], then["benchmarks"][name]["median_s"]) for name in names}
    names.sort(key=lambda name: -times[name][0] / times[name][1])
    width = max(map(len, names), default=0)
    lines = [f"Against the baseline of commit {str(then.get('commit'))[:12]}; above 1 is slower than it."]
    for key in MACHINE:
        if now[key] != then.get(key):
            lines.append(f"note: {key} is {now[key]} here and {then.get(key)} in the baseline")
    lines.append(f"note: the reference work takes {speed:.2f} x the baseline's time, which the ratio takes out")
    lines.append(f"{'benchmark'.ljust(width)}  ratio    raw    now (s)   baseline")
    ratios = [a / b / speed for a, b in (times[name] for name in names)]
    for name, ratio in zip(names, ratios, strict=True):
        a, b = times[name]
        mark = "  slower" if ratio > SLOWER else "  faster" if ratio < 1 / SLOWER else ""
        lines.append(f"{name.ljust(width)}  {ratio:5.2f}  {a / b:5.2f}  {a:>9.3g}  {b:>9.3g}{mark}")
    for words, alone in (
        ("not in the baseline", now["benchmarks"].keys() - then["benchmarks"].keys()),
        ("in the baseline alone", then["benchmarks"].keys() - now["benchmarks"].keys()),
    ):
        lines += [f"{words}: {', '.join(sorted(alone))}"] if alone else []
    slower = [name for name, ratio in zip(names, ratios, strict=True) if ratio > SLOWER]
    end = f"{len(slower)} of {len(ratios)} take more than {SLOWER} x the baseline's time"
    return "\n".join([*lines, f"{end}: {', '.join(slower)}" if slower else end])


@app.default
def main_command(
    run: Annotated[Path, Parameter(help="File of pytest --benchmark-json.")],
    *,
    baseline: Annotated[Path, Parameter(help="By default results/reference/micro.json.")] = BASELINE,
    write_it: Annotated[bool, Parameter(name="--write", negative="", help="Make this run the baseline.")] = False,
) -> None:
    """Print the ratios, or write the baseline."""
    times = load(run)
    if write_it:
        write(baseline, times)
        print(f"{len(times['benchmarks'])} times written to {baseline}")
    else:
        print(compare(times | here(), load(baseline)))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    return run_command(app, words)


if __name__ == "__main__":
    sys.exit(main())
