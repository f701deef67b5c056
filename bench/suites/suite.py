"""A suite is a TOML file: which variants on which data with how many seeds, the budget, and how finely to measure.

This module reads and checks it and lists its cells. It needs no torch."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs

import variants
from bench import data
from bench.disk.files import read_text
from bench.errors import UsageError
from bench.records.record import Cell
from bench.settings import Budget, Clock, Keywords, Measure, Positive, SeedList, Seeds, convert, parse_settings
from bench.suites.search import Range, Search
from bench.text import decode, hint
from variants import registry

SHIPPED = Path(__file__).parent
# What a cell is about, whatever is done with it: a variant on a data set.
SUBJECT = ("variant", "overrides", "dataset", "data_options", "binarise")
# A row as tables call it: a variant, and in parentheses what was changed of it.
_ROW = re.compile(r"(?P<name>.+?)\s*\((?P<words>[^()]*=.*)\)")


@dataclass(frozen=True)
class Variant:
    """A variant of a suite: its registered name, changed keywords, and what it has of its own instead of the suite's:
    number of seeds, budget, measurement; and ranges beside those of the suite's search."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    budget: Budget | None = None
    measure: Measure | None = None
    search: dict[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class DataChoice:
    """A data set of a suite: its name, binarisation and options, and how many there are to train on. Of a user's own
    data also the path that they were named by, the options that were asked for, and what was decided, a line each."""

    name: str
    binarise: str
    options: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    size: int | None = None

    def fits(self, budget: Budget) -> Budget:
        """The budget; where it asks for more training examples than there are, with all of them."""
        if self.size and budget.train_size and budget.train_size > self.size:
            return structs.replace(budget, train_size=None)
        return budget


def subject(variant: Variant, choice: DataChoice) -> Cell:
    """The keys `SUBJECT` of a cell."""
    about = (variant.name, variant.overrides, choice.name, choice.options, choice.binarise)
    return dict(zip(SUBJECT, about, strict=True))


def _each_once(cells: Iterable[Cell]) -> list[Cell]:
    return list({json.dumps(cell, sort_keys=True): cell for cell in cells}.values())


class _Common(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    description: str = ""
    seeds: Seeds | SeedList = 3
    timeout_min: Positive = 240
    budget: Budget = Budget()
    measure: Measure = Measure()
    throughput: Clock = Clock()
    search: Search | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False


class _VariantEntry(Keywords, frozen=True, kw_only=True):
    """A variant, or a pattern `without` some that it fits: those that are for other data, say."""

    name: str
    seeds: Seeds | None = None
    without: tuple[str, ...] = ()
    search: dict[str, Range] = msgspec.field(default_factory=dict)


class DataEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A data set as it stands in a file."""

    name: str
    binarise: str | None = None
    options: dict[str, Any] = {}


class _File(_Common, frozen=True, kw_only=True):
    variants: Annotated[list[str | _VariantEntry], Meta(min_length=1)]
    datasets: Annotated[list[str | DataEntry], Meta(min_length=1)]


class Suite(_Common, frozen=True, kw_only=True):
    """Variants x data sets x seeds under one budget.

    Attributes:
        seeds: so many, 0 to seeds - 1, or these, for each variant that has no number of its own.
        timeout_min: minutes after which a cell is ended.
        search: how each variant is tuned, beside the runs of its defaults; None where none is.
        precision: of training: `"fp32"` or `"bf16"`; see `bench.train.steps.loss_function`.
        compile: whether training is compiled.
    """

    name: str
    variants: tuple[Variant, ...]
    datasets: tuple[DataChoice, ...]

    @property
    def arithmetic(self) -> str:
        """What training computes in, as a cell has it. Runs with another one are another comparison group."""
        return self.precision + ("+compile" if self.compile else "")

    def cells(self, device: str) -> list[Cell]:
        """The configurations of all runs: seed by seed, so that an unfinished suite has every variant, and each once,
        for changed keywords may have made two variants one."""
        of = [self.its_seeds(v) for v in self.variants]
        return _each_once(
            self.cell(v, d, seed, device)
            for seed in sorted(set().union(*of))
            for d in self.datasets
            for v, its in zip(self.variants, of, strict=True)
            if seed in its
        )

    def cell(self, variant: Variant, choice: DataChoice, seed: int, device: str) -> Cell:
        """The configuration of one run."""
        return {
            **subject(variant, choice),
            "seed": seed,
            "budget": choice.fits(variant.budget or self.budget).plain(),
            "measure": (variant.measure or self.measure).plain(),
            "device": device,
            "threads": 1,
            "precision": self.arithmetic,
        }

    def its_seeds(self, variant: Variant) -> Sequence[int]:
        """Those of a variant."""
        if variant.seeds:
            return range(variant.seeds)
        return range(self.seeds) if isinstance(self.seeds, int) else self.seeds

    def throughput_cells(self, devices: Iterable[str], threads: int) -> list[Cell]:
        """The configurations of all throughput measurements, each with the device to itself."""
        if not self.throughput.blocks:
            return []
        return _each_once(
            {
                **subject(v, d),
                **self.throughput.plain(),
                "device": device,
                "threads": threads,
                "precision": self.arithmetic,
            }
            for device in devices
            for d in self.datasets
            for v in self.variants
        )


def names() -> list[str]:
    """The suites that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read(name: str) -> tuple[Path, dict[str, Any]]:
    """The file of a shipped suite by name, or of one given by its path, and its content. UsageError if unreadable."""
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if path.stem in (".", ".."):  # the stem names the results folder
        raise UsageError(f"suite {path} has no name of its own: rename the file")
    try:
        if path.is_file():
            return path, decode(tomllib.loads, read_text(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"suite {path} cannot be read: {error}") from error
    if name.endswith(".toml"):
        raise UsageError(f"there is no suite file {name}")
    raise UsageError(f"unknown suite {name!r}, and no path of a .toml file: {hint(name, names())}")


def load(name: str) -> Suite:
    """A shipped suite by name, or the suite in a TOML file by path. UsageError if it cannot be read or is wrong."""
    path, table = read(name)
    try:
        return parse(path.stem, table)
    except UsageError as error:
        raise UsageError(f"suite {path.name}: {error}") from error


def parse(name: str, table: Mapping[str, Any]) -> Suite:
    """A suite from the content of its TOML file. UsageError for a wrong key, type or range."""
    if "problem" in table:
        raise UsageError("it checks the judge and compares no variants: only `vaebench run` takes it")
    file = convert(_File, table)
    suite = Suite(
        name=name,
        variants=tuple(variant for entry in file.variants for variant in _variants(entry)),
        datasets=tuple(map(_dataset, file.datasets)),
        **{key: getattr(file, key) for key in _Common.__struct_fields__},
    )
    _refuse_repeats("variants", [(v.name, v.overrides) for v in suite.variants])
    _refuse_repeats("datasets", [(d.name, d.binarise, d.options) for d in suite.datasets])
    if suite.search is None and (own := [v.name for v in suite.variants if v.search]):
        raise UsageError(f"variant {own[0]} has a range of its own, and the suite no [search]: say how many trials")
    return suite


def row(text: str) -> Variant:
    """A variant by its name, or as tables call its row: `"beta"`, `"beta (beta=4, hidden=[16])"`.

    Raises:
        UsageError: there is no such variant, or a setting is not of the form key=value.
    """
    if (found := _ROW.fullmatch(text.strip())) is None:
        return Variant(check_variant_name(text))
    words = re.split(r",(?=\s*[A-Za-z_]\w*\s*=)", found["words"])
    return Variant(check_variant_name(found["name"]), parse_settings(words))


def check_variant_name(name: str) -> str:
    """`name` if it is registered; UsageError with the nearest name otherwise."""
    try:
        return variants.get(name).name
    except variants.RegistryError as error:
        raise UsageError(str(error)) from error


def _refuse_repeats(key: str, entries: list[tuple[Any, ...]]) -> None:
    for i, entry in enumerate(entries):
        if entry in entries[:i]:
            raise UsageError(f"{key} has {entry[0]!r} twice with the same settings: remove one")


def _variants(entry: str | _VariantEntry) -> list[Variant]:
    """One variant, or all built-in ones that a pattern such as `"*flow*"` fits."""
    entry = _VariantEntry(name=entry) if isinstance(entry, str) else entry
    if "*" not in entry.name:
        return [Variant(check_variant_name(entry.name), entry.set, entry.seeds, search=entry.search)]
    try:
        fits = registry.matching(entry.name)
    except variants.RegistryError as error:
        raise UsageError(str(error)) from error
    left_out = set(map(check_variant_name, entry.without))
    return [
        Variant(name, entry.set, entry.seeds, search=entry.search)
        for name in fits
        if variants.get(name).built_in and name not in left_out
    ]


def _dataset(entry: str | DataEntry) -> DataChoice:
    return dataset(entry) if isinstance(entry, str) else dataset(entry.name, entry.binarise, entry.options)


def dataset(name: str, binarise: str | None = None, options: Mapping[str, Any] | None = None) -> DataChoice:
    """A checked choice of a data set, its own binarisation if none is given.

    Raises:
        UsageError: there is no such thing.
        DataError, MachineError: a user's own data cannot be read, or kept for the cells.
    """
    options = dict(options or {})
    if data.is_user_file(name):
        own = data.choose(name, binarise, options)
        return DataChoice(own.name, own.binarise, own.options, name, options, own.says, own.size)
    chosen = binarise or data.default_binarise(name)
    return DataChoice(name, chosen, options, size=data.spec(name, chosen, **options).size)
