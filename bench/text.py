"""Texts that people and files have given us: cut, made printable, and the known word that was meant."""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Given = TypeVar("Given")
Read = TypeVar("Read")

# A dash stands where there is no value.
DASH = "\N{EN DASH}"
# Bytes of a file's name that a data set's name may take, and an id; names on disk end at 255 bytes.
LONGEST = 80
# Control characters, line ends, and what turns the direction of writing: they would steer a terminal or break a page.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\u061c\ufeff"
# Beyond what every dialect of regular expressions can name: tags, which no reader sees.
TAGS = r"\U000e0000-\U000e007f"


def cut(name: str, most: int = LONGEST) -> str:
    """The beginning of `name`, of so many bytes at the most."""
    return name.encode(errors="replace")[:most].decode(errors="ignore")


def clip(text: str, width: int) -> str:
    """The beginning of `text`, in a width."""
    return text if len(text) <= width else text[: width - 1] + "…"


def decode(reader: Callable[[Given], Read], given: Given) -> Read:
    """`reader(given)`. All that is wrong with what was given is a ValueError, also that it is too deep or too large.

    The one place that knows what readers of other people's text may raise.
    """
    try:
        return reader(given)
    except (RecursionError, MemoryError, OverflowError, SyntaxError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def said(error: BaseException) -> str:
    """`"RuntimeError: no way"`: an error in one line, whatever its class does when it is asked for its text."""
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = "its text cannot be had"
    return f"{type(error).__name__}: {words[:300] or 'no message'}"


_BLANK = re.compile("[\t\n\r]+")
_STRAY = re.compile(f"[{UNPRINTABLE}{TAGS}]")


def printable(text: str) -> str:
    """`text` on one line, without anything that steers a terminal."""
    return _STRAY.sub("\N{REPLACEMENT CHARACTER}", _BLANK.sub(" ", text))


def printable_json(value: Any) -> Any:
    """The same for every text in JSON. It may be too deep: see `decode`."""
    if isinstance(value, str):
        return value if value.isprintable() else printable(value)
    if isinstance(value, dict):
        return {printable_json(key): printable_json(each) for key, each in value.items()}
    return [printable_json(each) for each in value] if isinstance(value, list) else value


def short(digest: Any) -> str:
    """The beginning of a commit or checksum, and no other mark than such have."""
    return re.sub(r"\W", "", str(digest))[:12]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`", did you mean 'x'?"`, or nothing if no known word is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def hint(word: str, known: Iterable[str]) -> str:
    """Ends an error line: the known word nearest to `word`, or all of them."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(sorted(known))}"
