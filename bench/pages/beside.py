"""Our ELBO beside a reference's, row by row."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench import text
from bench.pages import grids
from bench.records import names
from bench.records.record import Record
from bench.stats import groups, intervals


def beside(records: Sequence[Record], reference: Sequence[Record]) -> tuple[grids.Grid, list[str]]:
    """Our mean test ELBO, the reference's and the difference of the means, row by row.

    Groups are matched on every setting; the device may differ. Where the reference holds no group with the same
    settings no difference is formed, and a note says in which settings the nearest one differs.

    Returns:
        Headers and cells, and the notes.
    """
    theirs = {names.canonical(group.settings): group for group in groups.groups(reference)}
    lines, notes = [], []
    for group in groups.groups(records):
        if not any(row.values("elbo_nats") for row in group.rows):
            continue
        match = theirs.get(names.canonical(group.settings))
        if match is None:
            notes.append(
                f"{group.dataset}, {group.settings['support']} likelihood: {_nearest(group, theirs.values())}."
            )
            continue
        for row in group.rows:
            twins = [other for other in match.rows if (other.variant, other.overrides) == (row.variant, row.overrides)]
            twin = next((other for other in twins if other.device == row.device), twins[0] if twins else None)
            mine, yours = row.summary("elbo_nats"), twin.summary("elbo_nats") if twin else None
            difference = f"{mine.mean - yours.mean:+.2f}" if mine and yours else text.DASH
            cells = [group.dataset, row.label, _elbo(row, mine), _elbo(twin, yours), difference]
            lines.append([grids.Cell(cell) for cell in cells])
    return (["data", "variant", "here", "reference", "here - reference"], lines), notes


def _elbo(row: groups.Row | None, summary: intervals.Summary | None) -> str:
    """`"-101.20 ± 0.35, 5 seeds, cpu"`; a dash without a row or a value."""
    if row is None or summary is None:
        return text.DASH
    return f"{grids.spread(summary, 2)}, {summary.n} seed{'s' if summary.n > 1 else ''}, {row.device}"


def _nearest(group: groups.Group, others: Iterable[groups.Group]) -> str:
    """Why nothing compares: the fewest settings in which any group of the reference's same data differs."""
    candidates = [_differences(group.settings, other.settings) for other in others if other.dataset == group.dataset]
    if not candidates:
        return "the reference has no runs on this data"
    _, fewest = min((len(differences), differences) for differences in candidates)
    return f"not comparable with the reference, which differs in {', '.join(fewest)}"


def _differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """`["budget.epochs (2 here, 10 there)", ...]`."""
    lines = []
    for key in sorted({*ours, *theirs}):
        here, there = ours.get(key), theirs.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            lines += _differences(here, there, f"{prefix}{key}.")
        elif here != there:
            lines.append(f"{prefix}{key} ({here} here, {there} there)")
    return lines
