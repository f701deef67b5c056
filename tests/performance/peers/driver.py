"""Runs the contestants in turn, round after round, and keeps every block. It imports no torch.

All contestants of a task are alive at once, each in a process of its own, and only one works at a time. A round is one
block of each, in an order that moves on by one from round to round, so that a machine that slows down or speeds up
does so for all of them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from bench.disk.files import write_bytes
from bench.errors import MachineError, UsageError
from tests.performance.peers import plan
from tests.performance.peers.plan import Block, Contestant, Task
from tests.performance.peers.results import JOURNAL, Line, lines_of

NO_BF16 = "this processor has no bf16 arithmetic"


class Failed(Exception):
    """A contestant gave no answer; the message is the reason in one line."""


class Team:
    """The processes of one contestant: one, or several side by side that share the threads."""

    def __init__(self, contestant: Contestant, task: str, threads: int) -> None:
        own = max(1, threads // contestant.processes)
        options = json.dumps(contestant.options | {"threads": own})
        words = [sys.executable, "-m", "tests.performance.peers.worker", contestant.module, task, options]
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(own))
        self.processes = [
            subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C ends a worker through its driver
            )
            for _ in range(contestant.processes)
        ]

    def answers(self) -> list[dict[str, Any]]:
        """One answer of each process. Failed if any has none."""
        found = []
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            answer = json.loads(line) if line else {"error": f"its process ended with code {process.wait()}"}
            if "error" in answer:
                raise Failed(answer["error"])
            found.append(answer)
        return found

    def ask(self, **request: object) -> list[dict[str, Any]]:
        """Send all processes a request at once and wait for all answers."""
        for process in self.processes:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass  # the missing answer says so
        return self.answers()

    def end(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.communicate()


class Journal:
    """The file of finished rounds: what was measured stays, and a later run goes on behind it.

    Raises:
        UsageError: it holds rounds of other settings, code or another machine.
        MachineError: it cannot be written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], provenance: dict[str, Any], *, again: bool) -> None:
        self.path = path
        self.lines = [] if again else lines_of(path) if path.exists() else []
        if self.lines and identity["dirty"]:
            raise UsageError(
                f"{path} cannot be gone on with: there are uncommitted changes; commit them, or say --again"
            )
        for line in self.lines:
            if line["kind"] == "run" and line["identity"] != identity:
                changed = sorted(key for key in identity if line["identity"].get(key) != identity[key])
                raise UsageError(
                    f"{path} holds rounds of another {', '.join(changed)}: say --again to start anew, or choose --out"
                )
        # Rewritten, so that a line that was cut off is gone before others follow it.
        self.lines.append({"kind": "run", "identity": identity, "provenance": provenance})
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())

    def add(self, kind: str, **values: object) -> None:
        """Keep one line."""
        line = {"kind": kind} | values
        self.lines.append(line)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MachineError(f"cannot write {self.path}: {error.strerror}; choose another folder") from error

    def of(self, kind: str, task: str) -> list[Line]:
        """The lines of one kind about one task."""
        return [line for line in self.lines if line["kind"] == kind and line["task"] == task]


class _Teams:
    """The teams of a task that are still in the race. One that fails leaves it, and the journal says why."""

    def __init__(self, task: Task, journal: Journal, threads: int, say: Callable[[str], None]) -> None:
        self.task, self.journal, self.threads, self.say = task, journal, threads, say
        self.running: dict[str, Team] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for team in self.running.values():
            team.end()

    def start(self, contestant: Contestant) -> None:
        """Start and warm up one contestant, alone."""
        team = self.running[contestant.name] = Team(contestant, self.task.name, self.threads)
        self._guarded(contestant.name, team.answers)

    def ask(self, name: str, **request: object) -> list[dict[str, Any]] | None:
        """A team's answers, None if it failed, which takes it out."""
        team = self.running[name]
        return self._guarded(name, lambda: team.ask(**request))

    def _guarded(self, name: str, call: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
        try:
            return call()
        except Failed as failed:
            self.running.pop(name).end()
            self.journal.add("failed", task=self.task.name, contestant=name, reason=str(failed))
            self.say(f"{self.task.name}: {name} failed: {failed}")
            return None


def order_of(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: that of the one before, moved on by one."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def run_task(task: Task, journal: Journal, *, rounds: int, threads: int, say: Callable[[str], None]) -> None:
    """Run what is missing of a task: its rounds, then a profile of every contestant that can give one.

    Raises:
        MachineError: the journal cannot be written.
        KeyboardInterrupt: finished rounds are kept.
    """
    wanted = min(rounds, task.most_rounds or rounds)
    done = len(journal.of("round", task.name))
    if done >= wanted and journal.of("finished", task.name):
        return
    with _Teams(task, journal, threads, say) as teams:
        for contestant in task.contestants:
            if contestant.bf16 and not plan.has_bf16():
                journal.add("left_out", task=task.name, contestant=contestant.name, reason=NO_BF16)
            else:
                say(f"{task.name}: {contestant.name} warms up")
                teams.start(contestant)
        for number in range(done, wanted if teams.running else done):
            blocks: dict[str, list[Block]] = {}
            for name in order_of(list(teams.running), number):
                if (answers := teams.ask(name, do="block", round=number)) is not None:
                    blocks[name] = answers
            journal.add("round", task=task.name, round=number, blocks=blocks)
            say(f"{task.name}: round {number + 1} of {wanted} done")
        for name in list(teams.running):
            answers = teams.ask(name, do="profile")
            if answers and (shares := answers[0]["shares"]):
                journal.add("profile", task=task.name, contestant=name, shares=shares)
        journal.add("finished", task=task.name)


def run(
    tasks: Iterable[Task], out: Path, *, rounds: int, again: bool, threads: int, provenance: dict[str, Any],
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Run what is missing of several tasks and keep it in `out`.

    Args:
        tasks: of the plan.
        out: results folder.
        rounds: of each task, those of earlier runs included.
        again: forget what earlier runs kept.
        threads: of every contestant.
        provenance: kept with the rounds; `commit`, `dirty`, `versions` and `processor` have to be as in earlier ones.
        say: told of progress, a line at a time.

    Raises:
        UsageError: `out` holds rounds of other settings, code or another machine.
        MachineError: `out` cannot be written.
        KeyboardInterrupt: finished rounds are kept.
    """
    identity = {key: provenance[key] for key in ("commit", "dirty", "versions", "processor")}
    identity |= {"threads": threads, "settings": plan.settings()}
    journal = Journal(out / JOURNAL, identity, provenance, again=again)
    for task in tasks:
        run_task(task, journal, rounds=rounds, threads=threads, say=say)
