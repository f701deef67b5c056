"""What of a batch is not x. Whoever has no use for it passes it on unopened."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples with what is known of them.

    Attributes:
        x: `[B, *shape]`.
        y: labels for the objective, `[B]` int64, -1 where unknown; None for none.
        c: classes that are given, of p(x|c), `[B]` int64; None for none.
    """

    x: Tensor
    y: Tensor | None = None
    c: Tensor | None = None

    @classmethod
    def of(cls, x: "Tensor | Batch") -> "Batch":
        """Itself, or x alone."""
        return x if isinstance(x, Batch) else cls(x)

    def __len__(self) -> int:
        """B."""
        return len(self.x)

    def __getitem__(self, rows: slice) -> "Batch":
        """These examples."""
        return Batch(*(None if each is None else each[rows] for each in (self.x, self.y, self.c)))  # type: ignore[arg-type]
