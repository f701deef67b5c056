"""Kept rounds -> rates, paired ratios and verdicts. Needs no torch.

A rate is units per second; of processes side by side it is all their units over the time of the slowest. A ratio is
taken within a round, where both sides met the same machine, and the median and the quartiles are over rounds.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from tests.performance.peers.plan import COMPARISONS, TASKS, Block, Comparison

Line = dict[str, Any]

JOURNAL = "rounds.jsonl"
# The kinds of lines in it, and what each has.
KEYS = {
    "run": {"identity", "provenance"},
    "round": {"task", "round", "blocks"},
    "profile": {"task", "contestant", "shares"},
    "failed": {"task", "contestant", "reason"},
    "left_out": {"task", "contestant", "reason"},
    "finished": {"task"},
}


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over `n` rounds."""

    median: float
    q1: float
    q3: float
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Median and quartiles, None without a value."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0], 1) if values else None
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, q1, q3, len(values))


def lines_of(path: Path) -> list[Line]:
    """The lines of a journal; a last one that was cut off is left out.

    Raises:
        UsageError: it is not there, or is no journal.
    """
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; measure first, without --report") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a journal of this benchmark ({error.reason})") from error
    found = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            if number == len(texts):
                break
            raise UsageError(f"{path}: line {number} is not JSON") from error
        if not isinstance(line, dict) or not KEYS.get(str(line.get("kind")), {""}) <= set(line):
            raise UsageError(f"{path}: line {number} is not a line of this benchmark")
        found.append(line)
    if found and found[0]["kind"] != "run":
        raise UsageError(f"{path} does not begin with a run of this benchmark")
    return found


def rate(blocks: Sequence[Block]) -> float:
    """Units per second of processes that worked side by side."""
    return float(sum(block["units"] for block in blocks) / max(block["seconds"] for block in blocks))


@dataclass(frozen=True)
class Ratio:
    """A comparison with its figures.

    Attributes:
        comparison: of the plan.
        ours: the contestant that stood for our side, None where none has a round.
        theirs: likewise.
        spread: of the ratio of speeds, None where no round has both.
    """

    comparison: Comparison
    ours: str | None
    theirs: str | None
    spread: Spread | None

    @property
    def verdict(self) -> str:
        """`"met"`, `"missed"`, `"no target"` or `"not measured"`."""
        if self.spread is None:
            return "not measured"
        if self.comparison.target is None:
            return "no target"
        return "met" if self.spread.median >= self.comparison.target else "missed"


class Results:
    """What a journal says."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)

    @property
    def runs(self) -> list[Line]:
        """One line for each time that the benchmark was started."""
        return self._of("run")

    def _of(self, kind: str, task: str | None = None) -> list[Line]:
        return [line for line in self.lines if line["kind"] == kind and task in (None, line.get("task"))]

    @property
    def tasks(self) -> list[str]:
        """The tasks that were begun, in the order of the plan."""
        begun = {line["task"] for line in self.lines if "task" in line}
        return [name for name in TASKS if name in begun]

    def rates(self, task: str, contestant: str) -> dict[int, float]:
        """Round -> units per second."""
        return {
            line["round"]: rate(line["blocks"][contestant])
            for line in self._of("round", task)
            if contestant in line["blocks"]
        }

    def blocks(self, task: str, contestant: str) -> list[Block]:
        """Every block, in order."""
        return [block for line in self._of("round", task) for block in line["blocks"].get(contestant, [])]

    def status(self, task: str, contestant: str) -> str:
        """`"ok"`, or why it lacks rounds of the task: `"failed: reason"`, `"not run: reason"`."""
        if len(self.rates(task, contestant)) == len(self._of("round", task)) > 0:
            return "ok"
        for kind, words in (("failed", "failed"), ("left_out", "not run")):
            found = [line["reason"] for line in self._of(kind, task) if line["contestant"] == contestant]
            if found:
                return f"{words}: {found[-1]}"
        return "not finished"

    def failures(self) -> list[str]:
        """One line for every contestant that failed and lacks rounds for it."""
        found = [(task, c.name, self.status(task, c.name)) for task in self.tasks for c in TASKS[task].contestants]
        return [f"{task}: {name} {status}" for task, name, status in found if status.startswith("failed")]

    def profiles(self) -> dict[tuple[str, str], dict[str, float]]:
        """(Task, contestant) -> share of the wall time by group of operations."""
        return {(line["task"], line["contestant"]): line["shares"] for line in self._of("profile")}

    def paired(self, task: str, ours: str, theirs: str) -> Spread | None:
        """The ratio of two contestants' rates, taken within each round that has both."""
        a, b = self.rates(task, ours), self.rates(task, theirs)
        return spread([a[number] / b[number] for number in a if number in b])

    def best(self, task: str, contestants: Sequence[str]) -> str | None:
        """The contestant with the highest median rate."""
        found = {name: s.median for name in contestants if (s := spread(list(self.rates(task, name).values())))}
        return max(found, key=lambda name: found[name], default=None)

    def ratios(self) -> list[Ratio]:
        """Every comparison of the plan whose task was begun."""
        found = []
        for comparison in COMPARISONS:
            if comparison.task in self.tasks:
                ours, theirs = (self.best(comparison.task, names) for names in (comparison.ours, comparison.theirs))
                both = ours is not None and theirs is not None
                ratio = self.paired(comparison.task, ours or "", theirs or "") if both else None
                found.append(Ratio(comparison, ours, theirs, ratio))
        return found
