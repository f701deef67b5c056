"""What a recipe may know of the data: its shape, its kind, how much there is to train on and its mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["binary", "unit", "real", "levels", "counts"]


@dataclass(frozen=True)
class DataSpec:
    """The shape and the support of one example, and the number of examples.

    Args:
        shape: event shape of one example without the batch axis, `(C, H, W)` for images, `(d,)` for vectors.
        kind: `"binary"` for {0, 1}, `"unit"` for [0, 1], `"real"` for the real line, `"levels"` for the L values
            k / (L - 1), k = 0, ..., L - 1, and `"counts"` for the whole numbers from 0 on.
        size: N, number of training examples; None where it is not known.
        mean: () -> mean of the training examples, an array of `shape`; None where it is not known. A function, for it
            takes reading the data, and few recipes ask.
        levels: L of the kind `"levels"`; of the kind `"unit"` the L of data that are (k + u) / L with u uniform in
            [0, 1), and None for others.
        classes: number of classes that the labels are of, 0 to classes - 1; None where there are no labels.
        labelled: how many of the training examples show their label to an objective; 0 for none.
        pairs: whether rows 2 i and 2 i + 1 of a training batch belong together.

    Raises:
        ValueError: on an empty shape, a size below one, an unknown kind, or levels that are missing or out of place.
    """

    shape: tuple[int, ...]
    kind: Kind
    size: int | None = None
    mean: Callable[[], Any] | None = field(default=None, compare=False, repr=False)
    levels: int | None = None
    classes: int | None = None
    labelled: int = 0
    pairs: bool = False

    def __post_init__(self) -> None:
        if not self.shape or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be a non-empty tuple of positive sizes, got {self.shape}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if self.size is not None and (isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1):
            raise ValueError(f"size must be a whole number of at least 1, or None, got {self.size!r}")
        if (self.kind == "levels" and self.levels is None) or (
            self.levels is not None and (self.kind not in ("levels", "unit") or self.levels < 2)
        ):
            raise ValueError(
                f"levels are 2 or more of the kind 'levels', got {self.levels!r} of the kind {self.kind!r}"
            )

    @property
    def dims(self) -> int:
        """Number of data dimensions d, the product of the shape."""
        return math.prod(self.shape)
