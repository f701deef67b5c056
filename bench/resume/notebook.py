"""What of a long measurement is done: results batch by batch, kept in a file, so that a stopped one goes on."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from torch import Tensor

from bench import seeds
from bench.disk.files import read_bytes, write_bytes
from bench.text import decode
from variants.core.batch import Batch

Columns = dict[str, Tensor]
B = TypeVar("B", bound=Tensor | Batch)
_KEPT = msgspec.json.Decoder(dict[str, dict[str, list[float]]])


class Notebook:
    """Runs functions of one batch over all batches, each with random draws of its own, and keeps what they return.

    The draws of a batch depend on the judge's seed, the measurement's name and the batch's number alone. So a figure is
    the same whether the work was done at one go or in pieces.

    Args:
        file: where finished batches are kept; None keeps nothing.
        on_progress: told the measurement's name, batches done, and batches in all.
    """

    def __init__(self, file: Path | None = None, on_progress: Callable[[str, int, int], None] | None = None) -> None:
        self.file = file
        self.on_progress = on_progress or (lambda *_: None)
        self._kept: dict[str, dict[str, list[float]]] = {} if file is None else _read(file)

    def each(self, name: str, batches: Iterable[B], function: Callable[[B], Columns], total: int) -> Columns:
        """Columns `[N]` float64 on the CPU, the batches' in order.

        Args:
            name: the measurement with all of its settings; what was kept under another name is not used.
            batches: x `[B, *shape]`, or with labels; the same at every call.
            function: x -> columns `[B]`, of the draws of torch's global generator.
            total: number of batches, for the progress.
        """
        parts: list[Columns] = []
        for i, x in enumerate(batches):
            key = f"{name} {i}"
            if key not in self._kept:
                with seeds.stream(seeds.JUDGE, key, Batch.of(x).x.device.type):
                    columns = {k: v.detach().cpu().double() for k, v in function(x).items()}
                # As it is read back: a float in JSON is exact.
                self._kept[key] = {k: v.tolist() for k, v in columns.items()}
                if self.file is not None:
                    _write(self.file, self._kept)
            kept = self._kept[key]
            parts.append({k: torch.tensor(v, dtype=torch.float64) for k, v in kept.items()})
            self.on_progress(name, i + 1, total)
        return {k: torch.cat([columns[k] for columns in parts]) for k in parts[0]}

    def close(self) -> None:
        """Forget what was kept: the figures are in a record now."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def _write(file: Path, kept: dict[str, dict[str, list[float]]]) -> None:
    text = json.dumps(kept).encode()
    write_bytes(file, _digest(text) + b"\n" + text)


def _read(file: Path) -> dict[str, dict[str, list[float]]]:
    """What `_write` has written; nothing if a single bit of it is not as it was."""
    try:
        digest, _, text = read_bytes(file, math.inf).partition(b"\n")
        return decode(_KEPT.decode, text) if digest == _digest(text) else {}
    except (OSError, ValueError):
        return {}


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
