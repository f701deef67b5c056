"""Tuning: the trials of a suite as cells, and the runs that have the settings of the best of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from bench.errors import UsageError
from bench.records.names import canonical, row_name
from bench.records.record import Cell, Record
from bench.settings import Budget, Measure, typed
from bench.stats import metrics, tuning
from bench.suites.search import FIRST_SEED, Range, Search, as_json
from bench.suites.suite import Suite, Variant
from bench.sweeps.configure import Refused, asked_about
from bench.text import hint

_BUDGET = Budget.__struct_fields__


def trials(suite: Suite, device: str) -> list[Cell]:
    """The cells of all trials: trial by trial, so that an unfinished search has every variant.

    Raises:
        UsageError: a range of a setting that is none, or of a value that a variant refuses; no range for a variant; a
            metric that is none, is not ranked, or is not measured; a seed of the suite that is a trial's.
    """
    search = suite.search
    if search is None:
        return []
    measure = _measure(suite, search)
    ranges = _ranges(suite, search)
    for seed in (seed for variant in suite.variants for seed in suite.its_seeds(variant) if seed >= FIRST_SEED):
        raise UsageError(f"seed {seed} is a trial's: seeds that judge what trials have chosen are below {FIRST_SEED}")
    return [
        _cell(suite, search, v, d, FIRST_SEED + n, device, n, search.drawn(its, n)) | {"measure": measure.plain()}
        for n in range(search.trials)
        for d in suite.datasets
        for v, its in zip(suite.variants, ranges, strict=True)
    ]


def tuned(suite: Suite, device: str, found: Iterable[Record]) -> tuple[list[Cell], list[str]]:
    """The cells of the tuned runs, seed by seed, and a line for each variant whose trials all failed.

    Args:
        suite: it has a search.
        device: of the cells.
        found: the records of its trials.
    """
    search = suite.search
    if search is None:
        return [], []
    rows: dict[str, list[Record]] = {}
    for trial in found:
        rows.setdefault(_row(trial.cell, trial.cell["tuning"]["overrides"]), []).append(trial)
    chosen, lines = [], []
    for variant in suite.variants:
        for choice in suite.datasets:
            its = rows.get(_row(suite.cell(variant, choice, 0, device), variant.overrides), [])
            best = tuning.choose(its)
            if best is not None:
                chosen.append((variant, choice, best.cell["tuning"]))
            elif its:
                name, label = row_name(variant.name, variant.overrides), metrics.metric(search.metric).label
                why = next((trial.reason for trial in its if trial.reason), f"no {label} on the validation split")
                lines.append(f"{name} on {choice.name} is not tuned, for none of its {len(its)} trials counts: {why}")
    seeds = sorted({seed for variant, *_ in chosen for seed in suite.its_seeds(variant)})
    cells = [
        _cell(suite, search, v, d, seed, device, best["trial"], best["settings"])
        for seed in seeds
        for v, d, best in chosen
        if seed in suite.its_seeds(v)
    ]
    return cells, lines


def _row(cell: Cell, overrides: Mapping[str, Any]) -> str:
    """What the trials of one variant on one data set have in common."""
    keys = ("variant", "dataset", "data_options", "binarise")
    return canonical([*(cell[key] for key in keys), overrides])


def _cell(
    suite: Suite,
    search: Search,
    variant: Variant,
    choice: Any,
    seed: int,
    device: str,
    trial: int,
    settings: Mapping[str, Any],
) -> Cell:
    """The configuration of a run with the settings of a trial."""
    plain = suite.cell(variant, choice, seed, device)
    budget = {key: value for key, value in settings.items() if key in _BUDGET}
    keywords = {key: value for key, value in settings.items() if key not in _BUDGET}
    of: dict[str, Any] = {"trial": trial, "settings": dict(settings)}
    of |= {"overrides": plain["overrides"], "budget": plain["budget"], "search": search.plain()}
    of |= {"own": as_json(variant.search)} if variant.search else {}
    return plain | {
        "overrides": {**plain["overrides"], **keywords},
        "budget": structs.replace(Budget(**plain["budget"]), **budget).plain(),
        "tuning": of,
    }


def _measure(suite: Suite, search: Search) -> Measure:
    """What is measured of a trial: what its metric needs, as finely as the suite measures it, and no more."""
    entry = metrics.metric(search.metric)
    if not entry.ranked or search.metric.startswith("train_"):
        near = hint(search.metric, [name for name, row in metrics.METRICS.items() if row.ranked and "*" not in name])
        raise UsageError(f"search.metric {search.metric!r} is no metric that ranks variants: {near}")
    theme = (entry.setting or "").split("_")[0]
    asked = {key: value for key, value in suite.measure.plain().items() if theme and key.startswith(f"{theme}_")}
    plain = Measure(elbo_samples=suite.measure.elbo_samples, nll_samples=0)
    if entry.setting and not asked.get(entry.setting):
        raise UsageError(f"search.metric {search.metric} is measured only with {entry.setting}: set it in [measure]")
    number = f"nll_is{suite.measure.nll_samples}_nats"
    if search.metric.startswith("nll_is") and search.metric != number:
        raise UsageError(f"search.metric {search.metric}: with this suite's nll_samples it is called {number}")
    return structs.replace(plain, **asked)


def _ranges(suite: Suite, search: Search) -> list[dict[str, Range]]:
    """Of each variant the ranges that it is tuned over: those of all that it takes, and its own."""
    found: list[dict[str, Range]] = [{} for _ in suite.variants]
    used = set()
    for place, variant in enumerate(suite.variants):
        for key, each in {**search.ranges, **variant.search}.items():
            if key in _BUDGET:
                for value in each.extremes:
                    typed(Budget, key, value)
                taken = True
            else:
                taken = all(_takes(suite, variant, key, value) for value in each.extremes)
            if taken:
                found[place][key] = each
                used.add(key)
            elif key in variant.search:
                raise UsageError(f"search: {variant.name} takes no {key!r}, and has a range of it")
        if not found[place]:
            raise UsageError(f"search: {variant.name} has no range to be tuned over: give one in [search.ranges]")
    if unused := [key for key in search.ranges if key not in used]:
        raise UsageError(f"search.ranges.{unused[0]}: no budget key, and none of the variants takes it")
    return found


def _takes(suite: Suite, variant: Variant, key: str, value: Any) -> bool:
    """Whether a variant takes a keyword. UsageError if it refuses the value."""
    (answer,) = asked_about(structs.replace(suite, variants=(variant,)), {key: value})
    if isinstance(answer, Refused):
        raise UsageError(f"search: {answer.line}")
    return isinstance(answer, Variant) and key in answer.overrides
