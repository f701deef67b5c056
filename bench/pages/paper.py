"""Records -> tables for a paper: few metrics, short captions, names that a reader knows, and their sources."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bench.errors import UsageError
from bench.pages import Format, blocks, citations
from bench.pages.grids import Entry, Grid, markdown_text, number, spread
from bench.pages.latex import latex_text
from bench.pages.page import csv_text
from bench.records.names import slug
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.groups import Group, Row, after, by_dataset, groups
from bench.stats.intervals import Marks, Summary
from bench.stats.speeds import Throughput, of_group, throughput
from bench.text import DASH, hint
from variants import registry

FORMATS = get_args(Format)
# What a table shows of which nobody has said what.
COLUMNS = ("elbo", "nll", "kl", "mse")


@dataclass(frozen=True)
class PaperTable:
    """One comparison group in one table."""

    group: Group
    metrics: tuple[str, ...]
    speeds: dict[str, dict[Row, float]]
    label: str

    @property
    def caption(self) -> str:
        """At most 40 words."""
        settings = self.group.settings
        support = f"{settings['support']} likelihoods"
        words = f"Test scores on {self.group.dataset} ({support}) {after(settings)}.".split()
        return " ".join(words[:40])

    def notes(self, half: str) -> list[str]:
        """What a reader must know of the figures, and all settings; `half` says how half an interval is printed."""
        rows, marks = self.group.rows, [self.group.marks.get(name, Marks()) for name in self.metrics]
        counts = {len(row.ok) for row in rows}
        over = f"{(n := counts.pop())} seed{'s' if n != 1 else ''}" if len(counts) == 1 else "the seeds that finished"
        lines = [f"Mean over {over}" + ("." if self._few else f"; {half} half of the 95 % interval.")]
        if any(mark.best for mark in marks):
            lines.append("Bold: the best, and what cannot be told from it in pairs of equal seeds.")
        if any(mark.learning for mark in marks):
            lines.append("† Still learning: longer training may reverse the order of these rows.")
        return [*lines, f"Settings: {self.group.title}."]

    @property
    def _few(self) -> bool:
        summaries = [row.summary(name) for row in self.group.rows for name in self.metrics]
        return all(summary is None or summary.half_width is None for summary in summaries)

    def grid(self, compact: bool = False) -> Grid:
        """Headers and cells; `compact` for `-93.41(59)` in place of `-93.41 ± 0.59`."""
        some_failed = any(row.failed for row in self.group.rows)
        lines = []
        for row in self.group.rows:
            line = [Entry(row_label(row)), *([Entry(f"{len(row.ok)}/{len(row.records)}")] if some_failed else [])]
            for name in self.metrics:
                marks, digits = self.group.marks.get(name, Marks()), known.metric(name).digits
                if (speed := self.speed(row, name)) is not None:
                    text = number(speed, digits)
                else:
                    text = (_compact if compact else spread)(row.summary(name), digits).removesuffix(f" ± {DASH}")
                text += " †" if row.label in marks.learning else ""
                line.append(Entry(text.replace(" †", "†") if compact else text, row.label in marks.best))
            lines.append(line)
        return ["Variant", *(["Runs"] if some_failed else []), *(known.metric(n).header for n in self.metrics)], lines

    def speed(self, row: Row, name: str) -> float | None:
        """Median over timed blocks, where the metric is one of these."""
        return self.speeds.get(name, {}).get(row)

    def sources(self) -> dict[str, list[str]]:
        """Display name -> BibTeX keys of its sources."""
        found = {citations.display_name(v): citations.keys(_paper(v)) for v in _variants(self.group)}
        return {name: keys for name, keys in found.items() if keys}


def row_label(row: Row) -> str:
    """`"Conv + full covariance (latent=50)"`."""
    return citations.display_name(row.variant) + row.label.removeprefix(row.variant)


def _compact(summary: Summary | None, digits: int) -> str:
    """The mean with half its interval in units of the last digit: two digits of it, and no finer than `digits`."""
    if summary is None:
        return DASH
    half = summary.half_width
    if half is None or not half > 0:
        return number(summary.mean, digits)
    places = min(digits, max(0, 1 - math.floor(math.log10(half))))
    if round(half * 10**places) >= 100:  # 9.96 has two digits, and is 10
        places = max(0, places - 1)
    return f"{number(summary.mean, places)}({max(1, round(half * 10**places))})"


def made(records: Sequence[Record], columns: Sequence[str] = (), dataset: str | None = None) -> list[PaperTable]:
    """A table for each comparison group that has any of the columns.

    Args:
        records: of a results folder.
        columns: metrics by name, label or the beginning of a name (`nll`); without any, `COLUMNS`.
        dataset: only this one, by the name of its tables (`mnist-dynamic`) or the data set's own.

    Raises:
        UsageError: a metric or a data set that no record has.
    """
    by_name = by_dataset([record for record in records if record.kind == "quality"])
    own = {name: members[0].cell["dataset"] for name, members in by_name.items()}
    chosen = [name for name in by_name if dataset in (None, name, own[name])]
    if not chosen:
        words = [*by_name, *own.values()]
        raise UsageError(
            f"no data set {dataset!r} here: {hint(str(dataset), words)}"
            if words
            else "no quality runs to make a table of"
        )
    found = [group for group in groups(records) if group.dataset in chosen]
    speeds = {group: _speeds(group, throughput(records, group.dataset)) for group in found}
    available = {group: known.ordered([*group.metrics, *speeds[group], "train_s"]) for group in found}
    for word in columns:
        if not any(_metric(word, names) for names in available.values()):
            words = [n.removesuffix("_nats") for n in known.ordered({n for names in available.values() for n in names})]
            raise UsageError(f"no metric {word!r} in these records: {hint(word, words)}")
    many = Counter((group.dataset, group.settings["support"]) for group in found)
    tables = []
    for group in found:
        here = speeds[group]
        wanted = dict.fromkeys(filter(None, (_metric(word, available[group]) for word in columns or COLUMNS)))
        has = [n for n in wanted if n in here or any(row.values(n) for row in group.rows)]
        support = group.settings["support"]
        end = f"-{group.id}" if many[group.dataset, support] > 1 else ""
        if has:
            label = f"tab:vaebench-{group.dataset}-{slug(str(support))}{end}"
            tables.append(PaperTable(group, tuple(has), {n: here[n] for n in has if n in here}, label))
    if columns and not tables:
        raise UsageError(f"no row here has a value of {', '.join(columns)}: choose other columns")
    return tables


def _metric(word: str, available: Sequence[str]) -> str | None:
    """The metric that is meant: by its name, then by its label, then by how its name begins.

    Of metrics that differ in a number, the number of samples say, a word without one means that of the highest.
    """
    if word in available:
        return word
    for fits in (
        lambda name: known.metric(name).label.lower() == word.lower(),
        lambda name: name.startswith(f"{word}_"),
        lambda name: name.startswith(word) and not (word[-1:].isdigit() and name.removeprefix(word)[:1].isdigit()),
    ):
        if name := next(filter(fits, available), None):
            if re.search(r"\d", word):
                return name
            alike = re.sub(r"\d+", r"\\d+", name)
            return [each for each in available if re.fullmatch(alike, each)][-1]
    return None


def _speeds(group: Group, timed: Throughput) -> dict[str, dict[Row, float]]:
    """Timed metric -> row -> median, see `speeds.of_group`."""
    speeds: dict[str, dict[Row, float]] = {}
    for row, record in of_group(group, timed).items():
        for metric, value in record.metrics.items():
            if isinstance(value, Timed) and value.median is not None:
                speeds.setdefault(metric, {})[row] = value.median
    return speeds


def _variants(group: Group) -> list[str]:
    return list(dict.fromkeys(row.variant for row in group.rows))


def _paper(variant: str) -> str:
    """What a built-in recipe names as its source; of a plugin nothing, for its code would have to be run."""
    recipe = registry.recipes().get(variant)
    return str(recipe.describe()["paper"]) if recipe and recipe.built_in else ""


def write(tables: Sequence[PaperTable], form: Format) -> str:
    """The tables in one of the `FORMATS`; `bibtex` is the entries that the LaTeX tables cite."""
    if form == "bibtex":
        return citations.bibtex(_paper(variant) for table in tables for variant in _variants(table.group))
    if form == "csv":
        return csv_text([line for table in tables for line in _csv(table)])
    if form == "typst":
        return "\n\n".join(map(_typst, tables)) + "\n"
    if form == "markdown":
        return blocks.markdown([block for table in tables for block in _markdown(table)])
    made_blocks = []
    for table in tables:
        notes = table.notes("in brackets, in units of the last digit,")
        if cited := [rf"{latex_text(name)}~\cite{{{','.join(keys)}}}" for name, keys in table.sources().items()]:
            notes.append(f"latex:Sources: {', '.join(cited)}.")
        made_blocks.append(blocks.Table(table.grid(compact=True), table.caption, tuple(notes), table.label))
    return blocks.latex(made_blocks)


def _markdown(table: PaperTable) -> list[blocks.Block]:
    notes = [markdown_text(note) for note in table.notes("±")]
    return [
        blocks.Text(f"**{markdown_text(table.caption)}**"),
        blocks.Table(table.grid()),
        blocks.Text(" ".join(notes)),
    ]


def _csv(table: PaperTable) -> list[dict[str, object]]:
    lines = []
    for row in table.group.rows:
        line: dict[str, object] = {"dataset": table.group.dataset, "group": table.group.id, "label": row.label}
        line |= {"variant": row.variant, "name": row_label(row), "ok": len(row.ok), "total": len(row.records)}
        for name in table.metrics:
            summary = row.summary(name)
            line[f"{name}_mean"] = summary.mean if summary else table.speed(row, name)
            line[f"{name}_half_width"] = summary.half_width if summary else None
        lines.append(line)
    return lines


def _typst(table: PaperTable) -> str:
    headers, lines = table.grid()
    align = ", ".join(["left", *["right"] * (len(headers) - 1)])
    head = ", ".join(f"[*{_typst_text(header)}*]" for header in headers)
    body = [
        "    " + ", ".join(f"[*{_typst_text(c.text)}*]" if c.best else f"[{_typst_text(c.text)}]" for c in line) + ","
        for line in lines
    ]
    notes = " ".join(table.notes("±"))
    return "\n".join(
        [
            "#figure(",
            "  kind: table,",
            f"  caption: [{_typst_text(table.caption)}],",
            f"  [#table(columns: {len(headers)}, align: ({align}), stroke: none,",
            "    table.hline(),",
            f"    table.header({head}),",
            "    table.hline(),",
            *body,
            "    table.hline(),",
            "  )",
            f"  #text(size: 0.8em)[{_typst_text(notes)}]],",
            f") <{re.sub(r'[^A-Za-z0-9_:.-]', '-', table.label)}>",
        ]
    )


def _typst_text(text: str) -> str:
    """Escape what Typst would read as markup."""
    return "".join(f"\\{letter}" if letter in r"\*_#$@<>[]`~=-+/" else letter for letter in text)
