"""A published table is two files: NAME.csv holds its figures, NAME.toml how its rows are run and what is agreement.

Adding a table touches no code: CONTRIBUTING.md describes the format. This module reads and checks one, without torch.
"""

import csv
import io
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import settings
from bench.disk import files
from bench.errors import UsageError
from bench.records.notes import origin_of
from bench.settings import Budget, Measure, section
from bench.stats import metrics
from bench.suites import suite
from bench.suites.suite import DataChoice, Suite, Variant
from bench.text import cut, hint, printable, printable_json

SHIPPED = Path(__file__).parents[1] / "published"
HOME = Path("results") / "reproduce"
# What a table may have, from the cheapest to the dearest: the first that it has is its default.
PROFILES = ("short", "medium", "full")
COLUMNS = ("row", "metric", "value", "stderr", "ours", "sign", "source", "read")
# In the column `read`: nobody saw this figure in the source itself.
UNVERIFIED = "UNVERIFIED"
# What figures and tolerances may be at the most: beyond it is a slip of the pen, and no plot can show it.
MOST = 1e12
# What a row's name may be: `--rows` takes it, and pages show it as it is.
_ROW_NAME = re.compile(r"\w[\w.+-]*")
_TABLE = ("title", "source", "notes", "start", "set", "dataset", "profiles", "rows", "timeout_min")
_PROFILE = ("reason", "set", "seeds", "budget", "measure", "tolerance")
_ROW = ("title", "variant", "set", "not_comparable", *PROFILES)
_SAME_RUN = ("title", "same_run_as")
_CHANGE = ("set", "seeds", "budget", "measure", "tolerance", "explanation")


@dataclass(frozen=True)
class Tolerance:
    """How far our figure, in the sign of the published one, may lie below and above it."""

    below: float
    above: float

    def __str__(self) -> str:
        if self.below == self.above:
            return f"± {self.below:.3g}"
        return f"-{self.below:.3g} to +{self.above:.3g}"

    def holds(self, difference: float) -> bool:
        """Whether a difference, ours minus published, is one of agreement."""
        return -self.below <= difference <= self.above


@dataclass(frozen=True)
class Figure:
    """One published number.

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

    row: str
    metric: str
    value: float
    stderr: float | None
    ours: str
    sign: int
    source: str
    read: str

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
    """

    overrides: dict[str, Any]
    seeds: int
    budget: Budget
    measure: Measure
    tolerance: Mapping[str, Tolerance]
    explanation: str = ""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: as in the CSV.
        title: for people.
        variant: registered name of ours.
        plans: profile -> how it is run.
        not_comparable: name of our figure -> why it is not the same quantity; `"*"` stands for all.
    """

    name: str
    title: str
    variant: str
    plans: Mapping[str, Plan]
    not_comparable: Mapping[str, str] = field(default_factory=dict)


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
        reasons: profile -> why its tolerances are what they are; in the order of `PROFILES`.
        rows: in the order of the TOML file.
        figures: in the order of the CSV file.
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
            throughput=settings.Clock(blocks=0),
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
        recipe = printable_json(tomllib.loads(recipe_text))
    # ValueError: too large, no UTF-8, no TOML, or a number of thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
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
    for key in ("row", "metric", "ours", "source", "read"):
        if not line[key].strip():
            raise UsageError(f"{key} is empty")
    if line["sign"] not in ("1", "-1"):
        raise UsageError(f"sign must be 1 or -1, got {line['sign']!r}")
    if metrics.metric(line["ours"]).theme == metrics.OTHER:
        raise UsageError(f"ours must be one of our figures, see docs/metrics.md, got {line['ours']!r}")
    stderr = _number("stderr", line["stderr"]) if line["stderr"] else None
    if stderr is not None and stderr < 0:
        raise UsageError(f"stderr must be at least 0, or empty, got {line['stderr']!r}")
    return Figure(
        row=line["row"],
        metric=line["metric"],
        value=_number("value", line["value"]),
        stderr=stderr,
        ours=line["ours"],
        sign=int(line["sign"]),
        source=line["source"],
        read=line["read"],
    )


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{key} must be a number, got {text!r}") from error
    if not abs(value) <= MOST:
        raise UsageError(f"{key} must be a number of at most {MOST:g} either way, got {text!r}")
    return value


def parse(name: str, recipe: Mapping[str, Any], figures: Sequence[Figure], origin: Mapping[str, str]) -> Table:
    """A table from the content of its files. UsageError for a wrong key, type or range, or files that do not fit."""
    _known(recipe, _TABLE, "")
    profiles = _table(recipe, "profiles")
    _known(profiles, PROFILES, "profiles.")
    if not profiles:
        raise UsageError(f"profiles must hold at least one of {', '.join(PROFILES)}")
    reasons = {}
    for key in sorted(profiles, key=PROFILES.index):
        profile = _table(profiles, key, "profiles.")
        _known(profile, _PROFILE, f"profiles.{key}.")
        reasons[key] = _text(profile, "reason", f"profiles.{key}.")
    shared = _table(recipe, "set") if "set" in recipe else {}
    own = _table(recipe, "rows")
    entries = {key: _table(own, key, "rows.") for key in own}
    if not entries:
        raise UsageError("rows must hold at least one row")
    runs = {key: _row(key, entry, shared, profiles) for key, entry in entries.items() if "same_run_as" not in entry}
    rows = tuple(runs.get(key) or _same_run(key, entry, runs) for key, entry in entries.items())
    by_name = {row.name: row for row in rows}
    for figure in figures:
        if figure.row not in by_name:
            raise UsageError(f"the CSV file has the row {figure.row!r}, which rows lacks: {hint(figure.row, by_name)}")
        row = by_name[figure.row]
        if not figure.verified or "*" in row.not_comparable or figure.ours in row.not_comparable:
            continue
        for key, plan in row.plans.items():
            if figure.ours not in plan.tolerance:
                raise UsageError(f"profile {key} states no tolerance for {figure.ours}, which row {row.name} needs")
    for row in rows:
        if not any(figure.row == row.name for figure in figures):
            raise UsageError(f"the CSV file has no figure of row {row.name!r}")
    start = tuple(_texts(recipe, "start")) if "start" in recipe else ()
    for word in start:
        if word not in by_name:
            raise UsageError(f"start names the row {word!r}, which rows lacks: {hint(word, by_name)}")
    minutes = settings.typed(Suite, "timeout_min", recipe.get("timeout_min", 24 * 60))
    if not minutes > 0:
        raise UsageError(f"timeout_min must be above 0, got {minutes!r}")
    choice = _table(recipe, "dataset")
    _known(choice, ("name", "binarise", "options"), "dataset.")
    dataset = suite.dataset(
        _text(choice, "name", "dataset."),
        _text(choice, "binarise", "dataset.") if "binarise" in choice else None,
        _table(choice, "options", "dataset.") if "options" in choice else None,
    )
    return Table(
        name=name,
        origin=origin,
        title=_text(recipe, "title"),
        source=_text(recipe, "source"),
        notes=tuple(_texts(recipe, "notes")) if "notes" in recipe else (),
        start=start,
        dataset=dataset,
        reasons=reasons,
        rows=rows,
        figures=tuple(figures),
        timeout_min=minutes,
    )


def _same_run(name: str, entry: Mapping[str, Any], runs: Mapping[str, Row]) -> Row:
    """A row that is another row's run: only its name and its title, and its figures in the CSV file, are its own."""
    where = f"rows.{name}."
    _check_row_name(name)
    _known(entry, _SAME_RUN, where)
    other = _text(entry, "same_run_as", where)
    if other not in runs:
        raise UsageError(
            f"{where}same_run_as must name a row with a variant of its own: {hint(other, runs or ['none'])}"
        )
    return replace(runs[other], name=name, title=_text(entry, "title", where))


def _check_row_name(name: str) -> None:
    if not _ROW_NAME.fullmatch(name):
        raise UsageError(f"the name of a row must be of letters, digits and any of _.+- after the first, got {name!r}")


def _row(name: str, entry: Mapping[str, Any], shared: Mapping[str, Any], profiles: Mapping[str, Any]) -> Row:
    where = f"rows.{name}."
    _check_row_name(name)
    _known(entry, _ROW, where)
    reason = entry.get("not_comparable", {})
    if isinstance(reason, str):
        reason = {"*": reason}
    if not isinstance(reason, Mapping) or not all(isinstance(text, str) and text for text in reason.values()):
        raise UsageError(f"{where}not_comparable must be a text, or a table of texts by the name of our figure")
    own = {key: value for key, value in entry.items() if key == "set"}
    return Row(
        name=name,
        title=_text(entry, "title", where),
        variant=suite.check_variant_name(_text(entry, "variant", where)),
        plans={
            key: _plan(
                {
                    "": {"set": shared},
                    f"profiles.{key}.": profiles[key],
                    where: own,
                    f"{where}{key}.": _table(entry, key, where) if key in entry else {},
                }
            )
            for key in profiles
        },
        not_comparable=reason,
    )


def _plan(layers: Mapping[str, Mapping[str, Any]]) -> Plan:
    """How a row is run in a profile, from layers by their place in the file: the later one wins, key by key."""
    merged: dict[str, dict[str, Any]] = {key: {} for key in ("set", "budget", "measure", "tolerance")}
    seeds, explanation = 1, ""
    for where, layer in layers.items():
        for key, values in merged.items():
            values |= _table(layer, key, where) if key in layer else {}
        seeds = layer.get("seeds", seeds)
        if isinstance(seeds, bool) or not isinstance(seeds, int):
            raise UsageError(f"{where}seeds must be a whole number, got {seeds!r}")
        settings.check_seeds(f"{where}seeds", seeds)
        explanation = _text(layer, "explanation", where) if "explanation" in layer else explanation
    _known(layer, _CHANGE, where)
    try:
        json.dumps(merged["set"], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{where}set must hold numbers, texts, true, false, and lists of these: {error}") from error
    return Plan(
        overrides=merged["set"],
        seeds=seeds,
        budget=section(Budget, "budget", merged["budget"]),
        measure=section(Measure, "measure", merged["measure"]),
        tolerance={key: _tolerance(f"tolerance.{key}", value) for key, value in merged["tolerance"].items()},
        explanation=explanation,
    )


def _tolerance(key: str, value: object) -> Tolerance:
    """A number for both sides, or `[below, above]`."""
    pair: list[Any] = value if isinstance(value, list) else [value, value]
    numbers = [float(v) for v in pair if isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= MOST]
    if len(pair) != 2 or len(numbers) != 2:
        raise UsageError(f"{key} must be a number from 0 to {MOST:g}, or two of them [below, above], got {value!r}")
    return Tolerance(*numbers)


def _known(entry: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in keys:
            raise UsageError(f"unknown key {where}{key}: {hint(key, keys)}")


def _table(entry: Mapping[str, Any], key: str, where: str = "") -> Mapping[str, Any]:
    value = entry.get(key)
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}{key} must be a table" + ("" if key in entry else ", and is missing"))
    return value


def _text(entry: Mapping[str, Any], key: str, where: str = "") -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}{key} must be a text" + ("" if key in entry else ", and is missing"))
    return value


def _texts(entry: Mapping[str, Any], key: str) -> list[str]:
    value = entry[key]
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise UsageError(f"{key} must be a list of texts")
    return value


def folder(table: Table, profile: str) -> Path:
    """Where the runs of a table's profile are kept unless another folder is named."""
    return HOME / f"{table.name}-{profile}"
