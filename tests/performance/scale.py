"""What a hundred thousand cells cost beside their own computing: time and memory of the report over their records, and
of what `vaebench run` does before its first cell.

`python -m tests.performance.scale` makes up records in a temporary folder, does each step in a process of its own and
prints a Markdown table; docs/scale.md holds one. About ten minutes, 2 GB of memory and 1 GB of disk."""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from bench.device import peak_resident_mb
from bench.errors import UsageError
from bench.pages import blocks, grids, report, tables
from bench.records import record, store
from bench.settings import Clock
from bench.stats import frame
from bench.suites.suite import DataChoice, Suite, Variant
from tests import fake_records as fake
from tests.performance import command, run_command

SIZES = (1_000, 10_000, 100_000)
# Seeds a row: many seeds of some variants, and as many variants as cells.
SHAPES = {"100 seeds a row": 100, "1 seed a row": 1}

app = command("scale", "What 100,000 cells cost beside their own computing.")


def suite(cells: int, seeds: int) -> Suite:
    """One data set; a variant that is called with ever other keywords, and its baseline."""
    rows = tuple(Variant("vanilla", {"latent": number + 2}) for number in range(cells // seeds - 1))
    data = (DataChoice("mnist", "dynamic"),)
    named = (Variant("vanilla"), *rows)
    return Suite(name="scale", variants=named, datasets=data, seeds=seeds, throughput=Clock(blocks=0))


def made_up(cells: Iterable[record.Cell]) -> Iterator[record.Record]:
    """A record for each quality cell, as long as that of a short run; the numbers mean nothing."""
    for cell in cells:
        made = fake.quality(cell["variant"], cell["seed"])
        # No two rows alike in any metric: the interval of what was seen before costs nothing.
        noise = random.Random(f"{cell['overrides']} {cell['seed']}").random
        metrics = {name: value + noise() if isinstance(value, float) else value for name, value in made.metrics.items()}
        yield replace(made, id=record.record_id("quality", cell), cell=cell, metrics=metrics)


def _planned(out: Path, chosen: Suite) -> None:
    """What a run does before its first cell: list the cells, name them, read what is finished."""
    from bench.sweeps.execute import unfinished

    if unfinished(out, {"quality": chosen.cells("cpu")}, again=False)[0]["quality"]:
        raise RuntimeError("the made-up records are not those of the suite's cells")


# Name -> the step.
STEPS: dict[str, Callable[[Path, Suite, list[record.Record]], object]] = {
    "read the records": lambda out, *_: store.read_all(out),
    "CSV": lambda _out, _suite, records: frame.csv(records),
    "Markdown": lambda _out, _suite, records: blocks.markdown(tables.blocks(records, "mnist-dynamic")),
    "the whole report": lambda out, *_: report.write(out),
    "a run before its first cell": lambda out, chosen, _: _planned(out, chosen),
}


def measure(step: str, out: Path, cells: int, seeds: int) -> dict[str, float]:
    """Processor seconds and peak resident memory in MB of one step, in this process."""
    chosen = suite(cells, seeds)
    if step == "a run before its first cell":
        import bench.sweeps.execute  # noqa: F401 - importing torch is no part of it
    records = store.read_all(out)[0] if step in ("CSV", "Markdown") else []
    # Each step is one thread that waits for nothing but the disk, so a neighbour's load is kept out of its time.
    start = time.process_time()
    STEPS[step](out, chosen, records)
    return {"seconds": time.process_time() - start, "memory_mb": peak_resident_mb()}


Figures = dict[tuple[str, str, int], dict[str, float]]


def run(sizes: Sequence[int], say: Callable[[str], None]) -> Figures:
    """Step, shape, number of cells -> `seconds` and `memory_mb`."""
    figures = {}
    for size in sizes:
        for shape, seeds in SHAPES.items():
            with tempfile.TemporaryDirectory() as name:
                runs = Path(name) / "runs"
                runs.mkdir()
                for made in made_up(suite(size, seeds).cells("cpu")):
                    (runs / f"{made.id}.json").write_text(json.dumps(record.plain(made), indent=1) + "\n")
                for step in STEPS:
                    words = [
                        sys.executable,
                        "-m",
                        "tests.performance.scale",
                        "--step",
                        step,
                        name,
                        str(size),
                        str(seeds),
                    ]
                    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
                    figures[step, shape, size] = json.loads(done.stdout)
                    say(f"{size:,} cells, {shape}: {step}: {figures[step, shape, size]}")
    return figures


def page(figures: Figures) -> str:
    """The figures as a Markdown table."""
    sizes = sorted({size for _, _, size in figures})
    rows = []
    for step, shape in dict.fromkeys((step, shape) for step, shape, _ in figures):
        texts = [step, shape]
        for size in sizes:
            figure = figures[step, shape, size]
            texts.append(f"{figure['seconds']:.3g} s, {figure['memory_mb']:,.0f} MB")
        rows.append([grids.Entry(text) for text in texts])
    return grids.markdown_grid((["step", "records", *(f"{size:,} cells" for size in sizes)], rows))


@app.default
def main_command(
    *,
    sizes: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="", help="Numbers of cells.")] = SIZES,
    step: Annotated[tuple[str, Path, int, int] | None, Parameter(show=False)] = None,
) -> None:
    """Measure every step at every size and print the table."""
    if min(sizes) < 2 * max(SHAPES.values()):
        raise UsageError(f"--sizes must be at least {2 * max(SHAPES.values())}")
    if step:
        print(json.dumps(measure(*step)))
    else:
        print(page(run(sizes, lambda line: print(line, file=sys.stderr))))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    return run_command(app, words)


if __name__ == "__main__":
    sys.exit(main())
