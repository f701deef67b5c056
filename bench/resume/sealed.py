"""Files of tensors and JSON that are believed only if they are whole: what checkpoints and kept weights are.

A file is safetensors, which holds arrays and text and cannot run code."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import Struct
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.disk.files import is_ours, write_bytes
from bench.errors import UsageError
from bench.settings import Number, convert
from bench.text import decode

Tensors = dict[str, Tensor]
Facts = dict[str, Any]
WRONG = "does not say what it should"


def write(file: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """Keep tensors and facts (JSON).

    Raises:
        MachineError: the file cannot be written.
    """
    # Copies: parts may share a tensor, which the format does not hold.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, allow_nan=False)
    write_bytes(file, save(tensors, metadata={"kept": text, "sha256": digest(tensors, text)}))


class Trained(Struct, kw_only=True):
    """What is said of a training: its curve has one row for each epoch from the first."""

    curve: list[dict[str, Number]]

    def __post_init__(self) -> None:
        if [row.get("epoch") for row in self.curve] != list(range(1, len(self.curve) + 1)):
            raise ValueError("curve must have one row for each epoch from the first")


def read(file: Path, kind: type[Struct]) -> tuple[Tensors, Facts]:
    """What `write` wrote. ValueError, whose text goes on after "the file", if it is not that or not whole.

    A digest is no signature: whoever knows how a file is made can make another. So the facts must fit `kind`.
    """
    if not is_ours(file):
        raise ValueError("cannot be read")  # nor waited for
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dictionary
            about = opened.metadata() or {}
        facts: Facts = decode(msgspec.json.decode, about["kept"])
        whole = about["sha256"] == digest(tensors, about["kept"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError("cannot be read") from error
    if not whole:
        raise ValueError("is damaged")
    try:
        convert(kind, facts)
    except UsageError as error:
        raise ValueError(f"{WRONG}: {error}") from error
    return tensors, facts


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """A flipped bit in a weight would pass unseen, and give other numbers."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def check_source(written: Facts, wanted: Facts) -> None:
    """ValueError if a file was written where something else was behind its numbers: code, libraries, data."""
    if differs := [key for key in wanted if written.get(key) != wanted[key]]:
        raise ValueError(f"was written with other {', '.join(differs)}")
