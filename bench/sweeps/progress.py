"""What a person sees while cells run: one bar on a terminal, plain lines otherwise. Always on standard error."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from bench.cells.events import Done, Epochs, Event, Measured, Note
from bench.pages import oracle
from bench.pages.grids import number
from bench.records.record import ORACLE, TRIAL, Cell, Record, Timed, record_id
from bench.stats import tuning
from bench.stats.metrics import metric
from bench.suites.search import FIRST_SEED
from bench.sweeps.plan import Work, duration
from bench.text import DASH, printable

# Plain lines tell of work that goes on after so many quiet seconds.
QUIET_S = 30
# They say how long the rest will take no more often than that.
SELDOM_S = 10
# Without a rate: epochs of different variants take different times.
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} epochs{postfix}"


class Progress:
    """Counts epochs on a bar and says one line per finished cell, and how long the rest will take.

    Args:
        cells: what is run; those that are trained have a budget.
        works: id of a record -> what its run is expected to take; without it all runs count alike.
    """

    def __init__(self, cells: Sequence[Cell], works: Mapping[str, Work] | None = None) -> None:
        self.cells, self.done = len(cells), 0
        self.works = dict(works or {})
        self.started = self.told = time.monotonic()
        self.worked = 0.0
        self.epochs: dict[str, int] = {}  # epochs done of each cell; a cell that is begun anew counts them again
        self.terminal = sys.stderr.isatty()
        self.spoke = time.monotonic()
        total = sum(map(_epochs, cells))
        self.bar: tqdm[Any] = tqdm(
            total=total, unit="epoch", disable=not self.terminal, dynamic_ncols=True, bar_format=BAR
        )

    def tell(self, event: Event) -> None:
        """Show what happens; how far a measurement is on plain lines only if nothing has been said for a while."""
        match event:
            case Epochs(cell, done):
                self._count(cell, done)
            case Measured(cell, what, done, total):
                line = f"{_name(cell)}: {what} {done}/{total}"
                if self.terminal:
                    self.bar.set_postfix_str(line)
                elif time.monotonic() - self.spoke > QUIET_S:
                    self.say(line)
            case Note(cell, line):
                self.say(f"{_name(cell)}: {line}")
            case Done(record, _, seconds):
                self._count(record.cell, _epochs(record.cell))
                self.done += 1
                self._end(record)
                count = f"[{self.done:{len(str(self.cells))}}/{self.cells}]"
                name = oracle.name(record) if record.kind == ORACLE else _name(record.cell)
                self.say(f"{count} {name}: {_result(record)} ({seconds:.1f} s){self._rest()}")

    def _count(self, cell: Cell, done: int) -> None:
        key = record_id("quality", cell)
        before = self.epochs.get(key, 0)
        if done > before:
            self.epochs[key] = done
            self.bar.update(done - before)

    def _end(self, record: Record) -> None:
        work = self.works.get(record.id, Work(0.0, 1.0))
        self.worked += work.rest_s + work.train_s

    def left(self) -> float | None:
        """Seconds that the rest will take, at the pace so far; None before there is one, and when all is done."""
        total = sum(work.train_s + work.rest_s for work in self.works.values()) or float(self.cells)
        elapsed = time.monotonic() - self.started
        if self.done in (0, self.cells) or not 0 < self.worked < total or elapsed < 1:
            return None
        return elapsed * (total - self.worked) / self.worked

    def _rest(self) -> str:
        """How long the rest will take, on plain lines only now and then."""
        seconds = self.left()
        if seconds is None:
            return ""
        text = f"about {duration(seconds)} left"
        if self.terminal:
            self.bar.set_description_str(text)
            return ""
        if time.monotonic() - self.told < SELDOM_S:
            return ""
        self.told = time.monotonic()
        return f"; {text}"

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.spoke = time.monotonic()
        tqdm.write(printable(line), file=sys.stderr)
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal tidy."""
        self.bar.close()


def _epochs(cell: Cell) -> int:
    epochs: int = cell.get("budget", {}).get("epochs", 0)
    return epochs


def _name(cell: Cell) -> str:
    trial = cell.get("tuning") or {}
    overrides = "".join(f" {key}={value}" for key, value in {**cell["overrides"], **trial.get("settings", {})}.items())
    run = f"seed {cell['seed']}" if "seed" in cell else f"throughput on {cell['device']}"
    if trial and cell["seed"] >= FIRST_SEED:
        run = f"trial {trial['trial']}"
    return f"{cell['dataset']} {cell['variant']}{overrides} {run}"


def _result(record: Record) -> str:
    if record.kind == ORACLE:
        return oracle.verdict(record)
    if record.status != "ok":
        return f"{record.status.upper()}, {record.reason}"
    metrics = record.metrics
    if record.kind == TRIAL:
        value, entry = tuning.value_of(record), metric(tuning.metric_of(record))
        return f"validation {entry.label} {number(value, entry.digits)} {entry.unit}".rstrip()
    if record.kind == "throughput":
        speed = metrics["train_samples_per_s"]
        speed = speed.median if isinstance(speed, Timed) else speed
        return f"trains {DASH if speed is None else f'{speed:,.0f}'} samples/s"
    if metrics["elbo_nats"] is None:
        return f"reconstruction only, squared error {metrics['mse_per_pixel']:.4f} per pixel"
    return f"ELBO {metrics['elbo_nats']:.2f} nats"
