"""A training in progress, kept beside the weights, so that one that was stopped goes on and ends with the same bytes.

A file is safetensors, which holds arrays and text and cannot run code. What is in it is believed no more than that: it
is used only if it is whole, of the same code, libraries, data and device, and fits the model."""

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.record import write_bytes

# Seconds between two checkpoints, longer where writing one would otherwise take more than this share of the time.
EVERY_S, SHARE = 30.0, 0.01

Tensors = dict[str, Tensor]
Facts = dict[str, Any]


class Resumable(Protocol):
    """What a checkpoint is taken of."""

    def state(self) -> tuple[Tensors, Facts]:
        """All that decides how it goes on: tensors, and JSON."""
        ...

    def restore(self, tensors: Tensors, facts: Facts) -> None:
        """Go on from there. ValueError, and nothing changed, if that is no state of this one."""
        ...


def path(weights: Path) -> Path:
    """Where the checkpoint of a training is whose weights will be at `weights`."""
    return weights.with_suffix(".checkpoint")


class Checkpoint:
    """Keeps the state of one training, and counts the seconds of it.

    Args:
        file: where; None keeps nothing.
        source: what the numbers depend on beside the cell (JSON): code, libraries, data, device. A checkpoint of
            another source is refused.
        provenance: where this training comes from (JSON).
        on_note: told in one line that a training goes on, that it starts anew, or that it cannot be kept.

    Attributes:
        provenance: that of the process which began the training, and under `resumed` how often it went on.
    """

    def __init__(
        self,
        file: Path | None = None,
        source: Facts | None = None,
        provenance: Facts | None = None,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.file, self.source, self.provenance, self.on_note = file, source or {}, provenance or {}, on_note
        self._before = 0.0
        self._started = self._last = time.monotonic()
        self._cost = 0.0
        self._complained = False

    @property
    def train_s(self) -> float:
        """Seconds of this training, those before it was stopped included up to the checkpoint that it went on from."""
        return self._before + time.monotonic() - self._started

    def resume(self, training: Resumable) -> bool:
        """Whether there was a checkpoint from which `training` now goes on."""
        if self.file is None or not self.file.exists():
            return False
        try:
            tensors, kept = _read(self.file)
            if differs := [key for key in self.source if kept["source"].get(key) != self.source[key]]:
                raise ValueError(f"was written with other {', '.join(differs)}")
            training.restore(tensors, kept["state"])
        except ValueError as error:
            self.on_note(f"training starts anew, for its checkpoint {error}")
            return False
        self._before = kept["train_s"]
        self.provenance = kept["provenance"] | {"resumed": kept["provenance"].get("resumed", 0) + 1}
        self.on_note(f"training goes on after {self._before:.0f} s")
        return True

    def tick(self, training: Resumable) -> None:
        """Write a checkpoint if one is due. One that cannot be written is said once, and costs nothing else."""
        began = time.monotonic()
        if self.file is None or began - self._last < max(EVERY_S, self._cost / SHARE):
            return
        try:
            tensors, state = training.state()
            # Copies: parts may share a tensor, which the format does not hold.
            tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
            kept = {"source": self.source, "provenance": self.provenance, "train_s": self.train_s, "state": state}
            text = json.dumps(kept, allow_nan=False)
            write_bytes(self.file, save(tensors, metadata={"kept": text, "sha256": _digest(tensors, text)}))
        except Exception as error:
            # A full disk, or a state that is no tensor: a training that cannot be kept is a training still.
            if not self._complained:
                self.on_note(f"training goes on without a checkpoint: {type(error).__name__}: {error}")
            self._complained = True
        self._last = time.monotonic()
        self._cost = self._last - began

    def close(self) -> None:
        """Forget what was kept: the training has ended."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)


def _read(file: Path) -> tuple[Tensors, Facts]:
    """What `Checkpoint.tick` wrote. ValueError if the file is not that, or not whole."""
    try:
        with safe_open(file, framework="pt") as found:
            tensors = {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118 - it is no dictionary
            about = found.metadata() or {}
        kept = json.loads(about["kept"])
        whole = about["sha256"] == _digest(tensors, about["kept"])
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ValueError("cannot be read") from error
    if not whole:
        raise ValueError("is damaged")
    if (
        not isinstance(kept, dict)
        or not all(isinstance(kept.get(key), dict) for key in ("source", "provenance", "state"))
        or not is_number(kept.get("train_s"))
        or kept["train_s"] < 0
        or not isinstance(kept["provenance"].get("resumed", 0), int)
    ):
        raise ValueError("lacks parts of a checkpoint")
    return tensors, kept


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """A flipped bit in a weight would pass unseen, and give other numbers."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def is_number(value: object) -> bool:
    """Whether a value from JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
