"""Comparison groups and rows -> Markdown, LaTeX and terminal tables.

A comparison group holds the runs that may be compared: same data set and options, split, binarisation, likelihood
support, protocol, budget, measurement and precision. A row is one (group, variant, overrides, device), its runs are the
seeds. Nothing is ranked across groups, and no run is dropped: a row counts its failures and says why.
"""

import re
from collections.abc import Sequence
from typing import Any

from bench.pages.doubts import failures
from bench.pages.grids import (
    MOST_LINES,
    TERMINAL_WIDTH,
    Cell,
    Grid,
    latex_grid,
    markdown_grid,
    markdown_text,
    number,
    shortened,
    spread,
    text_grid,
    wrap,
)
from bench.records.names import dataset_slug, row_name
from bench.records.record import Record, Timed
from bench.records.settle import precedence
from bench.stats import metrics as known
from bench.stats.groups import ERRORS, Group, by_dataset, groups, value_of
from bench.stats.speeds import throughput
from bench.text import DASH

MARK_LEGEND = (
    "Marked values: the best mean of the column and every row not distinguishable from it (95 % bootstrap interval of "
    "the difference paired by seed, not corrected for the number of rows). Nothing is marked where no row is "
    "distinguishably worse, nor a row with fewer than 3 ok seeds, or fewer than 3 in common with the best. Marks speak "
    "of these test examples: of training again, not of drawing others."
)
SPREAD_LEGEND = (
    "± is half the two-sided 95 % interval over seeds, by a seeded, smoothed, studentised bootstrap; it needs 3 seeds. "
    "Means are over the ok seeds only, so read the count of ok runs first."
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
    "run of the row and a run of the baseline in which the row's is better, ties counted half."
)


def quality_grid(group: Group, metrics: Sequence[str] | None = None) -> Grid:
    """Headers and cells of a group's quality table. `metrics` picks and orders the columns, by default the main."""
    names = _of_theme(group, known.MAIN) if metrics is None else metrics
    headers = ["variant", "runs", *(known.metric(name).header for name in names)]
    lines = []
    for row in group.rows:
        line = [Cell(row.label), Cell(row.count)]
        for name in names:
            summary = row.summary(name)
            text = spread(summary, known.metric(name).digits)
            if summary and summary.n < len(row.ok):
                text += f" (n={summary.n})"
            line.append(Cell(text, row.label in group.best.get(name, set())))
        lines.append(line)
    return headers, lines


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
        columns: list[tuple[str, list[str]]] = []
        for name in _of_theme(group, theme):
            entry = known.metric(name)
            errors = [[row.error(name, kind) for row in group.rows] for kind in reversed(ERRORS)]
            always = name == "elbo_nats" or name.startswith("nll_")
            if not always and all(value is None for column in errors for value in column):
                continue
            summaries = [row.summary(name) for row in group.rows]
            found = [[summary.std if summary else None for summary in summaries], *errors]
            for title, column in zip(("seed sd", "test SE", "MC SE"), found, strict=True):
                if any(value is not None for value in column):
                    unit = f" ({entry.unit})" if entry.unit else ""
                    # A digit more than the figure itself: an error that prints as zero says nothing.
                    texts = [number(value, entry.digits + 1) for value in column]
                    columns.append((f"{entry.label}: {title}{unit}", texts))
        if columns and theme != known.COST:
            headers = ["variant", *(header for header, _ in columns)]
            lines = [
                [Cell(row.label), *(Cell(texts[place]) for _, texts in columns)] for place, row in enumerate(group.rows)
            ]
            grids[theme] = headers, lines
    return grids


def cost_grid(records: Sequence[Record], dataset: str) -> Grid | None:
    """Headers and cells of a data set's cost table, by alphabet and never marked; None if nothing is known."""
    timed = throughput(records, dataset)
    names = [
        "train_samples_per_s",
        "train_mfu",
        "eval_samples_per_s",
        "sample_samples_per_s",
        "latency_b1_ms",
        "peak_memory_mb",
    ]
    sized = [
        (row_name(record.cell["variant"], record.cell["overrides"]), *precedence(record), size)
        for record in records
        if dataset_slug(record.cell) == dataset and (size := value_of(record, "parameters")) is not None
    ]
    sizes = {row: size for row, *_, size in sorted(sized)}
    rows = sorted({*sizes, *timed.names})
    if not rows:
        return None
    headers = ["variant", "parameters"]
    headers += [f"{known.metric(name).header}, {label}" for label in timed.columns for name in names]
    lines = []
    for row in rows:
        line = [Cell(row), Cell(number(sizes.get(row), 0))]
        for column in timed.columns.values():
            timing = column.get(row)
            if timing is not None and timing.status != "ok":
                line += [Cell(str(timing.status))] * len(names)
            else:
                metrics = timing.metrics if timing else {}
                line += [Cell(_block_text(metrics.get(name), known.metric(name).digits)) for name in names]
        lines.append(line)
    return headers, lines


def _block_text(value: Any, digits: int) -> str:
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
    unit = f" ({entry.unit})" if entry.unit else ""
    lines = []
    for row in group.rows:
        found = group.difference(row, metric)
        if found is None:
            continue
        difference = DASH if found.difference is None else f"{found.difference:+,.{entry.digits}f}"
        interval = (
            DASH
            if found.low is None or found.high is None
            else f"[{found.low:+,.{entry.digits}f}, {found.high:+,.{entry.digits}f}]"
        )
        texts = [
            row.label,
            str(found.n),
            difference,
            interval,
            number(found.p_better if found.enough else None, 2),
            found.verdict,
        ]
        lines.append([Cell(text) for text in texts])
    if not lines:
        return None
    return [
        "variant",
        "seeds",
        f"{entry.label} difference{unit}",
        "95 % interval",
        "P(better)",
        "verdict",
    ], lines


def group_grids(group: Group) -> list[tuple[str, Grid, str]]:
    """Title, cells and legend of every table of a group; the main one comes first and has an empty title."""
    quality = f"{SPREAD_LEGEND} {MARK_LEGEND}"
    grids = [("", quality_grid(group), quality)]
    if grid := comparison_grid(group):
        bases = {base.name for row in group.rows if (base := group.baseline(row))}
        grids.append((f"Against {', '.join(sorted(bases))}", grid, COMPARISON_LEGEND))
    grids += [(theme, grid, quality) for theme, grid in theme_grids(group).items()]
    for theme, grid in certainty_grids(group).items():
        grids.append(("How certain" if theme == known.MAIN else f"How certain: {theme}", grid, CERTAINTY_LEGEND))
    return grids


def markdown(records: Sequence[Record], dataset: str) -> str:
    """The tables of one data set: every group with its line and its tables; failures; then what things cost."""
    records = [record for record in records if dataset_slug(record.cell) == dataset]
    blocks = []
    for group in groups(records):
        blocks.append(f"**{markdown_text(group.title)}.**")
        for title, grid, _ in group_grids(group):
            blocks += [f"{markdown_text(title)}:"] if title else []
            blocks.append(markdown_grid(grid))
    if failed := failures(records):
        blocks.append("Runs that failed:")
        blocks.append("\n".join(f"- {markdown_text(line)}" for line in failed))
    if costs := cost_grid(records, dataset):
        blocks.append("**What each variant costs** (median [quartiles] over timed blocks; by name, not ranked).")
        blocks.append(markdown_grid(costs))
    return "\n\n".join(blocks) + "\n"


def latex(records: Sequence[Record], dataset: str) -> str:
    """The tables of one data set for a paper: needs the packages booktabs and graphicx, and UTF-8 input."""
    records = [record for record in records if dataset_slug(record.cell) == dataset]
    blocks = ["% Needs \\usepackage{booktabs,graphicx}."]
    for group in groups(records):
        for title, grid, legend in group_grids(group):
            blocks.append(latex_grid(grid, ". ".join(part for part in (title, group.title, legend) if part)))
    if costs := cost_grid(records, dataset):
        blocks.append(latex_grid(costs, f"What each variant costs on {dataset}: median [quartiles] over timed blocks."))
    return "\n\n".join(blocks) + "\n"


_TERMINAL = ("elbo_nats", "nll_is*_nats", "kl_nats", "mse_per_pixel")


def terminal(records: Sequence[Record], width: int = TERMINAL_WIDTH) -> str:
    """A compact table per group for printing; columns that do not fit are left to the files."""
    blocks = []
    own = by_dataset(records)
    timings = {dataset: throughput(found, dataset) for dataset, found in own.items()}
    for group in groups(records):
        names = [name for name in group.metrics if _pattern(name) in _TERMINAL]
        headers, lines = quality_grid(group, names)
        lines = lines[:MOST_LINES]
        headers = [header.replace("(nats)", "nats").replace("(per pixel)", "per pixel") for header in headers]
        for row, line in zip(group.rows, lines, strict=False):
            line[1] = Cell(f"{len(row.ok)}/{len(row.records)} ok")
        for label, column in timings[group.dataset].columns.items():
            headers.append(f"train/s ↑ {label}")
            for row, line in zip(group.rows, lines, strict=False):
                record = column.get(row.name)
                found = record.metrics.get("train_samples_per_s") if record else None
                line.append(Cell(number(found.median, 0) if isinstance(found, Timed) else DASH))
        more = (
            f"\n... and {len(group.rows) - len(lines):,} more rows, in the files"
            if len(lines) < len(group.rows)
            else ""
        )
        blocks.append(f"{wrap(group.title, width)}\n{text_grid((headers, lines), width)}{more}")
    only = [name for dataset, found in own.items() for name in _only_timed(found, dataset)]
    if only:
        blocks.append(wrap("Only timed: " + "; ".join(shortened(only)), width))
    if failed := failures(records):
        blocks.append("\n".join(["Runs that failed:", *(f"  {line}" for line in shortened(failed))]))
    if any(marks for group in groups(records) for marks in group.best.values()):
        blocks.append(wrap("* " + MARK_LEGEND, width))
    return "\n\n".join(blocks) + "\n"


def _only_timed(records: Sequence[Record], dataset: str) -> list[str]:
    seen = {row.name for group in groups(records) if group.dataset == dataset for row in group.rows}
    lines = []
    for label, column in throughput(records, dataset).columns.items():
        for name, record in sorted(column.items()):
            value = record.metrics.get("train_samples_per_s")
            if name not in seen and isinstance(value, Timed):
                lines.append(f"{name} on {dataset}, {label}: training {number(value.median, 0)} samples/s")
    return lines


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "*", name)
