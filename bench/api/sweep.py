"""Comparing variants from Python: the same cells, records and verdicts as those of the command line."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from bench import engines
from bench.api.results import Results
from bench.data import dataset, store
from bench.data.batches import Data
from bench.data.sets import check_options
from bench.errors import UsageError
from bench.records.names import row_name
from bench.settings import typed
from bench.suites import suite
from bench.suites.suite import DataChoice, Suite, Variant, row
from bench.sweeps.compare import check
from bench.sweeps.configure import configure
from bench.sweeps.execute import execute
from variants import registry
from variants.core import VAE

# A registered name, a row as tables call it (`"beta (beta=4)"`), `path/to/file.py:recipe`, a recipe function, or one of
# these with changed keywords.
Choice = str | Callable[..., VAE] | tuple[str | Callable[..., VAE], Mapping[str, Any]]


def compare(
    variants: Iterable[Choice],
    data: Any,
    *,
    out: str | Path,
    seeds: int | Sequence[int] = 3,
    device: str = "auto",
    precision: str = "fp32",
    jobs: int | None = None,
    again: bool = False,
    **settings: Any,
) -> Results:
    """Train and judge variants, and write their page. What is finished in `out` is not run again; what was stopped goes
    on.

    A variant that only this process knows, of a notebook say, is run in this process, and so are the others with it;
    else each run has a process of its own.

    Args:
        variants: two or more: names, rows as tables call them, such as `"conv (latent=50)"`, recipe functions, or pairs
            with keywords, such as `("conv", {"latent": 50})`.
        data: what `bench.dataset` takes, or a list of such.
        out: results folder.
        seeds: so many, from 0 on, or these.
        device: `auto`, or a device type.
        precision: `"fp32"` or `"bf16"`.
        jobs: runs side by side; by default one a core on the CPU.
        again: run what is finished as well.
        settings: keys of the budget and of the measurement, and keywords of the variants that take them. Data that were
            given fewer training examples than there are bring their `train_size`.

    Raises:
        UsageError, DataError, MachineError: in one line, before anything is run.
        KeyboardInterrupt: what finished stays, and the same call goes on.
    """
    loaded = [dataset(source) for source in (data if isinstance(data, list) else [data])]
    settings = settings if "train_size" in settings else _train_size(loaded) | settings
    chosen = Suite(
        name=Path(out).name or "results",
        variants=tuple(map(_variant, variants)),
        datasets=tuple(map(_choice, loaded)),
        seeds=typed(Suite, "seeds", seeds if isinstance(seeds, int) else list(seeds)),
        precision=typed(Suite, "precision", precision),
    )
    chosen = structs.replace(chosen, throughput=structs.replace(chosen.throughput, blocks=0))
    # What is said of one variant counts before what is said of all.
    chosen = configure(chosen, settings, [variant.overrides for variant in chosen.variants])
    if len(chosen.variants) > 1:
        check(chosen, row_name(chosen.variants[0].name, chosen.variants[0].overrides))
    alone = any(registry.get(variant.name).function for variant in chosen.variants)
    with engines.opened("debug" if alone else "local") as engine:
        execute(chosen, Path(out), engine=engine, device=device, jobs=jobs, again=again)
    return Results(out)


def _variant(choice: Choice) -> Variant:
    given, overrides = choice if isinstance(choice, tuple) else (choice, {})
    if isinstance(given, str):
        named = row(given)
        return Variant(named.name, {**named.overrides, **overrides})
    try:
        return Variant(registry.known(given), dict(overrides))
    except registry.RegistryError as error:
        raise UsageError(str(error)) from error


def _train_size(given: Sequence[Data]) -> dict[str, Any]:
    """The setting of data of which any use only the first so many of their training examples."""
    if all(data.splits["train"] == len(data.raw.images["train"]) for data in given):
        return {}
    sizes = {data.splits["train"] for data in given}
    if len(sizes) > 1:
        raise UsageError("the data have different numbers of training examples: give one train_size for all")
    return {"train_size": sizes.pop()}


def _choice(loaded: Data) -> DataChoice:
    if loaded.raw.given is not None:
        store(loaded)  # where other processes find them
        size = len(loaded.raw.images["train"])
        return DataChoice(loaded.name, loaded.binarise, dict(loaded.options), size=size)
    # As a suite's file says them: what is usual goes without saying.
    usual = check_options(loaded.name, {})
    options = {key: value for key, value in loaded.options.items() if value != usual.get(key)}
    return suite.dataset(loaded.name, loaded.binarise, options)
