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


def combinations(sizes: Mapping[str, int], n: int, seed: int, pairs: int = 0) -> Factors:
    """The first `n` of all combinations in a fixed random order, in splits of tenths: no two splits share one. With
    `pairs` the training split is `paired`."""
    order = np.random.default_rng(seed).permutation(math.prod(sizes.values()))[:n]
    values = np.stack(np.unravel_index(order, tuple(sizes.values())), axis=1).astype(np.int64)
    counts = tenths(n)
    parts = np.split(values, np.cumsum([counts[split] for split in SPLITS])[:-1])
    factors = Factors(table(sizes), dict(zip(SPLITS, parts, strict=True)))
    return paired(factors, pairs, seed) if pairs else factors


def paired(factors: Factors, differ: int, seed: int) -> Factors:
    """Every second training example replaced by a partner of the one before it, which shares all factors but `differ`.

    No partner is a combination of another split. Other splits are as they were.

    Args:
        factors: with an even number of training examples.
        differ: from 1 to the number of factors.
        seed: of the choice of factors and of their other values.
    """
    sizes = np.array([factor.size for factor in factors.table])
    rng = np.random.default_rng([seed, differ])

    def number(rows: Values) -> Values:
        return np.asarray(np.ravel_multi_index(tuple(rows.T), tuple(sizes)), dtype=np.int64)

    first = factors.values["train"][::2]
    others = np.concatenate([number(factors.values[split]) for split in SPLITS if split != "train"])
    partner, left = first.copy(), np.arange(len(first))
    while len(left):
        which = rng.permuted(np.tile(np.arange(len(sizes)), (len(left), 1)), axis=1)[:, :differ]
        at = left[:, None]
        # A step of 1 to size - 1 leads to every other value.
        changed = (first[at, which] + rng.integers(1, sizes[which])) % sizes[which]
        partner[left] = first[left]
        partner[at, which] = changed
        left = left[np.isin(number(partner[left]), others)]
    train = np.stack([first, partner], axis=1).reshape(-1, len(sizes))
    return replace(factors, values={**factors.values, "train": train})


def checksum(factors: Factors, draw: Callable[[Values], NDArray[Any]], every: int = 100) -> str:
    """sha256 over the factors of train, valid and test, and over every hundredth image, which stand for all."""
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(factors.values[split].tobytes())
        for row in factors.values[split][::every]:
            digest.update(draw(row).tobytes())
    return digest.hexdigest()
