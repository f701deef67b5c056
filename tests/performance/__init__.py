"""How fast this suite is, beside others and beside itself, and how its cost grows."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cyclopts import App, CycloptsError

from bench.errors import BenchError, UsageError

INTERRUPTED = 130


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of `n` measurements."""

    median: float
    q1: float
    q3: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value; one stands for all three."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3, len(values))


def command(name: str, text: str) -> App:
    """An empty command line."""
    return App(name=name, help=text, help_format="plaintext", version_flags=[], suppress_keyboard_interrupt=False)


def run_command(app: App, words: Sequence[str] | None, kept: str = "nothing is kept") -> int:
    """Run a command line, by default that of this process. An expected error is one line.

    Returns:
        An exit code of `bench.errors`, 130 when interrupted; what is `kept` then is said.
    """
    name = app.name[0]
    try:
        words = list(sys.argv[1:] if words is None else words)
        return app(words, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except (BenchError, CycloptsError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code if isinstance(error, BenchError) else UsageError.exit_code
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; {kept}", file=sys.stderr)
        return INTERRUPTED
