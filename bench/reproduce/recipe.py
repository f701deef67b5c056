"""What may stand in the TOML file of a published table: its tables by layers, as CONTRIBUTING.md describes them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bench.settings import Keywords, Positive, Seeds, Text
from bench.suites.suite import DataEntry

# What figures and tolerances may be at the most: beyond it is a slip of the pen, and no plot can show it.
MOST = 1e12
Number = Annotated[float, Meta(ge=-MOST, le=MOST)]
Limit = Annotated[float, Meta(ge=0, le=MOST)]
# `--rows` takes it, and pages show it as it is.
_RowName = Annotated[
    str, Meta(pattern=r"^\w[\w.+-]*\Z", description="of letters, digits and any of _.+- after the first")
]


class Layer(Keywords, frozen=True, kw_only=True):
    """What may stand in a profile, and in a row's part of a profile."""

    seeds: Seeds | None = None
    budget: dict[str, Any] = msgspec.field(default_factory=dict)
    measure: dict[str, Any] = msgspec.field(default_factory=dict)
    tolerance: dict[str, Limit | Annotated[list[Limit], Meta(min_length=2, max_length=2)]] = msgspec.field(
        default_factory=dict
    )


class Profile(Layer, frozen=True, kw_only=True):
    """A profile, and why its tolerances are what they are.

    Attributes:
        reason: for the tolerances.
        not_comparable: name of our figure, or `"*"` -> why this budget says nothing of it; effects are judged still.
    """

    reason: Text
    not_comparable: Text | dict[str, Text] = msgspec.field(default_factory=dict)


class Change(Layer, frozen=True, kw_only=True):
    """What a row changes of a profile, and what is said of its disagreements."""

    explanation: Text | None = None


class Profiles(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From the cheapest to the dearest: the first that a table has is its default."""

    short: Profile | None = None
    medium: Profile | None = None
    full: Profile | None = None


class Run(Keywords, frozen=True, kw_only=True):
    """A row that is run."""

    title: Text
    variant: Text
    not_comparable: Text | dict[str, Text] = msgspec.field(default_factory=dict)
    short: Change = Change()
    medium: Change = Change()
    full: Change = Change()


class SameRun(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row that is another row's run: only its name, its title, and its figures in the CSV file are its own."""

    title: Text
    same_run_as: Text


class Effect(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the source shows by two of its rows: a figure of the first minus the same figure of the second.

    Attributes:
        title: for people.
        rows: the two.
        ours: name of our figure.
        tolerance: profile -> how far our difference may lie from the published one; it is judged in these profiles.
        explanation: profile -> of an effect that was not reproduced, written after one was seen.
    """

    title: Text
    rows: tuple[Text, Text]
    ours: Text
    tolerance: Annotated[dict[str, Limit], Meta(min_length=1)]
    explanation: dict[str, Text] = msgspec.field(default_factory=dict)


class Recipe(Keywords, frozen=True, kw_only=True):
    """The TOML file. Its rows are of two kinds, which `parse` tells apart."""

    title: Text
    source: Text
    notes: tuple[Text, ...] = ()
    start: tuple[Text, ...] = ()
    dataset: DataEntry
    profiles: Profiles
    rows: Annotated[dict[_RowName, dict[str, Any]], Meta(min_length=1)]
    effects: tuple[Effect, ...] = ()
    timeout_min: Positive = 24 * 60
