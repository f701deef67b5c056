"""The settings of a run as typed sections, and what checks them and all else that people write. It needs no torch."""

import json
import sys
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from bench.errors import UsageError
from bench.text import decode, hint

Typed = TypeVar("Typed")
MOST_SEEDS = 10_000
# A double holds whole numbers exactly up to here.
MOST = 2**53
Count = Annotated[int, Meta(ge=1, le=MOST)]
Natural = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[float, Meta(gt=0, le=sys.float_info.max)]
Seeds = Annotated[int, Meta(ge=1, le=MOST_SEEDS)]
# So many seeds, 0 to N - 1, or the seeds themselves.
SeedList = Annotated[tuple[Annotated[int, Meta(ge=0, le=MOST)], ...], Meta(min_length=1, max_length=MOST_SEEDS)]
# Of figures: the square of the largest, and the sum of many squares, is a number still.
LARGEST = 1e100
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Number = Annotated[int, Meta(ge=-MOST, le=MOST)] | Finite | None
# Levels of tables and lists in each other that a setting may have.
DEEPEST = 20
# Of a text that is shown to people: it holds a letter.
Text = Annotated[str, Meta(pattern=r"\S")]
_STRICT = json.JSONEncoder(allow_nan=False)


def check_depth(value: object, most: int = DEEPEST) -> None:
    """ValueError for JSON of more levels: what walks it would end in the middle."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if parts and not most:
        raise ValueError(f"it has more than {DEEPEST} levels")
    for part in parts:
        check_depth(part, most - 1)


def check_plain(name: str, value: object) -> None:
    """ValueError for what is no JSON, or too deep."""
    try:
        decode(_STRICT.encode, value)
        check_depth(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, texts, true, false, and lists of these: {error}") from error


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """`key=value` words as a dictionary; a value is read as TOML (`50`, `1e-3`, `true`, `[400, 200]`), else as text."""
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise UsageError(f"settings have the form key=value, got {word!r}")
        try:
            value = decode(tomllib.loads, f"value = {text}")["value"]
        except ValueError:
            value = {"True": True, "False": False}.get(text.strip(), text)
        settings[key.strip()] = value
    return settings


class Keywords(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table that changes keywords of a variant."""

    set: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check_plain("set", self.set)


@cache
def _described(kind: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a class, which msgspec finds anew at every call; a suite asks for each of its cells."""
    return msgspec.structs.fields(kind)


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a suite.

    Attributes:
        added: keys that came when there were results already. A cell leaves them out while they have their default, so
            that the cells of those results keep their names.
    """

    added: ClassVar[tuple[str, ...]] = ()

    def plain(self) -> dict[str, Any]:
        """The keys of the section as a cell has them."""
        return {
            field.name: value
            for field in _described(type(self))
            if (value := getattr(self, field.name)) != field.default or field.name not in self.added
        }


class Budget(Section, frozen=True):
    """What every variant of a comparison gets for training.

    Attributes:
        epochs: passes over the training split.
        batch_size: examples per step; the last, smaller batch of a pass is kept.
        lr: Adam's step size at the start.
        schedule: how the step size goes on, see `bench.train.SCHEDULES`.
        train_size: the first so many training examples; None for all. A suite takes all of a data set that has fewer.
        epsilon: Adam's epsilon, for a loss that is a mean over the batch.
        normalise_gradients: whether the gradient of each parameter tensor is divided by its norm before Adam sees it.
        grad_clip: the largest norm that the gradient of all parameters together may have when Adam sees it; a longer
            one is shortened to it. None leaves it as it is.
        grad_skip: a step whose gradient of all parameters together has a larger norm than this, or one that is no
            number, is not made, and is counted. None makes all.
        weight_decay: share of the weights, times the step size, that each step takes off, apart from Adam's moments.
        patience: epochs without a better validation ELBO after which training ends, counted from the end of the
            objective's warm-up; the weights of the best epoch are then the result. None trains all epochs and keeps
            the last weights.
    """

    added = ("epsilon", "normalise_gradients", "grad_clip", "grad_skip", "weight_decay", "patience")

    epochs: Count = 10
    batch_size: Count = 128
    lr: Positive = 3e-3
    schedule: Literal["cosine", "constant", "burda2015", "geometric", "linear", "warmup_cosine"] = "cosine"
    train_size: Count | None = None
    epsilon: Positive = 1e-8
    normalise_gradients: bool = False
    grad_clip: Positive | None = None
    grad_skip: Positive | None = None
    weight_decay: Annotated[float, Meta(ge=0, le=1)] = 0.0
    patience: Count | None = None


class Measure(Section, frozen=True):
    """How finely a trained model is measured, on the test split.

    Everything but the ELBO is left out where its number is 0. docs/metrics.md defines what is measured.

    Attributes:
        elbo_samples: posterior draws per example for the ELBO and the reconstruction; 2 or more tell their own error.
        nll_samples: K importance samples per example for log p(x), up to 5,000.
        nll_points: evenly spaced test examples on which log p(x) - ELBO is estimated; None for all.
        mi_points: evenly spaced test examples of which one draw each is held against the posteriors of all of them,
            for the mutual information.
        gap_points: evenly spaced test examples whose posteriors are optimised one by one, for the inference gaps.
        gap_steps: steps of that optimisation.
        gap_split: `"train"` takes the first training examples instead, as published tables of gaps do, and gives the
            bounds themselves.
        probe_points: evenly spaced training examples from whose codes the classes are learnt.
        ssim_points: evenly spaced test examples whose reconstructions are compared by structural similarity.
        factor_points: evenly spaced examples, of the training and of the test split, whose codes are held against the
            factors that they were made from.
        sample_points: examples that are generated, and held against as many test examples.
        ais_points: evenly spaced test examples, and as many simulated ones, for annealed importance sampling.
        ais_steps: temperatures of each annealing path.
        ais_chains: paths per example.
    """

    added = ("gap_split", "factor_points", "sample_points")

    elbo_samples: Annotated[int, Meta(ge=1, le=100)] = 10
    nll_samples: Annotated[int, Meta(ge=0, le=5000)] = 500
    nll_points: Count | None = None
    mi_points: Natural = 0
    gap_points: Natural = 0
    gap_steps: Count = 250
    gap_split: Literal["test", "train"] = "test"
    probe_points: Natural = 0
    ssim_points: Natural = 0
    factor_points: Natural = 0
    sample_points: Natural = 0
    ais_points: Natural = 0
    ais_steps: Count = 500
    ais_chains: Count = 16


class Clock(Section, frozen=True):
    """How throughput is measured.

    Attributes:
        blocks: timed blocks per figure; 0 leaves throughput out.
        block_s: seconds that a block should last at least; calls per block are calibrated to it.
        batch_size: examples per call.
    """

    blocks: Natural = 7
    block_s: Annotated[float, Meta(gt=0, le=60)] = 0.2
    batch_size: Count = 128

    def __post_init__(self) -> None:
        if self.blocks in (1, 2):
            raise ValueError(f"blocks must be 0, or at least 3, got {self.blocks}")


# The tables of a suite file whose keys `--set` takes as well.
SECTIONS: dict[str, type[Section]] = {"budget": Budget, "measure": Measure, "throughput": Clock}


def typed(kind: type[Struct], key: str, value: object) -> Any:
    """`value` if it fits the field `key` of a Struct; UsageError otherwise."""
    return convert(_fields(kind)[key], value, key)


def convert(kind: type[Typed], value: object, name: str = "") -> Typed:
    """`value`, as JSON or TOML gave it, as `kind`. A whole number fits a float, and nothing else what it is not.

    Raises:
        UsageError: one line with the key (`name` is that of the value itself), what belongs there, and the value.
    """
    try:
        return decode(lambda given: msgspec.convert(given, kind), value)
    except ValueError as error:
        try:
            line = decode(lambda given: _complaint(kind, given, name), value)
        except ValueError:
            line = f"{name or 'it'} {error}"
        raise UsageError(line) from error


def _complaint(kind: Any, value: Any, name: str) -> str:
    """What is wrong with a value that does not fit: with the innermost part of it that does not."""
    prefix = f"{name}." if name else ""
    for member in _members(kind):
        is_table = _is_struct(member) and isinstance(value, Mapping)
        if is_table:
            known = _fields(member)
            closed = member.__struct_config__.forbid_unknown_fields
            if unknown := [key for key in value if closed and key not in known]:
                return f"unknown key {prefix}{unknown[0]}: {hint(str(unknown[0]), known)}"
            required = [field.encode_name for field in msgspec.structs.fields(member) if field.required]
            if missing := [key for key in required if key not in value]:
                return f"{prefix}{missing[0]} must be {_words(known[missing[0]], None)}, and is missing"
        for inner, each, key in _parts(member, value, prefix):
            if _refusal(inner, each):
                return _complaint(inner, each, key)
        if is_table:
            return f"{prefix}{_refusal(member, value)}"  # the table's `__post_init__` refused it
    shown = repr(value)
    shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
    return f"{name or 'it'} must be {_words(kind, value)}, got {shown}"


def _refusal(kind: Any, value: object) -> str:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _parts(kind: Any, value: Any, prefix: str) -> Iterator[tuple[Any, object, str]]:
    """The kind, the value and the name of each part of a value."""
    inner = typing.get_args(kind)
    if _is_struct(kind) and isinstance(value, Mapping):
        known = _fields(kind)
        yield from ((known[key], each, f"{prefix}{key}") for key, each in value.items() if key in known)
    elif typing.get_origin(kind) in (dict, Mapping) and isinstance(value, Mapping):
        yield from ((inner[0], key, f"the key {prefix}{key}") for key in value)
        yield from ((inner[1], each, f"{prefix}{key}") for key, each in value.items())
    elif typing.get_origin(kind) in (list, tuple, Sequence) and isinstance(value, list):
        yield from ((inner[0], each, f"{prefix.removesuffix('.')}[{i}]") for i, each in enumerate(value))


def _fields(kind: Any) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _members(kind: Any) -> list[Any]:
    """The kinds of a union, without what is only said about them."""
    if typing.get_origin(kind) is Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return [member for each in typing.get_args(kind) for member in _members(each)]
    return [kind]


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    Sequence: "a list",
}


def _words(kind: Any, value: object) -> str:
    """What `value` should have been: `"a whole number from 1 to 100"`."""
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is Annotated:
        return _words(inner[0], value) + "".join(_limits(meta, value) for meta in inner[1:])
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        left_out = ([types.NoneType], [int] if [float] in map(_members, inner) else None)
        return " or ".join(_words(each, value) for each in inner if _members(each) not in left_out)
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, inner))
    return _WORDS.get(typing.get_origin(kind) or kind, "a table")


def _limits(meta: Meta, value: object) -> str:
    if meta.description or meta.pattern:
        return f" {meta.description or 'that is not empty'}"
    if meta.min_length:
        return f" with at least {meta.min_length} entr{'y' if meta.min_length == 1 else 'ies'}"
    high = meta.le
    if high in (MOST, LARGEST, sys.float_info.max) and not (isinstance(value, int | float) and value > high):
        high = None  # no limit but that of numbers
    if meta.gt is None and meta.ge in (None, -LARGEST) and high is None:
        return ""
    if meta.gt is None:
        return f" from {meta.ge:g} to {high:g}" if high is not None else f" of at least {meta.ge:g}"
    return f" above {meta.gt:g}" + (f" and at most {high:g}" if high is not None else "")
