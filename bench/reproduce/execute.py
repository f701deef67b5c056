"""A published table, end to end: run what is missing of its rows, then judge and write the page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.records.store import read_all
from bench.reproduce import page
from bench.reproduce.effects import effects
from bench.reproduce.published import Row, Table
from bench.reproduce.verdict import Finding, findings
from bench.sweeps import configure, execute


def reproduce(
    table: Table, profile: str, rows: Sequence[Row], out: Path, *, seeds: int | None = None, **how: Any
) -> tuple[execute.Outcome, list[Finding]]:
    """Run what is missing of these rows, judge them and write their page.

    Args:
        table: a published table.
        profile: one of its profiles.
        rows: some of its rows.
        out: results folder; finished runs in it are kept and not run again.
        seeds: 0 to seeds - 1 for every row, instead of the profile's number.
        how: as for `bench.sweeps.execute.execute`.

    Returns:
        What running did, and the findings of these rows, their effects last.

    Raises:
        As `bench.sweeps.execute.execute`.
    """
    suite = configure.configure(table.suite(profile, rows, seeds), {})
    outcome = execute.execute(suite, out, page=partial(page.write, table=table, profile=profile, asked=rows), **how)
    judged = findings(table, profile, rows, read_all(out)[0])
    return outcome, [*judged, *effects(table, profile, judged)]
