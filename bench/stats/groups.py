"""Records -> comparison groups and their rows.

A comparison group holds the runs that may be compared: same data set and options, split, binarisation, likelihood
support, protocol, budget, measurement, precision, p(x) or p(x|c). A row is one (group, variant, overrides, device), its
runs are the seeds. Nothing is ranked across groups, and no run is dropped: a row counts its failures and says why.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.records.names import canonical, dataset_slug, device_type, digest, row_of
from bench.records.record import Model, Record, machine
from bench.records.settle import one_of_each, passed_over
from bench.stats import intervals, learning, metrics
from bench.stats.once import of_one, of_records

UNKNOWN = "unknown"
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
        return [record for record in self.records if record.status == "ok"]

    @property
    def failed(self) -> list[Record]:
        """All other records, sorted by seed."""
        return [record for record in self.records if record.status != "ok"]

    @property
    def model(self) -> Model:
        """The first non-empty description of the model, empty if every run failed before there was one."""
        return next((record.model for record in self.records if record.model != Model()), Model())

    @property
    def count(self) -> str:
        """`"5/5 ok"`, or `"3/5 ok (1 diverged, 1 timeout)"`."""
        text = f"{len(self.ok)}/{len(self.records)} ok"
        statuses = Counter(record.status for record in self.failed) if len(self.ok) < len(self.records) else {}
        return text + (f" ({', '.join(f'{n} {status}' for status, n in sorted(statuses.items()))})" if statuses else "")

    @of_one
    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value over the ok runs; null and non-finite values are left out (`problems` names the latter).

        Empty for a time where the runs are of several machines: the mean of two machines' times is nobody's.
        """
        values = {record.cell["seed"]: value_of(record, metric) for record in self.ok}
        if metric == "train_s" and len({machine(record) for record in self.ok}) > 1:
            return {}
        return {seed: value for seed, value in values.items() if value is not None and math.isfinite(value)}

    @of_one
    def gains(self, quantity: str) -> dict[int, learning.Gain]:
        """Seed -> what training still gained in `elbo_nats` or `recon_nats`, for the ok runs whose curve says."""
        gains = {r.cell["seed"]: learning.gain(r.curve, quantity) for r in self.ok}
        return {seed: gain for seed, gain in gains.items() if gain}

    @of_one
    def summary(self, metric: str) -> intervals.Summary | None:
        """Mean and interval over the ok seeds, None where the metric does not apply."""
        values = self.values(metric)
        return intervals.summarise(list(values.values())) if values else None

    def error(self, metric: str, kind: str) -> float | None:
        """Standard error of one run's figure, root mean square over the ok seeds that state it; None if none does.

        Args:
            metric: its name.
            kind: `"mc"` for the judge's draws, `"test"` for the choice of test examples.
        """
        stated = [record.errors.get(metric, {}).get(kind) for record in self.ok]
        errors = [value for value in stated if value is not None]
        return math.sqrt(sum(value**2 for value in errors) / len(errors)) if errors else None


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that may be compared with each other.

    Args:
        settings: dataset, data_options, split, binarise, support (of p(x|c) a conditional one), protocol, budget,
            measure, precision; of tuned runs also `tuned`, the search, and then the budget is the one without.
        rows: best ELBO first, rows without a bound last, then by label.
        of: number of rows where these are not all of them; 0 where they are.
        distinction: what sets it apart from groups that are shown beside it under the same name; empty without such.
    """

    settings: dict[str, Any]
    rows: tuple[Row, ...]
    of: int = 0
    distinction: str = ""

    @cached_property
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
        return sorted({record.cell["seed"] for row in self.rows for record in row.records})

    @cached_property
    def metrics(self) -> list[str]:
        """Every metric that any run of the group reports, also where it is null, in the order of `metrics.METRICS`."""
        return metrics.ordered(
            name
            for row in self.rows
            for record in row.ok
            for name, value in record.metrics.items()
            if value is None or isinstance(value, int | float)
        )

    @property
    def title(self) -> str:
        """One line that says what the group is."""
        units = f"; ELBO and NLL: {self.units}" if self.units else ""
        return f"{describe(self.settings)}; {_seed_text(self.seeds)}{units}"

    @property
    def units(self) -> str:
        """In which units the log densities of a user's own data are; empty for others."""
        return next((row.model.units for row in self.rows if row.model.units), "")

    @cached_property
    def marks(self) -> dict[str, intervals.Marks]:
        """Ranked metric -> labels of the rows that may be marked, by the rule of `intervals.best_rows`."""
        return {name: self._marks(name) for name in self.metrics if metrics.metric(name).ranked}

    def _marks(self, metric: str) -> intervals.Marks:
        rows = {row.label: row for row in self.rows}
        values = {label: row.values(metric) for label, row in rows.items()}
        higher = metrics.metric(metric).better == "higher"
        return intervals.best_rows(values, higher, lambda a, b: learning.compare(rows[a], rows[b], metric))

    @cached_property
    def _baselines(self) -> dict[str, Row | None]:
        """Device type -> the row that the others on it are held against."""
        return {device: baseline_row(self.rows, BASELINE, device) for device in {row.device for row in self.rows}}

    def baseline(self, row: Row) -> Row | None:
        """The row of the variant `BASELINE` that `row` is held against, on the same device type; None for that row."""
        base = self._baselines[row.device]
        return None if base is row else base

    def difference(self, row: Row, metric: str) -> intervals.Comparison | None:
        """`row` against its baseline; None without one, or if either has no value."""
        base = self.baseline(row)
        if base is None or not (row.values(metric) and base.values(metric)):
            return None
        return learning.compare(row, base, metric)


def changes(overrides: dict[str, Any]) -> tuple[int, str]:
    """What to sort the rows of one variant by: the number of overrides, then their text.

    The least of a baseline variant's rows stands for it; a `--set` that is common to all rows changes it too.
    """
    return len(overrides), canonical(overrides)


def baseline_row(rows: Iterable[Row], name: str, device: str) -> Row | None:
    """The row of that name on that device type, else that of the variant with the least `changes`; None without any."""
    named = [row for row in rows if row.device == device and name in (row.name, row.variant)]
    candidates = [row for row in named if row.name == name] or named
    return min(candidates, key=lambda row: changes(json.loads(row.overrides)), default=None)


@of_records
def groups(records: Iterable[Record]) -> list[Group]:
    """Sort quality records into comparison groups, in a stable order (groups with a bound first in a data set).

    A run that failed before its model was built does not know its likelihood's support. It takes that of another run
    of the same variant, overrides and data; where there is none, its support is `"unknown"`, a group of its own.
    """
    quality = [record for record in records if record.kind == "quality"]
    keys = [_model_key(record) for record in quality]
    known = {key: record.model for key, record in zip(keys, quality, strict=True) if record.model.support}
    members: dict[str, tuple[dict[str, Any], list[Record]]] = {}
    for key, record in zip(keys, quality, strict=True):
        settings = settings_of(record, known.get(key, Model(support=UNKNOWN)))
        members.setdefault(canonical(settings), (settings, []))[1].append(record)
    result = [Group(settings, _rows(runs)) for settings, runs in members.values()]
    return sorted(
        result,
        key=lambda group: (
            group.dataset,
            group.settings["support"] == UNKNOWN,
            is_tuned(group),
            not any(row.values("elbo_nats") for row in group.rows),
            canonical(group.settings),
        ),
    )


def settings_of(record: Record, model: Model) -> dict[str, Any]:
    """What the runs of a group have in common. Nats of p(x|c) and of p(x) are different quantities."""
    cell = record.cell
    tuning = cell.get("tuning")
    return {
        "dataset": cell["dataset"],
        "data_options": cell["data_options"],
        # The judge reads the test split alone.
        "split": "test",
        "binarise": cell["binarise"],
        "support": f"conditional {model.support}" if model.conditional else model.support,
        "protocol": record.protocol,
        "budget": (tuning or cell)["budget"],
        "measure": cell["measure"],
        "precision": cell["precision"],
        # Left out where nothing is tuned, so that such groups keep their names.
        **({"tuned": tuning["search"]} if tuning else {}),
    }


def is_tuned(group: Group) -> bool:
    """Whether the settings of its runs were chosen by trials."""
    return "tuned" in group.settings


def _row_and_seed(record: Record) -> tuple[tuple[str, str, str, str], int]:
    """The row of a run in its group (variant, overrides, device type, name), and its seed. Only what was tuned has more
    in its name than its overrides."""
    cell = record.cell
    overrides = canonical((cell.get("tuning") or cell)["overrides"])
    return (cell["variant"], overrides, device_type(record), row_of(cell)), cell["seed"]


def not_shown(records: Iterable[Record]) -> list[str]:
    """One line for each quality record that another of its row and seed counts before: their threads differ, say."""
    quality = (record for record in records if record.kind == "quality")
    return passed_over(quality, lambda record: (canonical(settings_of(record, Model())), _row_and_seed(record)))


def _rows(records: list[Record]) -> tuple[Row, ...]:
    devices = {device_type(record) for record in records}
    parts: dict[tuple[str, str, str, str], dict[int, Record]] = {}
    for (key, seed), record in one_of_each(records, _row_and_seed).items():
        parts.setdefault(key, {})[seed] = record
    rows = []
    for key, seeds in parts.items():
        variant, overrides, device, name = key
        label = f"{name} [{device}]" if len(devices) > 1 else name
        runs = tuple(seeds[seed] for seed in sorted(seeds))
        rows.append(Row(label, name, variant, overrides, device, runs))

    def sort_key(row: Row) -> tuple[bool, float, str]:
        elbo = row.summary("elbo_nats")
        return elbo is None, -elbo.mean if elbo else 0.0, row.label

    return tuple(sorted(rows, key=sort_key))


def describe(settings: dict[str, Any]) -> str:
    """A group's settings in one line of plain words."""
    return ", ".join(_words(settings))


def distinctions(groups: Sequence[Group]) -> dict[str, str]:
    """Group id -> what it has and not all of the others have, in the words of `describe`."""
    words = {group.id: _words(group.settings) for group in groups}
    common = set.intersection(*(set(each) for each in words.values())) if words else set()
    return {name: ", ".join(word for word in each if word not in common) for name, each in words.items()}


def after(settings: dict[str, Any]) -> str:
    """`"after 1 epoch of 25,000 training examples"`: the budget that a verdict speaks of."""
    budget = settings["budget"]
    at_most = "at most " if budget.get("patience") else ""
    trials = f", tuned by {settings['tuned']['trials']:,} trials" if "tuned" in settings else ""
    return f"after {at_most}{_epochs(budget.get('epochs'))} of {_examples(budget.get('train_size'))}{trials}"


def _epochs(number: int | None) -> str:
    return "training" if number is None else f"{number:,} epoch{'s' if number != 1 else ''}"


def _examples(number: int | None) -> str:
    return "the whole training split" if number is None else f"{number:,} training examples"


def _words(settings: dict[str, Any]) -> list[str]:
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
    parts += ["log p(x|c), c the label, which is no log p(x)"] if settings["support"].startswith("conditional ") else []
    if epochs is not None:
        parts.append(_epochs(epochs))
    parts.append(_examples(train_size))
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
    if search := settings.get("tuned"):
        by = f"each tuned by {search['trials']:,} trials on the validation split's {search['metric']}"
        ranges = [f"{key} {how} {ends}" for key, each in search["ranges"].items() for how, ends in each.items()]
        stream = f", stream {search['stream']}" if search["stream"] else ""
        parts.append(f"{by}{' over ' if ranges else ''}{'; '.join(ranges)}{stream}")
    return [str(part) for part in (*parts, settings["precision"], f"protocol {settings['protocol']}")]


def measured(how: dict[str, Any]) -> dict[str, Any]:
    """The settings of what is measured: a measurement that is off says nothing, nor do its other settings."""
    # An unset `nll_points` means all examples, so it turns nothing off.
    points = (key for key in how if key.endswith("_points") and key != "nll_points")
    off = tuple(key.removesuffix("points") for key in points if not how[key])
    return {key: value for key, value in how.items() if value and not key.startswith(off)}


def _model_key(record: Record) -> str:
    return canonical([record.cell[key] for key in ("variant", "overrides", "dataset", "data_options", "binarise")])


def value_of(record: Record, metric: str) -> float | None:
    """A metric of a run, or the seconds of its training; None where it has none."""
    value = record.timing.get(metric) if metric == "train_s" else record.metrics.get(metric)
    return float(value) if isinstance(value, int | float) else None


def _seed_text(seeds: list[int]) -> str:
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}" if seeds else "no seeds"


def by_dataset(records: Iterable[Record]) -> dict[str, list[Record]]:
    """`{"mnist-dynamic": its records in their order, ...}`, by alphabet."""
    records_by_name: dict[str, list[Record]] = {}
    for record in records:
        records_by_name.setdefault(dataset_slug(record.cell), []).append(record)
    return dict(sorted(records_by_name.items()))
