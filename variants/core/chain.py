"""A density over two layers of latents, one drawn given the other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class Chain(Distribution):
    """p(z1, z2) = p(root) p(other | root) over z = (z1, z2): the root is the one layer, the other is given it.

    Source: Rezende, Mohamed and Wierstra 2014, arXiv:1401.4082, section 2 (layers of Gaussian latents).

    Args:
        root: of the layer that is drawn first, batch shape `[]` or `[B]`.
        conditional: a draw of the root `[..., D_root]` -> the other layer's distribution, batch shape `[...]`.
        layers: (D1, D2), the sizes of z1 and z2.
        upward: whether the root is z1, from which z2 follows; else it is z2, from which z1 follows.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        root: Distribution,
        conditional: Callable[[Tensor], Distribution],
        layers: tuple[int, int],
        *,
        upward: bool,
    ) -> None:
        self.root = root
        self.conditional = conditional
        self.layers = layers
        self.upward = upward
        # The last draw and its conditional: log p of a draw needs the very network that the draw has passed.
        self._drawn: tuple[Tensor | None, Distribution | None, bool] = (None, None, False)
        super().__init__(root.batch_shape, torch.Size([sum(layers)]), validate_args=False)

    def _joined(self, root: Tensor, other: Tensor) -> Tensor:
        return torch.cat([root, other] if self.upward else [other, root], dim=-1)

    def _parted(self, z: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(z, list(self.layers), dim=-1)
        return (first, second) if self.upward else (second, first)

    @property
    def mean(self) -> Tensor:
        """`[B, D]`: the root's mean, and the mean of the other layer given that, which is its mean only if linear."""
        root = self.root.mean
        return self._joined(root, self.conditional(root).mean)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Reparameterised draws, `[*sample_shape, B, D]`, where both layers' distributions have such."""
        shape = torch.Size(sample_shape)
        root = self.root.rsample(shape) if self.root.has_rsample else self.root.sample(shape)
        conditional = self.conditional(root)
        z = self._joined(root, conditional.rsample())
        self._drawn = (z, conditional, torch.is_grad_enabled())
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z1, z2) at `value` `[..., D]`, in nats."""
        root, other = self._parted(value)
        drawn, conditional, with_gradient = self._drawn
        # What was drawn without gradients has none to give.
        if conditional is None or value is not drawn or with_gradient < torch.is_grad_enabled():
            conditional = self.conditional(root)
        return self.root.log_prob(root) + conditional.log_prob(other)
