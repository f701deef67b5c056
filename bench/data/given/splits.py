"""Who is held out: by a fixed permutation, of every class its share."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.errors import DataError

SEED = 20_010
# Of fewer examples nothing is held out.
LEAST = 10


def hold_out(labels: NDArray[np.int64], missing: tuple[str, ...], where: str) -> dict[str, NDArray[np.int64]]:
    """Indices of a training set that keeps what is left when each of the missing splits has had a tenth.

    The examples are permuted, the same way whoever asks, then laid in a row class by class; those that are held out are
    evenly spaced in that row, so that each class has its share of each split.

    Args:
        labels: `[N]`, zeros where there are none.
        missing: which of `"valid"` and `"test"` are to be held out.
        where: names the data in an error.

    Returns:
        Indices `[n]` in ascending order, of `"train"` and of what was missing.

    Raises:
        DataError: there are fewer than `LEAST`.
    """
    n = len(labels)
    if not missing:
        return {"train": np.arange(n)}
    if n < LEAST:
        also = " and ".join(missing)
        raise DataError(
            f"{where}: {n} example{'s are' if n != 1 else ' is'} too few to hold out {also}; give {also} too"
        )
    # The draws of this generator are the same in every version of NumPy.
    order = np.random.RandomState(SEED).permutation(n)
    order = order[np.argsort(labels[order], kind="stable")]
    taken = n // 10 * len(missing)
    places = (2 * np.arange(taken) + 1) * n // (2 * taken)
    held = {split: np.sort(order[places[i :: len(missing)]]) for i, split in enumerate(missing)}
    return {"train": np.sort(np.delete(order, places))} | held


def duplicates(images: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Of valid and of test, how many examples stand in an earlier split too, value for value."""
    seen: set[bytes] = set()
    found = {}
    for split in SPLITS:
        here = [hashlib.blake2b(np.ascontiguousarray(x).tobytes(), digest_size=8).digest() for x in images[split]]
        found[split] = sum(each in seen for each in here)
        seen.update(here)
    return {split: count for split, count in found.items() if split != "train" and count}
