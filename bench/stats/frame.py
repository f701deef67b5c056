"""Rows -> one table of plain numbers, and its CSV."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.records.names import canonical, digest, row_of
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.groups import ERRORS, Group, Row, by_dataset, groups
from bench.stats.intervals import Marks
from bench.stats.speeds import Throughput, throughput

if TYPE_CHECKING:
    import pandas

# End of a column's name -> the part of a comparison with the baseline.
COMPARED = {
    "difference": "difference",
    "difference_low": "low",
    "difference_high": "high",
    "p_better": "p_better",
    "verdict": "verdict",
}


def frame(records: Sequence[Record]) -> "pandas.DataFrame":
    """One line per row with plain numbers: what the CSV holds.

    Columns: the comparison group and all its settings; what the row is; runs ok and in total, with the statuses of the
    rest; for every metric `_mean`, `_low`, `_high` (95 % interval over seeds), `_n` (seeds), `_seed_std`; where any
    record states them `_mc_se` and `_test_se` (the judge's errors in one run); where the metric is ranked `_best`
    (marked) and `_learning` (marked as such instead), and against the row that `baseline` names `_difference`,
    `_difference_low`, `_difference_high`, `_p_better`, `_verdict`; for every throughput metric and measuring condition
    `_median`, `_q1`, `_q3` over blocks. A cell that does not apply is empty. Variants that were only timed follow with
    an empty group.
    """
    comparison_groups = groups(records)
    metrics = [*known.ordered(name for group in comparison_groups for name in group.metrics), "train_s"]
    stated = {name for record in records for name in record.errors}
    timings = {dataset: throughput(members, dataset) for dataset, members in by_dataset(records).items()}
    slugs = _slugs({label for timed in timings.values() for label in timed.columns})
    pairs = [(group, row) for group in comparison_groups for row in group.rows]
    names: dict[str, set[str]] = {}
    for group, row in pairs:
        names.setdefault(group.dataset, set()).add(row.name)
    only = [
        _only_timed(name, timed, slugs)
        for dataset, timed in timings.items()
        for name in timed.names
        if name not in names.get(dataset, set())
    ]
    # Column by column: of many rows their lines as dictionaries would be gigabytes.
    table = _Table(only)
    settings = {
        group: {k: canonical(v) if isinstance(v, dict) else v for k, v in group.settings.items()}
        for group in comparison_groups
    }
    if pairs:
        table.add("group", (group.id for group, _ in pairs))
        for key in dict.fromkeys(key for each in settings.values() for key in each):
            table.add(key, (settings[group].get(key) for group, _ in pairs))
        for key in ("label", "variant", "overrides", "device"):
            table.add(key, (getattr(row, key) for _, row in pairs))
        for key in ("network", "posterior", "prior", "likelihood", "objective"):
            table.add(key, (getattr(row.model, key) for _, row in pairs))
        table.add("ok", (len(row.ok) for _, row in pairs))
        table.add("total", (len(row.records) for _, row in pairs))
        table.add("count", (row.count for _, row in pairs))
        table.add("seeds", (" ".join(str(record.cell["seed"]) for record in row.records) for _, row in pairs))
        bases = (group.baseline(row) for group, row in pairs)
        table.add("baseline", (base.label if base else None for base in bases))
        for name in metrics:
            _add_metric(table, name, pairs, name in stated)
    by_row = [_timings(timings[group.dataset], row.name, slugs) for group, row in pairs]
    for key in dict.fromkeys(key for line in [*by_row, *only] for key in line if key not in table.columns):
        table.add(key, (line.get(key) for line in by_row))
    return table.frame()


class _Table:
    """A table that is made column by column.

    Args:
        more: lines that follow: column -> value.
    """

    def __init__(self, more: Sequence[Mapping[str, Any]] = ()) -> None:
        self.more = more
        self.columns: dict[str, pandas.Series[Any]] = {}

    def add(self, name: str, values: Iterable[Any]) -> None:
        """A column, of which the lines that follow have a value or none."""
        import pandas

        self.columns[name] = pandas.Series([*values, *(line.get(name) for line in self.more)])

    def frame(self) -> "pandas.DataFrame":
        """All of it."""
        import pandas

        return pandas.DataFrame(self.columns)


def _add_metric(table: _Table, name: str, pairs: Sequence[tuple[Group, Row]], stated: bool) -> None:
    """The columns of one metric."""
    entry = known.metric(name)
    summaries = [row.summary(name) for _, row in pairs]
    table.add(f"{name}_mean", (summary.mean if summary else None for summary in summaries))
    for end in ("low", "high"):
        of_ends = (getattr(summary, end) if summary and not entry.is_cost else None for summary in summaries)
        table.add(f"{name}_{end}", of_ends)
    table.add(f"{name}_n", (summary.n if summary else 0 for summary in summaries))
    table.add(f"{name}_seed_std", (summary.std if summary else None for summary in summaries))
    if stated:
        for kind in ERRORS:
            table.add(f"{name}_{kind}_se", (row.error(name, kind) for _, row in pairs))
    if entry.ranked:
        marks = {group: group.marks.get(name, Marks()) for group, _ in pairs}
        table.add(f"{name}_best", (row.label in marks[group].best for group, row in pairs))
        table.add(f"{name}_learning", (row.label in marks[group].learning for group, row in pairs))
        compared = [group.difference(row, name) for group, row in pairs]
        for part, of in COMPARED.items():
            table.add(f"{name}_{part}", (getattr(each, of) if each else None for each in compared))


def _only_timed(name: str, timed: Throughput, slugs: Mapping[str, str]) -> dict[str, Any]:
    """The line of a variant of which nothing but the speed is known."""
    cell = next(column[name] for column in timed.columns.values() if name in column).cell
    line: dict[str, Any] = {key: cell[key] for key in ("dataset", "binarise", "variant")}
    line |= {key: canonical(cell.get(key) or {}) for key in ("data_options", "overrides")}
    return line | {"label": name, "ok": 0, "total": 0, "count": "only timed"} | _timings(timed, name, slugs)


def _slugs(labels: Collection[str]) -> dict[str, str]:
    """Measuring condition -> the end of its columns' names; with a digest where another condition would have the same.

    Example: `{"cpu, A B": "cpu_A_B_8d2b5f30", "cpu, A-B": "cpu_A_B_0d6cf4a1", "cpu, C": "cpu_C"}`.
    """
    slugs = {label: re.sub(r"\W+", "_", label) for label in labels}
    times = Counter(slugs.values())
    return {label: slug if times[slug] == 1 else f"{slug}_{digest(label)}" for label, slug in slugs.items()}


def _timings(timed: Throughput, name: str, slugs: Mapping[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for condition, column in timed.columns.items():
        slug = slugs[condition]
        record = column.get(name)
        if record is None:
            continue
        line[f"throughput_status_{slug}"] = record.status
        for metric, value in record.metrics.items():
            if isinstance(value, Timed):
                line |= {f"{metric}_{slug}_{part}": getattr(value, part) for part in ("median", "q1", "q3")}
            elif metric != "parameters":
                line[f"{metric}_{slug}"] = value
    return line


def without_formula(value: Any) -> Any:
    """`value` as a cell of a CSV file: no text in it is a formula to a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def runs(records: Sequence[Record]) -> "pandas.DataFrame":
    """One line per run, tidy: what it is, how it ended, and a column for every metric.

    Columns: `id`, `kind` (`quality` or `throughput`), `dataset`, `data_options`, `binarise`, `variant`, `overrides`,
    `label`, `seed`, `device`, `threads`, `precision`, `epochs`, `group` (the comparison group of a quality run),
    `protocol`, `commit`, `started`, `status`, `reason`, the seconds of the run, then the metrics. Of a timed metric it
    is the median over blocks. A cell that does not apply is empty.
    """
    group_of = {r.id: group.id for group in groups(records) for row in group.rows for r in row.records}
    ordered = sorted(records, key=lambda record: record.id)
    cells = [record.cell for record in ordered]
    table = _Table()
    table.add("id", (record.id for record in ordered))
    table.add("kind", (str(record.kind) for record in ordered))
    table.add("dataset", (cell["dataset"] for cell in cells))
    for key in ("data_options", "overrides"):
        table.add(key, (canonical(cell.get(key) or {}) for cell in cells))
    for key in ("binarise", "variant", "seed", "device", "threads", "precision"):
        table.add(key, (cell.get(key) for cell in cells))
    table.add("label", (row_of(cell) for cell in cells))
    table.add("group", (group_of.get(record.id) for record in ordered))
    table.add("epochs", ((cell.get("budget") or {}).get("epochs") for cell in cells))
    table.add("protocol", (record.protocol for record in ordered))
    for key in ("commit", "started"):
        table.add(key, (getattr(record.provenance, key) for record in ordered))
    for key in ("status", "reason"):
        table.add(key, (getattr(record, key) for record in ordered))
    for key in dict.fromkeys(key for record in ordered for key in record.timing):
        table.add(key, (record.timing.get(key) for record in ordered))
    for name in known.ordered({name for record in ordered for name in record.metrics}):
        values = (record.metrics.get(name) for record in ordered)
        table.add(name, (value.median if isinstance(value, Timed) else value for value in values))
    return table.frame()


def runs_csv(records: Sequence[Record]) -> str:
    """`runs` as comma-separated text at full precision. No text in it is a formula to a spreadsheet."""
    return _text(runs(records))


def csv(records: Sequence[Record]) -> str:
    """`frame` as comma-separated text at full precision. No text in it is a formula to a spreadsheet."""
    return _text(frame(records))


def _text(table: "pandas.DataFrame") -> str:
    table = table.rename(columns=without_formula)
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    table[texts] = table[texts].map(without_formula)
    return str(table.to_csv(index=False, lineterminator="\n"))
