"""What the process from which cells are forked has ready for all of them: imports that take seconds, and the data.

To import this module is to do it: a fork server runs nothing else of its own."""

import contextlib
import json
import os

import torch._dynamo  # noqa: F401 - every optimiser imports it

from bench import data
from bench.records import sources

sources.keep()

# The supervisor says in JSON, [[data set, binarisation], ...], what its cells will read; a third word is the place of a
# user's file that is not under its own name.
for _choice in json.loads(os.environ.get("VAEBENCH_KEEP", "[]")):
    # The cells report what is wrong with their data.
    with contextlib.suppress(Exception):
        data.keep(*_choice)
