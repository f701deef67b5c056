"""The command line: a thin door. Results go to standard output; progress, warnings and errors to standard error."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cyclopts import CycloptsError

from bench import text
from bench.cli import app, results, runs, shows, tables  # noqa: F401 - to import a family of commands is to add it
from bench.engines.streams import PipeSafeStream, hold_places
from bench.errors import BenchError, MachineError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with a documented exit code. An expected error is one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    hold_places()
    os.environ["MPLBACKEND"] = "agg"  # no picture is shown, and a word that it does not know ends its import
    out, err = PipeSafeStream(sys.stdout), PipeSafeStream(sys.stderr)
    with _signals(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        try:
            _check_cwd()
            code = app.app(words, exit_on_error=False, print_error=False, result_action="return_value") or app.OK
            sys.stdout.flush()
        except (BenchError, CycloptsError) as error:
            line = " ".join(str(error).split())
            print(f"vaebench: {text.printable(line)}", file=sys.stderr)
            code = error.exit_code if isinstance(error, BenchError) else app.USAGE
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package in ("bench", "variants"):
                raise
            print(f"vaebench: {package} is not installed here; this needs it: pip install {package}", file=sys.stderr)
            code = app.MACHINE
        except KeyboardInterrupt:
            program = [sys.argv[0]] if Path(sys.argv[0]).name == "vaebench" else ["python", "-m", "bench"]
            resume = shlex.join([*program, *words])
            print(f"\nvaebench: interrupted; finished runs are kept. Resume with: {resume}", file=sys.stderr)
            code = app.INTERRUPTED
        out.flush()
        if out.lost:
            print(f"vaebench: the output could not be written ({out.lost}); all files are", file=sys.stderr)
            code = code or app.MACHINE
        err.flush()
    sys.exit(code)


def _check_cwd() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise MachineError(f"the working folder cannot be used ({error.strerror}): cd to another") from error


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A cancelled job or a closed terminal is as Ctrl-C: the first ends what runs tidily, the second leaves at once."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    # What whoever started us wants ignored (nohup, a script's background) stays ignored.
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def leave(*_: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"\nvaebench: interrupted twice: left at once; finished runs are kept\n")
        os._exit(app.INTERRUPTED)  # the cells notice, and end

    def interrupt(*_: object) -> None:
        for number in heeded:
            signal.signal(number, leave)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
