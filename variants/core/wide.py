"""Double precision, where a formula loses in single precision what it is about."""

import torch
from torch import Tensor


def wide(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The same numbers in double precision; on a device that has none as they are."""
    try:
        return tuple(tensor.double() for tensor in tensors)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError):
        return tensors
