"""Couplings: invertible maps that move some latents by what the others are, and the flow prior that is made of them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from variants.parts.checks import at_least, sizes
from variants.parts.flows import Flow as FlowDistribution
from variants.parts.heads import Head
from variants.parts.networks import dense
from variants.parts.priors import Prior


def halves(latent: int, flip: bool) -> tuple[slice, slice]:
    """Which of D latents a coupling leaves as they are, and which it moves: one half and the other, or in turn."""
    first, second = slice(0, latent // 2), slice(latent // 2, latent)
    return (second, first) if flip else (first, second)


class Conditioner(nn.Module):
    """What a coupling does to the latents that it moves, from those that it leaves and, if there is one, a context h.

    The outputs come from a `Head`, which bounds them: a coupling stays invertible in single precision far out too. They
    start near zero. (Not at zero, where what is below the head would have no gradient.)

    Args:
        inputs: latents that are left.
        outputs: numbers that are wanted.
        hidden: widths in between.
        features: size of h; 0 for none. What h adds is computed once an example, not once a draw.
    """

    START = 0.1

    def __init__(self, inputs: int, outputs: int, hidden: tuple[int, ...], *, features: int = 0) -> None:
        super().__init__()
        self.first, *others = dense([inputs, *hidden], "elu")
        self.body = nn.Sequential(*others)
        self.context = Head(features, hidden[0], zero=False, bias=False) if features else None
        self.out = Head(hidden[-1], outputs, zero=False)
        with torch.no_grad():
            for parameter in self.out.parameters():
                parameter.mul_(self.START)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z `[..., B, inputs]`, and what `self.context` makes of h `[B, H]` -> `[..., B, outputs]`."""
        hidden: Tensor = self.first(z)
        out: Tensor = self.out(self.body(hidden if context is None else hidden + context))
        return out


class CouplingStep(ABC):
    """f(z) = (a, b moved by what a and x say) for z = (a, b). Both directions are one pass.

    Args:
        conditioner: gives what the moving needs.
        flip: whether b is the first half of the latents, else the second.
        context: of the B examples, if there are any.
    """

    def __init__(self, conditioner: nn.Module, flip: bool, context: Tensor | None = None) -> None:
        self.conditioner, self.flip, self.context = conditioner, flip, context

    @abstractmethod
    def move(self, b: Tensor, numbers: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
        """b `[..., n]` and the conditioner's numbers `[..., outputs]` -> its image or, backwards, its preimage; and
        the log of the slopes on the way there, `[..., n]`."""

    def _map(self, z: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
        left, moved = halves(z.shape[-1], self.flip)
        a = z[..., left]
        b, log_slope = self.move(z[..., moved], self.conditioner(a, self.context), backwards)
        a = a.expand(*b.shape[:-1], -1)  # of points that were given for all examples at once
        return torch.cat([b, a] if self.flip else [a, b], dim=-1), log_slope.sum(-1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`."""
        return self._map(z, False)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`."""
        return self._map(y, True)


class AffineCouplingStep(CouplingStep):
    """b -> b exp(s(a)) + t(a).

    Source: Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803, section 3.2.
    """

    def move(self, b: Tensor, numbers: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
        """See `CouplingStep`."""
        log_scale, shift = numbers.chunk(2, dim=-1)
        return (b - shift) * (-log_scale).exp() if backwards else b * log_scale.exp() + shift, log_scale


class Flow(Prior):
    """p(z): N(0, I) through affine couplings, which change in turn one half of the latents and the other.

    A prior is asked for the density of points that it has not drawn, which is one pass through couplings; through an
    inverse autoregressive flow it would be D.

    Source: Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803 (RealNVP); Chen et al. 2017, arXiv:1611.02731,
    section 2.2 (a flow as the prior of a VAE).

    Args:
        latent: D, at least 2.
        prior_flows: T, number of couplings.
        prior_hidden: widths of each coupling's network.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, latent: int, *, prior_flows: int = 6, prior_hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        if latent < 2:
            raise ValueError(f"a coupling flow needs a latent size of at least 2, got {latent}")
        at_least("prior_flows", prior_flows, 1)
        hidden = sizes("prior_hidden", prior_hidden)
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("scale", torch.ones(latent), persistent=False)
        self.conditioners = nn.ModuleList()
        for t in range(prior_flows):
            left, moved = (len(range(latent)[half]) for half in halves(latent, t % 2 == 1))
            self.conditioners.append(Conditioner(left, 2 * moved, hidden))

    def forward(self) -> FlowDistribution:
        """p(z), batch shape `[]`, event shape `[D]`."""
        steps = [AffineCouplingStep(network, t % 2 == 1) for t, network in enumerate(self.conditioners)]
        return FlowDistribution(self.loc, self.scale, steps)
