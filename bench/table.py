"""Records -> comparison groups and rows -> CSV, Markdown, LaTeX and terminal tables.

A comparison group holds the runs that may be compared: same data set and options, split, binarisation, likelihood
support, protocol, budget, measurement and precision. A row is one (group, variant, overrides, device), its runs are the
seeds. Nothing is ranked across groups, and no run is dropped: a row counts its failures and says why.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.names import canonical, dataset_slug, device_type, row_name
from bench.records.record import BUSY, Record
from bench.stats import intervals
from bench.stats import metrics as known
from bench.stats.groups import ERRORS, UNKNOWN, Group, age, by_dataset, groups, settings_of, value_of
from bench.stats.speeds import conditions, throughput
from bench.text import short

DASH = "\N{EN DASH}"
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


def failures(records: Iterable[Record]) -> list[str]:
    """One line for every run that is not ok, quality and throughput alike: what, which seed, status and reason."""
    lines = []
    for record in sorted(records, key=lambda record: str(record["id"])):
        if record["status"] != "ok":
            cell = record["cell"]
            name = row_name(cell["variant"], cell.get("overrides") or {})
            seed = f" seed {cell['seed']}" if "seed" in cell else " throughput"
            reason = " ".join(str(record.get("reason") or "no reason recorded").split())
            lines.append(f"{dataset_slug(cell)}: {name}{seed} on {cell['device']}: {record['status']}: {reason}")
    return lines


def problems(records: Sequence[Record]) -> list[str]:
    """What a reader should doubt: mixed commits, protocols or data, runs that stand behind others, non-finite values.
    One line each."""
    lines = []
    for group in groups(records):
        for row in group.rows:
            for record in row.ok:
                for name in record["metrics"]:
                    value = value_of(record, name)
                    if value is not None and not math.isfinite(value):
                        lines.append(f"{record['id']}: {name} is {value} in a run that says ok; left out of the mean")
    lines += _overshadowed(records)
    protocols = sorted({str(record.get("protocol")) for record in records})
    if len(protocols) > 1:
        lines.append(
            f"the records are of {len(protocols)} protocols: {', '.join(protocols)}; no table holds two of them"
        )
    states = [code_states(record) for record in records]
    commits = {commit for found in states for commit, _ in found}
    if len(commits) > 1:
        lines.append(f"the records come from {len(commits)} commits: {', '.join(sorted(commits))}")
    if dirty := sum(any(dirty for _, dirty in found) for found in states):
        lines.append(f"{dirty} of {len(records)} records were made with uncommitted changes in the code")
    busy: dict[str, float] = {}
    for record in records:
        share, variant = (record.get("provenance") or {}).get("processor_share"), record["cell"]["variant"]
        if share is not None and share < BUSY:
            busy[variant] = min(share, busy.get(variant, share))
    if busy:
        names = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
        lines.append(
            f"speeds measured while the processor had other work (share of a core: {names}): "
            "`vaebench throughput` measures again"
        )
    sums: dict[str, set[str]] = {}
    for record in records:
        if found := (record.get("provenance") or {}).get("data_sha256"):
            sums.setdefault(dataset_slug(record["cell"]), set()).add(found)
    lines += [
        f"{name}: the runs saw {len(found)} different versions of the data; do not compare them"
        for name, found in sorted(sums.items())
        if len(found) > 1
    ]
    return lines


def _overshadowed(records: Iterable[Record]) -> list[str]:
    """One line for each run that is not shown because a later one has its place in a table, with all settings that the
    table knows alike; others, as the threads, differ."""
    places: dict[str, list[Record]] = {}
    for record in records:
        cell = record["cell"]
        if record["kind"] == "quality":
            kind = [settings_of(record, ""), cell["seed"]]
        else:
            kind = [dataset_slug(cell), conditions(record)]
        key = canonical([*kind, cell["variant"], cell.get("overrides") or {}, device_type(record)])
        places.setdefault(key, []).append(record)
    lines = []
    for members in places.values():
        *earlier, latest = sorted(members, key=age)
        lines += [f"{old['id']} is not shown: {latest['id']} has its place, started last" for old in earlier]
    return lines


def code_states(record: Record) -> set[tuple[str, bool]]:
    """Commit, short, and whether there were uncommitted changes: of the code that made the record, and, where it says
    so, of that which trained the weights, for kept weights may be measured again by later code."""
    source = record.get("provenance") or {}
    sources = [source, source["trained"]] if source.get("trained") else [source]
    return {(short(found.get("commit") or UNKNOWN), bool(found.get("dirty"))) for found in sources}


@dataclass(frozen=True)
class Cell:
    """One printed cell; `best` if it is to be marked."""

    text: str
    best: bool = False


Grid = tuple[list[str], list[list[Cell]]]


def number(value: float | None, digits: int) -> str:
    """A number with thousands separators and fixed decimals; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def spread(summary: intervals.Summary | None, digits: int) -> str:
    """`"-101.20 ± 0.35"`; a dash for the half-width with fewer than 3 seeds, for all without a value."""
    if summary is None:
        return DASH
    return f"{number(summary.mean, digits)} ± {number(summary.half_width, digits)}"


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
    sizes: dict[str, float] = {}
    for record in sorted(records, key=age):
        if dataset_slug(record["cell"]) == dataset and (size := record["metrics"].get("parameters")) is not None:
            sizes[row_name(record["cell"]["variant"], record["cell"].get("overrides") or {})] = size
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
            if timing is not None and timing["status"] != "ok":
                line += [Cell(str(timing["status"]))] * len(names)
            else:
                metrics = timing["metrics"] if timing else {}
                line += [Cell(_block_text(metrics.get(name), known.metric(name).digits)) for name in names]
        lines.append(line)
    return headers, lines


def _block_text(value: Any, digits: int) -> str:
    """`"9,120 [9,001, 9,300]"`: median and quartiles over blocks; slow things keep two decimals."""
    if isinstance(value, dict) and value.get("median") is not None:
        digits = 2 if abs(value["median"]) < 10 else digits
        text = number(value["median"], digits)
        if value.get("q1") is None or value.get("q3") is None:
            return text
        return f"{text} [{number(value['q1'], digits)}, {number(value['q3'], digits)}]"
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
    records = [record for record in records if dataset_slug(record["cell"]) == dataset]
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


def markdown_grid(grid: Grid) -> str:
    """A Markdown table, marked cells in bold."""
    headers, lines = grid
    rows = [list(map(markdown_text, headers)), ["---", *["---:"] * (len(headers) - 1)]]
    rows += [[f"**{markdown_text(c.text)}**" if c.best else markdown_text(c.text) for c in line] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def markdown_text(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


def latex(records: Sequence[Record], dataset: str) -> str:
    """The tables of one data set for a paper: needs the packages booktabs and graphicx, and UTF-8 input."""
    records = [record for record in records if dataset_slug(record["cell"]) == dataset]
    blocks = ["% Needs \\usepackage{booktabs,graphicx}."]
    for group in groups(records):
        for title, grid, legend in group_grids(group):
            blocks.append(latex_grid(grid, ". ".join(part for part in (title, group.title, legend) if part)))
    if costs := cost_grid(records, dataset):
        blocks.append(latex_grid(costs, f"What each variant costs on {dataset}: median [quartiles] over timed blocks."))
    return "\n\n".join(blocks) + "\n"


def latex_grid(grid: Grid, caption: str) -> str:
    """A LaTeX table with its caption, marked cells in bold."""
    headers, lines = grid
    body = [
        " & ".join(f"\\textbf{{{latex_text(c.text)}}}" if c.best else latex_text(c.text) for c in line) + r" \\"
        for line in lines
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\toprule",
            " & ".join(latex_text(header) for header in headers) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    DASH: "--",
}


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as markup, and set a leading minus as a minus."""
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", r"$-$", escaped)


TERMINAL_WIDTH = 120
# Of one table or list on a terminal or on a page that holds several; the files that it names have all.
MOST_LINES = 50
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
                found = record["metrics"].get("train_samples_per_s") if record else None
                line.append(Cell(number(found["median"], 0) if isinstance(found, dict) else DASH))
        more = (
            f"\n... and {len(group.rows) - len(lines):,} more rows, in the files"
            if len(lines) < len(group.rows)
            else ""
        )
        blocks.append(f"{_wrap(group.title, width)}\n{text_grid((headers, lines), width)}{more}")
    only = [name for dataset, found in own.items() for name in _only_timed(found, dataset)]
    if only:
        blocks.append(_wrap("Only timed: " + "; ".join(shortened(only)), width))
    if failed := failures(records):
        blocks.append("\n".join(["Runs that failed:", *(f"  {line}" for line in shortened(failed))]))
    if any(marks for group in groups(records) for marks in group.best.values()):
        blocks.append(_wrap("* " + MARK_LEGEND, width))
    return "\n\n".join(blocks) + "\n"


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    rest = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"... and {rest:,} more"] if rest > 0 else list(lines)


def text_grid(grid: Grid, width: int = TERMINAL_WIDTH) -> str:
    """A plain-text table, marked cells with a star; last columns that do not fit are left out, all but three."""
    headers, lines = grid
    cells = [[_clip(cell.text, 40) + ("*" if cell.best else " ") for cell in line] for line in lines]
    sizes = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    while len(sizes) > 3 and sum(sizes) + 2 * (len(sizes) - 1) > width:
        sizes.pop()
    rule = "-" * (sum(sizes) + 2 * (len(sizes) - 1))
    return "\n".join([_line(headers, sizes), rule, *(_line(line, sizes) for line in cells)])


def _only_timed(records: Sequence[Record], dataset: str) -> list[str]:
    seen = {row.name for group in groups(records) if group.dataset == dataset for row in group.rows}
    lines = []
    for label, column in throughput(records, dataset).columns.items():
        for name, record in sorted(column.items()):
            value = record["metrics"].get("train_samples_per_s")
            if name not in seen and isinstance(value, dict):
                lines.append(f"{name} on {dataset}, {label}: training {number(value['median'], 0)} samples/s")
    return lines


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    first = cells[0].ljust(sizes[0])
    rest = [cell.rjust(size) for cell, size in zip(cells[1:], sizes[1:], strict=False)]
    return "  ".join([first, *rest]).rstrip()
