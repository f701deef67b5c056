"""A folder of runs as tidy tables, and what they say."""

import itertools
import webbrowser
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.pages import Format, paper
from bench.pages.page import Report
from bench.records.names import row_of
from bench.records.record import Record, Timed
from bench.records.store import read_all
from bench.reproduce.rewrite import rewritten
from bench.stats import learning, metrics
from bench.stats.answer import compared, told
from bench.stats.groups import ERRORS, Group, Row, groups

if TYPE_CHECKING:
    import pandas

# Of a cell, what a run's line says beside its budget and its figures.
_CELL = ("variant", "dataset", "binarise", "seed", "device", "precision")
_SUMMARY = ("mean", "low", "high", "n", "std")
_COMPARED = ("n", "difference", "low", "high", "p_better", "verdict")
_SCORES = ("group", "dataset", "row", "metric", *_SUMMARY, *(f"{kind}_se" for kind in ERRORS), "best", "learning")
_CURVES = ("id", "row", "dataset", "seed", "epoch")
_PAIRS = ("group", "dataset", "row", "other", "metric", *_COMPARED)


def results(folder: str | Path) -> "Results":
    """What a results folder holds, as `vaebench run --out` and `bench.compare` leave it.

    Raises:
        UsageError: there are no records in it.
    """
    return Results(folder)


class Results:
    """A folder of runs. It needs no torch.

    Attributes:
        folder: where it is.
        records: every run, each once.
        warnings: a line for each file that is no record, or stands for a run that is there twice.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.records, self.warnings = read_all(self.folder)
        if not self.records:
            raise UsageError(f"no records in {folder}: give the folder that holds runs/")

    @cached_property
    def groups(self) -> list[Group]:
        """The comparison groups: nothing is ranked across two of them."""
        return groups(self.records)

    @cached_property
    def runs(self) -> "pandas.DataFrame":
        """One line a run that trains: what it is, its status, its budget, and every figure in a column of its own."""
        lines = []
        for record in self._quality():
            cell = record.cell
            line: dict[str, Any] = {"id": record.id, "row": row_of(cell)}
            line |= {key: cell.get(key) for key in _CELL} | {"status": record.status, "reason": record.reason}
            line |= {**cell["budget"], "protocol": record.protocol}
            line |= {name: None if isinstance(v, Timed) else v for name, v in record.metrics.items()}
            lines.append(line | record.timing)
        return _frame(lines, ("id", "row", *_CELL, "status", "reason"))

    @cached_property
    def scores(self) -> "pandas.DataFrame":
        """One line for each row and metric of a comparison group.

        Columns: group, dataset, row, metric, mean, low, high (95 % interval over seeds), n (seeds), std, mc_se and
        test_se (the judge's errors in one run), best and learning (marked so in the tables).
        """
        lines = []
        for group, row, name in self._figures():
            summary = row.summary(name)
            if summary is None:
                continue
            marks = group.marks.get(name)
            line: dict[str, Any] = {"group": group.id, "dataset": group.dataset, "row": row.label, "metric": name}
            line |= {key: getattr(summary, key) for key in _SUMMARY}
            line |= {f"{kind}_se": row.error(name, kind) for kind in ERRORS}
            line |= {"best": bool(marks and row.label in marks.best)}
            lines.append(line | {"learning": bool(marks and row.label in marks.learning)})
        return _frame(lines, _SCORES)

    @cached_property
    def curves(self) -> "pandas.DataFrame":
        """One line for each epoch of each run: id, row, dataset, seed, epoch, train_loss, valid_elbo_nats, ..."""
        lines = []
        for record in self._quality():
            cell = record.cell
            about = {"id": record.id, "row": row_of(cell)}
            about |= {"dataset": cell["dataset"], "seed": cell["seed"]}
            lines += [{**about, **row} for row in record.curve]
        return _frame(lines, _CURVES)

    @cached_property
    def pairs(self) -> "pandas.DataFrame":
        """One line for each pair of rows of a comparison group and each metric that is ranked: `row` minus `other`,
        paired by seed, with its 95 % interval, P(better) and verdict."""
        lines = []
        for group in self.groups:
            ranked = [name for name in group.metrics if metrics.metric(name).ranked]
            for row, other in itertools.permutations(group.rows, 2):
                for name in ranked:
                    if row.values(name) and other.values(name):
                        lines.append(self._pair(group, row, other, name))
        return _frame(lines, _PAIRS)

    def pair(self, row: str, other: str) -> list[str]:
        """One row against another: a sentence with a verdict for each ranked metric of each comparison group.

        Args:
            row: its label in the tables, or the name of a variant that has one row only.
            other: likewise.

        Raises:
            UsageError: no comparison group has both, or a name means several rows.
        """
        found = []
        for group in self.groups:
            a, b = _named(group, row), _named(group, other)
            for name in group.metrics if a and b else ():
                if a and b and metrics.metric(name).ranked and a.values(name) and b.values(name):
                    found.append(compared(group, a, b, name)[1])
        if not found:
            there = sorted({each.label for group in self.groups for each in group.rows})
            raise UsageError(f"no comparison group has figures of {row!r} and {other!r}: there are {', '.join(there)}")
        return found

    def answer(self) -> str:
        """What to take for which goal, how sure that is, and what it costs, as a run of the command line ends."""
        found = told(self.records)
        if not found:
            return "No comparison group has two rows with figures: there is nothing to answer."
        return "\n".join(line for title, lines in found for line in (title, *(f"  {line}" for line in lines)))

    def table(self, form: Format = "markdown", columns: Sequence[str] = (), dataset: str | None = None) -> str:
        """A table for a paper, as `vaebench table` writes it.

        Args:
            form: latex, markdown, csv, typst, or bibtex of the sources.
            columns: metrics, or words for them such as elbo and nll.
            dataset: only this one.

        Raises:
            UsageError: no such form, metric or data set.
        """
        if form not in paper.FORMATS:
            raise UsageError(f"form must be one of {', '.join(paper.FORMATS)}, got {form!r}")
        return paper.write(paper.made(self.records, columns, dataset), form)

    def report(self, *, open: bool = False) -> Report:
        """Write the folder's tables, plots and page, as `vaebench report` does; `open` shows the page."""
        written = rewritten(self.folder)
        if open:
            webbrowser.open(written.address)
        return written

    def _quality(self) -> list[Record]:
        return [record for record in self.records if record.kind == "quality"]

    def _figures(self) -> Iterable[tuple[Group, Row, str]]:
        return ((group, row, name) for group in self.groups for row in group.rows for name in group.metrics)

    def _pair(self, group: Group, row: Row, other: Row, name: str) -> dict[str, Any]:
        found = learning.compare(row, other, name)
        about = {"group": group.id, "dataset": group.dataset, "row": row.label, "other": other.label, "metric": name}
        return about | {key: getattr(found, key) for key in _COMPARED}

    def __repr__(self) -> str:
        return f"Results of {len(self.records)} runs in {self.folder}"

    def _repr_html_(self) -> str:
        if self.scores.empty:  # every run failed
            return str(self.runs[["row", "dataset", "seed", "status", "reason"]].to_html(index=False))
        wide = self.scores.pivot_table(index=["dataset", "group", "row"], columns="metric", values="mean", sort=False)
        return str(wide.to_html(float_format=lambda value: f"{value:.5g}", na_rep=""))


def _named(group: Group, name: str) -> Row | None:
    exact = [row for row in group.rows if name in (row.label, row.name)]
    found = exact or [row for row in group.rows if row.variant == name]
    if len(found) > 1:
        raise UsageError(f"{name!r} means several rows: say which, {' or '.join(row.label for row in found)}")
    return found[0] if found else None


def _frame(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A table; without lines it has these columns still."""
    import pandas

    return pandas.DataFrame(lines) if lines else pandas.DataFrame(columns=list(columns))
