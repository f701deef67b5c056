"""The program, its exit codes, and the options and checks that commands have in common."""

import json as jsonlib
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from bench import settings, text
from bench.errors import UsageError

OK, FAILED_CELLS, USAGE, DATA, MACHINE, INTERRUPTED = 0, 1, 2, 3, 4, 130

HELP = """Compare variational autoencoders: one ELBO core, one judge, every part swappable.

Exit codes:
  0  all cells ok
  1  finished, with failed cells
  2  wrong usage
  3  data missing or wrong
  4  the machine lacks something: a device, a writable folder
130  interrupted; finished cells are kept
"""

app = App(
    name="vaebench",
    help=HELP,
    version=lambda: version("vaebench"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # else Ctrl-C leaves without a word
)
data_app = App(name="data", help="Data sets: list, verify, fetch.", help_format="plaintext")
app.command(data_app)

Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]
Settings = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative="", show_default=False)]
Json = Annotated[bool, Parameter(negative="", help="Print JSON, and nothing else, on standard output.")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda, mps or xpu; a device that is not there is an error.")]
Out = Annotated[Path | None, Parameter(help="Results folder; by default results/SUITE.")]
Again = Annotated[
    bool, Parameter(negative="", help="Run finished cells again, for example after a change of the code.")
]
Precision = Annotated[
    str | None,
    Parameter(help="What the networks are trained in: fp32 (the default) or bf16. The judge measures in fp32."),
]
Compile = Annotated[
    bool | None, Parameter(help="Train with torch.compile; such runs are a comparison group of their own.")
]
Jobs = Annotated[int | None, Parameter(help="Cells side by side; by default one a CPU core.")]
Engine = Annotated[
    Literal["local", "ray"],
    Parameter(help="What cells run on: this machine, or a Ray cluster (pip install 'vaebench[ray]')."),
]
Address = Annotated[
    str | None, Parameter(help="Of the Ray cluster, HOST:PORT or auto; without it one is started on this machine.")
]
Gpus = Annotated[
    float | None,
    Parameter(
        help="Of a GPU, what each cell asks the Ray cluster for, for example 0.25; by default 1 on an accelerator."
    ),
]
Seeds = Annotated[int | None, Parameter(help="Seeds 0 to N-1 for every variant, instead of the suite's number.")]


def check_number_of_seeds(seeds: int | None) -> None:
    """UsageError for a number of seeds that cannot be."""
    if seeds is not None:
        settings.convert(settings.Seeds, seeds, "--seeds")


def check_jobs(jobs: int | None) -> None:
    """UsageError for a number of jobs that cannot be."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")


def warn(failed: Iterable[str]) -> None:
    """A line for each run that failed."""
    for line in failed:
        print(f"vaebench: failed: {text.printable(line)}", file=sys.stderr)


def split_names(words: Iterable[str]) -> tuple[str, ...]:
    """Names separated by commas or spaces; the path of an .npz file is one word, whatever is in it."""
    return tuple(
        name for word in words for name in ([word] if word.endswith(".npz") else word.replace(",", " ").split())
    )


def print_row(name: str, text: str) -> None:
    """A name, and what is to be said of it, in two columns."""
    print(f"{name:22} {text}")


def print_json(value: object) -> None:
    """JSON on standard output."""
    print(jsonlib.dumps(value, indent=1, default=list))
