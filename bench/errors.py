"""Errors that a user can mend. Each is one line (what is wrong, what to do) and has a documented exit code."""

import sys


class BenchError(Exception):
    """Base of every expected error. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(BenchError):
    """A name, key, value or combination that the user asked for does not exist or cannot be."""

    exit_code = 2


class DataError(BenchError):
    """Data that is missing, unreadable or not the bytes it should be."""

    exit_code = 3


class MachineError(BenchError):
    """The machine lacks something: a device, a writable folder, a package."""

    exit_code = 4


def check_platform() -> None:
    """MachineError where locks, signals and the ends of processes are not those of POSIX."""
    if sys.platform == "win32":
        raise MachineError("Windows itself is not supported: run vaebench in the Windows Subsystem for Linux (WSL)")
