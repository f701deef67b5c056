"""A published table is two files: NAME.csv holds its figures, NAME.toml how its rows are run and what is agreement.

Adding a table touches no code: CONTRIBUTING.md describes the format. This module reads and checks one, without torch.
"""

import contextlib
import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from bench.disk import files
from bench.errors import UsageError
from bench.records.notes import origin_of
from bench.reproduce.recipe import Effect, Layer, Limit, Number, Profile, Profiles, Recipe, Run, SameRun
from bench.settings import Budget, Clock, Measure, Text, convert
from bench.stats import metrics
from bench.suites import suite
from bench.suites.suite import DataChoice, Suite, Variant
from bench.text import cut, decode, hint, printable, printable_json

SHIPPED = Path(__file__).parents[1] / "published"
HOME = Path("results") / "reproduce"
COLUMNS = ("row", "metric", "value", "stderr", "ours", "sign", "source", "read")
# In the column `read`: nobody saw this figure in the source itself.
UNVERIFIED = "UNVERIFIED"


@dataclass(frozen=True)
class Tolerance:
    """How far our figure, in the sign of the published one, may lie below and above it."""

    below: float
    above: float

    @classmethod
    def of(cls, value: float | list[float]) -> "Tolerance":
        """Of a number for both sides, or of `[below, above]`."""
        return cls(*value) if isinstance(value, list) else cls(value, value)

    def __str__(self) -> str:
        if self.below == self.above:
            return f"± {self.below:.3g}"
        return f"-{self.below:.3g} to +{self.above:.3g}"

    def holds(self, difference: float) -> bool:
        """Whether a difference, ours minus published, is one of agreement."""
        return -self.below <= difference <= self.above


class Figure(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One published number, a line of the CSV file.

    Attributes:
        row: name of the table's row.
        metric: what the source measures, in its own words.
        value: as published.
        stderr: its standard error as published; None without.
        ours: the name of our figure for the same quantity.
        sign: 1, or -1 where the source publishes the negative of our figure.
        source: where it was published.
        read: how it was read; holds `UNVERIFIED` where nobody saw it in the source.
    """

    row: Text
    metric: Text
    value: Number
    stderr: Limit | None
    ours: Text
    sign: Literal[1, -1]
    source: Text
    read: Text

    @property
    def verified(self) -> bool:
        """Whether it was read in the source."""
        return UNVERIFIED not in self.read


@dataclass(frozen=True)
class Plan:
    """How a row is run in one profile.

    Attributes:
        overrides: changed keywords of the variant.
        seeds: 0 to seeds - 1.
        budget: for training.
        measure: what is measured, how finely.
        tolerance: name of our figure -> what counts as agreement.
        explanation: of a disagreement, for the page; written after one was seen. Empty without.
        not_comparable: name of our figure -> why it is not judged; `"*"` stands for all.
    """

    overrides: dict[str, Any]
    seeds: int
    budget: Budget
    measure: Measure
    tolerance: Mapping[str, Tolerance]
    explanation: str = ""
    not_comparable: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, ours: str) -> str:
        """Why this figure of ours is held against nothing; empty where it is judged."""
        return self.not_comparable.get(ours, self.not_comparable.get("*", ""))


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: as in the CSV.
        title: for people.
        variant: registered name of ours.
        plans: profile -> how it is run.
    """

    name: str
    title: str
    variant: str
    plans: Mapping[str, Plan]


@dataclass(frozen=True)
class Table:
    """A published table and how we run it.

    Attributes:
        name: of its files.
        origin: what finds it again, see `origin_of`.
        title: for people.
        source: the paper.
        notes: what to know of how we differ, one sentence each.
        start: names of the rows to begin with, the shortest.
        dataset: what all rows are trained on.
        reasons: profile -> why its tolerances are what they are; in the order of `Profiles`.
        rows: in the order of the TOML file.
        figures: in the order of the CSV file.
        effects: differences of two rows that are judged, too.
        timeout_min: minutes after which a run is ended.
    """

    name: str
    origin: Mapping[str, str]
    title: str
    source: str
    notes: tuple[str, ...]
    start: tuple[str, ...]
    dataset: DataChoice
    reasons: Mapping[str, str]
    rows: tuple[Row, ...]
    figures: tuple[Figure, ...]
    effects: tuple[Effect, ...]
    timeout_min: float

    def profile(self, name: str | None) -> str:
        """The profile asked for, by default the cheapest. UsageError if there is no such."""
        chosen = name or next(iter(self.reasons))
        if chosen not in self.reasons:
            raise UsageError(f"table {self.name} has no profile {chosen!r}: {hint(chosen, self.reasons)}")
        return chosen

    def chosen(self, names: Sequence[str]) -> tuple[Row, ...]:
        """The rows of these names, all without any. UsageError for an unknown one."""
        known = [row.name for row in self.rows]
        for name in names:
            if name not in known:
                raise UsageError(f"table {self.name} has no row {name!r}: {hint(name, known)}")
        return tuple(row for row in self.rows if not names or row.name in names)

    def suite(self, profile: str, rows: Sequence[Row], seeds: int | None = None) -> Suite:
        """What runs these rows: one variant a row, each with the row's own budget, measurement and seeds.

        Args:
            profile: one that the table has.
            rows: some of its rows. Two that are run alike, as VAE and IWAE with one sample are, are run once.
            seeds: 0 to seeds - 1 for every row, instead of the profile's number.
        """
        variants: list[Variant] = []
        for row in rows:
            plan = row.plans[profile]
            made = Variant(row.variant, plan.overrides, seeds or plan.seeds, plan.budget, plan.measure)
            twin = next((v for v in variants if replace(v, seeds=None) == replace(made, seeds=None)), None)
            if twin is None:
                variants.append(made)
            elif (twin.seeds or 0) < (made.seeds or 0):
                variants[variants.index(twin)] = made
        return Suite(
            name=f"{self.name}-{profile}",
            description=self.title,
            variants=tuple(variants),
            datasets=(self.dataset,),
            timeout_min=self.timeout_min,
            throughput=Clock(blocks=0),
        )


def names() -> list[str]:
    """The tables that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(name: str) -> Table:
    """A shipped table by name, or one of the user's by the path of its TOML file, with the CSV file beside it.

    Raises:
        UsageError: it cannot be read, or is wrong: one line with the file and what is wrong in it.
    """
    shipped = {each: SHIPPED / f"{each}.toml" for each in names()}
    path = Path(name) if name.endswith(".toml") else shipped.get(name)
    try:
        if path is None or not path.is_file():
            known = hint(name, [*shipped, "results"])
            raise UsageError(f"unknown table {name!r}, and no path of a .toml file: {known}")
        # Its texts will stand on a terminal and on pages.
        recipe_text = files.read_text(path)
        recipe = decode(lambda text: printable_json(tomllib.loads(text)), recipe_text)
    except (OSError, ValueError) as error:
        raise UsageError(f"table {path} cannot be read: {error}") from error
    figures_path = path.with_suffix(".csv")
    try:
        text = files.read_text(figures_path)
    except (OSError, ValueError) as error:
        raise UsageError(f"the figures {figures_path} cannot be read: {error}") from error
    try:
        figures = parse_figures(text)
    except UsageError as error:
        raise UsageError(f"table {figures_path.name}: {error}") from error
    try:
        origin = origin_of("table", path, SHIPPED, [recipe_text, text])
        return parse(cut(printable(path.stem)), recipe, figures, origin)
    except UsageError as error:
        raise UsageError(f"table {path.name}: {error}") from error


def parse_figures(text: str) -> tuple[Figure, ...]:
    """The figures of a CSV file. UsageError, with the line, for a wrong one."""
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise UsageError(f"the first line must be {','.join(COLUMNS)}")
        figures = []
        for line in lines:
            try:
                figures.append(_figure(line))
            except UsageError as error:
                raise UsageError(f"line {lines.line_num}: {error}") from error
    except csv.Error as error:
        raise UsageError(f"line {lines.line_num}: {error}") from error
    if not figures:
        raise UsageError("it holds no figures")
    return tuple(figures)


def _figure(line: dict[Any, Any]) -> Figure:
    if None in line or None in line.values():
        raise UsageError(f"it must have {len(COLUMNS)} columns")
    line = {key: printable(value) for key, value in line.items()}
    numbers = {key: _number(line[key]) for key in ("value", "stderr", "sign")}
    figure = convert(Figure, line | numbers | ({} if line["stderr"] else {"stderr": None}))
    if metrics.metric(figure.ours).theme == metrics.OTHER:
        raise UsageError(f"ours must be one of our figures, see docs/metrics.md, got {figure.ours!r}")
    return figure


def _number(text: str) -> float | int | str:
    """A text that is no number is for its column to refuse."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def parse(name: str, content: Mapping[str, Any], figures: Sequence[Figure], origin: Mapping[str, str]) -> Table:
    """A table from the content of its files. UsageError for a wrong key, type or range, or files that do not fit."""
    recipe = convert(Recipe, content)
    profiles = {
        key: profile for key in Profiles.__struct_fields__ if (profile := getattr(recipe.profiles, key)) is not None
    }
    if not profiles:
        raise UsageError(f"profiles must hold at least one of {', '.join(Profiles.__struct_fields__)}")
    entries: dict[str, Run | SameRun] = {}
    for key, entry in recipe.rows.items():
        where = f"rows.{key}"
        entries[key] = convert(SameRun, entry, where) if "same_run_as" in entry else convert(Run, entry, where)
    runs = {key: _row(key, entry, recipe, profiles) for key, entry in entries.items() if isinstance(entry, Run)}
    rows = {key: runs[key] if isinstance(entry, Run) else _same_run(key, entry, runs) for key, entry in entries.items()}
    _check_figures(figures, rows)
    for number, effect in enumerate(recipe.effects, start=1):
        _check_effect(f"effects, number {number}", effect, rows, profiles, figures)
    for word in recipe.start:
        if word not in rows:
            raise UsageError(f"start names the row {word!r}, which rows lacks: {hint(word, rows)}")
    return Table(
        name=name,
        origin=origin,
        title=recipe.title,
        source=recipe.source,
        notes=recipe.notes,
        start=recipe.start,
        dataset=suite.dataset(recipe.dataset.name, recipe.dataset.binarise, recipe.dataset.options),
        reasons={key: profile.reason for key, profile in profiles.items()},
        rows=tuple(rows.values()),
        figures=tuple(figures),
        effects=recipe.effects,
        timeout_min=recipe.timeout_min,
    )


def _check_figures(figures: Sequence[Figure], rows: Mapping[str, Row]) -> None:
    """UsageError unless every figure has a row, and a tolerance where it is judged, and every row a figure."""
    for figure in figures:
        if figure.row not in rows:
            raise UsageError(f"the CSV file has the row {figure.row!r}, which rows lacks: {hint(figure.row, rows)}")
        row = rows[figure.row]
        for key, plan in row.plans.items() if figure.verified else ():
            if not plan.why_not(figure.ours) and figure.ours not in plan.tolerance:
                raise UsageError(f"profile {key} states no tolerance for {figure.ours}, which row {row.name} needs")
    if without := [name for name in rows if not any(figure.row == name for figure in figures)]:
        raise UsageError(f"the CSV file has no figure of row {without[0]!r}")


def pairs(effect: Effect, figures: Sequence[Figure]) -> list[tuple[Figure, Figure]]:
    """The figures of its two rows, one pair for each source that was seen to have both."""
    first, second = ([f for f in figures if (f.row, f.ours) == (row, effect.ours)] for row in effect.rows)
    return [
        (a, b)
        for a in first
        for b in second
        if (a.metric, a.source, a.sign) == (b.metric, b.source, b.sign) and a.verified and b.verified
    ]


def _check_effect(
    where: str, effect: Effect, rows: Mapping[str, Row], profiles: Mapping[str, Profile], figures: Sequence[Figure]
) -> None:
    """UsageError unless its rows and profiles are there, and a source that has the figure of both rows."""
    named = [*effect.tolerance, *effect.explanation]
    for known, used, what in ((rows, effect.rows, "row"), (profiles, named, "profile")):
        for word in used:
            if word not in known:
                raise UsageError(f"{where}: there is no {what} {word!r}: {hint(word, known)}")
    if not pairs(effect, figures):
        raise UsageError(f"{where}: no source that was seen has {effect.ours} of both {' and '.join(effect.rows)}")


def _same_run(name: str, entry: SameRun, runs: Mapping[str, Row]) -> Row:
    other = entry.same_run_as
    if other not in runs:
        known = hint(other, runs or ["none"])
        raise UsageError(f"rows.{name}.same_run_as must name a row with a variant of its own: {known}")
    return replace(runs[other], name=name, title=entry.title)


def _row(name: str, entry: Run, recipe: Recipe, profiles: Mapping[str, Profile]) -> Row:
    def plan(key: str, profile: Profile) -> Plan:
        # What is said of the row holds for every budget, so it goes before what is said of this one.
        reasons = {**_reasons(profile.not_comparable), **_reasons(entry.not_comparable)}
        layers = [Layer(set=recipe.set), profile, Layer(set=entry.set), getattr(entry, key)]
        return replace(_plan(layers, f"rows.{name}"), not_comparable=reasons)

    return Row(
        name=name,
        title=entry.title,
        variant=suite.check_variant_name(entry.variant),
        plans={key: plan(key, profile) for key, profile in profiles.items()},
    )


def _reasons(entry: str | dict[str, str]) -> dict[str, str]:
    return {"*": entry} if isinstance(entry, str) else entry


def _plan(layers: Sequence[Layer], where: str) -> Plan:
    """How a row is run in a profile, from layers of its file: the later one wins, key by key."""

    def merged(key: str) -> dict[str, Any]:
        return {name: value for layer in layers for name, value in getattr(layer, key).items()}

    return Plan(
        overrides=merged("set"),
        seeds=next((layer.seeds for layer in reversed(layers) if layer.seeds is not None), 1),
        budget=convert(Budget, merged("budget"), f"{where}.budget"),
        measure=convert(Measure, merged("measure"), f"{where}.measure"),
        tolerance={key: Tolerance.of(value) for key, value in merged("tolerance").items()},
        explanation=getattr(layers[-1], "explanation", None) or "",
    )


def folder(table: Table, profile: str) -> Path:
    """Where the runs of a table's profile are kept unless another folder is named."""
    return HOME / f"{table.name}-{profile}"
