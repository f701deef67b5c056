"""Paired differences between variants: what `vaebench compare` says, and what it refuses to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench import stats, table
from bench.errors import UsageError
from bench.records import names

if TYPE_CHECKING:
    from bench.suite import Suite, Variant
    from variants import DataSpec


@dataclass(frozen=True)
class Difference:
    """One metric of one variant against the baseline in one comparison group.

    Attributes:
        dataset: data set and binarisation.
        variant: row label.
        baseline: row label it is held against.
        metric: metric name.
        comparison: `stats.Comparison` as a dictionary.
        sentence: the same in plain words.
    """

    dataset: str
    variant: str
    baseline: str
    metric: str
    comparison: dict[str, Any]
    sentence: str


def check(suite: "Suite", baseline: str) -> None:
    """Refuse a comparison across likelihood supports before anything is run, by building every model once.

    All else that makes a comparison group is the suite's own and common to its variants. A variant that cannot be built
    is passed over: its cells will say why.

    Raises:
        UsageError: with the first variant whose likelihood has another support than the baseline's, and what to do.
    """
    from bench import data

    homes = [variant for variant in suite.variants if variant.name == baseline]
    home = min(homes, key=lambda variant: table.changes(variant.overrides))
    for choice in suite.datasets:
        spec = data.spec(choice.name, choice.binarise, **choice.options)
        if (base := _likelihood(home, spec)) is None:
            continue
        for variant in suite.variants:
            found = _likelihood(variant, spec)
            if found is None or found.support == base.support:
                continue
            name = names.row_name(variant.name, variant.overrides)
            mend = f"leave {name} out"
            changed = _likelihood(variant, spec, base.name)
            if changed is not None and changed.support == base.support:
                mend += f", or give all variants one likelihood: --set likelihood={base.name}"
            raise UsageError(
                f"{name} cannot be compared with {baseline} on {choice.name}: its likelihood ({found.name}) has the "
                f"support {found.support!r}, that of {baseline} ({base.name}) {base.support!r}, and nats on different "
                f"supports are different quantities; {mend}"
            )


@dataclass(frozen=True)
class _Likelihood:
    name: str
    support: str


def _likelihood(variant: "Variant", spec: "DataSpec", other: str | None = None) -> _Likelihood | None:
    """A variant's likelihood, or with the `other` one; None if it cannot be built."""
    from bench import outside
    from variants import registry

    question = variant.name, spec, variant.overrides | ({"likelihood": other} if other else {})
    if registry.get(variant.name).built_in:
        return _built(*question)
    (answer,) = outside.each(_built, [question])  # a plugin's code may do what it likes
    return None if isinstance(answer, outside.Silent) else answer


def _built(name: str, spec: "DataSpec", overrides: dict[str, Any]) -> _Likelihood | None:
    from variants import registry
    from variants.parts import part_names

    try:
        model = registry.seeded(name, spec, 0, **overrides)
        support = model.likelihood.support
        return _Likelihood(str(part_names(model)["likelihood"]), support) if support else None
    except (Exception, SystemExit):
        return None


def differences(records: Iterable[dict[str, Any]], baseline: str) -> list[Difference]:
    """Every row against the baseline variant's row on the same data and device, in every metric that is ranked.

    A row of which every run failed before its model was built has no values, and nothing is said of it.

    Raises:
        UsageError: if a row with values stands in another comparison group than the baseline's, with what differs.
    """
    groups = table.groups(records)
    places = {row: group for group in groups for row in group.rows}
    found = []
    for group in groups:
        for row in group.rows:
            # Of all groups of the same data: one that may not be compared is refused, not passed over.
            near = [other for other, home in places.items() if _data(home) == _data(group)]
            base = table.baseline_row(near, baseline, row.device)
            if base is None or row is base or not row.ok or not base.ok:
                continue
            home = places[base]
            unequal = [key for key, value in group.settings.items() if home.settings[key] != value]
            if unequal:
                reasons = "; ".join(f"{key} {group.settings[key]!r}, not {home.settings[key]!r}" for key in unequal)
                raise UsageError(
                    f"{row.label} cannot be compared with {base.label} on {group.dataset}, they are in different "
                    f"comparison groups: {reasons}; run both with the same settings"
                )
            for metric in group.metrics:
                if stats.metric(metric).ranked and row.values(metric) and base.values(metric):
                    found.append(_difference(group.dataset, row, base, metric))
    return found


def _data(group: table.Group) -> str:
    return names.canonical([group.settings[key] for key in ("dataset", "data_options", "binarise")])


def _difference(dataset: str, row: table.Row, base: table.Row, metric: str) -> Difference:
    higher = stats.metric(metric).direction == "higher"
    result = stats.paired(row.values(metric), base.values(metric), higher_better=higher)
    words = stats.sentence(result, row.label, base.label, dataset, metric)
    return Difference(dataset, row.label, base.label, metric, asdict(result), words)
