"""Standard streams whose reader may leave."""

import os
from typing import Any, TextIO


class PipeSafeStream:
    """A stream whose reader may leave (`| head`): what nobody reads any more is thrown away, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self) -> None:
        # What is still in the buffer has to go somewhere, now and at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
