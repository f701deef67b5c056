"""Arrays that may be larger than memory: they then lie in a file without a name, which goes when they do."""

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.files import data_root, one_line
from bench.errors import MachineError

# Bytes of an array that is held in memory.
HELD = 1 << 30
# Bytes that are copied at a time.
PIECE = 1 << 26


def memory() -> float:
    """Bytes of memory of this machine; without end where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def room(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array to be filled: in memory, or in a file of the data root where it is large.

    Raises:
        MachineError: no file can be written there.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= HELD:
        return np.empty(shape, dtype)
    try:
        folder = data_root()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise MachineError(f"cannot write in {data_root()} ({one_line(error)}); set VAEBENCH_DATA") from error


def rows(array: NDArray[Any]) -> int:
    """How many examples are copied at a time."""
    return max(1, PIECE // max(1, array[:1].nbytes))


def take(array: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    """`array[indices]`."""
    result = room((len(indices), *array.shape[1:]), array.dtype)
    step = rows(array)
    for i in range(0, len(indices), step):
        result[i : i + step] = array[indices[i : i + step]]
    return result
