"""What every page asks of the same records is worked out once while a report is made."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Protocol, TypeVar

from bench.records.record import Record


class OfRecords(Protocol):
    """What has records."""

    @property
    def records(self) -> Sequence[Record]:
        """In a fixed order."""


Answer = TypeVar("Answer")
Asked = TypeVar("Asked", bound=OfRecords)
# Question and records -> the answer, and the records, so that no other ones get their place in memory.
_KNOWN: ContextVar[dict[Any, tuple[Any, list[Record]]] | None] = ContextVar("known", default=None)


@contextmanager
def once() -> Iterator[None]:
    """Inside, a question of `of_records` is answered once for the same records. Afterwards nothing is held."""
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def of_records(question: Callable[..., Answer]) -> Callable[..., Answer]:
    """A function of records, and of texts, whose answer nobody changes; see `once`."""

    @wraps(question)
    def asked(records: Iterable[Record], *words: str) -> Answer:
        known = _KNOWN.get()
        if known is None:
            return question(records, *words)
        records = list(records)
        key = (question, words, *map(id, records))
        if key not in known:
            known[key] = question(records, *words), records
        answer: Answer = known[key][0]
        return answer

    return asked


def of_one(question: Callable[[Asked, str], Answer]) -> Callable[[Asked, str], Answer]:
    """A method of what never changes, with one text, whose answer nobody changes: worked out once for each text.

    Of a single record an answer takes no longer than looking it up, and a hundred thousand of them would be held.
    """
    name = f"_{question.__name__}"

    @wraps(question)
    def asked(one: Asked, word: str) -> Answer:
        if len(one.records) == 1:
            return question(one, word)
        answers: dict[str, Answer] = one.__dict__.setdefault(name, {})
        if word not in answers:
            answers[word] = question(one, word)
        return answers[word]

    return asked
