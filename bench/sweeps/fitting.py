"""Which variants of a suite cannot model which of its data: known before anything is trained."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import data
from bench.errors import UsageError
from bench.records.names import canonical, row_name
from bench.records.record import Cell
from bench.suites.suite import SUBJECT, Suite, subject
from variants import registry

if TYPE_CHECKING:
    from variants import DataSpec


def unfit(suite: Suite) -> dict[str, str]:
    """What cannot be: `subject_of` a cell -> why, in the words of the part that refuses the data.

    Each variant is built once for each data set. It does not fit if it refuses them as it is registered,
    and with its settings too: for settings that are wrong, its cells say why. What plugins define is not asked.

    Args:
        suite: a configured one.

    Raises:
        As `bench.data.spec`.
    """
    found = {}
    for choice in suite.datasets:
        spec = data.unread(data.spec(choice.name, choice.binarise, **choice.options))
        for variant in suite.variants:
            reason = _refusal(variant.name, variant.overrides, spec)
            if reason and _refusal(variant.name, {}, spec):
                found[subject_of(subject(variant, choice))] = reason
    return found


def subject_of(cell: Cell) -> str:
    """What a cell is about, as one text; of a tuned one what it is about without its settings."""
    plain = cell | {"overrides": (cell.get("tuning") or cell)["overrides"]}
    return canonical([plain[key] for key in SUBJECT])


def lines(suite: Suite, refused: Mapping[str, str]) -> list[str]:
    """A line for each data set and reason: who is left out.

    Raises:
        UsageError: nobody is left.
    """
    told: dict[tuple[str, str], list[str]] = {}
    for choice in suite.datasets:
        for variant in suite.variants:
            if reason := refused.get(subject_of(subject(variant, choice))):
                told.setdefault((choice.name, reason), []).append(row_name(variant.name, variant.overrides))
    words = [f"{', '.join(names)}: left out on {name}, for {reason}" for (name, reason), names in told.items()]
    if words and len(refused) == len({subject_of(subject(v, d)) for v in suite.variants for d in suite.datasets}):
        raise UsageError(f"no variant is left to run: {'; '.join(words)}")
    return words


def _refusal(name: str, overrides: Mapping[str, Any], spec: "DataSpec") -> str:
    """Why a variant of ours cannot be built, or nothing."""
    try:
        if registry.get(name).here:
            registry.seeded(name, spec, 0, **overrides)
    except (TypeError, ValueError) as error:
        return " ".join(str(error).split())
    except (Exception, SystemExit):
        pass  # it is broken, whatever the data are, and its cells will say so
    return ""
