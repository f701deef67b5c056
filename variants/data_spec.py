"""What a recipe may know of the data: its shape and its kind, nothing else."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["binary", "unit", "real"]


@dataclass(frozen=True)
class DataSpec:
    """The shape and the support of one example.

    Args:
        shape: event shape of one example without the batch axis, `(C, H, W)` for images, `(d,)` for vectors.
        kind: `"binary"` for {0, 1}, `"unit"` for [0, 1], `"real"` for the real line.

    Raises:
        ValueError: on an empty shape, a size below one, or an unknown kind.
    """

    shape: tuple[int, ...]
    kind: Kind

    def __post_init__(self) -> None:
        if not self.shape or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be a non-empty tuple of positive sizes, got {self.shape}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")

    @property
    def dims(self) -> int:
        """Number of data dimensions d, the product of the shape."""
        return math.prod(self.shape)
