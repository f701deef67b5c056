"""A suite with what the user has set: keys of its sections, and keywords of its variants."""

import dataclasses
import inspect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from bench import data
from bench.engines.plugins import NoAnswer, ask
from bench.errors import UsageError
from bench.settings import SECTIONS, check_depth, convert, typed
from bench.suites.suite import DataChoice, Suite, Variant
from bench.text import decode, hint
from variants import RegistryError, registry
from variants.parts import PARTS, OptionError, assemble, options_of


def configure(suite: Suite, settings: Mapping[str, Any], own: Sequence[Mapping[str, Any]] = ()) -> Suite:
    """A suite with settings changed: keys of the budget, the measurement and the clock, and keywords of its variants.

    A variant's keyword goes to every variant of the suite that takes it. UsageError if none does, or for a value that
    all of these refuse; of some that refuse it, their own runs say so.

    Args:
        suite: any.
        settings: by key.
        own: for each variant of the suite, those of its keywords that count before the settings of all.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    keywords: dict[str, Any] = {}
    for key, value in settings.items():
        try:
            decode(check_depth, value)
        except ValueError as error:
            raise UsageError(f"setting {key}: {error}") from error
        takers = [name for name, kind in SECTIONS.items() if key in kind.__struct_fields__]
        for name in takers:
            sections[name][key] = typed(SECTIONS[name], key, value)
        if not takers:
            keywords[key] = value
    for name, values in sections.items():
        section = convert(SECTIONS[name], getattr(suite, name).plain() | values, name)
        suite = msgspec.structs.replace(suite, **{name: section})
    answers = asked_about(suite, keywords)
    # A broken variant stays as it is: its cells will say what is wrong.
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    given = zip(suite.variants, answers, strict=True)
    if refused and not any(isinstance(answer, Variant) and answer.overrides != v.overrides for v, answer in given):
        raise UsageError(refused[0].line)
    configured = [
        v if isinstance(a, NoAnswer) else a.variant if isinstance(a, Refused) else a
        for v, a in zip(suite.variants, answers, strict=True)
    ]
    for key in keywords:
        if not any(key in variant.overrides for variant in configured):
            if key in (
                of_data := {"binarise": "--binarise"} | {each: f"--data-option {each}=" for each in data.OPTIONS}
            ):
                word = f"{of_data[key]} {keywords[key]}".replace("= ", "=")
                raise UsageError(f"{key} is a matter of the data, and no setting of a model: say {word}")
            known = {key for kind in SECTIONS.values() for key in kind.__struct_fields__} | set(options_of(assemble))
            known |= {option for role in PARTS.values() for part in role.values() for option in options_of(part)}
            names = [
                variant.name + (f" ({answer.reason})" if isinstance(answer, NoAnswer) else "")
                for variant, answer in zip(suite.variants, answers, strict=True)
            ]
            asked = ", ".join(dict.fromkeys(names))
            raise UsageError(
                f"unknown setting {key!r}: no budget key, and none of {asked} takes it; {hint(key, known)}"
            )
    if own:
        pairs = zip(configured, own, strict=True)
        configured = [dataclasses.replace(v, overrides={**v.overrides, **mine}) for v, mine in pairs]
    return msgspec.structs.replace(suite, variants=tuple(configured))


@dataclasses.dataclass(frozen=True)
class Refused:
    """A variant that refuses the user's keywords, with them, and why."""

    variant: Variant
    line: str


def asked_about(suite: Suite, keywords: Mapping[str, Any]) -> list[Variant | NoAnswer | Refused]:
    """The variants with those keywords that they take; plugins are asked in a process of their own."""
    plugins = [bool(v.overrides or keywords) and not registry.get(v.name).here for v in suite.variants]
    questions = [(variant, keywords, suite.datasets) for variant in suite.variants]
    answers = iter(ask(_with_keywords, list(itertools.compress(questions, plugins))))
    return [
        next(answers) if plugin else _with_keywords(*question)
        for plugin, question in zip(plugins, questions, strict=True)
    ]


def _with_keywords(variant: Variant, keywords: Mapping[str, Any], datasets: Iterable[DataChoice]) -> Variant | Refused:
    """The variant with those keywords that it takes. UsageError if the suite's own are wrong for it."""
    overrides = {**variant.overrides, **keywords}
    if not overrides:
        return variant
    try:
        recipe = registry.get(variant.name).load()
    except RegistryError:
        return variant  # the variant's cells will say so
    parameters = inspect.signature(recipe).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        overrides = {key: value for key, value in overrides.items() if key in parameters or key in variant.overrides}
    for choice in datasets:
        spec = data.unread(data.spec(choice.name, choice.binarise, **choice.options))
        while True:
            try:
                recipe(spec, **overrides)
            except OptionError as error:
                if error.option not in keywords:
                    raise UsageError(f"{variant.name}: {error}") from error
                del overrides[error.option]
                continue
            except (TypeError, ValueError) as error:
                if _builds(recipe, spec) and keywords:
                    return Refused(dataclasses.replace(variant, overrides=overrides), f"{variant.name}: {error}")
                if _builds(recipe, spec):
                    raise UsageError(f"{variant.name}: {error}") from error
            except (Exception, SystemExit):
                pass  # the variant is broken, and its cells will say so
            break
    return dataclasses.replace(variant, overrides=overrides)


def _builds(recipe: Any, spec: Any) -> bool:
    try:
        recipe(spec)
    except (Exception, SystemExit):
        return False
    return True
