"""Comparison groups and rows -> tables.

A comparison group holds the runs that may be compared: same data set and options, split, binarisation, likelihood
support, protocol, budget, measurement and precision. A row is one (group, variant, overrides, device), its runs are the
seeds. Nothing is ranked across groups, and no run is dropped: a row counts its failures and says why.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bench.pages.blocks import Block, Items, Table, Text
from bench.pages.doubts import failures
from bench.pages.grids import MOST_LINES, Entry, Grid, grid, markdown_text, number, shortened, spread
from bench.records.names import dataset_slug, row_of
from bench.records.record import Record, Timed
from bench.records.settle import precedence
from bench.stats import metrics as known
from bench.stats.answer import told
from bench.stats.groups import ERRORS, Group, after, by_dataset, groups, value_of
from bench.stats.intervals import Marks
from bench.stats.shares import Share, shares
from bench.stats.speeds import throughput
from bench.text import DASH

MARK_LEGEND = (
    "Marked: the best score of a column, and every score tied with it. Two scores tie when the 95 % interval of their "
    "difference, seed by seed, includes zero. Nothing is marked with fewer than 3 seeds, or where all rows tie. "
    "† still learning: longer training may reverse the order of these rows, so none of them is called the best."
)
SPREAD_LEGEND = (
    "± says how much a score moves when you train again: half the 95 % interval over seeds, by a seeded, smoothed, "
    "studentised bootstrap; it needs 3 seeds. How much it would move on other test images stands under How certain. "
    "Means are over the runs that finished, so read the count of runs first."
)
CERTAINTY_LEGEND = (
    "Three errors that are never added up. Seed sd: standard deviation over training seeds. Test SE: standard error "
    "for the choice of test examples. MC SE: standard error of the judge's random draws at fixed model and examples. "
    "The two standard errors are those of one run, root mean square over seeds. All seeds and rows share the examples, "
    "so a paired difference has a smaller test SE, which is not stated. They share the random numbers too, but the "
    "errors of these are only partly common, so seed sd holds part of MC SE."
)
COMPARISON_LEGEND = (
    "Differences are paired by seed, with 95 % bootstrap intervals. P(better) is P(A > B): the share of all pairs of a "
    "run of the row and a run of the baseline in which the row's is better, ties counted half; it stands beside a "
    "verdict only, and of few seeds it is nearly always 0 or 1. Verdicts are of this budget; still learning: none, for "
    "longer training may reverse the difference."
)


def quality_grid(group: Group, metrics: Sequence[str] | None = None, most: int | None = None) -> Grid:
    """Headers and cells of a group's quality table, of its first rows where `most` says how many. `metrics` picks and
    orders the columns, by default the main."""
    names = _of_theme(group, known.MAIN) if metrics is None else metrics
    columns = [(name, known.metric(name).digits, group.marks.get(name, Marks())) for name in names]
    lines = []
    for row in group.rows[:most]:
        line = [Entry(row.label), Entry(row.count)]
        for name, digits, marks in columns:
            summary = row.summary(name)
            text = spread(summary, digits)
            if summary and summary.n < len(row.ok):
                text += f" (n={summary.n})"
            text += " †" if row.label in marks.learning else ""
            line.append(Entry(text, row.label in marks.best))
        lines.append(line)
    return ["variant", "runs", *(known.metric(name).header for name in names)], lines


def _of_theme(group: Group, theme: str) -> list[str]:
    return [name for name in group.metrics if known.metric(name).theme == theme]


def theme_grids(group: Group) -> dict[str, Grid]:
    """Theme -> table of the group, for every theme but the main one and the costs of which any row has a value."""
    grids = {}
    for theme in known.THEMES:
        names = [name for name in _of_theme(group, theme) if any(row.values(name) for row in group.rows)]
        if names and theme not in (known.MAIN, known.COST):
            grids[theme] = quality_grid(group, names)
    return grids


def certainty_grids(group: Group) -> dict[str, Grid]:
    """Theme -> how certain its figures are: seed sd, test SE and MC SE of a metric, each in a column of its own.

    The metrics are the ELBO, the NLLs and those with an error stated in any record. A column without a value is left
    out.
    """
    grids = {}
    for theme in known.THEMES:
        columns: dict[str, list[str]] = {"variant": [row.label for row in group.rows]}
        for name in _of_theme(group, theme):
            entry = known.metric(name)
            errors = [[row.error(name, kind) for row in group.rows] for kind in reversed(ERRORS)]
            always = name == "elbo_nats" or name.startswith("nll_")
            if not always and all(value is None for column in errors for value in column):
                continue
            stds = [summary.std if (summary := row.summary(name)) else None for row in group.rows]
            for title, column in zip(("seed sd", "test SE", "MC SE"), (stds, *errors), strict=True):
                if any(value is not None for value in column):
                    unit = f" ({entry.unit})" if entry.unit else ""
                    # The error has a digit more than the figure: an error that prints as zero says nothing.
                    columns[f"{entry.label}: {title}{unit}"] = [number(value, entry.digits + 1) for value in column]
        if len(columns) > 1 and theme != known.COST:
            grids[theme] = grid(columns, zip(*columns.values(), strict=True))
    return grids


TIMED = (
    *("train_samples_per_s", "train_mfu", "eval_samples_per_s", "sample_samples_per_s"),
    *("latency_b1_ms", "peak_memory_mb"),
)


def cost_grid(records: Sequence[Record], dataset: str) -> Grid | None:
    """Headers and cells of a data set's cost table, by alphabet and never marked; None if nothing is known."""
    timed = throughput(records, dataset)
    sized = [
        (row_of(record.cell), *precedence(record), size)
        for record in records
        if dataset_slug(record.cell) == dataset and (size := value_of(record, "parameters")) is not None
    ]
    sizes = {row: size for row, *_, size in sorted(sized)}
    lines = []
    for row in sorted({*sizes, *timed.names}):
        line = [row, number(sizes.get(row), 0)]
        for column in timed.columns.values():
            timing = column.get(row)
            if timing is not None and timing.status != "ok":
                line += [str(timing.status)] * len(TIMED)
            else:
                metrics = timing.metrics if timing else {}
                line += [block_text(metrics.get(name), known.metric(name).digits) for name in TIMED]
        lines.append(line)
    headers = [f"{known.metric(name).header}, {label}" for label in timed.columns for name in TIMED]
    return grid(["variant", "parameters", *headers], lines) if lines else None


def block_text(value: Any, digits: int) -> str:
    """`"9,120 [9,001, 9,300]"`: median and quartiles over blocks; slow things keep two decimals."""
    if isinstance(value, Timed) and value.median is not None:
        digits = 2 if abs(value.median) < 10 else digits
        text = number(value.median, digits)
        if value.q1 is None or value.q3 is None:
            return text
        return f"{text} [{number(value.q1, digits)}, {number(value.q3, digits)}]"
    return number(value if isinstance(value, int | float) else None, digits)


def comparison_grid(group: Group, metric: str = "elbo_nats") -> Grid | None:
    """One line per row with a baseline: difference in `metric`, interval, P(better), verdict; None without any."""
    entry = known.metric(metric)
    lines = []
    for row in group.rows:
        compared = group.difference(row, metric)
        if compared is None:
            continue
        difference, *ends = (
            DASH if value is None else f"{value:+,.{entry.digits}f}"
            for value in (compared.difference, compared.low, compared.high)
        )
        interval = DASH if DASH in ends else f"[{', '.join(ends)}]"
        p_better = number(compared.p_better if compared.verdict in ("better", "worse") else None, 2)
        lines.append([row.label, str(compared.n), difference, interval, p_better, compared.verdict])
    unit = f" ({entry.unit})" if entry.unit else ""
    headers = ["variant", "seeds", f"{entry.label} difference{unit}", "95 % interval", "P(better)", "verdict"]
    return grid(headers, lines) if lines else None


def _ends(share: Share) -> str:
    return f"[{share.low:.2f}, {share.high:.2f}]"


def share_grid(group: Group) -> Grid | None:
    """One line for the ELBO and each score of disentanglement: the share of its variance that is between variants;
    None in a group without such scores, or where no share is known."""
    scores = [name for name in group.metrics if known.metric(name).theme == known.FACTORS and known.metric(name).ranked]
    lines = [
        [known.metric(name).label, str(each.rows), str(each.runs), f"{each.variant:.2f}", _ends(each)]
        for name, each in shares(group, ["elbo_nats", *scores]).items()
    ]
    headers = ["metric", "variants", "runs", "share of the variant", "95 % interval"]
    return grid(headers, lines) if scores and lines else None


def _group_blocks(group: Group) -> Iterator[Block]:
    """Its line, and every table with its title; the main one comes first and has none."""

    def table(title: str, cells: Grid) -> Iterator[Block]:
        yield Text(f"{markdown_text(title)}:")
        yield Table(cells)

    yield Text(f"**{markdown_text(group.title)}.**")
    yield Table(quality_grid(group))
    if compared := comparison_grid(group):
        bases = {base.name for row in group.rows if (base := group.baseline(row))}
        yield from table(f"Against {', '.join(sorted(bases))}, {after(group.settings)}", compared)
    for theme, cells in theme_grids(group).items():
        yield from table(theme, cells)
    if divided := share_grid(group):
        yield from table("How much of the variance over all runs is the variant's; the rest is the seed's", divided)
    for theme, cells in certainty_grids(group).items():
        yield from table("How certain" + (f": {theme}" if theme != known.MAIN else ""), cells)


def blocks(records: Sequence[Record], dataset: str) -> list[Block]:
    """The tables of one data set: every group with its line and its tables; failures; then what things cost."""
    records = [record for record in records if dataset_slug(record.cell) == dataset]
    made = [block for group in groups(records) for block in _group_blocks(group)]
    if failed := failures(records):
        made += [Text("Runs that failed:"), Items([markdown_text(line) for line in failed])]
    if costs := cost_grid(records, dataset):
        made.append(Text("**What each variant costs** (median [quartiles] over timed blocks; by name, not ranked)."))
        made.append(Table(costs))
    return made


_ON_SCREEN = re.compile(r"elbo_nats|nll_is\d+_nats|kl_nats|mse_per_pixel")


def screen(records: Sequence[Record]) -> list[Block]:
    """A compact table per group for a terminal; columns that do not fit are left to the files."""
    made: list[Block] = []
    by_data = by_dataset(records)
    timings = {dataset: throughput(members, dataset) for dataset, members in by_data.items()}
    for group in groups(records):
        names = [name for name in group.metrics if _ON_SCREEN.fullmatch(name)]
        names = [name for name in names if any(row.values(name) for row in group.rows)]
        headers, lines = quality_grid(group, names, MOST_LINES)
        headers = [header.replace("(nats)", "nats").replace("(per pixel)", "per pixel") for header in headers]
        for row, line in zip(group.rows, lines, strict=False):
            line[1] = Entry(f"{len(row.ok)}/{len(row.records)} ok")
        for label, column in timings[group.dataset].columns.items():
            headers.append(f"train/s ↑ {label}")
            for row, line in zip(group.rows, lines, strict=False):
                line.append(Entry(number(_median(column.get(row.name)), 0)))
        support = f"{group.settings['support']} likelihoods"
        title = f"{group.dataset}, {support}, {after(group.settings)}"
        made += [Text(f"**{markdown_text(title)}**"), Table((headers, lines))]
        if (rest := len(group.rows) - len(lines)) > 0:
            made.append(Text(f"... and {rest:,} more rows, in the files"))
    if only := [line for dataset, members in by_data.items() for line in _only_timed(members, dataset)]:
        made.append(Text("Only timed: " + markdown_text("; ".join(shortened(only)))))
    if failed := failures(records):
        made += [Text("Runs that failed:"), Items([markdown_text(line) for line in shortened(failed)])]
    if any(marks.best or marks.learning for group in groups(records) for marks in group.marks.values()):
        made.append(Text("\\* " + MARK_LEGEND))
    return made


def answer(records: Sequence[Record]) -> list[Block]:
    """What the runs answer, for a terminal."""
    made: list[Block] = []
    for title, lines in told(records):
        made += [Text(f"**{markdown_text(title)}**"), Items([markdown_text(line) for line in lines])]
    return made


def _median(timing: Record | None) -> float | None:
    """Of the blocks of training."""
    value = timing.metrics.get("train_samples_per_s") if timing else None
    return value.median if isinstance(value, Timed) else None


def _only_timed(records: Sequence[Record], dataset: str) -> list[str]:
    seen = {row.name for group in groups(records) if group.dataset == dataset for row in group.rows}
    return [
        f"{name} on {dataset}, {label}: training {number(median, 0)} samples/s"
        for label, column in throughput(records, dataset).columns.items()
        for name, timing in sorted(column.items())
        if name not in seen and (median := _median(timing)) is not None
    ]
