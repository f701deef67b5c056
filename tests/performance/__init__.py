"""How fast this suite is, beside others and beside itself, and how its cost grows."""

import argparse
from typing import NoReturn

from bench.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`, one line."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; --help lists what there is")
