"""Kept rounds -> rates, paired ratios and verdicts. Needs no torch.

A rate is units per second; of processes side by side it is all their units over the time of the slowest. A ratio is
taken within a round, where both sides met the same machine, and the median and the quartiles are over rounds.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from tests.performance import Spread
from tests.performance.peers.plan import COMPARISONS, TASKS, Block, Comparison

Line = dict[str, Any]

ROUNDS_FILE = "rounds.jsonl"
# The kinds of lines in it, and what each has.
KEYS = {
    "run": {"identity", "provenance"},
    "round": {"task", "round", "blocks"},
    "profile": {"task", "contestant", "shares"},
    "failed": {"task", "contestant", "reason"},
    "left_out": {"task", "contestant", "reason"},
    "finished": {"task"},
}


def spread(values: Sequence[float]) -> Spread | None:
    """Median and quartiles, None without a value."""
    return Spread.of(values) if values else None


def lines_of(path: Path) -> list[Line]:
    """The lines of a file of rounds; a last one that was cut off is left out.

    Raises:
        UsageError: it is not there, or is no such file.
    """
    try:
        texts = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines = [json.loads(text) for text in texts if text.endswith("\n")]
        if not lines or lines[0]["kind"] != "run" or any(not KEYS[line["kind"]] <= set(line) for line in lines):
            raise ValueError("its lines are others")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; measure first, without --report") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no rounds of this benchmark ({error})") from error
    return lines


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
    """What a file of rounds says."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        begun = {line["task"] for line in self.lines if "task" in line}
        # In the order of the plan.
        self.tasks = [name for name in TASKS if name in begun]

    def of(self, kind: str, task: str | None = None) -> list[Line]:
        """The lines of one kind, about one task or any."""
        return [line for line in self.lines if line["kind"] == kind and task in (None, line.get("task"))]

    def rates(self, task: str, contestant: str) -> dict[int, float]:
        """Round -> units per second."""
        rounds = self.of("round", task)
        return {line["round"]: rate(line["blocks"][contestant]) for line in rounds if contestant in line["blocks"]}

    def blocks(self, task: str, contestant: str) -> list[Block]:
        """Every block, in order."""
        return [block for line in self.of("round", task) for block in line["blocks"].get(contestant, [])]

    def status(self, task: str, contestant: str) -> str:
        """`"ok"`, or why it lacks rounds of the task: `"failed: reason"`, `"not run: reason"`."""
        if len(self.rates(task, contestant)) == len(self.of("round", task)) > 0:
            return "ok"
        for kind, words in (("failed", "failed"), ("left_out", "not run")):
            for line in reversed(self.of(kind, task)):
                if line["contestant"] == contestant:
                    return f"{words}: {line['reason']}"
        return "not finished"

    def failures(self) -> list[str]:
        """One line for every contestant that failed and lacks rounds for it."""
        pairs = [(task, c.name, self.status(task, c.name)) for task in self.tasks for c in TASKS[task].contestants]
        return [f"{task}: {name} {status}" for task, name, status in pairs if status.startswith("failed")]

    def profiles(self) -> dict[tuple[str, str], dict[str, float]]:
        """(Task, contestant) -> share of the wall time by group of operations."""
        return {(line["task"], line["contestant"]): line["shares"] for line in self.of("profile")}

    def paired(self, task: str, ours: str, theirs: str) -> Spread | None:
        """The ratio of two contestants' rates, taken within each round that has both."""
        a, b = self.rates(task, ours), self.rates(task, theirs)
        return spread([a[number] / b[number] for number in a if number in b])

    def best(self, task: str, contestants: Sequence[str]) -> str | None:
        """The contestant with the highest median rate."""
        medians = {name: s.median for name in contestants if (s := spread(list(self.rates(task, name).values())))}
        return max(medians, key=lambda name: medians[name], default=None)

    def ratios(self) -> list[Ratio]:
        """Every comparison of the plan whose task was begun."""
        ratios = []
        for comparison in COMPARISONS:
            if comparison.task in self.tasks:
                ours, theirs = (self.best(comparison.task, names) for names in (comparison.ours, comparison.theirs))
                ratio = self.paired(comparison.task, ours, theirs) if ours and theirs else None
                ratios.append(Ratio(comparison, ours, theirs, ratio))
        return ratios
