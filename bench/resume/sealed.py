"""Files of tensors and JSON that are believed only if they are whole: what checkpoints and kept weights are.

A file is safetensors, which holds arrays and text and cannot run code."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.disk.files import write_bytes

Tensors = dict[str, Tensor]
Facts = dict[str, Any]


def write(file: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """Keep tensors and facts (JSON).

    Raises:
        MachineError: the file cannot be written.
    """
    # Copies: parts may share a tensor, which the format does not hold.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, allow_nan=False)
    write_bytes(file, save(tensors, metadata={"kept": text, "sha256": digest(tensors, text)}))


def read(file: Path) -> tuple[Tensors, Facts]:
    """What `write` wrote. ValueError, whose text goes on after "the file", if it is not that or not whole.

    A digest is no signature: whoever knows how a file is made can make another. So what the facts are is for the
    caller to check.
    """
    try:
        with safe_open(file, framework="pt") as found:
            tensors = {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118 - it is no dictionary
            about = found.metadata() or {}
        facts = json.loads(about["kept"])
        whole = about["sha256"] == digest(tensors, about["kept"])
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ValueError("cannot be read") from error
    if not whole:
        raise ValueError("is damaged")
    return tensors, facts if isinstance(facts, dict) else {}


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """A flipped bit in a weight would pass unseen, and give other numbers."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def check_source(found: Facts, wanted: Facts) -> None:
    """ValueError if a file was written where something else was behind its numbers: code, libraries, data."""
    if differs := [key for key in wanted if found.get(key) != wanted[key]]:
        raise ValueError(f"was written with other {', '.join(differs)}")


def is_number(value: object) -> bool:
    """Whether a value from JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_curve(value: object) -> bool:
    """Whether a value from JSON is a learning curve: one row for each epoch from the first."""
    return isinstance(value, list) and all(
        isinstance(row, dict) and row.get("epoch") == i + 1 and all(v is None or is_number(v) for v in row.values())
        for i, row in enumerate(value)
    )


def is_origin(value: object) -> bool:
    """Whether a value from JSON is what a record says of where its training comes from."""
    return (
        isinstance(value, dict)
        and all(v is None or isinstance(v, str | bool) or is_number(v) for v in value.values())
        and isinstance(value.get("resumed", 0), int)
    )
