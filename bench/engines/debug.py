"""Runs cells in this very process, one after the other: for breakpoints, and for tests."""

import time
from collections.abc import Generator

from bench.cells.events import Done, Event
from bench.engines import Job
from bench.engines.local import Local
from bench.records import sources


class Debug(Local):
    """No processes: a cell that ends its process ends the run, none is ended after a time, and what a variant prints
    is on standard output."""

    def events(self, job: Job) -> Generator[Event]:
        """What each cell told, once it has ended."""
        from bench.cells.run import run_cell

        for cell in job.cells:
            told: list[Event] = []
            started = time.monotonic()
            provenance = job.provenance | sources.sums(cell["variant"])
            made, artefacts = run_cell(job.kind, cell, provenance, told.append, job.out)
            yield from told
            yield Done(made, artefacts, time.monotonic() - started)
