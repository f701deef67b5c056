"""Records -> comparison groups and rows -> CSV, Markdown, LaTeX and terminal tables.

A comparison group holds the runs that may be compared: same data set and options, split, binarisation, likelihood
support, protocol, budget, measurement and precision. A row is one (group, variant, overrides, device), its runs are the
seeds. Nothing is ranked across groups, and no run is dropped: a row counts its failures and says why.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import stats
from bench.records.record import BUSY, machine
from bench.text import short

if TYPE_CHECKING:
    import pandas

from bench.records.names import canonical, dataset_slug, device_type, digest, row_name
from bench.records.record import Record

DASH = "\N{EN DASH}"
UNKNOWN = "unknown"
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
# The variant whose row the columns of differences hold the others against, where a group has one.
BASELINE = "vanilla"
# The judge's own errors in a record: Monte Carlo, and the choice of test examples.
ERRORS = ("mc", "test")


@dataclass(frozen=True, eq=False)
class Row:
    """The runs of one variant, with one set of overrides, on one device type, in one group.

    Args:
        label: what the row is called; distinct within its group.
        name: the label without the device.
        variant: registered name.
        overrides: canonical JSON of the overrides.
        device: device type, `"cpu"` or `"cuda"`.
        records: one record per seed, sorted by seed.
    """

    label: str
    name: str
    variant: str
    overrides: str
    device: str
    records: tuple[Record, ...]

    @cached_property
    def ok(self) -> list[Record]:
        """The records whose status is ok, sorted by seed."""
        return [record for record in self.records if record["status"] == "ok"]

    @property
    def failed(self) -> list[Record]:
        """All other records, sorted by seed."""
        return [record for record in self.records if record["status"] != "ok"]

    @property
    def model(self) -> Record:
        """The first non-empty description of the model, empty if every run failed before there was one."""
        return next((record["model"] for record in self.records if record.get("model")), {})

    @property
    def count(self) -> str:
        """`"5/5 ok"`, or `"3/5 ok (1 diverged, 1 timeout)"`."""
        text = f"{len(self.ok)}/{len(self.records)} ok"
        statuses = Counter(record["status"] for record in self.failed)
        return text + (f" ({', '.join(f'{n} {status}' for status, n in sorted(statuses.items()))})" if statuses else "")

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value over the ok runs; null and non-finite values are left out (`problems` names the latter).

        Empty for a time where the runs are of several machines: the mean of two machines' times is nobody's.
        """
        if metric not in self._values:
            found = {record["cell"]["seed"]: _value(record, metric) for record in self.ok}
            if metric == "train_s" and len({machine(record) for record in self.ok}) > 1:
                found = {}
            kept = {seed: value for seed, value in found.items() if value is not None and math.isfinite(value)}
            self._values[metric] = kept
        return self._values[metric]

    @cached_property
    def _values(self) -> dict[str, dict[int, float]]:
        """What `values` found: every table asks again, and a row may have thousands of seeds."""
        return {}

    def summary(self, metric: str) -> stats.Summary | None:
        """Mean and interval over the ok seeds, None where the metric does not apply."""
        values = self.values(metric)
        return stats.summarise(list(values.values())) if values else None

    def error(self, metric: str, kind: str) -> float | None:
        """Standard error of one run's figure, root mean square over the ok seeds that state it; None if none does.

        Args:
            metric: its name.
            kind: `"mc"` for the judge's draws, `"test"` for the choice of test examples.
        """
        stated = [(record.get("errors") or {}).get(metric, {}).get(kind) for record in self.ok]
        found = [value for value in stated if value is not None]
        return math.sqrt(sum(value**2 for value in found) / len(found)) if found else None


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that may be compared with each other.

    Args:
        settings: dataset, data_options, split, binarise, support, protocol, budget, measure, precision.
        rows: best ELBO first, rows without a bound last, then by label.
        of: number of rows where these are not all of them; 0 where they are.
        apart: what sets it apart from groups that are shown beside it under the same name; empty without such.
    """

    settings: Record
    rows: tuple[Row, ...]
    of: int = 0
    apart: str = ""

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that stand for the settings."""
        return digest(self.settings)

    @property
    def dataset(self) -> str:
        """`"mnist-dynamic"`: what names the files."""
        return dataset_slug(self.settings)

    @property
    def seeds(self) -> list[int]:
        """Every seed that any row was run with."""
        return sorted({record["cell"]["seed"] for row in self.rows for record in row.records})

    @cached_property
    def metrics(self) -> list[str]:
        """Every metric that any run of the group reports, also where it is null, in the order of `stats.METRICS`."""
        return stats.ordered(
            name
            for row in self.rows
            for record in row.ok
            for name, value in record["metrics"].items()
            if value is None or isinstance(value, int | float)
        )

    @property
    def title(self) -> str:
        """One line that says what the group is."""
        return f"{describe(self.settings)}; {_seed_text(self.seeds)}"

    @cached_property
    def best(self) -> dict[str, set[str]]:
        """Metric -> labels of the rows that may be marked, by the rule of `stats.best_rows`."""
        marks = {}
        for name in self.metrics:
            entry = stats.metric(name)
            if entry.ranked:
                rows = {row.label: row.values(name) for row in self.rows}
                marks[name] = stats.best_rows(rows, entry.direction == "higher")
        return marks

    @cached_property
    def _baselines(self) -> dict[str, Row | None]:
        """Device type -> the row that the others on it are held against."""
        return {device: baseline_row(self.rows, BASELINE, device) for device in {row.device for row in self.rows}}

    def baseline(self, row: Row) -> Row | None:
        """The row of the variant `BASELINE` that `row` is held against, on the same device type; None for that row."""
        base = self._baselines[row.device]
        return None if base is row else base

    def difference(self, row: Row, metric: str) -> stats.Comparison | None:
        """`row` against its baseline; None without one, or if either has no value."""
        base = self.baseline(row)
        if base is None or not (row.values(metric) and base.values(metric)):
            return None
        higher = stats.metric(metric).direction == "higher"
        return stats.paired(row.values(metric), base.values(metric), higher_better=higher)


def changes(overrides: Record) -> tuple[int, str]:
    """What to sort the rows of one variant by: the number of overrides, then their text.

    The least of a baseline variant's rows stands for it. It need not be the variant as registered: a `--set` that is
    common to all rows changes the baseline too.
    """
    return len(overrides), canonical(overrides)


def baseline_row(rows: Iterable[Row], variant: str, device: str) -> Row | None:
    """The row of `variant` on that device type with the least `changes`, None without any."""
    found = [row for row in rows if (row.variant, row.device) == (variant, device)]
    return min(found, key=lambda row: changes(json.loads(row.overrides)), default=None)


def groups(records: Iterable[Record]) -> list[Group]:
    """Sort quality records into comparison groups, in a stable order (groups with a bound first in a data set).

    A run that failed before its model was built does not know its likelihood's support. It takes that of another run
    of the same variant, overrides and data; where there is none, its support is `"unknown"`, a group of its own.
    """
    quality = [record for record in records if record["kind"] == "quality"]
    keys = [_model_key(record) for record in quality]
    known = {
        key: record["model"]["support"]
        for key, record in zip(keys, quality, strict=True)
        if (record.get("model") or {}).get("support")
    }
    members: dict[str, tuple[Record, list[Record]]] = {}
    for key, record in zip(keys, quality, strict=True):
        settings = _settings(record, known.get(key, UNKNOWN))
        members.setdefault(canonical(settings), (settings, []))[1].append(record)
    result = [Group(settings, _rows(runs)) for settings, runs in members.values()]
    return sorted(
        result,
        key=lambda group: (
            group.dataset,
            group.settings["support"] == UNKNOWN,
            not any(row.values("elbo_nats") for row in group.rows),
            canonical(group.settings),
        ),
    )


def _settings(record: Record, support: str) -> Record:
    cell = record["cell"]
    return {
        "dataset": cell["dataset"],
        "data_options": cell.get("data_options") or {},
        # The judge reads no other.
        "split": "test",
        "binarise": cell["binarise"],
        "support": support,
        "protocol": record.get("protocol"),
        "budget": cell["budget"],
        "measure": cell["measure"],
        "precision": cell["precision"],
    }


def _rows(records: list[Record]) -> tuple[Row, ...]:
    devices = {device_type(record) for record in records}
    parts: dict[tuple[str, str, str], dict[int, Record]] = {}
    for record in sorted(records, key=_age):
        cell = record["cell"]
        key = (cell["variant"], canonical(cell.get("overrides") or {}), device_type(record))
        # The latest run of a cell stands, whatever its status: taking the ok one would be choosing by result.
        parts.setdefault(key, {})[cell["seed"]] = record
    rows = []
    for key, seeds in parts.items():
        variant, overrides, device = key
        name = row_name(variant, json.loads(overrides))
        label = f"{name} [{device}]" if len(devices) > 1 else name
        runs = tuple(seeds[seed] for seed in sorted(seeds))
        rows.append(Row(label, name, variant, overrides, device, runs))

    def place(row: Row) -> tuple[bool, float, str]:
        elbo = row.summary("elbo_nats")
        return elbo is None, -elbo.mean if elbo else 0.0, row.label

    return tuple(sorted(rows, key=place))


def describe(settings: Record) -> str:
    """A group's settings in one line of plain words."""
    return ", ".join(_words(settings))


def apart(groups: Sequence[Group]) -> dict[str, str]:
    """Group id -> what it has and not all of the others have, in the words of `describe`."""
    words = {group.id: _words(group.settings) for group in groups}
    common = set.intersection(*(set(each) for each in words.values())) if words else set()
    return {name: ", ".join(word for word in each if word not in common) for name, each in words.items()}


def _words(settings: Record) -> list[str]:
    budget, measure = dict(settings["budget"]), dict(settings["measure"])
    epochs = budget.pop("epochs", None)
    train_size = budget.pop("train_size", None)
    schedule = budget.pop("schedule", None)
    options = ", ".join(f"{key}={value}" for key, value in sorted(settings["data_options"].items()))
    parts = [Path(settings["dataset"]).stem + (f" ({options})" if options else ""), f"{settings['split']} split"]
    parts.append(f"binarisation {settings['binarise'] or 'none'}")
    parts.append(
        "likelihood support unknown (every run failed before its model was built)"
        if settings["support"] == UNKNOWN
        else f"likelihood support {settings['support']}"
    )
    if epochs is not None:
        parts.append(f"{epochs:,} epoch{'s' if epochs != 1 else ''}")
    parts.append("the whole training split" if train_size is None else f"{train_size:,} training examples")
    if (batch := budget.pop("batch_size", None)) is not None:
        parts.append(f"batch {batch}")
    if (rate := budget.pop("lr", None)) is not None:
        parts.append(f"learning rate {rate:g}" + (f" ({schedule})" if schedule else ""))
    parts += [f"{key} {value}" for key, value in sorted(budget.items()) if value is not None]
    if (draws := measure.pop("elbo_samples", None)) is not None:
        parts.append(f"ELBO from {draws:,} draw{'s' if draws != 1 else ''} of z")
    draws, points = measure.pop("nll_samples", None), measure.pop("nll_points", None)
    if draws:
        parts.append(f"NLL from K = {draws:,} importance samples" + (f" on {points:,} test examples" if points else ""))
    parts += [
        f"{key.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{key.replace('_', ' ')} {value}"
        for key, value in sorted(measured(measure).items())
    ]
    parts += [settings["precision"], f"protocol {settings['protocol']}"]
    return [str(part) for part in parts]


def measured(how: Record) -> Record:
    """The settings of what is measured: a measurement that is off says nothing, nor do its other settings."""
    # Without `nll_points` all are meant.
    points = (key for key in how if key.endswith("_points") and key != "nll_points")
    off = tuple(key.removesuffix("points") for key in points if not how[key])
    return {key: value for key, value in how.items() if value and not key.startswith(off)}


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
                    value = _value(record, name)
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
            kind = [_settings(record, ""), cell["seed"]]
        else:
            kind = [dataset_slug(cell), _conditions(record)]
        key = canonical([*kind, cell["variant"], cell.get("overrides") or {}, device_type(record)])
        places.setdefault(key, []).append(record)
    lines = []
    for members in places.values():
        *earlier, latest = sorted(members, key=_age)
        lines += [f"{old['id']} is not shown: {latest['id']} has its place, started last" for old in earlier]
    return lines


def code_states(record: Record) -> set[tuple[str, bool]]:
    """Commit, short, and whether there were uncommitted changes: of the code that made the record, and, where it says
    so, of that which trained the weights, for kept weights may be measured again by later code."""
    source = record.get("provenance") or {}
    sources = [source, source["trained"]] if source.get("trained") else [source]
    return {(short(found.get("commit") or UNKNOWN), bool(found.get("dirty"))) for found in sources}


def _age(record: Record) -> tuple[str, str]:
    return str((record.get("provenance") or {}).get("started") or ""), str(record["id"])


def _model_key(record: Record) -> str:
    cell = record["cell"]
    options = cell.get("data_options") or {}
    return canonical([cell["variant"], cell.get("overrides") or {}, cell["dataset"], options, cell["binarise"]])


def _value(record: Record, metric: str) -> float | None:
    value = (record.get("timing") or {}).get(metric) if metric == "train_s" else record["metrics"].get(metric)
    return float(value) if isinstance(value, int | float) else None


def _seed_text(seeds: list[int]) -> str:
    if not seeds:
        return "no seeds"
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


@dataclass(frozen=True)
class Throughput:
    """The latest throughput record of every (variant, overrides) of one data set, by measuring conditions.

    Args:
        columns: condition label -> {row name -> record}. The label is the device type, with batch size, precision,
            threads, machine and protocol added only where the records of that device differ in them, and a precision
            that is not fp32. So speeds of two machines never stand in one column.
    """

    columns: dict[str, dict[str, Record]]

    @property
    def names(self) -> list[str]:
        """Every row name that was timed, by alphabet."""
        return sorted({name for column in self.columns.values() for name in column})


def throughput(records: Iterable[Record], dataset: str) -> Throughput:
    """Collect the throughput records of one data set (`"mnist-dynamic"`)."""
    found = [record for record in records if record["kind"] == "throughput" and dataset_slug(record["cell"]) == dataset]
    columns: dict[str, dict[str, Record]] = {}
    seen: dict[tuple[str, str], set[str]] = {}
    for record in found:
        for key, value in _conditions(record).items():
            seen.setdefault((device_type(record), key), set()).add(value)
    for record in sorted(found, key=_age):
        cell, device = record["cell"], device_type(record)
        label = device
        for key, value in _conditions(record).items():
            # A precision other than the usual is always named: these columns stand beside rows of any.
            if len(seen[device, key]) > 1 or (key == "precision" and value != "fp32"):
                label += f", {value}"
        columns.setdefault(label, {})[row_name(cell["variant"], cell.get("overrides") or {})] = record
    return Throughput({label: columns[label] for label in sorted(columns)})


def _conditions(record: Record) -> dict[str, str]:
    """What a speed depends on beside the variant and the device type, in words."""
    cell = record["cell"]
    return {
        "batch_size": f"batch {cell.get('batch_size')}",
        "precision": str(cell.get("precision")),
        "threads": f"{cell.get('threads')} threads",
        "machine": machine(record),
        "protocol": f"protocol {record.get('protocol')}",
    }


def datasets(records: Iterable[Record]) -> list[str]:
    """`["mnist-dynamic", ...]`: one page of tables each."""
    return list(by_dataset(records))


def by_dataset(records: Iterable[Record]) -> dict[str, list[Record]]:
    """`{"mnist-dynamic": its records in their order, ...}`, by alphabet."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(dataset_slug(record["cell"]), []).append(record)
    return dict(sorted(found.items()))


def frame(records: Sequence[Record]) -> "pandas.DataFrame":
    """One line per row with plain numbers: what the CSV holds.

    Columns: the comparison group and all its settings; what the row is; runs ok and in total, with the statuses of the
    rest; for every metric `_mean`, `_low`, `_high` (95 % interval over seeds), `_n` (seeds), `_seed_std`; where any
    record states them `_mc_se` and `_test_se` (the judge's errors in one run); where the metric is ranked `_best`
    (marked), and against the row that `baseline` names `_difference`, `_difference_low`, `_difference_high`,
    `_p_better`; for every throughput metric and measuring condition `_median`, `_q1`, `_q3` over blocks. A cell that
    does not apply is empty. Variants that were only timed follow with an empty group.
    """
    import pandas

    found = groups(records)
    metrics = [*stats.ordered(name for group in found for name in group.metrics), "train_s"]
    stated = {name for record in records for name in record.get("errors") or {}}
    timings = {dataset: throughput(own, dataset) for dataset, own in by_dataset(records).items()}
    names: dict[str, set[str]] = {}
    lines: list[Record] = []
    for group in found:
        timed = timings[group.dataset]
        names.setdefault(group.dataset, set()).update(row.name for row in group.rows)
        for row in group.rows:
            line: Record = {"group": group.id}
            line |= {key: canonical(v) if isinstance(v, dict) else v for key, v in group.settings.items()}
            line |= {
                "label": row.label,
                "variant": row.variant,
                "overrides": row.overrides,
                "device": row.device,
            }
            line |= {key: row.model.get(key) for key in ("network", "posterior", "prior", "likelihood", "objective")}
            line |= {"ok": len(row.ok), "total": len(row.records), "count": row.count}
            line |= {"seeds": " ".join(str(record["cell"]["seed"]) for record in row.records)}
            base = group.baseline(row)
            line["baseline"] = base.label if base else None
            for name in metrics:
                summary = row.summary(name)
                line[f"{name}_mean"] = summary.mean if summary else None
                line[f"{name}_low"] = summary.low if summary and not stats.metric(name).cost else None
                line[f"{name}_high"] = summary.high if summary and not stats.metric(name).cost else None
                line[f"{name}_n"] = summary.n if summary else 0
                line[f"{name}_seed_std"] = summary.std if summary else None
                if name in stated:
                    line |= {f"{name}_{kind}_se": row.error(name, kind) for kind in ERRORS}
                if stats.metric(name).ranked:
                    line[f"{name}_best"] = row.label in group.best.get(name, set())
                    difference = group.difference(row, name)
                    line[f"{name}_difference"] = difference.difference if difference else None
                    line[f"{name}_difference_low"] = difference.low if difference else None
                    line[f"{name}_difference_high"] = difference.high if difference else None
                    line[f"{name}_p_better"] = difference.p_better if difference else None
            lines.append(line | _timings(timed, row.name))
    for dataset, timed in timings.items():
        for name in timed.names:
            if name not in names.get(dataset, set()):
                cell = next(column[name] for column in timed.columns.values() if name in column)["cell"]
                keys = ("dataset", "binarise", "variant")
                only: Record = {key: cell[key] for key in keys}
                only |= {key: canonical(cell.get(key) or {}) for key in ("data_options", "overrides")}
                only |= {"label": name, "ok": 0, "total": 0, "count": "only timed"}
                lines.append(only | _timings(timed, name))
    return pandas.DataFrame(lines)


def _timings(timed: Throughput, name: str) -> Record:
    line: Record = {}
    for condition, column in timed.columns.items():
        slug = re.sub(r"\W+", "_", condition)
        record = column.get(name)
        if record is None:
            continue
        line[f"throughput_status_{slug}"] = record["status"]
        for metric, value in record["metrics"].items():
            if isinstance(value, dict):
                line |= {f"{metric}_{slug}_{part}": value.get(part) for part in ("median", "q1", "q3")}
            elif metric != "parameters":
                line[f"{metric}_{slug}"] = value
    return line


def tame(value: Any) -> Any:
    """`value` as a cell of a CSV file: no text in it is a formula to a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def csv(records: Sequence[Record]) -> str:
    """`frame` as comma-separated text at full precision. No text in it is a formula to a spreadsheet."""
    found = frame(records).rename(columns=tame)
    texts = found.select_dtypes(exclude=["number", "bool"]).columns
    found[texts] = found[texts].map(tame)
    return str(found.to_csv(index=False, lineterminator="\n"))


@dataclass(frozen=True)
class Cell:
    """One printed cell; `best` if it is to be marked."""

    text: str
    best: bool = False


Grid = tuple[list[str], list[list[Cell]]]


def number(value: float | None, digits: int) -> str:
    """A number with thousands separators and fixed decimals; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def spread(summary: stats.Summary | None, digits: int) -> str:
    """`"-101.20 ± 0.35"`; a dash for the half-width with fewer than 3 seeds, for all without a value."""
    if summary is None:
        return DASH
    return f"{number(summary.mean, digits)} ± {number(summary.half_width, digits)}"


def quality_grid(group: Group, metrics: Sequence[str] | None = None) -> Grid:
    """Headers and cells of a group's quality table. `metrics` picks and orders the columns, by default the main."""
    names = _of_theme(group, stats.MAIN) if metrics is None else metrics
    headers = ["variant", "runs", *(stats.metric(name).header for name in names)]
    lines = []
    for row in group.rows:
        line = [Cell(row.label), Cell(row.count)]
        for name in names:
            summary = row.summary(name)
            text = spread(summary, stats.metric(name).digits)
            if summary and summary.n < len(row.ok):
                text += f" (n={summary.n})"
            line.append(Cell(text, row.label in group.best.get(name, set())))
        lines.append(line)
    return headers, lines


def _of_theme(group: Group, theme: str) -> list[str]:
    return [name for name in group.metrics if stats.metric(name).theme == theme]


def theme_grids(group: Group) -> dict[str, Grid]:
    """Theme -> table of the group, for every theme but the main one and the costs of which any row has a value."""
    grids = {}
    for theme in stats.THEMES:
        names = [name for name in _of_theme(group, theme) if any(row.values(name) for row in group.rows)]
        if names and theme not in (stats.MAIN, stats.COST):
            grids[theme] = quality_grid(group, names)
    return grids


def certainty_grids(group: Group) -> dict[str, Grid]:
    """Theme -> how certain its figures are: seed sd, test SE and MC SE of a metric, each in a column of its own.

    The metrics are the ELBO, the NLLs and those with an error stated in any record. A column without a value is left
    out.
    """
    grids = {}
    for theme in stats.THEMES:
        columns: list[tuple[str, list[str]]] = []
        for name in _of_theme(group, theme):
            entry = stats.metric(name)
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
        if columns and theme != stats.COST:
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
    for record in sorted(records, key=_age):
        if dataset_slug(record["cell"]) == dataset and (size := record["metrics"].get("parameters")) is not None:
            sizes[row_name(record["cell"]["variant"], record["cell"].get("overrides") or {})] = size
    rows = sorted({*sizes, *timed.names})
    if not rows:
        return None
    headers = ["variant", "parameters"]
    headers += [f"{stats.metric(name).header}, {label}" for label in timed.columns for name in names]
    lines = []
    for row in rows:
        line = [Cell(row), Cell(number(sizes.get(row), 0))]
        for column in timed.columns.values():
            timing = column.get(row)
            if timing is not None and timing["status"] != "ok":
                line += [Cell(str(timing["status"]))] * len(names)
            else:
                metrics = timing["metrics"] if timing else {}
                line += [Cell(_block_text(metrics.get(name), stats.metric(name).digits)) for name in names]
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
    entry = stats.metric(metric)
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
        grids.append(("How certain" if theme == stats.MAIN else f"How certain: {theme}", grid, CERTAINTY_LEGEND))
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
