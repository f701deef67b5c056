"""From grey values to {0, 1}: drawn afresh, drawn once for everybody, or cut at one half; and to numbers in [0, 1].

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


def dequantise(images: Tensor, levels: int, noise: torch.Generator) -> Tensor:
    """x = (k + u) / L with k of the L = levels + 1 counts and u uniform in [0, 1): noise that leaves no level out.

    By Jensen's inequality log P(k) is at least E_u log p(x) - D log L, p a density on [0, 1]^D.

    Source: Theis, van den Oord and Bethge 2016, arXiv:1511.01844, section 3.1.

    Args:
        images: `[B, *shape]`, uint8 counts.
        levels: the largest count.
        noise: generator on the device of the images.

    Returns:
        `[B, *shape]`, float32.
    """
    u = torch.rand(images.shape, generator=noise, device=images.device)
    return (images.float() + u) / (levels + 1)


def dequantised(images: NDArray[Any], levels: int, split: str, first: int = 0) -> NDArray[np.float32]:
    """`dequantise` with noise that is drawn once, the same for everybody, as in `fixed`: `[N, *shape]`, float32."""
    x = np.empty(images.shape, dtype=np.float32)
    for i, image in enumerate(images):
        uniform = np.random.default_rng([SEED, SPLITS.index(split), first + i]).random(image.shape)
        x[i] = (image + uniform) / (levels + 1)
    return x
