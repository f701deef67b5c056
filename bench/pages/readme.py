"""What the front page says of results, from committed records."""

import re
from collections.abc import Sequence

from bench.errors import UsageError
from bench.pages.grids import markdown_text
from bench.pages.page import REFERENCE
from bench.records.record import Record
from bench.records.store import read_all
from bench.stats.answer import Answer, answers, compared
from bench.stats.groups import BASELINE, Group, after, by_dataset, groups
from bench.stats.speeds import throughput
from bench.text import DASH

# Committed results in whose words a variant is recommended: the first that there are.
SUITES = ("converged", "standard")
# What the front page compares with the baseline as an example.
EXAMPLE = "full_covariance"


def suite() -> str:
    """The name of the results that speak."""
    return next(name for name in SUITES if next((REFERENCE / name / "runs").glob("*.json"), None))


def which_variant() -> str:
    """A line for each goal: what to take on each data set of the suite, and how sure that is."""
    records, _ = read_all(REFERENCE / suite())
    found: dict[str, dict[str, Answer]] = {}
    heads: list[str] = []
    budgets: dict[str, None] = {}
    others: set[str] = set()
    for dataset, members in by_dataset([record for record in records if record.kind == "quality"]).items():
        group = newest(members)
        found[dataset] = {each.goal: each for each in answers(group, throughput(records, dataset))}
        counts = sorted({len(row.ok) for row in group.rows})
        seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        heads.append(markdown_text(f"{dataset}, {len(group.rows)} variants, {seeds} seeds"))
        settings = {**group.settings, "support": None}
        alike = [each for each in groups(members) if {**each.settings, "support": None} == settings]
        others |= {row.variant for each in alike for row in each.rows} - {row.variant for row in group.rows}
        budgets[f"{after(group.settings)}, protocol {group.settings['protocol']}"] = None
    goals = dict.fromkeys(goal for each in found.values() for goal in each)
    name = suite()
    where = f"[report and records](results/reference/{name}), `make bench SUITE={name}`"
    lines = [
        f"What the suite `{name}` answers {' or '.join(budgets)} ({where}):\n",
        f"| for | {' | '.join(heads)} |",
        f"| --- |{' --- |' * len(heads)}",
    ]
    for goal in goals:
        cells = [_told(each[goal]) if goal in each else DASH for each in found.values()]
        lines.append(f"| {goal} | {' | '.join(cells)} |")
    if others:
        named = ", ".join(f"`{name}`" for name in sorted(others))
        lines.append(f"\nNot among them, for their likelihood is another: {named}.")
    return "\n".join(lines)


def newest(records: Sequence[Record]) -> Group:
    """Of the groups of one data set the one of the newest protocol, and among those the one with most ELBOs."""

    def rank(group: Group) -> tuple[list[int], int]:
        numbers = [int(each) for each in re.findall(r"\d+", str(group.settings["protocol"]))]
        return numbers, sum(bool(row.values("elbo_nats")) for row in group.rows)

    return max(groups(records), key=rank)


def _told(answer: Answer) -> str:
    """What to take, its figure, and how much faster the fastest trains: the report has the comparisons."""
    short = markdown_text(answer.short)
    names = [f"`{label}`" for label in answer.take]
    if not names:
        return f"no answer yet: {short[:1].lower()}{short[1:]}"
    if answer.learning:
        return f"{' or '.join(names)}, {short}"
    tied = f" (tied: {', '.join(names[1:])})" if names[1:] else ""
    return f"**{names[0]}**{tied}. {short}"


def example() -> str:
    """A comparison as the console prints it: on the last data set that has both variants."""
    records = [record for record in read_all(REFERENCE / suite())[0] if record.kind == "quality"]
    for members in reversed(list(by_dataset(records).values())):
        rows = {row.label: row for row in newest(members).rows if row.values("elbo_nats")}
        if {BASELINE, EXAMPLE} <= rows.keys():
            words = compared(newest(members), rows[EXAMPLE], rows[BASELINE], "elbo_nats")[1]
            return f"```\n$ vaebench compare {BASELINE} {EXAMPLE} --suite {suite()}\n{words}\n...\n```"
    raise UsageError(f"no data set of {suite()} has runs of {BASELINE} and of {EXAMPLE}: name another example")
