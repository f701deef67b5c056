"""Effects: what one row gains on another, beside what it gains in the source. Needs no torch."""

import math
from collections.abc import Iterable
from dataclasses import replace

from bench.reproduce.published import Table, Tolerance, pairs
from bench.reproduce.verdict import Effect, Finding
from bench.stats import intervals

DIGITS = 9


def judge(published: float, tolerance: float, ours: intervals.Summary) -> Effect:
    """What our seeds say of a published difference of two rows.

    Reproduced: the whole 95 % interval has the published sign, and is within the tolerance of the published size. Not
    reproduced: no part of it. Undecided: some part of it, or the seeds are too few for an interval.
    """
    if ours.low is None or ours.high is None:
        return "undecided"
    least, most = published - tolerance, published + tolerance
    signs = [math.copysign(1, published) * end for end in (ours.low, ours.high)] if published else [1.0]
    if max(signs) <= 0 or ours.high < least or most < ours.low:
        return "not reproduced"
    return "reproduced" if min(signs) > 0 and least <= ours.low and ours.high <= most else "undecided"


def effects(table: Table, profile: str, judged: Iterable[Finding]) -> list[Finding]:
    """The effects for which this profile states a tolerance, once for each source that has both rows.

    Args:
        table: a published table.
        profile: one of its profiles.
        judged: its findings. Effects of rows that are not among them are left out.
    """
    known = {(finding.row, finding.metric, finding.source): finding for finding in judged}
    budgets = {row.name: row.plans[profile].budget for row in table.rows}
    compared = []
    for effect in table.effects:
        first, second = effect.rows
        for figures in pairs(effect, table.figures) if profile in effect.tolerance else ():
            a, b = (known.get((figure.row, figure.metric, figure.source)) for figure in figures)
            if a and b:
                made = _effect(effect.title, a, b, effect.tolerance[profile], budgets[first] == budgets[second])
                explained = effect.explanation.get(profile, "") if made.verdict == "not reproduced" else made.reason
                compared.append(replace(made, reason=explained))
    return compared


def _effect(title: str, a: Finding, b: Finding, tolerance: float, alike: bool) -> Finding:
    values = {seed: value - b.values[seed] for seed, value in a.values.items() if seed in b.values}
    # Both were printed with a few digits: more are of the subtraction.
    published = round(a.published - b.published, DIGITS)
    verdict, reason = _verdict(a, b, values, published, tolerance, alike)
    return replace(
        a,
        run=f"{a.run} - {b.run}",
        row=f"{a.row} - {b.row}",
        title=title,
        published=published,
        stderr=None if a.stderr is None or b.stderr is None else math.hypot(a.stderr, b.stderr),
        values=values,
        runs=min(a.runs, b.runs),
        epochs=(*a.epochs, *b.epochs),
        tolerance=Tolerance(tolerance, tolerance),
        verdict=verdict,
        reason=reason,
    )


def _verdict(
    a: Finding, b: Finding, values: dict[int, float], published: float, tolerance: float, alike: bool
) -> tuple[Effect, str]:
    if missing := [finding.row for finding in (a, b) if not finding.values]:
        return "undecided", f"no run of {' and '.join(missing)}"
    if not values:
        return "undecided", "the two rows have no seed in common"
    if not alike:
        return "undecided", "this profile trains the two rows for different budgets"
    summary = intervals.summarise(list(values.values()))
    few = f"an interval needs {intervals.MIN_SEEDS} seeds that both rows have"
    return judge(published, tolerance, summary), few if summary.low is None else ""
