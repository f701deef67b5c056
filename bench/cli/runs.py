"""Commands that run a suite: run, compare, throughput."""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from msgspec import structs

from bench.cli.app import (
    FAILED_CELLS,
    OK,
    Changes,
    Effort,
    EngineChoice,
    Variants,
    Where,
    Words,
    app,
    print_json,
    split_names,
    warn,
)
from bench.errors import UsageError
from bench.records.names import row_name
from bench.records.record import ORACLE, Record
from bench.settings import parse_settings, typed
from bench.suites import suite
from bench.text import hint

if TYPE_CHECKING:
    from bench.suites.oracle import OracleSuite
    from bench.sweeps.execute import Outcome

SUITES = f"{', '.join(suite.names())}, or a .toml file."
SuiteName = Annotated[str, Parameter(name="SUITE", help=SUITES)]


@app.command
def run(
    suite_name: SuiteName = "quick",
    /,
    *,
    variants: Variants = (),
    changes: Changes = Changes(),
    effort: Effort = Effort(),
    choice: EngineChoice = EngineChoice(),
    where: Where = Where(),
) -> int:
    """Run what is missing of a suite, then write and print its tables and plots."""
    path, table = suite.read(suite_name)
    if "problem" in table:
        _refuse(path, variants=variants, seeds=effort.chosen_seeds, changes=changes, engine=choice.engine)
        return _finish(_execute(_problems(path, table, changes), where, effort, choice), where)
    return _finish(_execute(_suite(suite_name, variants, changes, effort.chosen_seeds), where, effort, choice), where)


@app.command
def compare(
    *names: str,
    suite_name: Annotated[str, Parameter(name="--suite", help=SUITES)] = "quick",
    changes: Changes = Changes(),
    effort: Effort = Effort(),
    choice: EngineChoice = EngineChoice(),
    where: Where = Where(),
) -> int:
    """Compare variants with the first one named: run what is missing, then show paired differences over seeds.

    Variants whose likelihoods have different supports are refused before anything is run.

    Args:
        names: Two or more variants, such as vanilla 'beta (beta=4)' 'beta (beta=10)', or one that the suite has with
            several settings.
    """
    from bench.stats.differences import differences
    from bench.sweeps.compare import check

    names = split_names(names)
    few = "compare needs two or more variants: vaebench compare vanilla full_covariance"
    if not names:
        raise UsageError(few)
    chosen = _suite(suite_name, names, changes, effort.chosen_seeds)
    if len(chosen.variants) < 2:
        raise UsageError(few)
    chosen = structs.replace(chosen, throughput=structs.replace(chosen.throughput, blocks=0))
    first = suite.row(names[0])
    baseline = row_name(first.name, chosen.variants[0].overrides) if first.overrides else first.name
    check(chosen, baseline)
    outcome = _execute(chosen, where, effort, choice)
    compared = differences(outcome.records, baseline)
    if where.as_json:
        print_json([dataclasses.asdict(difference) for difference in compared])
    else:
        print("\n".join(difference.sentence for difference in compared))
        print(f"Report: {outcome.report.address}")
    return _code(outcome)


@app.command
def throughput(
    suite_name: SuiteName = "quick",
    /,
    *,
    variants: Variants = (),
    changes: Changes = Changes(),
    where: Where = Where(),
) -> int:
    """Measure training, evaluation and sampling speed again, each variant with the device to itself.

    Of the keys of --set it takes blocks, block_s, batch_size, and keywords of the variants.
    """
    chosen = _suite(suite_name, variants, changes)
    plain = suite.load(suite_name)
    budget = structs.replace(chosen.budget, batch_size=plain.budget.batch_size)  # the clock has this key too
    if (budget, chosen.measure) != (plain.budget, plain.measure):
        raise UsageError("throughput trains and judges no model: --set takes blocks, block_s, batch_size and keywords")
    return _finish(_execute(chosen, where, Effort(again=True), EngineChoice(), quality=False), where)


def _suite(
    name: str, variants: Sequence[str], changes: Changes, seeds: int | tuple[int, ...] | None = None
) -> suite.Suite:
    from bench.sweeps.configure import configure

    chosen = suite.load(name)
    own: list[dict[str, Any]] = []
    # A suite may have a variant more than once, with other keywords, and a data set with other options.
    if wanted := dict.fromkeys(split_names(variants)):
        asked = [suite.row(name) for name in wanted]
        given = [[v for v in chosen.variants if v.name == row.name and not row.overrides] or [row] for row in asked]
        own = [row.overrides for row, rows in zip(asked, given, strict=True) for _ in rows]
        chosen = structs.replace(chosen, variants=tuple(itertools.chain(*given)))
    chosen = structs.replace(chosen, datasets=tuple(_datasets(chosen.datasets, changes)))
    if seeds is not None:
        evenly = tuple(dataclasses.replace(variant, seeds=None) for variant in chosen.variants)
        chosen = structs.replace(chosen, seeds=seeds, variants=evenly)
    for key, value in (("precision", changes.precision), ("compile", changes.compiled)):
        if value is not None:
            chosen = structs.replace(chosen, **{key: typed(suite.Suite, key, value)})
    return configure(chosen, parse_settings(changes.settings), own)


def _datasets(of_suite: Sequence[suite.DataChoice], changes: Changes) -> Iterator[suite.DataChoice]:
    """The data sets of a suite, or those that are asked for instead, with their binarisation and options changed.

    An option goes to each data set that takes it. UsageError if none does.
    """
    from bench import data

    options = parse_settings(changes.data_options)
    wanted = dict.fromkeys(split_names(changes.datasets))
    given: list[list[Any]] = [[d for d in of_suite if name in (d.name, d.path)] or [name] for name in wanted]
    rows: list[suite.DataChoice | str] = [*itertools.chain(*given)] or [*of_suite]
    taken: set[str] = set()
    for row in rows:
        path = row if isinstance(row, str) else row.path or row.name
        mine = {key: value for key, value in options.items() if key in data.takes(path)}
        taken |= set(mine)
        if isinstance(row, str):
            yield suite.dataset(path, changes.binarise, mine)
        elif mine or changes.binarise:
            yield suite.dataset(path, changes.binarise or row.binarise, (row.asked if row.path else row.options) | mine)
        else:
            yield row
    for key in options.keys() - taken:
        known = sorted(
            {each for row in rows for each in data.takes(row if isinstance(row, str) else row.path or row.name)}
        )
        advice = hint(key, known) if known else "they take none"
        raise UsageError(f"--data-option {key}: none of the data sets takes it; {advice}")


def _refuse(path: Path, *, variants: Words, seeds: object, changes: Changes, engine: str) -> None:
    """UsageError for what makes no sense with a suite that checks the judge."""
    given: dict[str, Any] = {"variants": variants, "seeds": seeds, "datasets": changes.datasets}
    given |= {"precision": changes.precision, "compile": changes.compiled}
    given |= {"binarise": changes.binarise, "data-option": changes.data_options}
    given[f"engine {engine}"] = engine not in ("local", "debug")
    for word in (word for word, value in given.items() if value):
        raise UsageError(f"suite {path.name} checks the judge on problems of its own: it takes no --{word}")


def _problems(path: Path, table: dict[str, Any], changes: Changes) -> "OracleSuite":
    from bench.suites import oracle

    try:
        return oracle.configure(oracle.parse(path.stem, table), parse_settings(changes.settings))
    except UsageError as error:
        raise UsageError(f"suite {path.name}: {error}") from error


def _execute(
    chosen: "suite.Suite | OracleSuite", where: Where, effort: Effort, choice: EngineChoice, quality: bool = True
) -> "Outcome":
    from bench.sweeps.execute import execute

    out, jobs, again = where.folder(chosen.name), effort.jobs, effort.again
    with choice.opened() as engine:
        return execute(chosen, out, engine=engine, device=where.device, jobs=jobs, again=again, quality=quality)


def _finish(outcome: "Outcome", where: Where) -> int:
    """Print what was run, and say where the page is."""
    if where.as_json:
        keys = ("out", "ran", "skipped", "failed")
        done = {key: getattr(outcome, key) for key in keys} | {"out": str(outcome.out)}
        print_json(done | _figures(outcome.records))
    else:
        if words := outcome.report.terminal or _answer(outcome.records):
            print(words)
        print(f"Report: {outcome.report.address}")
    return _code(outcome)


def _answer(records: list[Record]) -> str:
    """What the runs answer, where their tables are not shown again."""
    if any(record.kind == ORACLE for record in records):
        return ""
    from bench.pages import blocks, tables

    return blocks.terminal(tables.answer(records)).lstrip("\n")


def _figures(records: list[Record]) -> dict[str, Any]:
    if any(record.kind == ORACLE for record in records):
        from bench.pages.oracle import name

        return {"checks": [{"problem": name(r), **structs.asdict(check)} for r in records for check in r.checks]}
    from bench.stats import frame

    return {"rows": json.loads(frame.frame(records).to_json(orient="records"))}


def _code(outcome: "Outcome") -> int:
    warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK
