"""Data that were made from factors of variation: which, and what each example was made from."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS, tenths

Values = NDArray[np.int64]


@dataclass(frozen=True)
class Factor:
    """One factor of variation.

    Attributes:
        name: of it.
        size: values that it has, 0 to size - 1.
        ordered: whether these have an order.
    """

    name: str
    size: int
    ordered: bool = True


@dataclass(frozen=True)
class Factors:
    """The factors of a data set.

    Attributes:
        table: the F factors.
        values: by split `[N, F]`.
    """

    table: tuple[Factor, ...]
    values: Mapping[str, Values]

    def first(self, splits: Mapping[str, int]) -> "Factors":
        """Those of the first so many examples of each split."""
        return replace(self, values={split: self.values[split][:n] for split, n in splits.items()})


class Rendered:
    """Examples that are drawn one at a time from their factors.

    Args:
        values: `[N, F]`.
        draw: `[F]` -> `[*shape]`, uint8.
    """

    def __init__(self, values: Values, draw: Callable[[Values], NDArray[np.uint8]]) -> None:
        self.values, self.draw = values, draw

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.draw(self.values[index])


def table(sizes: Mapping[str, int]) -> tuple[Factor, ...]:
    """Factors by name and number of values; a name with `*` before it has values without an order."""
    return tuple(Factor(name.removeprefix("*"), size, not name.startswith("*")) for name, size in sizes.items())


def combinations(sizes: Mapping[str, int], n: int, seed: int) -> Factors:
    """The first `n` of all combinations in a fixed random order, in splits of tenths: no two splits share one."""
    order = np.random.default_rng(seed).permutation(math.prod(sizes.values()))[:n]
    values = np.stack(np.unravel_index(order, tuple(sizes.values())), axis=1).astype(np.int64)
    counts = tenths(n)
    parts = np.split(values, np.cumsum([counts[split] for split in SPLITS])[:-1])
    return Factors(table(sizes), dict(zip(SPLITS, parts, strict=True)))


def checksum(factors: Factors, draw: Callable[[Values], NDArray[Any]], every: int = 100) -> str:
    """sha256 over the factors of train, valid and test, and over every hundredth image, which stand for all."""
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(factors.values[split].tobytes())
        for row in factors.values[split][::every]:
            digest.update(draw(row).tobytes())
    return digest.hexdigest()
