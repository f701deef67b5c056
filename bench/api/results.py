"""A folder of runs as tidy tables, and what they say."""

import itertools
import webbrowser
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.pages import paper, report
from bench.pages.page import Report, reference_of
from bench.records.names import row_name
from bench.records.record import Record, Timed
from bench.records.store import read_all
from bench.stats import learning, metrics
from bench.stats.differences import Difference, differences, sentence
from bench.stats.groups import ERRORS, Group, Row, after, groups

if TYPE_CHECKING:
    import pandas

# Of a cell, what a run's line says beside its budget and its figures.
_CELL = ("variant", "dataset", "binarise", "seed", "device", "precision")


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
            line: dict[str, Any] = {"id": record.id, "row": row_name(cell["variant"], cell["overrides"])}
            line |= {key: cell.get(key) for key in _CELL} | {"status": record.status, "reason": record.reason}
            line |= {**cell["budget"], "protocol": record.protocol}
            line |= {name: None if isinstance(v, Timed) else v for name, v in record.metrics.items()}
            lines.append(line | record.timing)
        return _frame(lines)

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
            line |= {key: getattr(summary, key) for key in ("mean", "low", "high", "n", "std")}
            line |= {f"{kind}_se": row.error(name, kind) for kind in ERRORS}
            line |= {"best": bool(marks and row.label in marks.best)}
            lines.append(line | {"learning": bool(marks and row.label in marks.learning)})
        return _frame(lines)

    @cached_property
    def curves(self) -> "pandas.DataFrame":
        """One line for each epoch of each run: id, row, dataset, seed, epoch, train_loss, valid_elbo_nats, ..."""
        lines = []
        for record in self._quality():
            cell = record.cell
            about = {"id": record.id, "row": row_name(cell["variant"], cell["overrides"])}
            about |= {"dataset": cell["dataset"], "seed": cell["seed"]}
            lines += [{**about, **row} for row in record.curve]
        return _frame(lines)

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
        return _frame(lines)

    def pair(self, variant: str, baseline: str) -> list[Difference]:
        """Every ranked metric of one variant against another: paired differences, each with its sentence.

        Raises:
            UsageError: one of them is not there, or they are in different comparison groups.
        """
        there = {record.cell["variant"] for record in self._quality()}
        for name in (variant, baseline):
            if name not in there:
                raise UsageError(f"no run of {name!r} in {self.folder}: there are {', '.join(sorted(there))}")
        return differences([r for r in self._quality() if r.cell["variant"] in (variant, baseline)], baseline)

    def answer(self, metric: str = "elbo_nats") -> str:
        """Which variant, in a line for each comparison group: who is best by a metric, and who may be as good."""
        return "\n".join(_answer(group, metric) for group in self.groups if metric in group.metrics)

    def table(self, form: paper.Format = "markdown", columns: Sequence[str] = (), dataset: str | None = None) -> str:
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
        written = report.write(self.folder, reference=reference_of(self.folder, self.folder.resolve().name))
        if open:
            webbrowser.open((self.folder / "README.md").resolve().as_uri())
        return written

    def _quality(self) -> list[Record]:
        return [record for record in self.records if record.kind == "quality"]

    def _figures(self) -> Iterable[tuple[Group, Row, str]]:
        return ((group, row, name) for group in self.groups for row in group.rows for name in group.metrics)

    def _pair(self, group: Group, row: Row, other: Row, name: str) -> dict[str, Any]:
        found = learning.compare(row, other, name)
        about = {"group": group.id, "dataset": group.dataset, "row": row.label, "other": other.label, "metric": name}
        return about | {key: getattr(found, key) for key in ("n", "difference", "low", "high", "p_better", "verdict")}

    def __repr__(self) -> str:
        return f"Results of {len(self.records)} runs in {self.folder}"

    def _repr_html_(self) -> str:
        wide = self.scores.pivot_table(index=["dataset", "group", "row"], columns="metric", values="mean", sort=False)
        return str(wide.to_html(float_format=lambda value: f"{value:.5g}", na_rep=""))


def _answer(group: Group, metric: str) -> str:
    where = f"{group.dataset} {after(group.settings)}"
    label = metrics.metric(metric).label
    marks = group.marks.get(metric)
    rows = [row for row in group.rows if row.values(metric)]
    if not rows or marks is None:
        return f"On {where}: nobody has a figure for {label}."
    sign = 1 if metrics.metric(metric).better == "higher" else -1
    rows.sort(key=lambda row: -sign * (summary.mean if (summary := row.summary(metric)) else 0.0))
    first, rest = rows[0], rows[1:]
    if first.label in marks.best:
        as_good = [row.label for row in rest if row.label in marks.best]
        more = f"; not distinguishable from it: {', '.join(as_good)}" if as_good else ""
        return f"On {where}: {first.label} has the best {label}{more}."
    if not rest:
        return f"On {where}: {first.label} alone has a figure for {label}."
    found = sentence(learning.compare(first, rest[0], metric), first.label, rest[0].label, where, metric)
    return f"On {where}: no verdict by {label}. {found}"


def _frame(lines: Sequence[dict[str, Any]]) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(lines)
