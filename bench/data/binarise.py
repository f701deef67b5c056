"""From grey values to {0, 1}: drawn afresh, drawn once for everybody, or cut at one half.

Grey values are `uint8` counts out of `levels` (255, or 16 for scikit-learn's digits), or `float32` out of 1.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.entry import SPLITS

SEED = 20_010


def dynamic(images: Tensor, levels: int, noise: torch.Generator) -> Tensor:
    """Draw each pixel anew: 1 with probability value / levels, else 0 (Salakhutdinov and Murray 2008).

    Args:
        images: `[B, *shape]`, uint8 counts or float32 grey values.
        levels: the value that means a certain 1.
        noise: generator on the device of the images.

    Returns:
        `[B, *shape]`, float32, zeros and ones.
    """
    if images.dtype == torch.uint8:
        # A draw has `levels` whole numbers, of which `value` are below `value`: nothing is rounded.
        drawn = torch.empty_like(images).random_(0, levels, generator=noise)
    else:
        drawn = torch.rand(images.shape, generator=noise, device=images.device)
    return (drawn < images).float()


def fixed(images: NDArray[Any], levels: int, split: str, first: int = 0) -> NDArray[np.uint8]:
    """Draw each pixel once, the same for everybody.

    The noise of an example depends on its split and its place there alone, so that it is the same whatever
    else is read with it, in batches of any size.

    Args:
        images: `[N, *shape]`, uint8 counts or float32 grey values.
        levels: the value that means a certain 1.
        split: the split that they belong to.
        first: place of the first of them in the split.

    Returns:
        `[N, *shape]`, uint8, zeros and ones.
    """
    binary = np.empty(images.shape, dtype=np.uint8)
    for i, image in enumerate(images):
        uniform = np.random.default_rng([SEED, SPLITS.index(split), first + i]).random(image.shape)
        binary[i] = uniform < image / levels
    return binary


def threshold(images: NDArray[Any], levels: int) -> NDArray[np.uint8]:
    """1 where the grey value is at least one half, else 0: `[N, *shape]`, uint8."""
    return (images >= 0.5 * levels).astype(np.uint8)
