"""Mixtures, with equal weights or others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, constraints

from variants.core.wide import wide

# Numbers per tensor of draws from all components.
CHUNK_NUMBERS = 2**21


class Mixture(Distribution):
    """p(z) = sum_c pi_c p_c(z), by default with equal weights pi_c = 1/C.

    The log-density of diagonal Gaussians is one matrix product, with a number for each point and component instead of
    one for each point, component and dimension as in torch's `MixtureSameFamily`. Its rounding is of z^2 / sigma^2,
    which in single precision is nats for sharp components, so it is made in double.

    Args:
        components: p_c, batch shape `[C]`, event shape `[D]`. The mixture has batch shape `[]`, event shape `[D]`.
        logits: `[C]`, pi = softmax(logits); None for equal weights.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.real_vector

    def __init__(self, components: Distribution, logits: Tensor | None = None) -> None:
        self.components = components
        self.count = components.batch_shape.numel()
        self.log_pi = None if logits is None else logits.log_softmax(0)
        self._normal: Normal | None = None
        if isinstance(components, Independent) and isinstance(components.base_dist, Normal):
            # log N(z; m, s^2) = [z^2, z] . [-1/2 s^-2, m s^-2] + constant
            self._normal = normal = components.base_dist
            loc, scale = wide(normal.loc, normal.scale)
            precision = scale.square().reciprocal()
            self._weights = torch.cat([-0.5 * precision, loc * precision], dim=1).mT
            squares = -0.5 * (loc.square() * precision).sum(1) - scale.log().sum(1)
            constant = squares - 0.5 * normal.loc.shape[1] * math.log(2 * math.pi)
            self._constant = constant - math.log(self.count) if self.log_pi is None else constant + self.log_pi
        super().__init__(torch.Size(), components.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """`[D]`."""
        return self._average(self.components.mean)

    @property
    def variance(self) -> Tensor:
        """`[D]`: the mean variance within the components, and the variance between their means."""
        if self.log_pi is None:
            return self.components.variance.mean(0) + self.components.mean.var(0, correction=0)
        return self._average(self.components.variance + (self.components.mean - self.mean).square())

    def _average(self, of_components: Tensor) -> Tensor:
        return of_components.mean(0) if self.log_pi is None else self.log_pi.exp() @ of_components

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z) at `value` `[..., D]`, `[...]` in nats."""
        if self._normal is None:
            log_p = self.components.log_prob(value.unsqueeze(-2))
            log_p = log_p - math.log(self.count) if self.log_pi is None else log_p + self.log_pi
            return log_p.logsumexp(-1)
        (z,) = wide(value.reshape(-1, value.shape[-1]))
        log_p = torch.addmm(self._constant, torch.cat([z.square(), z], dim=1), self._weights)
        return log_p.logsumexp(-1).reshape(value.shape[:-1]).to(value.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, D]`."""
        shape = torch.Size(sample_shape)
        if self.log_pi is None:
            chosen = torch.randint(self.count, (shape.numel(),), device=self.components.mean.device)
        else:
            chosen = torch.multinomial(self.log_pi.exp(), shape.numel(), replacement=True)
        if self._normal is not None:
            loc, scale = self._normal.loc[chosen], self._normal.scale[chosen]
            return torch.normal(loc, scale).reshape(*shape, -1)
        # Another family gives only draws from all components at once.
        size = max(1, CHUNK_NUMBERS // (self.count * self.event_shape.numel()))
        draws = [
            self.components.sample(torch.Size([len(part)]))[torch.arange(len(part), device=part.device), part]
            for part in torch.split(chosen, size)
        ]
        return torch.cat(draws).reshape(*shape, -1)
