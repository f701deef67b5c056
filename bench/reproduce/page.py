"""Findings -> CSV, Markdown, LaTeX, a plot and a page that explains them. Needs no torch."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.disk.files import write_bytes
from bench.pages import grids, origins, tables
from bench.pages.page import Report
from bench.records.notes import NOTE
from bench.records.record import PROTOCOL, Record
from bench.records.store import read_all
from bench.reproduce.published import Row, Table
from bench.reproduce.verdict import Finding, findings, not_shown, protocol_of, short_source
from bench.stats import frame, groups, intervals, metrics
from bench.text import DASH

COLUMNS = (
    *("row", "title", "metric", "published", "published_stderr", "our_figure", "ours_mean", "ours_low", "ours_high"),
    *("seed_std", "seeds", "runs", "epochs", "difference", "tolerance_below", "tolerance_above"),
    *("verdict", "reason", "source", "read"),
)
VERDICTS = {
    "agrees": "the difference is within the tolerance, which was stated before the runs",
    "differs": "it is not",
    "not comparable": "the two are not the same quantity, for a reason that is given",
    "unverified source": "nobody has seen the figure in its source: it counts neither way",
    "failed": "no run gave the figure",
    "not run": "there is no run of this row yet",
}


def write(out: Path, published: Table, profile: str, asked: Sequence[Row]) -> Report:
    """Read OUT/runs, judge the runs, and write OUT/tables, OUT/plots and OUT/README.md; each file in one step.

    Args:
        out: results folder.
        published: the table.
        profile: one of its profiles.
        asked: rows that were asked for. The page also shows what was run before of the others.

    Raises:
        MachineError: a file cannot be written.
    """
    records, warnings = read_all(out)
    found = findings(published, profile, published.rows, records)
    shown = [finding for finding in found if finding.verdict != "not run" or finding.row in {row.name for row in asked}]
    names = {finding.row for finding in shown}
    left = [row.name for row in published.rows if row.name not in names]
    short = {finding.row: f"{finding.row} {len(finding.values)} of {finding.runs}" for finding in shown}
    few = [short[f.row] for f in {f.row: f for f in shown}.values() if 0 < len(f.values) < f.runs]
    head = [
        f"Published: {grids.markdown_text(published.source)}. Profile: `{profile}`."
        + (f" Not run: {', '.join(left)}." if left else "")
        + (f" Fewer seeds than planned so far: {', '.join(few)}." if few else ""),
    ]
    tail = ["## What counts as agreement", _block(published.reasons[profile])]
    if published.notes:
        tail += ["## How we differ from the source", _list(map(_block, published.notes))]
    tail += ["## What was run", _list(_recipe(published, profile, row) for row in published.rows if row.name in names)]
    note = {**published.origin, "profile": profile}
    return save(out, note, f"{published.title}, {profile}", shown, records, head, tail, warnings)


def save(
    out: Path,
    note: Mapping[str, str],
    title: str,
    found: Sequence[Finding],
    records: Sequence[Record],
    head: Sequence[str],
    tail: Sequence[str],
    warnings: Sequence[str],
) -> Report:
    """Write tables, plot and page of these findings: all is made before the first is written.

    Args:
        out: results folder.
        note: by which `rewrite` finds what the page is of.
        title: of page, tables and plot.
        found: what is shown, in order.
        records: what it was made from, for the lines of provenance.
        head: paragraphs of the page before its table.
        tail: paragraphs after it.
        warnings: one line each.
    """
    from bench.pages.figures import style
    from bench.reproduce.plot import figure

    warnings = [*warnings, *not_shown(records)]
    if (protocol := protocol_of(records)) != PROTOCOL:
        warnings.append(
            f"these runs are of protocol {protocol}; under {PROTOCOL}, this version's, figures are others: "
            "`vaebench reproduce` runs them anew"
        )
    grid = findings_grid(found)
    made: dict[str, bytes] = {
        NOTE: (json.dumps(note) + "\n").encode(),
        "tables/figures.csv": _csv(found).encode(),
        "tables/figures.md": (grids.markdown_grid(grid) + "\n").encode(),
        "tables/figures.tex": (grids.latex_grid(grid, f"{title}. {tally(found)}.") + "\n").encode(),
    }
    picture = figure(found, title)
    if picture is not None:
        made |= {"plots/figures.png": style.png(picture), "plots/figures.svg": style.svg(picture)}
    why = reasons(found)
    blocks = [
        f"# {grids.markdown_text(title)}",
        "Written by `vaebench reproduce` from the records in [`runs/`](runs). Do not edit.",
        *head,
        f"**{tally(found)}.**",
        grids.markdown_grid(grid),
        "The same table as [CSV at full precision](tables/figures.csv), [Markdown](tables/figures.md), "
        "[LaTeX](tables/figures.tex).",
        *(["![Published and ours](plots/figures.png)"] if picture is not None else []),
        *(["## Why", _list(map(grids.markdown_text, why))] if why else []),
        "## How to read this",
        _list(_reading(found)),
        *tail,
        *(["## Warnings", _list(map(grids.markdown_text, warnings))] if warnings else []),
        *(["## Where the numbers come from", _list(origins.provenance_lines(records))] if records else []),
    ]
    made["README.md"] = ("\n\n".join(blocks) + "\n").encode()
    for name, content in made.items():
        write_bytes(out / name, content)
    lines = [grids.text_grid(grid, width=200), "", *why, *([""] if why else []), f"{tally(found)}."]
    files = tuple(out / name for name in made)
    return Report(out, files, tuple(warnings), "\n".join([*lines, *(f"warning: {line}" for line in warnings)]))


def tally(found: Sequence[Finding]) -> str:
    """`"8 figures (2 of them repeat another row's run): 6 agree, 1 differs, 1 not comparable"`."""
    counts = Counter[str](finding.verdict for finding in found)
    words = {"agrees": "agree", "differs": "differ"}
    parts = [f"{counts[v]} {words.get(v, v) if counts[v] != 1 else v}" for v in VERDICTS if counts[v]]
    total, earlier = len(found), _earlier(found)
    again = sum(finding.row in earlier for finding in found)
    repeated = f" ({again} of them repeat another row's run)" if again else ""
    return f"{total} figure{'s' if total != 1 else ''}{repeated}: {', '.join(parts) or 'none'}"


def _earlier(found: Iterable[Finding]) -> dict[str, str]:
    """Rows whose run an earlier row has, with the name of that row."""
    first: dict[str, str] = {}
    names = {finding.row: first.setdefault(finding.run, finding.row) for finding in found}
    return {row: name for row, name in names.items() if row != name}


def reasons(found: Iterable[Finding]) -> list[str]:
    """One line for each finding of which the table does not say why, those of one reason together."""
    by_reason: dict[tuple[str, str], dict[str, None]] = {}
    for finding in found:
        text = finding.reason or ("no explanation is given" if finding.verdict == "differs" else "")
        if text:
            by_reason.setdefault((finding.verdict, text), {})[f"{finding.row} {finding.metric}"] = None
    return [f"{verdict}: {', '.join(names)}: {text}" for (verdict, text), names in by_reason.items()]


def findings_grid(found: Sequence[Finding]) -> grids.Grid:
    """Headers and cells: published | ours (mean, interval, seeds, epochs) | difference | tolerance | verdict."""
    headers = ["row", "figure", "published", "ours", "seeds", "epochs", "difference", "tolerance", "verdict"]
    lines = []
    sources: dict[tuple[str, str], set[str]] = {}
    for finding in found:
        sources.setdefault((finding.row, finding.metric), set()).add(finding.source)
    for finding in found:
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
            finding.verdict,
        ]
        lines.append([grids.Cell(text, best=text == "differs") for text in texts])
    return headers, lines


def _ours(summary: intervals.Summary | None, digits: int) -> str:
    whole = summary is None or summary.half_width is not None
    return grids.spread(summary, digits) if whole else grids.number(summary.mean, digits)  # type: ignore[union-attr]


def rows(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """One dictionary a finding, by `COLUMNS`, at full precision."""
    lines = []
    for f in found:
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


def _csv(found: Sequence[Finding]) -> str:
    buffer = io.StringIO()
    lines = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    lines.writeheader()
    lines.writerows({key: frame.tame(value) for key, value in line.items()} for line in rows(found))
    return buffer.getvalue()


def _reading(found: Sequence[Finding]) -> list[str]:
    shown = {finding.verdict for finding in found}
    read = dict.fromkeys(f"{finding.source} ({finding.read})" for finding in found)
    return [
        "**published**, **ours**, **difference** (ours minus published) and **tolerance** have the sign of the source.",
        tables.SPREAD_LEGEND,
        "**seeds**: ok runs of those planned; **epochs**: that they were trained for.",
        *(
            f"**{grids.markdown_text(row)}** is no run of its own: its published figures stand beside those of the run "
            f"of **{grids.markdown_text(name)}**."
            for row, name in _earlier(found).items()
        ),
        *(f"**{verdict}**: {meaning}." for verdict, meaning in VERDICTS.items() if verdict in shown),
        *(
            f"**{grids.markdown_text(metric)}** is our `{ours}`: {grids.markdown_text(metrics.metric(ours).says)}."
            for metric, ours in dict.fromkeys((finding.metric, finding.ours) for finding in found)
        ),
        f"Figures were read in: {'; '.join(map(grids.markdown_text, read))}.",
    ]


def _recipe(published: Table, profile: str, row: Row) -> str:
    cell = published.suite(profile, [row]).cells("cpu")[0]
    # A backtick would end the code that the settings are shown as.
    settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in cell["overrides"].items()).replace(
        "`", "\\u0060"
    )
    budget = ", ".join(f"{key} {value}" for key, value in cell["budget"].items() if value is not None)
    measure = ", ".join(f"{key} {value}" for key, value in groups.measured(cell["measure"]).items())
    title = grids.markdown_text(row.title)
    return f"**{row.name}**, {title}: `{row.variant}({settings})`; {budget}; measured with {measure}."


def _block(text: str) -> str:
    """A text as a paragraph of Markdown: neither heading nor list, whatever it begins with."""
    return re.sub(r"^(?=[#+=~-])|^(\d+)(?=[.)](\s|$))", r"\1\\", grids.markdown_text(text.strip()))


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
