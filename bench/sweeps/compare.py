"""Paired differences between variants: what `vaebench compare` says, and what it refuses to."""

from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import UsageError
from bench.records import names
from bench.stats import groups
from bench.suites.suite import subject
from bench.sweeps import fitting

if TYPE_CHECKING:
    from bench.suites.suite import Suite, Variant
    from variants import DataSpec


def check(suite: "Suite", baseline: str) -> None:
    """Refuse a comparison across likelihood supports before anything is run, by building every model once.

    All else that makes a comparison group is the suite's own and common to its variants. A variant that cannot be built
    is passed over: its cells will say why.

    Args:
        suite: a configured one.
        baseline: name of a variant, or of a row as tables call it.

    Raises:
        UsageError: with the first variant whose likelihood has another support than the baseline's, and what to do; or
            on some data there is nothing to compare, for these cannot be modelled by the baseline, or by no other.
    """
    from bench import data

    rows = [variant for variant in suite.variants if names.row_name(variant.name, variant.overrides) == baseline]
    rows = rows or [variant for variant in suite.variants if variant.name == baseline]
    plainest = min(rows, key=lambda variant: groups.changes(variant.overrides))
    refused = fitting.unfit(suite)
    for choice in suite.datasets:
        why = [refused.get(fitting.subject_of(subject(variant, choice))) for variant in suite.variants]
        if (no := why[suite.variants.index(plainest)]) is not None:
            raise UsageError(f"{baseline} cannot be the baseline on {choice.name}: {no}; name another variant first")
        if why.count(None) < min(2, len(why)):
            raise UsageError(f"nothing to compare {baseline} with on {choice.name}: {next(filter(None, why))}")
        spec = data.unread(data.spec(choice.name, choice.binarise, **choice.options))
        if (base := _likelihood(plainest, spec)) is None:
            continue
        for variant in suite.variants:
            other = _likelihood(variant, spec)
            if other is None or other.support == base.support:
                continue
            name = names.row_name(variant.name, variant.overrides)
            mend = f"leave {name} out"
            changed = _likelihood(variant, spec, base.name)
            if changed is not None and changed.support == base.support:
                mend += f", or give all variants one likelihood: --set likelihood={base.name}"
            raise UsageError(
                f"{name} cannot be compared with {baseline} on {choice.name}: its likelihood ({other.name}) has the "
                f"support {other.support!r}, that of {baseline} ({base.name}) {base.support!r}, and nats on different "
                f"supports are different quantities; {mend}"
            )


class _Likelihood(NamedTuple):
    name: str
    support: str


def _likelihood(variant: "Variant", spec: "DataSpec", other: str | None = None) -> _Likelihood | None:
    """A variant's likelihood, or with the `other` one; None if it cannot be built."""
    from bench.engines import plugins
    from variants import registry

    question = variant.name, spec, variant.overrides | ({"likelihood": other} if other else {})
    if registry.get(variant.name).here:
        return _built(*question)
    (answer,) = plugins.ask(_built, [question])  # a plugin's code may do what it likes
    return None if isinstance(answer, plugins.NoAnswer) else answer


def _built(name: str, spec: "DataSpec", overrides: dict[str, Any]) -> _Likelihood | None:
    from variants import registry
    from variants.parts import part_names

    try:
        model = registry.seeded(name, spec, 0, **overrides)
        support = model.likelihood.support
        return _Likelihood(str(part_names(model)["likelihood"]), support) if support else None
    except (Exception, SystemExit):
        return None
