"""Questions in a process of its own: an answer for each, or why there is none."""

import contextlib
import os
import signal
import sys
import time

import pytest

from bench.engines import plugins
from bench.engines.plugins import NoAnswer
from bench.engines.processes import without_main
from bench.errors import UsageError
from bench.suites import suite


def test_answers_come_in_order_and_a_dead_process_costs_one() -> None:
    assert plugins.ask(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    assert plugins.ask(os._exit, [(7,), (0,)]) == [
        NoAnswer("its process exited with code 7"),
        NoAnswer("its process exited with code 0"),
    ]
    assert plugins.ask(signal.raise_signal, [(signal.SIGCONT,), (signal.SIGKILL,), (signal.SIGCONT,)]) == [
        None,
        NoAnswer("its process was killed by signal 9"),
        None,
    ]
    assert plugins.ask(divmod, []) == []


def test_one_that_never_answers_is_ended() -> None:
    started = time.monotonic()
    assert plugins.ask(time.sleep, [(600,)], patience_s=0.5) == [NoAnswer("no answer in 0.5 seconds")]
    assert time.monotonic() - started < 60


def test_what_it_prints_is_no_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert plugins.ask(os.write, [(1, b"words\n")]) == [6]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "words\n")


def test_an_expected_error_is_raised_here() -> None:
    with pytest.raises(UsageError, match="unknown suite 'quik'"):
        plugins.ask(suite.load, [("quik",)])


def test_the_script_that_asks_is_there_again_afterwards_whatever_happens() -> None:
    main = sys.modules["__main__"]
    with contextlib.suppress(RuntimeError), without_main():
        assert sys.modules["__main__"] is not main
        raise RuntimeError
    assert sys.modules["__main__"] is main
