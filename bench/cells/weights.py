"""Trained weights, kept beside the records: what was trained once can be measured again, in other ways, at no cost of
training."""

import hashlib
import json
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta

from bench.records.record import PROTOCOL, Cell, Origin, subject
from bench.resume import sealed
from bench.resume.sealed import Facts
from bench.settings import MOST
from variants.core import VAE

# Training depends on these keys of a cell; the measurement afterwards does not change it.
TRAINING = (
    "variant",
    "overrides",
    "dataset",
    "data_options",
    "binarise",
    "seed",
    "budget",
    "device",
    "threads",
    "precision",
)


def path(out: Path, cell: Cell) -> Path:
    """Where the weights of a cell are: a readable name, unique by a hash of all that training depends on."""
    text = json.dumps([PROTOCOL, *(cell[key] for key in TRAINING)], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return out / "weights" / f"{subject(cell)}_s{cell['seed']}_{digest}.safetensors"


class _Origin(Origin, kw_only=True):
    started: str


class _Kept(sealed.Trained, kw_only=True):
    source: Facts
    provenance: _Origin
    train_s: Annotated[float, Meta(ge=0, le=MOST)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.curve:
            raise ValueError("curve must have a row")


def write(file: Path, model: VAE, training: Facts) -> None:
    """Keep a model's parameters and buffers, and of its `training` the `curve`, `train_s` (seconds), `provenance` and
    `source` (what it depended on beside the cell, see `read`).

    Raises:
        MachineError: the file cannot be written.
    """
    sealed.write(file, model.state_dict(), training)


def read(file: Path, model: VAE, source: Facts) -> Facts:
    """Put kept weights into `model` and return what `write` was told of their training.

    Args:
        file: where `write` has put them.
        model: the one to measure.
        source: what its training would depend on now (JSON): code, libraries, data.

    Raises:
        ValueError: `model` is as it was, and to be trained: the file is cut off or damaged, its weights are another
            model's, or another source was behind them. The text goes on after "the file".
    """
    tensors, training = sealed.read(file, _Kept)
    sealed.check_source(training["source"], source)
    state = model.state_dict()
    if {n: (t.shape, t.dtype) for n, t in state.items()} != {n: (t.shape, t.dtype) for n, t in tensors.items()}:
        raise ValueError("holds those of another model")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise ValueError("holds some that are not finite")
    model.load_state_dict(tensors)
    return training
