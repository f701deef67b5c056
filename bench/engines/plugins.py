"""Questions to plugins, asked in a process of its own: their code may exit, hang, or change what its process has."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bench.engines.processes import end_with_supervisor, told_of_limits, without_main
from bench.errors import BenchError

# One answer must come in so many seconds: long enough to import whatever a plugin needs.
PATIENCE_S = 60.0
# Seconds between two looks at whether who is to answer is there.
LOOK_S = 0.2

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class NoAnswer:
    """Why there is none: one line."""

    reason: str


def ask(
    function: Callable[..., Answer], questions: Sequence[tuple[Any, ...]], patience_s: float | None = None
) -> list[Answer | NoAnswer]:
    """`function(*question)` for each question, in order, in another process; in a new one after each that dies.

    Args:
        function: of a module; it, the questions and the answers are pickled.
        questions: its arguments.
        patience_s: seconds for each answer; by default `PATIENCE_S`.

    Raises:
        BenchError: which the function raised.
    """
    answers: list[Answer | NoAnswer] = []
    while len(answers) < len(questions):
        answers += _some(function, questions[len(answers) :], PATIENCE_S if patience_s is None else patience_s)
    return answers


def _some(
    function: Callable[..., Answer], questions: Sequence[tuple[Any, ...]], patience_s: float
) -> list[Answer | NoAnswer]:
    """Answers as far as one process gives them, and a silence if it gives no more."""
    context = multiprocessing.get_context("spawn")
    with told_of_limits(), without_main():
        ours, theirs = context.Pipe()
        process = context.Process(target=_answer, args=(theirs, function, questions), daemon=True)
        process.start()
    theirs.close()
    answers: list[Answer | NoAnswer] = []

    def told(patience_s: float = math.inf) -> bool:
        """Whether something came. What the process has left behind may hold its pipe open."""
        until = time.monotonic() + patience_s
        while not ours.poll(LOOK_S):
            if not process.is_alive() and not ours.poll():
                raise EOFError
            if time.monotonic() > until:
                return False
        return True

    try:
        told()
        ours.recv()  # the process has started; the plugin's time begins here
        while len(answers) < len(questions):
            if not told(patience_s):
                return [*answers, NoAnswer(f"no answer in {patience_s:g} seconds")]
            given = ours.recv()
            if isinstance(given, BenchError):
                raise given
            answers.append(given)
    except (EOFError, ConnectionError):
        process.join(5)
        code = process.exitcode
        how = f"was killed by signal {-code}" if code and code < 0 else f"exited with code {code}"
        return [*answers, NoAnswer(f"its process {how}")]
    finally:
        process.kill()
        process.join()
        ours.close()
    return answers


def _answer(pipe: Connection, function: Callable[..., Any], questions: Sequence[tuple[Any, ...]]) -> None:
    """In the other process."""
    end_with_supervisor()  # also where the plugin never comes back
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command handles Ctrl-C, and this process ends with it
    os.dup2(2, 1)  # a plugin's prints are no result
    pipe.send(None)
    for question in questions:
        try:
            pipe.send(function(*question))
        except BenchError as error:
            pipe.send(error)
