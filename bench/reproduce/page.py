"""Findings -> CSV, Markdown, LaTeX, a plot and a page that explains them. Needs no torch."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pages import grids, origins, tables
from bench.pages.blocks import Block, Heading, Items, Table, Text
from bench.pages.grids import markdown_text
from bench.pages.page import Page, Report, csv_text
from bench.records.notes import NOTE
from bench.records.record import PROTOCOL, Record
from bench.records.store import read_all
from bench.reproduce import plot, published
from bench.reproduce.effects import effects
from bench.reproduce.published import Row
from bench.reproduce.verdict import Finding, findings, not_shown, protocol_of, short_source
from bench.stats import groups, intervals, metrics
from bench.text import DASH

# What a narrow terminal shows of every figure.
KEEPS = ("published", "ours", "verdict")
COLUMNS = (
    *("row", "title", "metric", "published", "published_stderr", "our_figure", "ours_mean", "ours_low", "ours_high"),
    *("seed_std", "seeds", "runs", "epochs", "difference", "tolerance_below", "tolerance_above"),
    *("verdict", "reason", "source", "read"),
)
VERDICTS = {
    "agrees": "the difference is within the tolerance, which was stated before the runs",
    "differs": "the difference is outside the tolerance, which was stated before the runs",
    "not comparable": "the two are not the same quantity, for a reason that is given",
    "unverified source": "nobody has seen the figure in its source: it counts neither way",
    "failed": "no run gave the figure",
    "not run": "there is no run of this row yet",
}
EFFECTS = {
    "reproduced": "the whole 95 % interval has the sign of the source, and lies within the tolerance of its difference",
    "not reproduced": "no part of the interval does",
    "undecided": "a part of the interval does and a part does not, or there is no interval",
}
DISAGREE = ("differs", "not reproduced")


def write(out: Path, table: published.Table, profile: str, asked: Sequence[Row]) -> Report:
    """Read OUT/runs, judge the runs, and write OUT/tables, OUT/plots and OUT/README.md; each file in one step.

    Args:
        out: results folder.
        table: the published one.
        profile: one of its profiles.
        asked: rows that were asked for. The page also shows what was run before of the others.

    Raises:
        MachineError: a file cannot be written.
    """
    records, warnings = read_all(out)
    names = {row.name for row in asked}
    judged = findings(table, profile, table.rows, records)
    shown = [finding for finding in judged if finding.verdict != "not run" or finding.row in names]
    rows = {finding.row: finding for finding in shown}
    left = ", ".join(row.name for row in table.rows if row.name not in rows)
    few = [f"{name} {len(f.values)} of {f.runs}" for name, f in rows.items() if 0 < len(f.values) < f.runs]
    head = (
        f"Published: {markdown_text(table.source)}. Profile: `{profile}`."
        + (f" Not run: {left}." if left else "")
        + (f" Fewer seeds than planned so far: {', '.join(few)}." if few else "")
    )
    tail: list[Block] = [Heading("What counts as agreement"), Text(_paragraph(table.reasons[profile]))]
    if table.notes:
        tail += [Heading("How we differ from the source"), Items([_paragraph(note) for note in table.notes])]
    recipes = [_recipe(table, profile, row) for row in table.rows if row.name in rows]
    tail += [Heading("What was run"), Items(recipes)]
    note = {**table.origin, "profile": profile}
    compared = effects(table, profile, judged)
    return save(out, note, f"{table.title}, {profile}", shown, records, [Text(head)], tail, warnings, compared)


def save(
    out: Path,
    note: Mapping[str, str],
    title: str,
    findings: Sequence[Finding],
    records: Sequence[Record],
    head: Sequence[Block],
    tail: Sequence[Block],
    warnings: Sequence[str],
    compared: Sequence[Finding] = (),
) -> Report:
    """Write tables, plot and page of these findings: all is made before the first is written.

    Args:
        out: results folder.
        note: by which `rewrite` finds what the page is of.
        title: of page, tables and plot.
        findings: what is shown, in order.
        records: what it was made from, for the lines of provenance.
        head: of the page before its table.
        tail: after it.
        warnings: one line each.
        compared: effects, of which the page has a table of their own.
    """
    warnings = [*warnings, *not_shown(records)]
    if (protocol := protocol_of(records)) != PROTOCOL:
        warnings.append(
            f"these runs are of protocol {protocol}; under {PROTOCOL}, this version's, figures are others: "
            "`vaebench reproduce` runs them anew"
        )
    shown = [Table(findings_grid(findings), f"{title}. {tally(findings)}.", label="tab:vaebench-figures", keeps=KEEPS)]
    counted = tally(findings)
    if compared:
        counted += f"; {tally(compared, 'effect', EFFECTS)}"
        caption = f"{title}. {tally(compared, 'effect', EFFECTS)}."
        shown.append(Table(findings_grid(compared, "effect"), caption, label="tab:vaebench-effects", keeps=KEEPS))
    both = [*findings, *compared]
    why = Items([markdown_text(line) for line in reasons(both)])
    page = Page(out, markdown_text(title), by="vaebench reproduce")
    page.attach(NOTE, json.dumps(note) + "\n")
    page.add(*head, Text(f"**{counted}.**"))
    page.tables("tables/figures", shown, csv=csv_text(rows(both), COLUMNS))
    page.picture("plots/figures", plot.figure(findings, title), "Published and ours")
    page.section("Why", why)
    page.section("How to read this", Items(_reading(findings, compared)))
    page.add(*tail)
    page.warn(warnings)
    page.section("Where the numbers come from", Items(origins.provenance_lines(records) if records else []))
    page.screen = [*shown, why, Text(f"{counted}.")]
    return page.write()


def tally(findings: Sequence[Finding], thing: str = "figure", verdicts: Iterable[str] = VERDICTS) -> str:
    """`"8 figures (2 of them repeat another row's run): 6 agree, 1 differs, 1 not comparable"`."""
    counts = Counter[str](finding.verdict for finding in findings)
    words = {"agrees": "agree", "differs": "differ"}
    parts = [f"{counts[v]} {words.get(v, v) if counts[v] != 1 else v}" for v in verdicts if counts[v]]
    total, earlier = len(findings), _earlier(findings)
    again = sum(finding.row in earlier for finding in findings)
    repeated = f" ({again} of them repeat{'s' if again == 1 else ''} another row's run)" if again else ""
    return f"{total} {thing}{'s' if total != 1 else ''}{repeated}: {', '.join(parts) or 'none'}"


def _earlier(findings: Iterable[Finding]) -> dict[str, str]:
    """Rows whose run an earlier row has, with the name of that row."""
    first: dict[str, str] = {}
    names = {finding.row: first.setdefault(finding.run, finding.row) for finding in findings}
    return {row: name for row, name in names.items() if row != name}


def reasons(findings: Iterable[Finding]) -> list[str]:
    """One line for each finding of which the table does not say why, those of one reason together."""
    by_reason: dict[tuple[str, str], dict[str, None]] = {}
    for finding in findings:
        text = finding.reason or ("no explanation is given" if finding.verdict in DISAGREE else "")
        if text:
            by_reason.setdefault((finding.verdict, text), {})[f"{finding.row} {finding.metric}"] = None
    return [f"{verdict}: {', '.join(names)}: {text}" for (verdict, text), names in by_reason.items()]


def findings_grid(findings: Sequence[Finding], thing: str = "row") -> grids.Grid:
    """Headers and cells: published | ours (mean, interval, seeds, epochs) | difference | tolerance | verdict."""
    sources: dict[tuple[str, str], set[str]] = {}
    for finding in findings:
        sources.setdefault((finding.row, finding.metric), set()).add(finding.source)
    lines: list[list[str | grids.Entry]] = []
    for finding in findings:
        many = len(sources[finding.row, finding.metric]) > 1
        digits = metrics.metric(finding.ours).digits
        low, high = min(finding.epochs, default=0), max(finding.epochs, default=0)
        error = "" if finding.stderr is None else f" ± {grids.number(finding.stderr, digits)} (SE)"
        texts = [
            finding.row,
            f"{finding.metric} ({short_source(finding)})" if many else finding.metric,
            grids.number(finding.published, digits) + error,
            _ours(finding.summary, digits),
            f"{len(finding.values)}/{finding.runs}",
            (str(high) if low == high else f"{low} to {high}") if high else DASH,
            DASH if finding.difference is None else f"{finding.difference:+,.{digits}f}",
            DASH if finding.tolerance is None else str(finding.tolerance),
        ]
        lines.append([*texts, grids.Entry(finding.verdict, best=finding.verdict in DISAGREE)])
    return grids.grid(
        [thing, "figure", "published", "ours", "seeds", "epochs", "difference", "tolerance", "verdict"], lines
    )


def _ours(summary: intervals.Summary | None, digits: int) -> str:
    """Without a dash where there are too few seeds for an interval."""
    if summary is None or summary.half_width is not None:
        return grids.spread(summary, digits)
    return grids.number(summary.mean, digits)


def rows(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One dictionary a finding, by `COLUMNS`, at full precision."""
    lines = []
    for f in findings:
        s, t = f.summary, f.tolerance
        ours = (s.mean, s.low, s.high, s.std) if s else (None,) * 4
        values = (
            *(f.row, f.title, f.metric, f.published, f.stderr, f.ours, *ours),
            *(len(f.values), f.runs, " ".join(map(str, f.epochs)), f.difference),
            *((t.below, t.above) if t else (None, None)),
            *(f.verdict, f.reason, f.source, f.read),
        )
        lines.append(dict(zip(COLUMNS, values, strict=True)))
    return lines


def _reading(findings: Sequence[Finding], compared: Sequence[Finding]) -> list[str]:
    shown = {finding.verdict for finding in [*findings, *compared]}
    read = dict.fromkeys(f"{finding.source} ({finding.read})" for finding in findings)
    return [
        "**published**, **ours**, **difference** (ours minus published) and **tolerance** have the sign of the source.",
        tables.SPREAD_LEGEND,
        "**seeds**: ok runs of those planned; **epochs**: that they were trained for.",
        *(
            f"**{markdown_text(row)}** is no run of its own: its published figures stand beside those of the run "
            f"of **{markdown_text(name)}**."
            for row, name in _earlier(findings).items()
        ),
        *(f"**{verdict}**: {meaning}." for verdict, meaning in VERDICTS.items() if verdict in shown),
        *(
            ["**effect**: the first row minus the second, seed by seed, beside what the source has."]
            if compared
            else []
        ),
        *(f"**{verdict}**: {meaning}." for verdict, meaning in EFFECTS.items() if verdict in shown),
        *(
            f"**{markdown_text(metric)}** is our `{ours}`: {markdown_text(metrics.metric(ours).says)}."
            for metric, ours in dict.fromkeys((finding.metric, finding.ours) for finding in findings)
        ),
        f"Figures were read in: {'; '.join(map(grids.markdown_text, read))}.",
    ]


def _recipe(table: published.Table, profile: str, row: Row) -> str:
    cell = table.suite(profile, [row]).cells("cpu")[0]
    # A backtick would end the code that the settings are shown as.
    settings = ", ".join(f"{key}={json.dumps(v)}" for key, v in cell["overrides"].items()).replace("`", "\\u0060")
    budget = ", ".join(f"{key} {value}" for key, value in cell["budget"].items() if value is not None)
    measure = ", ".join(f"{key} {value}" for key, value in groups.measured(cell["measure"]).items())
    title = markdown_text(row.title)
    return f"**{row.name}**, {title}: `{row.variant}({settings})`; {budget}; measured with {measure}."


def _paragraph(text: str) -> str:
    """A text as a paragraph of Markdown: neither heading nor list, whatever it begins with."""
    return re.sub(r"^(?=[#+=~-])|^(\d+)(?=[.)](\s|$))", r"\1\\", markdown_text(text.strip()))
