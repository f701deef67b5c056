"""Trained weights, kept beside the records: what was trained once can be measured again, in other ways, at no cost of
training. A file is safetensors, which holds arrays and text and cannot run code."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bench.record import PROTOCOL, Cell, subject, write_bytes
from variants.core import VAE

# All of a cell that training depends on; how it is measured afterwards is not part of it.
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


def write(file: Path, model: VAE, training: dict[str, Any]) -> None:
    """Keep a model's parameters and buffers, and `training` (JSON: the learning curve, seconds, provenance).

    Raises:
        MachineError: the file cannot be written.
    """
    # Copies: parts may share a tensor, which the format does not hold.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(file, save(tensors, metadata={"training": json.dumps(training, allow_nan=False)}))


def about(file: Path) -> dict[str, Any] | None:
    """What `write` was told of the training whose weights a file holds; None if there is no such file."""
    try:
        with safe_open(file, framework="pt") as kept:
            training = json.loads((kept.metadata() or {})["training"])
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError):
        return None
    if not isinstance(training, dict) or not {"curve", "train_s", "provenance"} <= training.keys():
        return None
    return training if isinstance(training["provenance"], dict) else None


def read(file: Path, model: VAE) -> dict[str, Any] | None:
    """Put kept weights into `model` and return what `write` was told of their training.

    None, and `model` as it was, if there is no such file, or it is cut off, or holds another model's weights: the
    model is then to be trained.
    """
    training = about(file)
    try:
        with safe_open(file, framework="pt") as kept:
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - it is no dictionary
    except (OSError, SafetensorError):
        return None
    own = model.state_dict()
    if {n: (t.shape, t.dtype) for n, t in own.items()} != {n: (t.shape, t.dtype) for n, t in tensors.items()}:
        return None
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        return None
    if training is not None:
        model.load_state_dict(tensors)
    return training
