"""What a hundred thousand cells cost beside their own computing: time and memory of the report over their records, and
of what `vaebench run` does before its first cell.

`python -m tests.performance.scale` makes up records in a temporary folder, does each step in a process of its own and
prints a Markdown table; docs/scale.md holds one. About ten minutes, 2 GB of memory and 1 GB of disk."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from bench.device import peak_resident_mb
from bench.errors import BenchError, UsageError
from bench.pages import grids, report, tables
from bench.records import record, store
from bench.settings import Budget, Clock, Measure
from bench.stats import frame
from bench.suites.suite import DataChoice, Suite, Variant
from tests.performance import Parser

SIZES = (1_000, 10_000, 100_000)
# Seeds a row: many seeds of some variants, and as many variants as cells.
SHAPES = {"100 seeds a row": 100, "1 seed a row": 1}
EPOCHS = 10


def suite(cells: int, seeds: int) -> Suite:
    """One data set; a variant that is called with ever other keywords, and its baseline."""
    rows = tuple(Variant("vanilla", {"latent": place + 2}) for place in range(cells // seeds - 1))
    return Suite(
        name="scale",
        description="",
        variants=(Variant("vanilla"), *rows),
        datasets=(DataChoice("mnist", "dynamic"),),
        seeds=seeds,
        budget=Budget(epochs=EPOCHS),
        measure=Measure(),
        throughput=Clock(blocks=0),
    )


def made_up(chosen: Suite) -> Iterator[record.Record]:
    """A record for each cell of a suite, as long as that of a short run; the numbers mean nothing."""
    source = {
        "commit": "0" * 40,
        "dirty": False,
        "versions": {"python": "3", "torch": "2"},
        "device_name": "made up",
        "data_sha256": "0" * 64,
    }
    for cell in chosen.cells("cpu"):
        latent = cell["overrides"].get("latent", 20)
        # No two rows alike in any metric: the interval of what was seen before costs nothing.
        noise = random.Random(f"{latent} {cell['seed']}").random
        elbo, kl = -100 - noise(), 25 + noise()
        metrics = {"elbo_nats": elbo, "recon_nats": elbo + kl, "kl_nats": kl, "nll_is500_nats": 4 + noise() - elbo}
        metrics |= {"mse_per_pixel": 0.02 + noise(), "bits_per_dim": 0.2 + noise(), "parameters": 600_000}
        yield replace(
            record.new("quality", cell, source, "ok"),
            model=record.Model(support="binary", has_bound=True, posterior="diagonal", network="mlp"),
            metrics=metrics,
            errors={"elbo_nats": {"mc": 0.004, "test": 0.25}},
            curve=[
                {"epoch": e, "train_loss": -elbo, "valid_elbo_nats": elbo - 9 / e, "valid_kl_nats": 25.0}
                for e in range(1, EPOCHS + 1)
            ],
            timing={"train_s": 60.0, "measure_s": 9.0},
        )


def _planned(out: Path, chosen: Suite) -> None:
    """What a run does before its first cell: list the cells, name them, read what is finished."""
    from bench.sweeps.execute import unfinished

    if unfinished(out, {"quality": chosen.cells("cpu")}, again=False).cells["quality"]:
        raise RuntimeError("the made-up records are not those of the suite's cells")


def _over_records(function: Callable[[list[record.Record]], object]) -> Callable[[Path, Suite], None]:
    return lambda out, _: _of(function, store.read_all(out)[0])


def _of(function: Callable[[list[record.Record]], object], records: list[record.Record]) -> None:
    start = time.process_time()
    function(records)
    _took.append(time.process_time() - start)


_took: list[float] = []
# Name -> the step. What `_of` times leaves the reading out.
STEPS: dict[str, Callable[[Path, Suite], object]] = {
    "read the records": lambda out, _: store.read_all(out),
    "CSV": _over_records(frame.csv),
    "Markdown": _over_records(lambda records: tables.markdown(records, "mnist-dynamic")),
    "the whole report": lambda out, _: report.write(out),
    "a run before its first cell": _planned,
}


def measure(step: str, out: Path, cells: int, seeds: int) -> dict[str, float]:
    """Processor seconds and peak resident memory in MB of one step, in this process."""
    chosen = suite(cells, seeds)
    if step == "a run before its first cell":
        import bench.sweeps.execute  # noqa: F401 - importing torch is no part of it
    # Each step is one thread that waits for nothing but the disk, so a neighbour's load is kept out of its time.
    start = time.process_time()
    STEPS[step](out, chosen)
    seconds = _took[-1] if _took else time.process_time() - start
    return {"seconds": seconds, "memory_mb": peak_resident_mb()}


def run(sizes: Sequence[int], say: Callable[[str], None]) -> dict[tuple[str, str, int], dict[str, float]]:
    """Step, shape, number of cells -> `seconds` and `memory_mb`."""
    found = {}
    for size in sizes:
        for shape, seeds in SHAPES.items():
            with tempfile.TemporaryDirectory() as name:
                out = Path(name)
                (out / "runs").mkdir()
                for made in made_up(suite(size, seeds)):
                    (out / "runs" / f"{made.id}.json").write_text(json.dumps(record.plain(made), indent=1) + "\n")
                for step in STEPS:
                    command = [
                        sys.executable,
                        "-m",
                        "tests.performance.scale",
                        "--step",
                        step,
                        name,
                        str(size),
                        str(seeds),
                    ]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    found[step, shape, size] = json.loads(done.stdout)
                    say(f"{size:,} cells, {shape}: {step}: {found[step, shape, size]}")
    return found


def page(found: dict[tuple[str, str, int], dict[str, float]]) -> str:
    """The figures as a Markdown table."""
    sizes = sorted({size for _, _, size in found})
    lines = []
    for step, shape in dict.fromkeys((step, shape) for step, shape, _ in found):
        cells = [found[step, shape, size] for size in sizes]
        texts = [f"{cell['seconds']:.3g} s, {cell['memory_mb']:,.0f} MB" for cell in cells]
        lines.append([grids.Cell(text) for text in (step, shape, *texts)])
    return grids.markdown_grid((["step", "records", *(f"{size:,} cells" for size in sizes)], lines))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code of `bench.errors`."""
    parser = Parser(
        prog="python -m tests.performance.scale", description="What 100,000 cells cost beside their own computing."
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="numbers of cells, at least 200")
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    try:
        arguments = parser.parse_args(words)
        if min(arguments.sizes) < 2 * max(SHAPES.values()):
            raise UsageError(f"--sizes must be at least {2 * max(SHAPES.values())}")
    except BenchError as error:
        print(f"scale: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.step:
        step, out, cells, seeds = arguments.step
        print(json.dumps(measure(step, Path(out), int(cells), int(seeds))))
        return 0
    print(page(run(arguments.sizes, lambda line: print(line, file=sys.stderr))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
