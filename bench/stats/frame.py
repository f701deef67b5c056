"""Rows -> one table of plain numbers, and its CSV."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.records.names import canonical, digest, row_of
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.groups import ERRORS, by_dataset, groups
from bench.stats.intervals import Marks
from bench.stats.speeds import Throughput, throughput

if TYPE_CHECKING:
    import pandas


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
    import pandas

    comparison_groups = groups(records)
    metrics = [*known.ordered(name for group in comparison_groups for name in group.metrics), "train_s"]
    stated = {name for record in records for name in record.errors}
    timings = {dataset: throughput(members, dataset) for dataset, members in by_dataset(records).items()}
    slugs = _slugs({label for timed in timings.values() for label in timed.columns})
    names: dict[str, set[str]] = {}
    lines: list[dict[str, Any]] = []
    for group in comparison_groups:
        timed = timings[group.dataset]
        names.setdefault(group.dataset, set()).update(row.name for row in group.rows)
        for row in group.rows:
            line: dict[str, Any] = {"group": group.id}
            line |= {key: canonical(v) if isinstance(v, dict) else v for key, v in group.settings.items()}
            line |= {
                "label": row.label,
                "variant": row.variant,
                "overrides": row.overrides,
                "device": row.device,
            }
            line |= {
                key: getattr(row.model, key) for key in ("network", "posterior", "prior", "likelihood", "objective")
            }
            line |= {"ok": len(row.ok), "total": len(row.records), "count": row.count}
            line |= {"seeds": " ".join(str(record.cell["seed"]) for record in row.records)}
            base = group.baseline(row)
            line["baseline"] = base.label if base else None
            for name in metrics:
                summary = row.summary(name)
                line[f"{name}_mean"] = summary.mean if summary else None
                line[f"{name}_low"] = summary.low if summary and not known.metric(name).is_cost else None
                line[f"{name}_high"] = summary.high if summary and not known.metric(name).is_cost else None
                line[f"{name}_n"] = summary.n if summary else 0
                line[f"{name}_seed_std"] = summary.std if summary else None
                if name in stated:
                    line |= {f"{name}_{kind}_se": row.error(name, kind) for kind in ERRORS}
                if known.metric(name).ranked:
                    marks = group.marks.get(name, Marks())
                    line[f"{name}_best"] = row.label in marks.best
                    line[f"{name}_learning"] = row.label in marks.learning
                    difference = group.difference(row, name)
                    line[f"{name}_difference"] = difference.difference if difference else None
                    line[f"{name}_difference_low"] = difference.low if difference else None
                    line[f"{name}_difference_high"] = difference.high if difference else None
                    line[f"{name}_p_better"] = difference.p_better if difference else None
                    line[f"{name}_verdict"] = difference.verdict if difference else None
            lines.append(line | _timings(timed, row.name, slugs))
    for dataset, timed in timings.items():
        for name in timed.names:
            if name not in names.get(dataset, set()):
                cell = next(column[name] for column in timed.columns.values() if name in column).cell
                keys = ("dataset", "binarise", "variant")
                only: dict[str, Any] = {key: cell[key] for key in keys}
                only |= {key: canonical(cell.get(key) or {}) for key in ("data_options", "overrides")}
                only |= {"label": name, "ok": 0, "total": 0, "count": "only timed"}
                lines.append(only | _timings(timed, name, slugs))
    return pandas.DataFrame(lines)


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
    import pandas

    group_of = {r.id: group.id for group in groups(records) for row in group.rows for r in row.records}
    lines: list[dict[str, Any]] = []
    for record in sorted(records, key=lambda record: record.id):
        cell, made = record.cell, record.provenance
        line: dict[str, Any] = {"id": record.id, "kind": str(record.kind), "dataset": cell["dataset"]}
        line |= {key: canonical(cell.get(key) or {}) for key in ("data_options", "overrides")}
        line |= {key: cell.get(key) for key in ("binarise", "variant", "seed", "device", "threads", "precision")}
        line |= {"label": row_of(cell), "group": group_of.get(record.id)}
        line |= {"epochs": (cell.get("budget") or {}).get("epochs"), "protocol": record.protocol}
        line |= {"commit": made.commit, "started": made.started, "status": record.status, "reason": record.reason}
        line |= record.timing
        for name in known.ordered(record.metrics):
            value = record.metrics[name]
            line[name] = value.median if isinstance(value, Timed) else value
        lines.append(line)
    table = pandas.DataFrame(lines)
    measured = known.ordered({name for record in records for name in record.metrics})
    return table[[*(name for name in table.columns if name not in measured), *measured]]


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
