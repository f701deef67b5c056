"""One run = one Record: a JSON file with the full configuration, the figures and where they came from."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from bench.settings import Finite, Measure, Number
from bench.text import TAGS, UNPRINTABLE, cut

SCHEMA = 1
# Results compare only within one protocol. Raise it when the same configuration would give other numbers, beyond the
# rounding in which any two processors differ too.
PROTOCOL = "1.2"
Status = Literal["ok", "diverged", "error", "timeout"]
# "quality" and "throughput" are about variants; a "trial" is a run that settings are chosen by, judged on the
# validation split, and no result; "oracle" is about the judge, and has tables of its own.
Kind = Literal["quality", "throughput", "trial", "oracle"]
STATUSES: tuple[Status, ...] = get_args(Status)
KINDS: tuple[Kind, ...] = get_args(Kind)
ORACLE: Kind = "oracle"
TRIAL: Kind = "trial"
# These train.
TRAINED: tuple[Kind, ...] = ("quality", TRIAL)
# A processor share below this means that other programs were running: the speed is not ours.
BUSY = 0.8

# The configuration of a run. Its id is a hash of all of it, so it stays as it was read; `CELLS` says what it holds.
Cell = dict[str, Any]
# It names files.
_Identifier = Annotated[
    str, Meta(pattern=rf"^(?!\.)[^{UNPRINTABLE}/\\]+(?![\s\S])", max_length=230, description="that can name a file")
]


class _Subject(Struct):
    """What every cell says."""

    variant: str
    overrides: dict[str, Any]
    dataset: str
    data_options: dict[str, Any]
    binarise: str | None
    device: str
    precision: str | None


_BUDGET = ("epochs", "train_size", "batch_size", "lr")
_Budget = msgspec.defstruct("BudgetOfACell", [(key, Number, None) for key in _BUDGET])
_MEASURE = [key for key in Measure.__struct_fields__ if key != "gap_split"]
_Measure = msgspec.defstruct("MeasureOfACell", [(key, Number, None) for key in _MEASURE])


class Search(Struct, forbid_unknown_fields=True):
    """How settings are searched, the same for all variants; `bench.suites.search` says what its parts mean."""

    trials: int
    metric: str
    stream: int
    ranges: dict[str, Any]


class Tuning(Struct, forbid_unknown_fields=True):
    """The trial whose settings a run has, in its budget and its overrides.

    Attributes:
        trial: its number.
        settings: what it drew, by key.
        overrides: the variant's, as they are without.
        budget: as it is without.
        search: which search it is of.
        own: ranges that this variant has beside those of all.
    """

    trial: int
    settings: dict[str, Any]
    overrides: dict[str, Any]
    budget: _Budget  # type: ignore[valid-type]
    search: Search
    own: dict[str, Any] = {}


class QualityCell(_Subject, kw_only=True):
    """Of a run that trains and judges. `bench.settings` says what may be asked for today."""

    seed: int
    budget: _Budget  # type: ignore[valid-type]
    measure: _Measure  # type: ignore[valid-type]
    tuning: Tuning | None = None


class TrialCell(QualityCell, kw_only=True):
    """Of a run that settings are chosen by."""

    tuning: Tuning


class ThroughputCell(_Subject):
    """Of a run that measures speed."""


class _Problem(Struct):
    """A linear Gaussian model, or a belief network of so many bits."""

    d: Number
    k: Number = None
    noise: float | None = None
    orthogonal: bool | None = None
    bits: Number = None

    def __post_init__(self) -> None:
        if self.bits is None and None in (self.k, self.noise, self.orthogonal):
            raise ValueError("a problem has bits, or else k, noise and orthogonal")


class OracleCell(_Subject):
    """Of a run that checks the judge."""

    data_options: _Problem  # type: ignore[assignment]


CELLS: dict[Kind, type[Struct]] = {
    "quality": QualityCell,
    "throughput": ThroughputCell,
    TRIAL: TrialCell,
    ORACLE: OracleCell,
}
_ANY_CELL = {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in CELLS.values()]}


class Timed(Struct, forbid_unknown_fields=True):
    """A figure measured in blocks of time."""

    median: Number
    q1: Number = None
    q3: Number = None
    blocks: Sequence[Number] = ()


class Check(Struct, forbid_unknown_fields=True, kw_only=True):
    """One statement of the judge held against the truth."""

    part: str
    quantity: str
    truth: Number
    estimate: Number
    error: Number
    standard_error: Number
    low: Number
    high: Number
    rule: str
    passed: bool


class Model(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was measured. Nothing is known of a model that was never built. `units` are those of its log densities of a
    user's own data."""

    network: str | None = None
    posterior: str | None = None
    prior: str | None = None
    likelihood: str | None = None
    objective: str | None = None
    support: str | None = None
    has_bound: bool | None = None
    conditional: bool | None = None
    kl_method: str | None = None
    latent: int | None = None
    data_dims: int | None = None
    units: str | None = None


class Origin(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where weights come from: the code, the data, and the machine that trained them."""

    commit: str | None = None
    dirty: bool | None = None
    started: str | None = None
    device_name: str | None = None
    data_sha256: str | None = None
    training_sha256: str | None = None
    resumed: int = 0


class Provenance(Origin, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where a record comes from; `trained` is where its weights do, if they were kept."""

    code_sha256: str | None = None
    versions: dict[str, str | None] = {}
    platform: str | None = None
    cpu_count: int | None = None
    matmul_precision: str | None = None
    cpu_kernels: str | None = None
    allocator: str | None = None
    processor_share: Number = None
    trained: Origin | None = None
    features_sha256: str | None = None


class Record(Struct, forbid_unknown_fields=True, kw_only=True):
    """All that is known of one run.

    Attributes:
        reason: of a status that is not ok, in one line.
        metrics: name -> value; of a speed its blocks.
        errors: metric -> `"mc"` and `"test"` -> standard error.
        latent: per latent dimension, on `points` test examples.
        curve: a row for each epoch.
        timing: seconds of training and of measuring.
        rate_distortion: beta, distortion and rate, exact and measured; of the oracle alone.
        checks: of the oracle alone.
        traceback: of an error that the program did not expect.
        no_pictures: why there are none.
        no_weights: why they are not kept.
        weights: name of their file in the folder `weights`.
    """

    schema: Literal[1] = 1
    protocol: str | None = None
    kind: Kind
    id: _Identifier
    status: Status
    reason: str | None = None
    cell: Annotated[Cell, Meta(extra_json_schema=_ANY_CELL)]
    model: Model = msgspec.field(default_factory=Model)
    metrics: Mapping[str, Number | Timed]
    errors: dict[str, dict[str, Number]] = {}
    latent: dict[str, Number | Sequence[Finite]] = {}
    curve: Sequence[dict[str, Number]] = []
    timing: dict[str, Number] = {}
    provenance: Provenance = msgspec.field(default_factory=Provenance)
    rate_distortion: dict[str, list[list[Finite]]] = {}
    checks: list[Check] = []
    traceback: str | None = None
    no_pictures: str | None = None
    no_weights: str | None = None
    weights: str | None = None


# A file has these keys only where they say something.
_OF_SOME = ("rate_distortion", "checks", "traceback", "no_pictures", "no_weights", "weights")


def record_id(kind: str, cell: Cell) -> str:
    """Name of a cell's record: readable, and unique by a hash of the whole configuration and the protocol."""
    text = json.dumps([PROTOCOL, kind, cell], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    middle = {
        "quality": f"s{cell.get('seed')}",
        "throughput": f"throughput-{cell['device']}",
        TRIAL: f"trial{cell.get('tuning', {}).get('trial')}",
    }.get(kind, kind)
    return f"{subject(cell)}_{middle}_{digest}"


def subject(cell: Cell) -> str:
    """What names of files begin with: data set and variant, without anything that could lead to another folder."""
    name = f"{cut(Path(cell['dataset']).stem)}-{cell['binarise']}_{cut(cell['variant'])}"
    return re.sub(rf"^\.|[{UNPRINTABLE}{TAGS}/\\]", "_", name)


def new(
    kind: str, cell: Cell, provenance: Mapping[str, Any], status: str = "error", reason: str | None = None
) -> Record:
    """A record with nothing measured yet."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(
        protocol=PROTOCOL,
        kind=kind,  # type: ignore[arg-type]
        id=record_id(kind, cell),
        status=status,  # type: ignore[arg-type]
        reason=reason,
        cell=cell,
        metrics={},
        provenance=msgspec.convert({**provenance, "started": started}, Provenance),
    )


def plain(record: Record) -> dict[str, Any]:
    """The record as JSON has it."""
    content: dict[str, Any] = msgspec.to_builtins(record, enc_hook=list)
    return {key: value for key, value in content.items() if value or key not in _OF_SOME}


def disturbed(record: Record) -> list[str]:
    """The timed metrics that have no figure, for their blocks never agreed."""
    return [name for name, value in record.metrics.items() if isinstance(value, Timed) and value.median is None]


def machine(record: Record) -> str:
    """What a run was made on, as far as the record says."""
    return record.provenance.device_name or "unknown machine"
