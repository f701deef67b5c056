"""Standard streams that may fail: their reader leaves, their disk is full, they are closed, or know no Unicode."""

import contextlib
import io
import os
from typing import Any, TextIO


class PipeSafeStream:
    """A stream that raises nothing: what cannot be written is thrown away, and the work goes on.

    Args:
        stream: None where the process was started without it.

    Attributes:
        lost: why something could not be written; a reader that leaves (`| head`) has what it wanted.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.lost: str | None = "it is closed" if stream is None else None
        self.stream: TextIO = io.StringIO() if stream is None else stream
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, or not."""
        try:
            return self.stream.write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self, error: Exception) -> None:
        if not isinstance(error, BrokenPipeError):
            self.lost = getattr(error, "strerror", None) or str(error)
        # What is still in the buffer has to go somewhere, now and at the end of the process.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def hold_places() -> None:
    """Open what a process was started without (`2>&-`): else a file that it opens takes the number, and the output."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
