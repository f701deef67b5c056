"""Commands that run a suite: run, compare, throughput."""

import contextlib
import dataclasses
import itertools
import json as jsonlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from msgspec import structs

from bench.errors import UsageError
from bench.pages import docs
from bench.settings import typed
from bench.suites import suite

if TYPE_CHECKING:
    from bench.engines.ray import Cluster
    from bench.sweeps.execute import Outcome

from bench.cli.app import (
    FAILED_CELLS,
    OK,
    Address,
    Again,
    Compile,
    Device,
    Engine,
    Gpus,
    Jobs,
    Json,
    Out,
    Precision,
    Seeds,
    Settings,
    Words,
    app,
    check_jobs,
    check_number_of_seeds,
    print_json,
    split_names,
    warn,
)

SUITES = f"{', '.join(suite.names())}, or a .toml file."
RunSettings = Annotated[Settings, Parameter(help=docs.set_help())]


@app.command
def run(
    suite_name: Annotated[str, Parameter(name="SUITE", help=SUITES)] = "quick",
    /,
    *,
    variants: Words = (),
    datasets: Words = (),
    seeds: Seeds = None,
    device: Device = "auto",
    settings: RunSettings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    jobs: Jobs = None,
    again: Again = False,
    engine: Engine = "local",
    address: Address = None,
    gpus: Gpus = None,
    json: Json = False,
) -> int:
    """Run what is missing of a suite, then write and print its tables and plots.

    Parameters
    ----------
    variants
        Only these variants, instead of the suite's.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    """
    path, table = suite.read(suite_name)
    if "problem" in table:
        own = {"variants": variants, "datasets": datasets, "seeds": seeds, "precision": precision, "compile": compile}
        own["engine ray"] = engine == "ray"
        for word, given in own.items():
            if given:
                raise UsageError(f"suite {path.name} checks the judge on problems of its own: it takes no --{word}")
        return _oracle(path, table, settings, out, json, device=device, jobs=jobs, again=again)
    chosen = _suite(suite_name, variants, datasets, seeds, settings, precision, compile)
    with _cluster(engine, address, gpus) as cluster:
        outcome = _execute(chosen, out, device=device, jobs=jobs, again=again, cluster=cluster)
    return _finish(outcome, json)


@app.command
def compare(
    *names: str,
    suite_name: Annotated[str, Parameter(name="--suite", help=SUITES)] = "quick",
    datasets: Words = (),
    seeds: Seeds = None,
    device: Device = "auto",
    settings: Settings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    jobs: Jobs = None,
    again: Again = False,
    engine: Engine = "local",
    address: Address = None,
    gpus: Gpus = None,
    json: Json = False,
) -> int:
    """Compare variants with the first one named: run what is missing, then show paired differences over seeds.

    Variants whose likelihoods have different supports are refused before anything is run.

    Parameters
    ----------
    names
        Two or more variants.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    settings
        key=value ..., as for `run`.
    """
    from bench.stats.differences import differences
    from bench.sweeps.compare import check

    names = split_names(names)
    if len(dict.fromkeys(names)) < 2:
        raise UsageError("compare needs two or more variants: vaebench compare vanilla full_covariance")
    chosen = _suite(suite_name, names, datasets, seeds, settings, precision, compile)
    chosen = structs.replace(chosen, throughput=structs.replace(chosen.throughput, blocks=0))
    check(chosen, names[0])
    with _cluster(engine, address, gpus) as cluster:
        outcome = _execute(chosen, out, device=device, jobs=jobs, again=again, cluster=cluster)
    found = differences(outcome.records, names[0])
    if json:
        print_json([dataclasses.asdict(difference) for difference in found])
    else:
        print("\n".join(difference.sentence for difference in found))
    warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK


@app.command
def throughput(
    suite_name: Annotated[str, Parameter(name="SUITE", help=SUITES)] = "quick",
    /,
    *,
    variants: Words = (),
    datasets: Words = (),
    device: Device = "auto",
    settings: Settings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    json: Json = False,
) -> int:
    """Measure training, evaluation and sampling speed again, each variant with the device to itself.

    Parameters
    ----------
    variants
        Only these variants, instead of the suite's.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    settings
        key=value ...: blocks, block_s, batch_size, and keywords of the variants.
    """
    chosen = _suite(suite_name, variants, datasets, None, settings, precision, compile)
    plain = suite.load(suite_name)
    budget = structs.replace(chosen.budget, batch_size=plain.budget.batch_size)  # which is a key of the clock too
    if (budget, chosen.measure) != (plain.budget, plain.measure):
        raise UsageError("throughput trains and judges no model: --set takes blocks, block_s, batch_size and keywords")
    outcome = _execute(chosen, out, device=device, quality=False, again=True)
    return _finish(outcome, json)


def _suite(
    name: str,
    variants: Sequence[str],
    datasets: Sequence[str],
    seeds: int | None,
    settings: Sequence[str],
    precision: str | None = None,
    compile: bool | None = None,
) -> suite.Suite:
    from bench.sweeps.configure import configure, parse_settings

    chosen = suite.load(name)
    # A suite may have a variant more than once, with other keywords, and a data set with other options.
    if wanted := dict.fromkeys(split_names(variants)):
        own = [
            [v for v in chosen.variants if v.name == name] or [suite.Variant(suite.check_variant_name(name))]
            for name in wanted
        ]
        chosen = structs.replace(chosen, variants=tuple(itertools.chain(*own)))
    if wanted := dict.fromkeys(split_names(datasets)):
        given = [[d for d in chosen.datasets if d.name == name] or [suite.dataset(name)] for name in wanted]
        chosen = structs.replace(chosen, datasets=tuple(itertools.chain(*given)))
    check_number_of_seeds(seeds)
    if seeds is not None:
        evenly = tuple(dataclasses.replace(variant, seeds=None) for variant in chosen.variants)
        chosen = structs.replace(chosen, seeds=seeds, variants=evenly)
    for key, value in (("precision", precision), ("compile", compile)):
        if value is not None:
            chosen = structs.replace(chosen, **{key: typed(suite.Suite, key, value)})
    return configure(chosen, parse_settings(settings))


@contextlib.contextmanager
def _cluster(engine: str, address: str | None, gpus: float | None) -> "Iterator[Cluster | None]":
    if engine == "local":
        for word, given in (("address", address), ("gpus", gpus)):
            if given is not None:
                raise UsageError(f"--{word} goes with --engine ray")
        yield None
        return
    from bench.engines import ray

    with ray.connect(address, gpus) as cluster:
        yield cluster


def _execute(chosen: suite.Suite, out: Path | None, *, jobs: int | None = None, **how: Any) -> "Outcome":
    from bench.sweeps.execute import execute

    check_jobs(jobs)
    return execute(chosen, out or Path("results") / chosen.name, jobs=jobs, **how)


def _oracle(
    path: Path,
    table: dict[str, Any],
    settings: Sequence[str],
    out: Path | None,
    json: bool,
    *,
    jobs: int | None,
    **how: Any,
) -> int:
    from bench.pages import oracle as pages
    from bench.suites import oracle
    from bench.sweeps.configure import parse_settings
    from bench.sweeps.execute import execute_oracle

    try:
        chosen = oracle.configure(oracle.parse(path.stem, table), parse_settings(settings))
    except UsageError as error:
        raise UsageError(f"suite {path.name}: {error}") from error
    check_jobs(jobs)
    outcome = execute_oracle(chosen, out or Path("results") / chosen.name, jobs=jobs, **how)
    if json:
        checks = [{"problem": pages.name(r), **structs.asdict(check)} for r in outcome.records for check in r.checks]
        done = {"out": str(outcome.out), "ran": outcome.ran, "skipped": outcome.skipped, "failed": outcome.failed}
        print_json(done | {"checks": checks})
    else:
        print(outcome.report.terminal)
        print(f"All checks, the plot and a page that explains them: {outcome.out / 'README.md'}")
    warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK


def _finish(outcome: "Outcome", json: bool) -> int:
    if json:
        from bench.stats import frame

        rows = jsonlib.loads(frame.frame(outcome.records).to_json(orient="records"))
        print_json(
            {
                "out": str(outcome.out),
                "ran": outcome.ran,
                "skipped": outcome.skipped,
                "failed": outcome.failed,
                "rows": rows,
            }
        )
    else:
        print(outcome.report.terminal)
        print(f"Tables, plots and a page that explains them: {outcome.out / 'README.md'}")
    warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK
