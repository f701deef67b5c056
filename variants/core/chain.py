"""A density over two layers of latents, one drawn given the other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from variants.core.kl import closed_form_kl
from variants.core.support import draw


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
        root = draw(self.root, sample_shape)
        conditional = self.conditional(root)
        z = self._joined(root, conditional.rsample())
        self._drawn = (z, conditional, torch.is_grad_enabled())
        return z

    def _given(self, value: Tensor, root: Tensor) -> Distribution:
        """Of the other layer at a draw of the root."""
        drawn, conditional, with_gradient = self._drawn
        # A draw without gradients has none to give.
        if conditional is None or value is not drawn or with_gradient < torch.is_grad_enabled():
            return self.conditional(root)
        return conditional

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z1, z2) at `value` `[..., D]`, in nats."""
        root, other = self._parted(value)
        return self.root.log_prob(root) + self._given(value, root).log_prob(other)

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:
        """KL to a chain of the same layers by layer, (z1, z2), averaged over draws z `[K, B, D]`: `[B, 2]`.

        Where both go the same way, a layer's KL given the draws above it has a closed form; else it is log q - log p.
        """
        if not isinstance(p, Chain) or p.layers != self.layers:
            return None
        root, other = self._parted(z)
        conditional = self._given(z, root)
        if p.upward == self.upward:
            given = p.conditional(root)
            pairs = ((self.root, p.root, root), (conditional, given, other))
            first, second = (layer_kl(*pair) for pair in pairs)
        else:
            # Here the root of the one is the other layer of the other.
            first = (self.root.log_prob(root) - p.conditional(other).log_prob(root)).mean(0)
            second = (conditional.log_prob(other) - p.root.log_prob(other)).mean(0)
        return torch.stack([first, second] if self.upward else [second, first], dim=-1)


def layer_kl(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p), `[B]`, of batch shapes `[B]` or, with a distribution for each of K draws, `[K, B]`."""
    kl = closed_form_kl(q, p)
    if kl is None:
        kl = q.log_prob(z) - p.log_prob(z)
    return kl if kl.dim() == 1 else kl.mean(0)
