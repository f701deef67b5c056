"""A product of two densities of different kinds, over blocks of latents side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from variants.core.kl import closed_form_kl
from variants.core.support import draw


class Blocks(Distribution):
    """p(z) = prod_i p_i(z_i) over z = (z_1, z_2, ...).

    Args:
        blocks: p_i, all of one batch shape, event shape `[D_i]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute

    def __init__(self, blocks: Sequence[Distribution]) -> None:
        self.blocks = tuple(blocks)
        self.sizes = [block.event_shape.numel() for block in self.blocks]
        super().__init__(self.blocks[0].batch_shape, torch.Size([sum(self.sizes)]), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every block can be reparameterised."""
        return all(block.has_rsample for block in self.blocks)

    @property
    def has_density(self) -> bool:
        """Whether every block has one."""
        return all(getattr(block, "has_density", True) for block in self.blocks)

    @property
    def support(self) -> constraints.Constraint:
        """That of each block, side by side."""
        return constraints.cat([block.support for block in self.blocks], dim=-1, lengths=self.sizes)  # type: ignore[no-untyped-call, no-any-return]

    @property
    def mean(self) -> Tensor:
        """`[*batch, D]`."""
        return torch.cat([block.mean for block in self.blocks], dim=-1)

    @property
    def variance(self) -> Tensor:
        """`[*batch, D]`."""
        return torch.cat([block.variance for block in self.blocks], dim=-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, *batch, D]`."""
        return torch.cat([block.sample(torch.Size(sample_shape)) for block in self.blocks], dim=-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws of each block, reparameterised where it can be, `[*sample_shape, *batch, D]`."""
        return torch.cat([draw(block, sample_shape) for block in self.blocks], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """At `value` `[..., D]`, `[...]` in nats."""
        pairs = zip(self.blocks, torch.split(value, self.sizes, dim=-1), strict=True)
        return sum((block.log_prob(z) for block, z in pairs), torch.zeros((), dtype=value.dtype, device=value.device))

    def entropy(self) -> Tensor:
        """`[*batch]`."""
        return torch.stack([block.entropy() for block in self.blocks]).sum(0)  # type: ignore[no-untyped-call]

    def kl_parts(self, p: Distribution, z: Any = None) -> Tensor | None:  # noqa: ARG002 - closed forms need no draws
        """One group a block, `[B, number of blocks]`; None unless each has a closed form."""
        if not isinstance(p, Blocks) or p.sizes != self.sizes:
            return None
        parts = [closed_form_kl(a, b) for a, b in zip(self.blocks, p.blocks, strict=True)]
        return None if any(part is None for part in parts) else torch.stack(parts, dim=-1)  # type: ignore[arg-type]


@register_kl(Blocks, Blocks)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_blocks(q: Blocks, p: Blocks) -> Tensor:
    parts = q.kl_parts(p)
    if parts is None:
        raise NotImplementedError
    return parts.sum(-1)
