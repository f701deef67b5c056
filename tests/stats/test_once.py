"""What every page asks of the same records is worked out once, and nothing is held afterwards."""

import contextlib
import gc
import weakref
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.pages import report
from bench.records.record import Record
from bench.stats import groups as module
from bench.stats.once import of_records, once
from tests import fake_records as fake

RECORDS = [fake.quality("vanilla", seed) for seed in range(3)]


def question() -> tuple[list[tuple[int, tuple[str, ...]]], object]:
    """What was worked out, and the question."""
    worked: list[tuple[int, tuple[str, ...]]] = []

    @of_records
    def asked(records: Iterable[Record], *words: str) -> list[str]:
        found = [record.id for record in records]
        worked.append((len(found), words))
        return found

    return worked, asked


def test_the_same_records_are_asked_once_inside_and_each_time_outside() -> None:
    worked, asked = question()
    with once():
        assert asked(RECORDS) == asked(iter(RECORDS)) == [record.id for record in RECORDS]
        assert asked(RECORDS[:2]) == [record.id for record in RECORDS[:2]]
        assert asked(RECORDS, "a") is asked(list(RECORDS), "a")
        assert worked == [(3, ()), (2, ()), (3, ("a",))]
    asked(RECORDS)
    asked(RECORDS)
    assert len(worked) == 5


def test_other_records_and_other_questions_have_answers_of_their_own() -> None:
    (_, first), (_, second) = question(), question()
    with once():
        assert first(RECORDS) is not second(RECORDS)
        # Records that are gone leave their place in memory to others; an answer holds its own while it is known.
        for seed in range(20):
            (made,) = [fake.quality("conv", seed)]
            assert first([made]) == [made.id]
            del made


def test_nothing_is_held_afterwards() -> None:
    class Held(list[str]):
        """A list that can be watched."""

    asked = of_records(lambda records: Held(record.id for record in records))
    with once():
        answer = weakref.ref(asked(RECORDS))
        assert answer() is not None
    gc.collect()
    assert answer() is None


def test_nothing_is_held_after_an_error() -> None:
    worked, asked = question()
    with contextlib.suppress(ZeroDivisionError), once():
        asked(RECORDS)
        raise ZeroDivisionError
    asked(RECORDS)
    asked(RECORDS)
    assert len(worked) == 3


def test_a_report_sorts_its_records_into_groups_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_ = []
    rows = module._rows
    monkeypatch.setattr(module, "_rows", lambda records: sorted_.append(len(records)) or rows(records))
    report.write(fake.write(tmp_path, RECORDS, images=False))
    assert sorted_ == [3]
