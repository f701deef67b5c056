"""What a person sees while cells run: one bar on a terminal, plain lines otherwise. Always on standard error."""

import sys
import time
from typing import Any

from tqdm import tqdm

from bench.records.record import Cell, Record, Timed
from bench.text import printable

# Seconds after which plain lines tell of work that goes on.
QUIET_S = 30


class Progress:
    """Counts epochs on a bar and says one line per finished cell.

    Args:
        cells: number of cells to run.
        epochs: epochs of all of them together.
    """

    def __init__(self, cells: int, epochs: int) -> None:
        self.cells = cells
        self.done = 0
        self.terminal = sys.stderr.isatty()
        self.spoke = time.monotonic()
        self.bar: tqdm[Any] = tqdm(total=epochs, unit="epoch", disable=not self.terminal, dynamic_ncols=True)

    def epochs(self, n: int) -> None:
        """Note `n` further epochs."""
        self.bar.update(n)

    def measured(self, cell: Cell, what: str, done: int, total: int) -> None:
        """Note how far a measurement is; on plain lines only if nothing has been said for a while."""
        line = f"{cell['dataset']} {cell['variant']} seed {cell['seed']}: {what} {done}/{total}"
        if self.terminal:
            self.bar.set_postfix_str(line)
        elif time.monotonic() - self.spoke > QUIET_S:
            self.say(line)

    def note(self, cell: Cell, line: str) -> None:
        """Say what a cell has to say."""
        run = f"seed {cell['seed']}" if "seed" in cell else "throughput"
        self.say(f"{cell['dataset']} {cell['variant']} {run}: {line}")

    def record(self, record: Record, seconds: float) -> None:
        """Say what a cell gave."""
        self.done += 1
        width = len(str(self.cells))
        self.say(f"[{self.done:{width}}/{self.cells}] {_name(record)}: {_result(record)} ({seconds:.1f} s)")

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.spoke = time.monotonic()
        tqdm.write(printable(line), file=sys.stderr)
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal tidy."""
        self.bar.close()


def _name(record: Record) -> str:
    cell = record.cell
    overrides = "".join(f" {key}={value}" for key, value in cell["overrides"].items())
    run = f"seed {cell['seed']}" if record.kind == "quality" else f"throughput on {cell['device']}"
    return f"{cell['dataset']} {cell['variant']}{overrides} {run}"


def _result(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status.upper()}, {record.reason}"
    metrics = record.metrics
    if record.kind == "throughput":
        speed = metrics["train_samples_per_s"]
        return f"trains {speed.median if isinstance(speed, Timed) else speed:,.0f} samples/s"
    if metrics["elbo_nats"] is None:
        return f"no ELBO, squared error {metrics['mse_per_pixel']:.4f} per pixel"
    return f"ELBO {metrics['elbo_nats']:.2f} nats"
