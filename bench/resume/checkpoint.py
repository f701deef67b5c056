"""A training in progress, kept beside the weights, so that one that was stopped goes on and ends with the same bytes.

What is in a file is used only if it is whole, of the same code, libraries, data and device, and fits the model."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from bench.resume import sealed
from bench.resume.sealed import Facts, Tensors
from bench.settings import MOST, Number
from bench.text import said

# Seconds between two checkpoints, longer where writing one would otherwise take more than this share of the time.
EVERY_S, SHARE = 30.0, 0.01


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


class Kept(Struct, kw_only=True):
    """What stands in the file beside the tensors."""

    source: Facts
    state: sealed.Trained
    provenance: dict[str, str | bool | Number]
    train_s: Annotated[float, Meta(ge=0, le=MOST)]

    def __post_init__(self) -> None:
        if not isinstance(self.provenance.get("resumed", 0), int):
            raise ValueError("provenance.resumed must be a whole number")


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
            tensors, kept = sealed.read(self.file, Kept)
            sealed.check_source(kept["source"], self.source)
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
            kept = {"source": self.source, "provenance": self.provenance, "train_s": self.train_s, "state": state}
            sealed.write(self.file, tensors, kept)
        except Exception as error:
            # A full disk, or a state that is no tensor: a training that cannot be kept is a training still.
            if not self._complained:
                self.on_note(f"training goes on without a checkpoint: {said(error)}")
            self._complained = True
        self._last = time.monotonic()
        self._cost = self._last - began

    def close(self) -> None:
        """Forget what was kept: the training has ended."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)
