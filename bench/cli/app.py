"""The program, its exit codes, and the options and checks that commands have in common."""

import json as jsonlib
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from bench import text
from bench.errors import UsageError
from bench.pages import docs
from bench.settings import check_seeds

if TYPE_CHECKING:
    from bench.engines import Engine

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

JSON = "Print JSON, and nothing else, on standard output."
Json = Annotated[bool, Parameter(negative="", help=JSON)]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]
Variants = Annotated[Words, Parameter(help="Only these variants, instead of the suite's.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """What a command computes on, and where its results go."""

    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps or xpu; a device that is not there is an error.")] = (
        "auto"
    )
    out: Annotated[Path | None, Parameter(help="Results folder; by default results/SUITE.")] = None
    json: Annotated[bool, Parameter(negative="", help=JSON)] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is run. UsageError for a number that cannot be."""

    seeds: Annotated[int | None, Parameter(help="Seeds 0 to N-1 for every variant, instead of the suite's number.")] = (
        None
    )
    jobs: Annotated[int | None, Parameter(help="Cells side by side; by default one a CPU core.")] = None
    again: Annotated[
        bool, Parameter(negative="", help="Run finished cells again, for example after a change of the code.")
    ] = False

    def __post_init__(self) -> None:
        if self.seeds is not None:
            check_seeds("--seeds", self.seeds)
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, got {self.jobs}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is changed of a suite, beside its variants and seeds."""

    datasets: Annotated[Words, Parameter(help="Only these data sets, by name or as a path to an .npz file.")] = ()
    settings: Annotated[Words, Parameter(name="--set", help=docs.set_help())] = ()
    precision: Annotated[
        str | None,
        Parameter(help="What the networks are trained in: fp32 (the default) or bf16. The judge measures in fp32."),
    ] = None
    compile: Annotated[
        bool | None, Parameter(help="Train with torch.compile; such runs are a comparison group of their own.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What cells run on, and the options that belong to it."""

    engine: Annotated[
        str,
        Parameter(
            help="What cells run on: local (this machine), ray (a Ray cluster; pip install 'vaebench[ray]'), debug "
            "(this very process), or an installed plugin's."
        ),
    ] = "local"
    engine_option: Annotated[
        Words, Parameter(help="key=value ..., as the engine takes them; of ray: address, gpus.")
    ] = ()
    address: Annotated[
        str | None, Parameter(help="Of the Ray cluster, HOST:PORT or auto; without it one is started on this machine.")
    ] = None
    gpus: Annotated[
        float | None,
        Parameter(
            help="Of a GPU, what each cell asks the Ray cluster for, for example 0.25; by default 1 on an accelerator."
        ),
    ] = None

    def opened(self) -> "AbstractContextManager[Engine]":
        """The engine. UsageError or MachineError where it cannot be had."""
        from bench import engines

        given = {"address": self.address, "gpus": self.gpus}
        words = [f"{key}={value}" for key, value in given.items() if value is not None]
        return engines.opened(self.engine, [*self.engine_option, *words])


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
