"""The program, its exit codes, and the options and checks that commands have in common."""

import json
import re
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from bench import data, text
from bench.errors import UsageError
from bench.pages import docs
from bench.settings import SeedList, Seeds, convert

if TYPE_CHECKING:
    from bench.engines import Engine

OK, FAILED_CELLS, USAGE, DATA, MACHINE, INTERRUPTED = 0, 1, 2, 3, 4, 130

HELP = """Compare variational autoencoders: one ELBO core, one judge, every part swappable.

Exit codes:
  0  all runs ok
  1  finished, with failed runs
  2  wrong usage
  3  data missing or wrong
  4  the machine lacks something: a device, a writable folder
130  interrupted; finished runs are kept
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

Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[Flag, Parameter(name="--json", help="Print JSON, and nothing else, on standard output.")]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]
Variants = Annotated[
    Words,
    Parameter(
        help="Only these variants, instead of the suite's; FILE.py:RECIPE is one too, and 'beta (beta=4)', as tables "
        "call a row, is one with settings of its own."
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """What a command computes on, and where its results go.

    Attributes:
        device: auto, cpu, cuda, mps or xpu; a device that is not there is an error.
        out: Results folder; by default results/SUITE.
        as_json: Print JSON, and nothing else, on standard output.
    """

    device: str = "auto"
    out: Path | None = None
    as_json: Json = False

    def folder(self, name: str) -> Path:
        """The results folder of what has this name."""
        return self.out or Path("results") / name


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is run. UsageError for a number that cannot be.

    Attributes:
        seeds: N for seeds 0 to N-1 of every variant, instead of the suite's; or seeds of your choice, such as 7,42.
        jobs: Cells side by side; by default one a CPU core.
        again: Run finished runs again, for example after a change of the code.
    """

    seeds: Words = ()
    jobs: int | None = None
    again: Flag = False

    def __post_init__(self) -> None:
        _ = self.chosen_seeds
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, got {self.jobs}")

    @property
    def chosen_seeds(self) -> int | tuple[int, ...] | None:
        """A number of seeds, or the seeds themselves (`7,42`, and of one alone `42,`); None for the suite's own."""
        words = [part for word in self.seeds for part in word.replace(",", " ").split()]
        values = [int(word) if word.isdecimal() and len(word) < 20 else word for word in words]
        if len(words) > 1 or any("," in word for word in self.seeds):
            return convert(SeedList, list(dict.fromkeys(values)), "--seeds")
        return convert(Seeds, values[0], "--seeds") if values else None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is changed of a suite, beside its variants and seeds.

    Attributes:
        datasets: Only these data sets, by name, or your own by the path of a file (.npz, .npy, .csv, .parquet, .h5ad)
            or of a folder of pictures.
        data_options: key=value ..., to the data sets that take it; your own take kind, scale, layout, levels, label,
            drop, size, layer, image, test, valid, name (docs/howto.md).
        binarise: dynamic, fixed, threshold, none, levels (grey values of 8 bits) or dequantise, instead of each data
            set's own.
        precision: What the networks are trained in: fp32 (the default) or bf16. The judge measures in fp32.
        compiled: Train with torch.compile; such runs are a comparison group of their own.
    """

    datasets: Words = ()
    data_options: Annotated[Words, Parameter(name="--data-option")] = ()
    binarise: str | None = None
    settings: Annotated[Words, Parameter(name="--set", help=docs.set_help())] = ()
    precision: str | None = None
    compiled: Annotated[bool | None, Parameter(name="--compile")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What cells run on, and the options that belong to it.

    Attributes:
        engine: What cells run on: local (processes here), ray (a Ray cluster), debug (no process), or a plugin's.
        engine_option: key=value ..., as the engine takes them.
        address: Of the Ray cluster, HOST:PORT or auto; without it one is started on this machine.
        gpus: Of a GPU, what each cell asks the Ray cluster for, such as 0.25; by default 1 on an accelerator.
    """

    engine: str = "local"
    engine_option: Words = ()
    address: str | None = None
    gpus: float | None = None

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


# A name, with what stands in parentheses behind it.
_NAME = re.compile(r"[^\s,(]+(?:\s*\([^()]*\))?|\(")


def split_names(words: Iterable[str]) -> tuple[str, ...]:
    """Names separated by commas or spaces; a path is one word, whatever is in it, and so is `beta (beta=4, rank=2)`."""
    names: list[str] = []
    for word in words:
        parts = _NAME.findall(word)
        named = len(parts) > 1 and set(parts) & set(data.names())
        one = ".py:" in word or (data.is_user_file(word) and not named)
        names += [word] if one else parts
    return tuple(names)


def print_row(name: str, text: str) -> None:
    """A name, and what is to be said of it, in two columns."""
    print(f"{name:22} {text}")


def print_json(value: object) -> None:
    """JSON on standard output."""
    print(json.dumps(value, indent=1, default=list))
