"""A recipe of a user's own is held to the rules of the benchmark before anything is trained."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.engines.plugins import NoAnswer, ask
from bench.errors import UsageError
from bench.records.names import canonical
from variants import registry

# What was found to be in order, in this process.
_checked: set[tuple[object, str]] = set()


def check(wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Hold variants of users' files, and those that this process alone knows, to `check_variant`, each once.

    Built-in ones are held to it by our tests, those of installed packages by theirs.

    Args:
        wanted: names and keywords.

    Raises:
        UsageError: the first rule that is broken, in one line.
    """
    for name, overrides in wanted:
        recipe = registry.get(name)
        key = (recipe, canonical(dict(overrides)))
        if key in _checked or not (registry.is_file(name) or recipe.function):
            continue
        if recipe.function is not None:
            reason = broken(name, dict(overrides))
        else:  # a file's code may do what it likes
            (answer,) = ask(broken, [(name, dict(overrides))], patience_s=600)
            reason = answer.reason if isinstance(answer, NoAnswer) else answer
        if reason:
            raise UsageError(f"variant {name!r} cannot be trained: {reason}")
        _checked.add(key)


def broken(name: str, overrides: dict[str, Any]) -> str:
    """The first rule that a variant breaks, or nothing."""
    from variants.testing import ConformanceError, check_variant

    try:
        check_variant(name, **overrides)
    except (ConformanceError, registry.RegistryError) as error:
        return str(error)
    return ""
