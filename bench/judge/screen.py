"""From what a model gives to grey values that can be looked at."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches import Data
from bench.data.given.facts import Scaling


@dataclass(frozen=True, eq=False)
class Screen:
    """How values are shown.

    Attributes:
        scaling: of the data, which is undone first.
        black, white: values, in the data's own units, that are shown as 0 and as 255; what lies beyond is set to them.
    """

    scaling: Scaling = field(default_factory=Scaling)
    black: float = 0.0
    white: float = 1.0

    def __call__(self, x: Tensor) -> NDArray[np.uint8]:
        """Counts out of 255: values as modelled, `[..., *shape]` -> `[..., *shape]`."""
        values = (self.scaling.undo(x) - self.black) / (self.white - self.black)
        return np.asarray((values.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy())


def screen_of(data: Data, points: int) -> Screen:
    """The screen for images of some data.

    What is modelled in [0, 1] is shown as it is. Of other images, the least and the largest value of so many evenly
    spaced test examples, in the data's own units, are black and white.
    """
    if data.spec.kind in ("binary", "unit", "levels") or len(data.spec.shape) != 3:
        return Screen()
    ends = [
        (values.min().item(), values.max().item())
        for values in (data.scaling.undo(x) for x, _ in data.eval_batches("test", 100, limit=points))
    ]
    black, white = min(low for low, _ in ends), max(high for _, high in ends)
    return Screen(data.scaling, black, white if white > black else black + 1.0)
