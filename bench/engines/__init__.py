"""Where cells run. An engine is told a `Job`, and yields what happens; only who asked it writes records."""

import contextlib
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol, runtime_checkable

import msgspec

from bench.cells.events import Event
from bench.errors import BenchError, MachineError, UsageError
from bench.records.record import Cell
from bench.text import hint, said

GROUP = "vaebench.engines"
# Each names what makes an engine: a class or a function, whose keywords are the engine's options. What it makes is the
# engine, or a context manager that gives it and lets go of it afterwards.
ENGINES = {
    "local": "bench.engines.local:Local",
    "ray": "bench.engines.ray:connect",
    "debug": "bench.engines.debug:Debug",
}


@dataclass(frozen=True)
class Job:
    """All that an engine is told.

    Attributes:
        kind: one of `bench.records.record.KINDS`.
        cells: configurations.
        out: results folder, in which cells keep checkpoints, weights and notes of measurements.
        provenance: kept in every record.
        side_by_side: cells at a time; None leaves it to the engine.
        timeout_s: seconds after which a cell is ended with status `timeout`.
        again: whatever the engine itself keeps of earlier runs is not used.
        files: where users' files are, by the names that cells have for them; by default under these names.
    """

    kind: str
    cells: Sequence[Cell]
    out: Path
    provenance: dict[str, Any]
    side_by_side: int | None = None
    timeout_s: float = 3600.0
    again: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """Runs cells.

    Attributes:
        measures_speed: cells run on this machine, and alone on it where the job says so.
    """

    measures_speed: bool

    def device(self, asked: str) -> str:
        """The device type of cells. UsageError for a name that is none, MachineError for one that is not there."""

    def events(self, job: Job) -> Generator[Event]:
        """Run every cell, and yield what happens; one `Done` for each cell. To close it ends the cells in flight.

        Raises:
            BenchError: what a user can mend, and no record can say.
        """


def names() -> list[str]:
    """Engines, built in and of installed plugins."""
    return sorted({*ENGINES, *(entry.name for entry in entry_points(group=GROUP))})


@contextlib.contextmanager
def opened(name: str, options: Iterable[str] = ()) -> Generator[Engine]:
    """An engine by its name, with options as words `key=value`.

    Raises:
        UsageError: no such engine or option, or no value of the option's type.
        MachineError: a plugin's engine that cannot be had.
    """
    if name not in names():
        raise UsageError(f"unknown engine {name!r}: {hint(name, names())}")
    targets = [ENGINES[name]] if name in ENGINES else [entry.value for entry in entry_points(group=GROUP, name=name)]
    if len(targets) > 1:
        raise MachineError(f"engine {name} is there more than once ({', '.join(targets)}): uninstall all but one")
    with contextlib.ExitStack() as stack:
        try:
            make = resolve_name(targets[0])
            made = make(**_keywords(name, make, options))
            engine = stack.enter_context(made) if hasattr(made, "__enter__") else made
            if not isinstance(engine, Engine):
                raise TypeError(f"{type(engine).__name__} lacks measures_speed, device or events")
        except BenchError:
            raise
        except (Exception, SystemExit) as error:
            if name in ENGINES:
                raise
            raise MachineError(f"engine {name} ({targets[0]}) cannot be had: {said(error)}") from error
        yield engine


def _keywords(name: str, make: Callable[..., object], options: Iterable[str]) -> dict[str, Any]:
    known = {key: parameter.annotation for key, parameter in inspect.signature(make, eval_str=True).parameters.items()}
    keywords = {}
    for word in options:
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise UsageError(f"engine options have the form key=value, got {word!r}")
        if key not in known:
            near = hint(key, known) if known else "leave it out"
            raise UsageError(f"engine {name} has no option {key!r} (it has {', '.join(known) or 'none'}): {near}")
        kind = Any if known[key] is inspect.Parameter.empty else known[key]
        try:
            keywords[key] = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            raise UsageError(f"option {key} of engine {name}, {text!r}: {error}") from None
    return keywords


def run(engine: Engine, job: Job) -> Generator[Event]:
    """`engine.events(job)`; what a plugin's engine raises becomes a MachineError."""
    try:
        yield from engine.events(job)
    except Exception as error:
        if isinstance(error, BenchError) or type(engine).__module__.startswith("bench."):
            raise
        raise MachineError(f"engine {type(engine).__name__} failed: {said(error)}") from error
