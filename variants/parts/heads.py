"""Heads: from features `[B, H]` to what shapes a density, at a stated pace.

Adam moves every weight by about the step size, whatever the gradient. So an output of a linear layer moves by about the
step size times the sum of its inputs' magnitudes, whatever the output means. A mean bears that; log sigma does not, for
a few steps of that size end in `exp` as infinity. docs/decisions/heads.md has what was measured.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Outputs move by at most about PACE step sizes a step: 0.1 at the step size 3e-3.
PACE = 30.0


def squash(h: Tensor) -> Tensor:
    """h / sqrt(1 + mean h^2) over the last axis: small features as they are, large ones at a size of one, `[..., H]`.

    The sum of their magnitudes is then below H.
    """
    return h * (1 + h.square().mean(-1, keepdim=True)).rsqrt()


class Head(nn.Linear):
    """pace / H (W squash(h) + b): an output moves by at most about `pace` step sizes a step, whatever H and h are.

    It is for what a density divides by or takes the exponential of: log sigma, correlations, a flow's parameters. A
    mean is a plain linear layer, so that a linear encoder stays one.

    Args:
        features: H.
        size: number of outputs.
        pace: of each output, in step sizes of the optimiser.
        zero: whether all outputs start at zero for all x, or like those of a plain linear layer.
        bias: whether there is a b.
    """

    def __init__(self, features: int, size: int, *, pace: float = PACE, zero: bool = True, bias: bool = True) -> None:
        super().__init__(features, size, bias=bias)
        self.gain = pace / features
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0 if zero else 1 / self.gain)  # where it starts does not depend on the pace

    def forward(self, h: Tensor) -> Tensor:
        """Features `[..., H]` -> `[..., size]`."""
        return self.gain * functional.linear(squash(h), self.weight, self.bias)


class Constant(nn.Module):
    """A head that ignores its input: one free vector, shared by all examples."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(size))

    def forward(self, h: Tensor) -> Tensor:
        """Features `[B, H]` -> `[B, size]`."""
        return self.value.expand(h.shape[0], -1)
