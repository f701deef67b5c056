"""A folder of runs -> tables, plots and a page that explains them. Everything here is generated; nothing is edited."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import table
from bench.errors import UsageError
from bench.pages.origins import provenance_lines
from bench.records import names
from bench.records.record import Record
from bench.stats import frame, groups, intervals, metrics

REFERENCE = Path(__file__).parents[1] / "results" / "reference"


@dataclass(frozen=True)
class Report:
    """What `write` made.

    Args:
        out: the results folder.
        files: every file written, in order.
        warnings: one line each: unreadable files, mixed commits, repeated cells, non-finite values.
        terminal: the tables as compact text, for printing.
    """

    out: Path
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    terminal: str


def write(out: Path, *, reference: Path | None = None) -> Report:
    """Read OUT/runs and write OUT/tables, OUT/plots and OUT/README.md; each file is replaced in one step.

    Args:
        out: results folder, as `vaebench run --out` leaves it.
        reference: another results folder to show the ELBO beside, for example committed results; may be missing.

    Raises:
        UsageError: if OUT holds no records.
        MachineError: if a file cannot be written.
    """
    from bench.disk.files import write_bytes
    from bench.pages import figures
    from bench.pages.figures import pictures, style
    from bench.records.store import read_all

    records, warnings = read_all(out)
    if not records:
        raise UsageError(f"no records in {out}; run `vaebench run --out {out}` first")
    artefacts, unreadable = pictures.load_artefacts(out / "runs", records)
    warnings = [*warnings, *unreadable, *table.problems(records)]
    files: list[Path] = []

    def save(path: Path, content: bytes) -> None:
        write_bytes(path, content)
        files.append(path)

    markdown: dict[str, str] = {}
    for dataset, own in groups.by_dataset(records).items():
        markdown[dataset] = table.markdown(own, dataset)
        save(out / "tables" / f"{dataset}.csv", frame.csv(own).encode())
        save(out / "tables" / f"{dataset}.md", markdown[dataset].encode())
        save(out / "tables" / f"{dataset}.tex", table.latex(own, dataset).encode())
    plots: dict[str, list[str]] = {}
    for dataset, name, figure in figures.all_figures(records, artefacts):
        save(out / "plots" / f"{name}.png", style.png(figure))
        save(out / "plots" / f"{name}.svg", style.svg(figure))
        plots.setdefault(dataset, []).append(name)

    grid: table.Grid = ([], [])
    notes: list[str] = []
    if reference is not None and reference.is_dir():
        others, unreadable = read_all(reference)
        warnings += [f"reference: {line}" for line in unreadable]
        if others:
            grid, notes = beside(records, others)
        else:
            warnings.append(f"the reference {reference.name} holds no records, so nothing is shown beside it")
    save(out / "README.md", _page(records, markdown, plots, warnings, grid, notes).encode())

    terminal = table.terminal(records)
    if grid[1]:
        terminal += f"\nTest ELBO (nats) beside the reference {reference}:\n{table.text_grid(grid, width=200)}\n"
    terminal += "".join(f"\n{note}\n" for note in notes)
    if warnings:
        terminal += "\n" + "\n".join(f"warning: {line}" for line in table.shortened(warnings)) + "\n"
    return Report(out, tuple(files), tuple(warnings), terminal)


def reference_of(out: Path, suite: str) -> Path | None:
    """The committed results of a suite to show beside those in `out`, if there are any and they are not these."""
    folder = REFERENCE / suite
    return folder if folder.is_dir() and folder.resolve() != out.resolve() else None


def beside(records: Sequence[Record], reference: Sequence[Record]) -> tuple[table.Grid, list[str]]:
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
            difference = f"{mine.mean - yours.mean:+.2f}" if mine and yours else table.DASH
            cells = [group.dataset, row.label, _elbo(row, mine), _elbo(twin, yours), difference]
            lines.append([table.Cell(cell) for cell in cells])
    return (["data", "variant", "here", "reference", "here - reference"], lines), notes


def _elbo(row: groups.Row | None, summary: intervals.Summary | None) -> str:
    """`"-101.20 ± 0.35, 5 seeds, cpu"`; a dash without a row or a value."""
    if row is None or summary is None:
        return table.DASH
    return f"{table.spread(summary, 2)}, {summary.n} seed{'s' if summary.n > 1 else ''}, {row.device}"


def _nearest(group: groups.Group, others: Iterable[groups.Group]) -> str:
    """Why nothing compares: the fewest settings in which any group of the reference's same data differs."""
    found = [_differences(group.settings, other.settings) for other in others if other.dataset == group.dataset]
    if not found:
        return "the reference has no runs on this data"
    _, fewest = min((len(differences), differences) for differences in found)
    return f"not comparable with the reference, which differs in {', '.join(fewest)}"


def _differences(ours: Record, theirs: Record, prefix: str = "") -> list[str]:
    """`["budget.epochs (2 here, 10 there)", ...]`."""
    lines = []
    for key in sorted({*ours, *theirs}):
        here, there = ours.get(key), theirs.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            lines += _differences(here, there, f"{prefix}{key}.")
        elif here != there:
            lines.append(f"{prefix}{key} ({here} here, {there} there)")
    return lines


def _page(
    records: Sequence[Record],
    markdown: dict[str, str],
    plots: dict[str, list[str]],
    warnings: Sequence[str],
    grid: table.Grid,
    notes: Sequence[str],
) -> str:
    blocks = ["# Results", "Generated by `vaebench report` from the records in [`runs/`](runs). Do not edit."]
    failed = table.failures(records)
    quality = sum(record["kind"] == "quality" for record in records)
    blocks.append(
        f"{quality} quality runs and {len(records) - quality} throughput runs, {len(failed)} of them not ok"
        + (" (each is listed with its reason below its data set's tables)." if failed else ".")
    )
    if warnings:
        blocks += ["## Warnings", _list(map(table.markdown_text, table.shortened(warnings)))]
    blocks += ["## How to read this", _list(_reading(records))]
    for dataset, tables in markdown.items():
        links = ", ".join(f"[{form}](tables/{dataset}.{end})" for form, end in _FORMS)
        blocks += [f"## {dataset}", f"The same tables as {links}.", _first_lines(tables.rstrip())]
        for name in plots.get(dataset, []):
            title = name.removeprefix(dataset).lstrip("-_").replace("_", " ")
            blocks.append(f"![{dataset}: {title}](plots/{name}.png)")
    if grid[1] or notes:
        blocks.append("## Beside the reference")
        if grid[1]:
            blocks.append("Test ELBO in nats per example; the settings are equal, the device may differ.")
            blocks.append(table.markdown_grid(grid))
        blocks += [_list(map(table.markdown_text, notes))] if notes else []
    blocks += ["## Where the numbers come from", _list(provenance_lines(records))]
    return "\n\n".join(blocks) + "\n"


def _first_lines(tables: str) -> str:
    """Of each block, a table or a list, the first lines; the files that stand beside hold all."""
    blocks = []
    for block in tables.split("\n\n"):
        lines = block.split("\n")
        head = 2 if block.startswith("|") else 0
        rest = len(lines) - head - table.MOST_LINES
        blocks.append("\n".join(lines[: head + table.MOST_LINES]) + (f"\n\n... and {rest:,} more" if rest > 0 else ""))
    return "\n\n".join(blocks)


_FORMS = (("CSV at full precision", "csv"), ("Markdown", "md"), ("LaTeX", "tex"))


def _reading(records: Sequence[Record]) -> list[str]:
    used = metrics.ordered(name for group in groups.groups(records) for name in group.metrics)
    if any(record["kind"] == "throughput" for record in records):
        used = metrics.ordered([*used, *(name for r in records if r["kind"] == "throughput" for name in r["metrics"])])
    entries = [metrics.metric(name) for name in used]
    return [
        "The tables below one line in bold are one comparison group: same data, split, binarisation, likelihood "
        "support, budget, measurement, precision and protocol. Nothing is ranked across groups.",
        _selection(records),
        f"{table.SPREAD_LEGEND} {table.DASH} means not applicable, or too few seeds.",
        table.MARK_LEGEND,
        table.COMPARISON_LEGEND,
        table.CERTAINTY_LEGEND,
        "`docs/metrics.md` in the repository defines every column: formula, source, cost, and what it must not be "
        "compared with. In short:",
        *(f"**{table.markdown_text(entry.header)}**: {table.markdown_text(entry.definition)}." for entry in entries),
    ]


def _selection(records: Sequence[Record]) -> str:
    if any((record["cell"].get("budget") or {}).get("patience") for record in records):
        return (
            "Where a group's line names a patience, training ended that many epochs after the best validation ELBO "
            "(beta = 1, after the warm-up), and the best epoch's weights are judged; else the last weights are, "
            "after a fixed schedule. The test split is never read before training has ended."
        )
    return (
        "Nothing was selected: a model is judged with its last weights, after a fixed schedule. The validation split "
        "feeds the learning curve alone; the test split is never read before training has ended."
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
