"""A density over L layers of latents, drawn from the top down: each given a state that all those above have made."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from variants.core.chain import layer_kl
from variants.core.support import draw

# The i-th layer's distribution at a state `[..., W]`, batch shape `[...]`; layer 0 is nearest to x.
Step = Callable[[int, Tensor], Distribution]
# The state after layer i, of the state before it, None above all layers, and of its draw `[..., D_i]`.
Advance = Callable[[int, Tensor | None, Tensor], Tensor]


class Ladder(Distribution):
    """p(z) = p(z_L) prod_(i<L) p(z_i | s_i), s_i = advance(s_(i+1), z_(i+1)), over z = (z_1, ..., z_L).

    Two ladders that share a trunk, a posterior and its prior, have the same states at the same z.

    Source: Sonderby, Raiko, Maaloe, Sonderby and Winther 2016, arXiv:1602.02282; Child 2021, arXiv:2011.10650.

    Args:
        top: p(z_L), batch shape `[]` or `[B]`.
        step: gives p(z_i | s_i).
        advance: gives the next state.
        layers: (D_1, ..., D_L).
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, top: Distribution, step: Step, advance: Advance, layers: Sequence[int]) -> None:
        self.top, self.step, self.advance, self.layers = top, step, advance, tuple(layers)
        # The last draw and the distributions of its layers: log p of a draw needs the states that the draw has passed.
        self._drawn: tuple[Tensor | None, list[Distribution], bool] = (None, [], False)
        super().__init__(top.batch_shape, torch.Size([sum(self.layers)]), validate_args=False)

    def _down(self, first: Tensor, choose: Callable[[int, Distribution], Tensor]) -> tuple[Tensor, list[Distribution]]:
        """Of each layer below the top one its distribution, where `choose` says which point the way down takes."""
        at, points = [self.top], [first]
        state: Tensor | None = None
        for i in reversed(range(len(self.layers) - 1)):
            state = self.advance(i + 1, state, points[-1])
            at.append(self.step(i, state))
            points.append(choose(i, at[-1]))
        return torch.cat(points[::-1], dim=-1), at[::-1]

    @property
    def mean(self) -> Tensor:
        """`[B, D]`: of each layer the mean given the means above it."""
        return self._down(self.top.mean, lambda _, d: d.mean)[0]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Reparameterised draws, `[*sample_shape, B, D]`."""
        z, at = self._down(draw(self.top, sample_shape), lambda _, d: d.rsample())
        self._drawn = (z, at, torch.is_grad_enabled())
        return z

    def at(self, value: Tensor) -> list[Distribution]:
        """The distribution of each layer given those of `value` `[..., D]` above it, the lowest first."""
        drawn, known, with_gradient = self._drawn
        # A draw without gradients has none to give.
        if value is drawn and with_gradient >= torch.is_grad_enabled():
            return known
        points = torch.split(value, list(self.layers), dim=-1)
        return self._down(points[-1], lambda i, _: points[i])[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z) at `value` `[..., D]`, in nats."""
        points = torch.split(value, list(self.layers), dim=-1)
        *lower, total = (d.log_prob(point) for d, point in zip(self.at(value), points, strict=True))
        for log_p in reversed(lower):
            total = total + log_p
        return total

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:
        """KL to a ladder of the same layers by layer, z_1 first, averaged over draws z `[K, B, D]`: `[B, L]`.

        A layer's KL given the draws above it has a closed form where its distributions have one.
        """
        if not isinstance(p, Ladder) or p.layers != self.layers:
            return None
        points = torch.split(z, list(self.layers), dim=-1)
        return torch.stack([layer_kl(*three) for three in zip(self.at(z), p.at(z), points, strict=True)], dim=-1)
