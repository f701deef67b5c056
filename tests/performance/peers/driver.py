"""Runs the contestants in turn, round after round, and keeps every block. It imports no torch.

All contestants of a task are alive at once, each in a process of its own, and only one works at a time. A round is one
block of each, in an order that moves on by one from round to round, so that a machine that slows down or speeds up
does so for all of them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.disk.files import write_bytes
from bench.errors import UsageError
from tests.performance.peers import plan
from tests.performance.peers.plan import Contestant, Task
from tests.performance.peers.results import ROUNDS_FILE, Line

NO_BF16 = "this processor has no bf16 arithmetic"


class Failed(Exception):
    """A contestant gave no answer; the message is the reason in one line."""


class Team:
    """The processes of one contestant: one, or several side by side that share the threads."""

    def __init__(self, contestant: Contestant, task: str, threads: int) -> None:
        share = max(1, threads // contestant.processes)
        options = json.dumps({"threads": share} | contestant.options)
        words = [sys.executable, "-m", "tests.performance.peers.worker", contestant.module, task, options]
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        how: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "text": True,
            "env": os.environ | dict.fromkeys(names, str(share)),
            "start_new_session": True,  # Ctrl-C ends a worker through its driver
        }
        self.processes = [subprocess.Popen(words, **how) for _ in range(contestant.processes)]

    def answers(self) -> list[dict[str, Any]]:
        """One answer of each process. Failed if any has none."""
        answers = []
        for process in self.processes:
            line = process.stdout.readline()  # type: ignore[union-attr]
            answer = json.loads(line) if line else {"error": f"its process ended with code {process.wait()}"}
            if "error" in answer:
                raise Failed(answer["error"])
            answers.append(answer)
        return answers

    def ask(self, request: str | int) -> list[dict[str, Any]]:
        """Send all processes a request at once and wait for all answers."""
        for process in self.processes:
            try:
                process.stdin.write(f"{request}\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
            except BrokenPipeError:
                pass  # the missing answer says so
        return self.answers()

    def end(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.communicate()


class Race:
    """One task with the teams that are still in it. A team that fails leaves it, and a line says why."""

    def __init__(self, task: Task, keep: Callable[[Line], None], say: Callable[[str], None]) -> None:
        self.task, self.keep, self.say = task, keep, say
        self.teams: dict[str, Team] = {}

    def run(self, rounds: int, threads: int) -> None:
        """All rounds, then a profile of every contestant that can give one."""
        try:
            for contestant in self.task.contestants:
                if contestant.bf16 and not plan.has_bf16():
                    self._keep("left_out", contestant=contestant.name, reason=NO_BF16)
                    continue
                self.say(f"{self.task.name}: {contestant.name} warms up")
                self.teams[contestant.name] = Team(contestant, self.task.name, threads)
                self._answers(contestant.name, Team.answers)
            for number in range(rounds if self.teams else 0):
                names = list(self.teams)
                start = number % len(names) if names else 0
                blocks = {name: self._answers(name, Team.ask, number) for name in [*names[start:], *names[:start]]}
                blocks = {name: answers for name, answers in blocks.items() if answers is not None}
                self._keep("round", round=number, blocks=blocks)
                self.say(f"{self.task.name}: round {number + 1} of {rounds} done")
            for name in list(self.teams):
                answers = self._answers(name, Team.ask, "profile")
                if answers and (shares := answers[0]["shares"]):
                    self._keep("profile", contestant=name, shares=shares)
            self._keep("finished")
        finally:
            for team in self.teams.values():
                team.end()

    def _answers(self, name: str, call: Callable[..., Any], *request: str | int) -> list[dict[str, Any]] | None:
        """A team's answers, None if it failed, which takes it out."""
        try:
            answers: list[dict[str, Any]] = call(self.teams[name], *request)
        except Failed as failed:
            self.teams.pop(name).end()
            self._keep("failed", contestant=name, reason=str(failed))
            self.say(f"{self.task.name}: {name} failed: {failed}")
            return None
        return answers

    def _keep(self, kind: str, **values: object) -> None:
        self.keep({"kind": kind, "task": self.task.name} | values)


def run(
    tasks: Iterable[Task], out: Path, *, rounds: int, again: bool, threads: int, provenance: dict[str, Any],
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Run several tasks and keep every round in `out` as soon as it is done.

    Args:
        tasks: of the plan.
        out: results folder.
        rounds: of each task.
        again: replace what an earlier run kept.
        threads: of every contestant.
        provenance: kept with the rounds.
        say: told of progress, a line at a time.

    Raises:
        UsageError: `out` holds rounds of an earlier run.
        MachineError: `out` cannot be written.
    """
    path = out / ROUNDS_FILE
    if path.exists() and not again:
        raise UsageError(f"{path} holds an earlier run: say --again to replace it, or choose --out")
    identity = {key: provenance[key] for key in ("commit", "dirty", "versions", "processor")}
    identity |= {"threads": threads, "settings": plan.settings()}
    lines: list[Line] = []

    def keep(line: Line) -> None:
        lines.append(line)
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in lines).encode())

    keep({"kind": "run", "identity": identity, "provenance": provenance})
    for task in tasks:
        Race(task, keep, say).run(min(rounds, task.most_rounds or rounds), threads)
