"""All variants tuned alike: their defaults beside what trials have chosen, who changes places, and whether more trials
would pay."""

import json
from collections.abc import Sequence

from bench.pages.blocks import Block, Items, Table, Text
from bench.pages.grids import Entry, Grid, grid, markdown_text, number, spread
from bench.records.names import row_of
from bench.records.record import Record
from bench.stats import metrics as known
from bench.stats.groups import Group
from bench.stats.intervals import Comparison
from bench.stats.tuning import Tuned, own_ranges, tuned, value_of
from bench.text import DASH

TITLE = "Tuned alike"
LEGEND = (
    "Each variant had the same number of trials, with settings drawn at random from the ranges that its "
    "group's line names and from its own. The trial with the best figure on the validation split gave its settings; "
    "fresh seeds were then judged on the test split, which no trial has seen. A trial that failed counts as the worst. "
    "The defaults are no trial, so that a tuned row may be behind them."
)
# Numbers of trials for which a table says what the best of them is expected to be.
SHOWN = (1, 2, 4, 8, 16, 32, 64, 128)


def blocks(groups: Sequence[Group], trials: Sequence[Record]) -> list[Block]:
    """What is said of every group of tuned runs; none where there is none."""
    made = [block for found in tuned(groups, trials) for block in _blocks(found)]
    return [Text(f"**{TITLE}.** {LEGEND}"), *made] if made else []


def _blocks(found: Tuned) -> list[Block]:
    made: list[Block] = [
        Text(f"**{markdown_text(found.tuned.title)}.**"),
        Table(tuned_grid(found)),
        Text(f"**{markdown_text(verdict(found))}**"),
    ]
    if swaps := swap_grid(found):
        made.append(Table(swaps))
    if expected := expected_grid(found):
        made += [Text(f"{markdown_text(EXPECTED)}:"), Table(expected)]
    made.append(Items([markdown_text(line) for line in [*failures(found), *edges(found)]]))
    return made


EXPECTED = (
    "Expected best figure on the validation split of so many trials, if each were drawn anew from those that were made "
    "(Dodge et al. 2019): where a line still rises, more trials would pay"
)


def tuned_grid(found: Tuned) -> Grid:
    """A line a row: its figure and place with the defaults and when tuned, the difference, and the chosen settings."""
    entry, ranks = known.metric(found.metric), found.ranks()
    tried = {(each.variant, each.overrides, each.device, each.own): each for each in found.tried}
    lines: list[list[str | Entry]] = []
    for before, after in found.pairs:
        gain, (first, then) = found.gain((before, after)), ranks[before.label]
        of = tried.get((after.variant, after.overrides, after.device, own_ranges(after.records[0])))
        settings = after.records[0].cell["tuning"]["settings"]
        lines.append(
            [
                before.label,
                spread(before.summary(found.metric), entry.digits),
                str(first),
                spread(after.summary(found.metric), entry.digits),
                Entry(str(then), best=first != then),
                difference(gain, entry.digits),
                gain.verdict,
                ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(settings.items())),
                f"{len(of.valued)}/{len(of.trials)}" if of else DASH,
            ]
        )
    headers = ["variant", f"{entry.header}, default", "place", "tuned", "place, tuned", "tuned - default", "verdict"]
    return grid([*headers, "chosen settings", "trials that count"], lines)


def difference(comparison: Comparison, digits: int) -> str:
    """`"+1.20 [0.31, 2.09]"`; without an interval where there are too few seeds."""
    if comparison.difference is None:
        return DASH
    if comparison.low is None or comparison.high is None:
        return f"{comparison.difference:+.{digits}f}"
    return f"{comparison.difference:+.{digits}f} [{comparison.low:.{digits}f}, {comparison.high:.{digits}f}]"


def verdict(found: Tuned) -> str:
    """One sentence: whose place changes when all are tuned alike."""
    pairs, swaps = len(found.pairs) * (len(found.pairs) - 1) // 2, found.swaps()
    sure = sum(swap.sure for swap in swaps)
    moved = {name: places for name, places in found.ranks().items() if places[0] != places[1]}
    if not moved:
        return f"No variant changes its place when all are tuned alike, of {len(found.pairs)}."
    names = ", ".join(f"{name} from {before} to {after}" for name, (before, after) in moved.items())
    return (
        f"Of {pairs} pairs of variants {len(swaps)} change their order when all are tuned alike, {sure} of them with "
        f"intervals that leave out zero both times. Places by mean: {names}."
    )


def swap_grid(found: Tuned) -> Grid | None:
    """A line a pair that changes its order; None without any."""
    digits = known.metric(found.metric).digits
    lines = []
    for swap in found.swaps():
        shown = [text for each in swap.both for text in (difference(each, digits), each.verdict)]
        lines.append([f"{swap.ahead} against {swap.behind}", *shown, "yes" if swap.sure else "no"])
    headers = ["pair", "default", "verdict", "tuned", "verdict, tuned", "both intervals leave out zero"]
    return grid(headers, lines) if lines else None


def expected_grid(found: Tuned) -> Grid | None:
    """A line a row, a column for each of `SHOWN` numbers of trials; None without any trial."""
    most = max((len(each.trials) for each in found.tried), default=0)
    counts = sorted({*(n for n in SHOWN if n < most), most})
    digits = known.metric(found.metric).digits
    lines = [
        [each.name, *(number(each.expected[n - 1] if n <= len(each.expected) else None, digits) for n in counts)]
        for each in found.tried
    ]
    return grid(["variant", *(f"{n} trial{'s' if n > 1 else ''}" for n in counts)], lines) if lines else None


def failures(found: Tuned) -> list[str]:
    """A line for each row of which trials failed, or are missing."""
    lines = []
    for each in found.tried:
        bad = [trial for trial in each.trials if value_of(trial) is None]
        if bad:
            numbers = ", ".join(str(trial.cell["tuning"]["trial"]) for trial in bad)
            reason = next((trial.reason for trial in bad if trial.reason), "it has no such figure")
            count = f"{len(bad)} of {len(each.trials)} trials count as the worst"
            lines.append(f"{each.name}: {count} (number {numbers}): {reason}")
        if missing := each.trials[0].cell["tuning"]["search"]["trials"] - len(each.trials):
            lines.append(f"{each.name}: {missing} trials are not there")
    return lines


def edges(found: Tuned) -> list[str]:
    """A line for each row whose chosen settings are the lowest or the highest that its trials drew: beyond them nobody
    has looked."""
    lines = []
    for each in found.tried:
        settings = each.chosen.cell["tuning"]["settings"] if each.chosen else {}
        at = []
        for key, value in settings.items():
            drawn = {trial.cell["tuning"]["settings"][key] for trial in each.trials} if is_number(value) else set()
            if len(drawn) > 2 and value in (min(drawn), max(drawn)):
                at.append(f"{key}={value} is the {'lowest' if value == min(drawn) else 'highest'} that was tried")
        if at:
            lines.append(f"{each.name}: {' and '.join(at)}, so that a wider range may do better")
    return lines


def is_number(value: object) -> bool:
    """Whether a setting has an order."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rows(trials: Sequence[Record]) -> list[dict[str, object]]:
    """One line a trial, for a file: what it is, what it drew, and its figure on the validation split."""
    lines: list[dict[str, object]] = []
    for trial in sorted(trials, key=lambda record: record.id):
        cell, tuning = trial.cell, trial.cell["tuning"]
        line: dict[str, object] = {"id": trial.id, "dataset": cell["dataset"], "variant": cell["variant"]}
        line |= {"row": row_of(cell), "trial": tuning["trial"], "settings": json.dumps(tuning["settings"])}
        line |= {"metric": tuning["search"]["metric"], "split": "valid", "value": value_of(trial)}
        lines.append(line | {"status": trial.status, "reason": trial.reason, "train_s": trial.timing.get("train_s")})
    return lines
