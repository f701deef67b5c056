"""Trials -> the settings that they choose, what more of them would have been worth, and what changes once all variants
are tuned alike."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.records.names import canonical, dataset_slug, device_type, row_name
from bench.records.record import TRIAL, Record
from bench.stats import learning, metrics
from bench.stats.groups import Group, Row, is_tuned
from bench.stats.intervals import Comparison


def metric_of(trial: Record) -> str:
    """The metric by which the trials of its search are judged."""
    name: str = trial.cell["tuning"]["search"]["metric"]
    return name


def value_of(trial: Record) -> float | None:
    """That metric on the validation split; None of a trial that failed, or has no such figure."""
    value = trial.metrics.get(f"valid_{metric_of(trial)}")
    known = trial.status == "ok" and isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def choose(trials: Iterable[Record]) -> Record | None:
    """The trial with the best value, of equals the one with the lowest number; None if none has a value.

    A trial that failed, for whatever reason, is worse than any other.
    """
    valued = [(value, trial) for trial in trials if (value := value_of(trial)) is not None]
    return min(valued, key=lambda pair: (_sign(pair[1]) * pair[0], _number(pair[1])))[1] if valued else None


def _sign(trial: Record) -> int:
    return metrics.metric(metric_of(trial)).sign


def _number(trial: Record) -> int:
    number: int = trial.cell["tuning"]["trial"]
    return number


def expected_best(values: Sequence[float], *, higher: bool) -> list[float]:
    """The expected best of n trials, for n from 1 to N, if each were drawn from these N with replacement.

    With v_1 the worst and v_N the best, E[best of n] = sum_i v_i ((i / N)^n - ((i - 1) / N)^n).

    Source: Dodge, Gururangan, Card, Schwartz and Smith 2019, arXiv:1909.03004, section 3. For n near N it is too low on
    average (Tang et al. 2020, arXiv:2004.13705).

    Args:
        values: `[N]`, at least one.
        higher: whether higher is better.
    """
    ordered = sorted(values, reverse=not higher)
    of = len(ordered)
    return [
        math.fsum(value * (((i + 1) / of) ** n - (i / of) ** n) for i, value in enumerate(ordered))
        for n in range(1, of + 1)
    ]


@dataclass(frozen=True, eq=False)
class Tried:
    """The trials of one row.

    Attributes:
        name: of the row, as it is without tuning.
        variant: registered name.
        overrides: canonical JSON of its overrides, as they are without tuning.
        device: device type.
        own: canonical JSON of the ranges that it has beside those of all.
        trials: by number.
    """

    name: str
    variant: str
    overrides: str
    device: str
    own: str
    trials: tuple[Record, ...]

    @property
    def metric(self) -> str:
        """What chooses."""
        return metric_of(self.trials[0])

    @property
    def chosen(self) -> Record | None:
        """The trial whose settings the tuned runs have."""
        return choose(self.trials)

    @property
    def valued(self) -> list[float]:
        """The values of the trials that did not fail."""
        return [value for trial in self.trials if (value := value_of(trial)) is not None]

    @property
    def expected(self) -> list[float]:
        """`expected_best` of all trials, one that failed as bad as the worst of the others; empty if all failed."""
        values, higher = self.valued, metrics.metric(self.metric).better == "higher"
        if not values:
            return []
        worst = min(values) if higher else max(values)
        return expected_best(values + [worst] * (len(self.trials) - len(values)), higher=higher)


def searches(trials: Iterable[Record]) -> dict[str, list[Tried]]:
    """`key_of` a search on its data -> the trials of each of its rows, in the order of their names."""
    found: dict[str, dict[tuple[str, str, str, str], list[Record]]] = {}
    for trial in trials:
        if trial.kind == TRIAL:
            cell = trial.cell
            row = cell["variant"], canonical(cell["tuning"]["overrides"]), device_type(trial), own_ranges(trial)
            found.setdefault(key_of(trial), {}).setdefault(row, []).append(trial)
    return {
        key: sorted(
            (
                Tried(
                    row_name(row[0], members[0].cell["tuning"]["overrides"]), *row, tuple(sorted(members, key=_number))
                )
                for row, members in rows.items()
            ),
            key=lambda tried: tried.name,
        )
        for key, rows in found.items()
    }


def key_of(record: Record) -> str:
    """What the trials of a search have in common with the runs that were tuned by it."""
    cell = record.cell
    tuning = cell["tuning"]
    return canonical([dataset_slug(cell), tuning["search"], tuning["budget"], cell["precision"], record.protocol])


def own_ranges(record: Record) -> str:
    """Canonical JSON of the ranges that the record's row has beside those of all."""
    return canonical(record.cell["tuning"].get("own", {}))


@dataclass(frozen=True)
class Swap:
    """Two rows that change places once both are tuned.

    Attributes:
        ahead: the row that is better with the defaults.
        behind: the row that is better when tuned.
        defaults: `ahead` against `behind` with the defaults.
        tuned: the same when tuned.
    """

    ahead: str
    behind: str
    defaults: Comparison
    tuned: Comparison

    @property
    def sure(self) -> bool:
        """Whether both intervals leave out zero."""
        return all(c.low is not None and c.high is not None and not c.low <= 0 <= c.high for c in self.both)

    @property
    def both(self) -> tuple[Comparison, Comparison]:
        """Before and after."""
        return self.defaults, self.tuned


@dataclass(frozen=True, eq=False)
class Tuned:
    """A group of tuned runs beside the group of the same runs with their defaults.

    Attributes:
        metric: by which the settings were chosen, on the validation split; here it is that of the test split.
        tried: the trials of each row.
        defaults: the group without tuning.
        tuned: the group with it.
    """

    metric: str
    tried: tuple[Tried, ...]
    defaults: Group
    tuned: Group

    @property
    def pairs(self) -> list[tuple[Row, Row]]:
        """Each row that both groups have, with its defaults and tuned, the best of the tuned first."""
        without = {_row(row): row for row in self.defaults.rows if row.values(self.metric)}
        rows = sorted((row for row in self.tuned.rows if row.values(self.metric)), key=self._worth)
        return [(without[_row(row)], row) for row in rows if _row(row) in without]

    def gain(self, pair: tuple[Row, Row]) -> Comparison:
        """A row when tuned against the same with its defaults, seed by seed."""
        return learning.compare(pair[1], pair[0], self.metric)

    def ranks(self) -> dict[str, tuple[int, int]]:
        """Label of a row -> its place by mean among `pairs`, with the defaults and when tuned; 1 is the best."""
        pairs = self.pairs
        before = sorted((row for row, _ in pairs), key=self._worth)
        return {row.label: (before.index(row) + 1, place) for place, (row, _) in enumerate(pairs, 1)}

    def swaps(self) -> list[Swap]:
        """Pairs of rows whose means are in another order once both are tuned; the sure ones first."""
        found = []
        for one, other in itertools.combinations(self.pairs, 2):
            a, b = sorted((one, other), key=lambda pair: self._worth(pair[0]))
            if self._worth(a[0]) < self._worth(b[0]) and self._worth(a[1]) > self._worth(b[1]):
                comparisons = (learning.compare(a[side], b[side], self.metric) for side in (0, 1))
                found.append(Swap(a[0].label, b[0].label, *comparisons))
        return sorted(found, key=lambda swap: not swap.sure)

    def _worth(self, row: Row) -> float:
        """Less is better."""
        summary = row.summary(self.metric)
        return metrics.metric(self.metric).sign * summary.mean if summary else math.inf


def _row(row: Row) -> tuple[str, str, str]:
    return row.variant, row.overrides, row.device


def tuned(groups: Sequence[Group], trials: Iterable[Record]) -> list[Tuned]:
    """Each group of tuned runs beside that with the defaults, where there is one, and the trials of its search."""
    known = searches(trials)
    found = []
    for group in filter(is_tuned, groups):
        plain = canonical({key: value for key, value in group.settings.items() if key != "tuned"})
        without = next((other for other in groups if canonical(other.settings) == plain), None)
        if without is not None:
            key = key_of(next(record for row in group.rows for record in row.records))
            rows = set(map(_row, without.rows))
            # Trials in other ranges than a tuned row's chose nothing for it.
            own: dict[tuple[str, str, str], set[str]] = {}
            for member in group.rows:
                own.setdefault(_row(member), set()).update(map(own_ranges, member.records))
            tried = [
                each
                for each in known.get(key, ())
                if (row := (each.variant, each.overrides, each.device)) in rows and each.own in own.get(row, {each.own})
            ]
            found.append(Tuned(group.settings["tuned"]["metric"], tuple(tried), without, group))
    return found
