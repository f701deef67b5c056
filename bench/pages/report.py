"""A folder of runs -> tables, plots and a page that explains them. Everything here is generated; nothing is edited."""

from collections.abc import Sequence
from pathlib import Path

from bench import text
from bench.errors import UsageError
from bench.pages import doubts, figures, grids, paper, tables, tuning
from bench.pages.blocks import Items, Table, Text
from bench.pages.figures.pictures import load_artefacts
from bench.pages.html.report import report as html_report
from bench.pages.origins import provenance_lines
from bench.pages.page import Page, Report, csv_text
from bench.pages.reference_comparison import against_reference
from bench.records.record import TRIAL, Record
from bench.records.store import read_all
from bench.stats import frame, groups, metrics
from bench.stats.once import once
from bench.stats.tuning import tuned


@once()
def write(out: Path, *, reference: Path | None = None) -> Report:
    """Read OUT/runs and write OUT/tables, OUT/plots and OUT/README.md: all is made before the first is written.

    Args:
        out: results folder, as `vaebench run --out` leaves it.
        reference: another results folder to show the ELBO beside, for example committed results; may be missing.

    Raises:
        UsageError: if OUT holds no records.
        MachineError: if a file cannot be written.
    """
    found, warnings = read_all(out, ("quality", "throughput", TRIAL))
    records = [record for record in found if record.kind != TRIAL]
    trials = [record for record in found if record.kind == TRIAL]
    if not records:
        raise UsageError(f"no records in {out}; run `vaebench run --out {out}` first")
    artefacts, unreadable = load_artefacts(out / "runs", records)
    grid: grids.Grid = ([], [])
    notes: list[str] = []
    warnings = [*warnings, *unreadable, *doubts.problems(records)]
    if reference is not None and reference.is_dir():
        others, unreadable = read_all(reference)
        warnings += [f"reference: {line}" for line in unreadable]
        if others:
            grid, notes = against_reference(records, others)
        else:
            warnings.append(f"the reference {reference.name} holds no records, so nothing is shown beside it")

    page = Page(out, "Results", by="vaebench report")
    failed = len(doubts.failures(records))
    quality = sum(record.kind == "quality" for record in records)
    page.add(
        Text(
            f"{_runs(quality, 'quality')} and {_runs(len(records) - quality, 'throughput')}, {failed} of them not ok"
            + (" (each is listed with its reason below its data set's tables)." if failed else ".")
        )
    )
    page.warn(warnings)
    page.section("How to read this", Items(_reading(records)))
    for dataset, members in groups.by_dataset(records).items():
        page.section(dataset)
        for_paper = paper.write(paper.made(members), "latex") if any(r.kind == "quality" for r in members) else ""
        page.tables(f"tables/{dataset}", tables.blocks(members, dataset), csv=frame.csv(members), latex=for_paper)
        its_trials = groups.by_dataset(trials).get(dataset, [])
        page.add(*tuning.blocks(groups.groups(members), its_trials))
        for name, figure in figures.drawn(dataset, members, artefacts, its_trials):
            title = name.removeprefix(dataset).lstrip("-_").replace("_", " ")
            page.picture(f"plots/{name}", figure, f"{dataset}: {title}")
    page.attach("tables/runs.csv", frame.runs_csv(records))
    whole = ["every run a line: [runs.csv](tables/runs.csv)"]
    if trials:
        page.attach("tables/trials.csv", csv_text(tuning.rows(trials)))
        whole.append("every trial a line: [trials.csv](tables/trials.csv)")
    if quality:
        page.attach("tables/papers.bib", paper.write(paper.made(records), "bibtex"))
        whole.append("sources of the variants: [papers.bib](tables/papers.bib)")
    page.screen = tables.screen(records)
    if grid[1] or notes:
        page.section("Beside the reference")
        if grid[1]:
            page.add(Text("Test ELBO in nats per example; the settings are equal, the device may differ."), Table(grid))
            page.screen.append(Text(f"Test ELBO (nats) beside the reference {grids.markdown_text(str(reference))}:"))
            page.screen.append(Table(grid, keeps=grid[0][-1:]))
        page.add(Items([grids.markdown_text(note) for note in notes]))
        page.screen += [Text(grids.markdown_text(note)) for note in notes]
    page.screen += tables.answer(records)
    page.screen += [
        Text(f"{grids.markdown_text(each.tuned.dataset)}: {grids.markdown_text(tuning.verdict(each))}")
        for each in tuned(groups.groups(records), trials)
        if len(each.pairs) > 1
    ]
    page.section("Where the numbers come from", Items([*provenance_lines(records), *whole]))
    page.html = lambda: html_report(records, artefacts, warnings, trials)
    return page.write()


def _runs(count: int, kind: str) -> str:
    return f"{count} {kind} run{'s' if count != 1 else ''}"


def _reading(records: Sequence[Record]) -> list[str]:
    scored = (name for group in groups.groups(records) for name in group.metrics)
    timed = (name for record in records if record.kind == "throughput" for name in record.metrics)
    entries = metrics.legend([*scored, *timed])
    return [
        "The tables below one line in bold are one comparison group: same data, split, binarisation, likelihood "
        "support, budget, measurement, precision and protocol. Nothing is ranked across groups.",
        _selection(records),
        f"{tables.SPREAD_LEGEND} {text.DASH} means not applicable, or too few seeds.",
        tables.MARK_LEGEND,
        tables.COMPARISON_LEGEND,
        tables.CERTAINTY_LEGEND,
        "`docs/metrics.md` in the repository defines every column: formula, source, cost, and what it must not be "
        "compared with. In short:",
        *(f"**{grids.markdown_text(entry.header)}**: {grids.markdown_text(entry.says)}." for entry in entries),
    ]


def _selection(records: Sequence[Record]) -> str:
    tuned = any("tuning" in record.cell for record in records)
    if any((record.cell.get("budget") or {}).get("patience") for record in records):
        return (
            "Where a group's line names a patience, training ended that many epochs after the best validation ELBO "
            "(beta = 1, after the warm-up), and the best epoch's weights are judged; else the last weights are, "
            f"after a fixed schedule.{' The validation split chose the settings of tuned rows.' if tuned else ''} The "
            "test split is never read before training has ended."
        )
    return (
        f"Nothing was selected{' but the settings of tuned rows' if tuned else ''}: a model is judged with its last "
        "weights, after a fixed schedule. The validation split feeds the learning curve"
        f"{' and trials' if tuned else ''} alone; the test split is never read before training has ended."
    )
