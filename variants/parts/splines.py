"""Neural spline flows: couplings by monotone rational-quadratic splines, whose inverse is a formula."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from variants.parts.checks import at_least, positive
from variants.parts.coupling import Conditioner, CouplingStep, halves
from variants.parts.flows import Flow
from variants.parts.heads import PACE, Head
from variants.parts.posteriors import Posterior

# Least width and height of a bin, as a share of all, and least slope at a knot: they bound how steep a spline gets, so
# that a chain of them can be undone in single precision.
LEAST_BIN, LEAST_SLOPE = 1e-2, 1e-2
# softplus(UNIT) + LEAST_SLOPE = 1
UNIT = math.log(math.expm1(1 - LEAST_SLOPE))


class RationalQuadratic:
    """A monotone map of [-bound, bound] to itself that is a quotient of quadratics in each of K bins, and z outside.

    Its slopes are continuous, one at both ends; with all parameters at zero it is the identity.

    Source: Durkan, Bekasov, Murray and Papamakarios 2019, arXiv:1906.04032, section 3.1; Gregory and Delbourgo 1982.

    Args:
        parameters: `[..., 3 K - 1]`, any numbers: widths and heights before a softmax, the K - 1 inner slopes.
        bound: half the width of what is bent.
    """

    def __init__(self, parameters: Tensor, bound: float) -> None:
        bins = (parameters.shape[-1] + 1) // 3
        widths, heights, slopes = torch.split(parameters, [bins, bins, bins - 1], dim=-1)
        self.bound = bound
        self.x, self.y = (self._knots(raw) for raw in (widths, heights))
        self.slopes = functional.pad(functional.softplus(slopes + UNIT) + LEAST_SLOPE, (1, 1), value=1.0)

    def _knots(self, raw: Tensor) -> Tensor:
        """From -bound to bound, `[..., K + 1]`."""
        share = LEAST_BIN + (1 - LEAST_BIN * raw.shape[-1]) * raw.softmax(-1)
        knots = functional.pad(share.cumsum(-1)[..., :-1], (1, 0)) * 2 * self.bound - self.bound
        return functional.pad(knots, (0, 1), value=self.bound)

    def _bin(self, value: Tensor, knots: Tensor) -> list[Tensor]:
        """Of the bin of each value `[...]`: its left end and width, its bottom and height, the slopes at its ends."""
        index = (value.unsqueeze(-1) >= knots[..., 1:-1]).sum(-1, keepdim=True)

        def at(tensor: Tensor, offset: int = 0) -> Tensor:
            shape = (*index.shape[:-1], tensor.shape[-1])
            return tensor.expand(shape).gather(-1, index + offset).squeeze(-1)

        left, bottom = at(self.x), at(self.y)
        return [left, at(self.x, 1) - left, bottom, at(self.y, 1) - bottom, at(self.slopes), at(self.slopes, 1)]

    @staticmethod
    def _log_slope(share: Tensor, mean: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """log df/dx at the share of the bin's width, with the mean slope of the bin and those at its ends (eq. 5)."""
        rest = share * (1 - share)
        above = last * share.square() + 2 * mean * rest + first * (1 - share).square()
        below = mean + (last + first - 2 * mean) * rest
        return 2 * mean.log() + above.log() - 2 * below.log()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x `[...]` -> its image, and the log of the slope there, `[...]` each (eq. 4 and 5)."""
        inside = x.abs() < self.bound
        # A point outside is put inside too, or its gradient would not be finite.
        left, width, bottom, height, first, last = self._bin(torch.where(inside, x, 0.0), self.x)
        share = (torch.where(inside, x, left) - left) / width
        mean, rest = height / width, share * (1 - share)
        y = bottom + height * (mean * share.square() + first * rest) / (mean + (last + first - 2 * mean) * rest)
        log_slope = self._log_slope(share, mean, first, last)
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y `[...]` -> the x whose image it is, and the log of the slope at that x (eq. 6 to 8)."""
        inside = y.abs() < self.bound
        left, width, bottom, height, first, last = self._bin(torch.where(inside, y, 0.0), self.y)
        rise, mean = torch.where(inside, y, bottom) - bottom, height / width
        bend = rise * (last + first - 2 * mean)
        a, b, c = height * (mean - first) + bend, height * first - bend, -mean * rise
        # The root that does not cancel. Under the root rounding alone can be below zero.
        root = (b.square() - 4 * a * c).clamp(min=torch.finfo(y.dtype).tiny).sqrt()
        share = 2 * c / (-b - root)
        log_slope = self._log_slope(share, mean, first, last)
        return torch.where(inside, left + share * width, y), torch.where(inside, log_slope, 0.0)


class SplineCouplingStep(CouplingStep):
    """Each of b through a spline of its own.

    Source: Durkan, Bekasov, Murray and Papamakarios 2019, arXiv:1906.04032, section 3.2 (RQ-NSF, coupling layers).

    Args:
        conditioner: see `CouplingStep`.
        flip: see `CouplingStep`.
        context: see `CouplingStep`.
        bound: see `RationalQuadratic`.
    """

    def __init__(self, conditioner: nn.Module, flip: bool, context: Tensor | None, bound: float) -> None:
        super().__init__(conditioner, flip, context)
        self.bound = bound

    def move(self, b: Tensor, numbers: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
        """See `CouplingStep`."""
        spline = RationalQuadratic(numbers.reshape(*numbers.shape[:-1], b.shape[-1], -1), self.bound)
        return spline.inverse(b) if backwards else spline.forward(b)


class AffineStep:
    """f(z) = mu + sigma z.

    Args:
        loc: mu, `[B, D]`.
        log_scale: log sigma, `[B, D]`.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc, self.log_scale = loc, log_scale

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`."""
        return self.loc + self.log_scale.exp() * z, self.log_scale.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`."""
        return (y - self.loc) * (-self.log_scale).exp(), self.log_scale.sum(-1)


class Spline(Posterior):
    """q(z|x): mu(x) + sigma(x) f(eps; x), eps ~ N(0, I), with f a chain of spline couplings.

    The splines bend the noise and not z, so that their bins are as fine as the posterior, however narrow it is. Drawing
    and the density at other points are one pass each.

    Source: Durkan, Bekasov, Murray and Papamakarios 2019, arXiv:1906.04032, section 5.2 (VAEs).

    Args:
        features: H, width of the encoder's output.
        latent: D, at least 2.
        flows: T, number of couplings.
        flow_width: hidden units of each coupling's network.
        spline_bins: K, bins of each spline.
        spline_bound: how many standard deviations of the noise are bent.
        pace: of log sigma, see `Head`.
    """

    has_marginals = False

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        flows: int = 4,
        flow_width: int = 128,
        spline_bins: int = 8,
        spline_bound: float = 4.0,
        pace: float = PACE,
    ) -> None:
        super().__init__()
        if latent < 2:
            raise ValueError(f"a coupling flow needs a latent size of at least 2, got {latent}")
        at_least("flows", flows, 1)
        at_least("flow_width", flow_width, 1)
        self.spline_bound = positive("spline_bound", spline_bound)
        if at_least("spline_bins", spline_bins, 2) * LEAST_BIN >= 1:
            raise ValueError(f"spline_bins must be below {1 / LEAST_BIN:.0f}, got {spline_bins}")
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent, pace=positive("pace", pace))
        self.conditioners = nn.ModuleList()
        for t in range(flows):
            left, moved = (len(range(latent)[half]) for half in halves(latent, t % 2 == 1))
            outputs = moved * (3 * spline_bins - 1)
            self.conditioners.append(Conditioner(left, outputs, (flow_width,), features=features))

    def forward(self, h: Tensor) -> Flow:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        steps = [
            SplineCouplingStep(network, t % 2 == 1, network.context(h), self.spline_bound)  # type: ignore[operator, arg-type]
            for t, network in enumerate(self.conditioners)
        ]
        loc = self.loc(h)
        start = torch.zeros_like(loc)
        return Flow(start, torch.ones_like(loc), [*steps, AffineStep(loc, self.log_scale(h))])
