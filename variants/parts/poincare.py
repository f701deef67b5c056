"""Latents in the Poincare ball of curvature -c: wrapped normals, the posterior and the prior.

All densities are with respect to the ball's Riemannian volume. Formulas of the ball: Ganea, Becigneul and Hofmann 2018,
arXiv:1805.09112.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints

from variants.parts.checks import positive
from variants.parts.heads import PACE, Head
from variants.parts.posteriors import Posterior
from variants.parts.priors import Standard

# sqrt(c) times the largest norm of a point: single precision cannot tell points beyond it from the ball's edge, which
# are further from the origin than 12 / sqrt(c).
EDGE = 1 - 1e-5
# Squared lengths are at least this, so that ratios of two that vanish have a value and a gradient.
SMALL = 1e-24


class _Ball(constraints.Constraint):
    """Vectors shorter than 1 / sqrt(c).

    Args:
        c: minus the curvature.
    """

    event_dim = 1

    def __init__(self, c: float) -> None:
        self.c = c
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether each is inside, `[...]`."""
        return self.c * value.square().sum(-1) < 1


def length(v: Tensor) -> Tensor:
    """`[..., D]` -> `[..., 1]`, above zero."""
    return v.square().sum(-1, keepdim=True).clamp(min=SMALL).sqrt()


def into_ball(z: Tensor, c: float) -> Tensor:
    """z, or the point in its direction at `EDGE`, `[..., D]`."""
    return z * (EDGE / (math.sqrt(c) * length(z))).clamp(max=1)


def add(x: Tensor, y: Tensor, c: float) -> Tensor:
    """Moebius addition x + y of points of the ball, `[..., D]`: not commutative, and -x + (x + y) = y."""
    xy = (x * y).sum(-1, keepdim=True)
    x2, y2 = (v.square().sum(-1, keepdim=True) for v in (x, y))
    return ((1 + 2 * c * xy + c * y2) * x + (1 - c * x2) * y) / (1 + 2 * c * xy + c**2 * x2 * y2)


def away(loc: Tensor, v: Tensor, c: float) -> Tensor:
    """The point at the distance |v| from mu in the direction v, `[..., D]`: exp_mu(v / lambda_mu)."""
    r = math.sqrt(c) * length(v)
    return into_ball(add(loc, (r / 2).tanh() * v / r, c), c)


def back(loc: Tensor, z: Tensor, c: float) -> Tensor:
    """The v that leads from mu to z, `[..., D]`: lambda_mu log_mu(z), whose length is their distance.

    With s = z - mu the direction of -mu + z is that of (1 - c |mu|^2) s - c |s|^2 mu, and half the distance the arsinh
    of sqrt(c) |s| / sqrt((1 - c |mu|^2)(1 - c |z|^2)) over sqrt(c): near the edge no difference of two near ones.
    """
    step = z - loc
    square = step.square().sum(-1, keepdim=True)
    inner, outer = (1 - c * point.square().sum(-1, keepdim=True) for point in (loc, z))
    u = inner * step - c * square * loc
    half = torch.asinh(math.sqrt(c) * square.clamp(min=SMALL).sqrt() / (inner * outer).sqrt())
    return 2 * half * u / (math.sqrt(c) * length(u))


def log_stretch(v: Tensor, c: float) -> Tensor:
    """(D - 1) log[sinh(sqrt(c) r) / (sqrt(c) r)] at r = |v|, `[...]`: by how much volume grows with distance."""
    r = math.sqrt(c) * length(v).squeeze(-1)
    return (v.shape[-1] - 1) * (r + (-torch.expm1(-2 * r)).log() - (2 * r).log())


class Wrapped(Distribution):
    """z at the distance |v| from mu in the direction v, v ~ N(0, diag(sigma^2)).

    Source: Mathieu, Le Lan, Maddison, Tomioka and Teh 2019, arXiv:1901.06033, section 3.2.

    Args:
        loc: mu, in the ball, `[B, D]` or `[D]`; batch shape `[B]` or `[]`, event shape `[D]`.
        scale: sigma, of the same shape.
        c: minus the curvature, above 0.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, c: float) -> None:
        self.loc, self.scale, self.c = loc, scale, c
        self.normal = Normal(torch.zeros_like(loc), scale, validate_args=False)
        # The last draw and its v, which is known better than it can be found again from z.
        self._last: tuple[Tensor, Tensor, bool] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The ball."""
        return _Ball(self.c)

    @property
    def mean(self) -> Tensor:
        """mu, from which the mean squared distance is least, `[B, D]`."""
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        v = self.normal.rsample(torch.Size(sample_shape))
        z = away(self.loc, v, self.c)
        self._last = z, v, torch.is_grad_enabled()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """At `value` `[..., D]`, `[...]` in nats."""
        own = self._last is not None and value is self._last[0] and self._last[2] == torch.is_grad_enabled()
        v = self._last[1] if own and self._last is not None else back(self.loc, value, self.c)
        log_normal: Tensor = self.normal.log_prob(v)  # type: ignore[no-untyped-call]
        return log_normal.sum(-1) - log_stretch(v, self.c)


class Poincare(Posterior):
    """q(z|x): a wrapped normal with mu(x) = exp_0 of the head's output, which lies in the ball whatever that is.

    The prior's curvature should be the same. The decoder is given the coordinates of z in the ball; the paper's has a
    first layer of distances to hyperplanes.

    Source: Mathieu, Le Lan, Maddison, Tomioka and Teh 2019, arXiv:1901.06033.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        curvature: c, of which the ball has minus as much.
        pace: of log sigma, see `Head`.
    """

    latents = "hyperbolic"
    has_marginals = False

    def __init__(self, features: int, latent: int, *, curvature: float = 0.7, pace: float = PACE) -> None:
        super().__init__()
        self.curvature = positive("curvature", curvature)
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent, pace=positive("pace", pace))

    def forward(self, h: Tensor) -> Wrapped:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        v = self.loc(h)
        return Wrapped(away(torch.zeros_like(v), v, self.curvature), self.log_scale(h).exp(), self.curvature)


class WrappedNormal(Standard):
    """p(z): the wrapped normal of scale 1 at the origin. Source: Mathieu et al. 2019, arXiv:1901.06033.

    Args:
        latent: D.
        curvature: c, of which the ball has minus as much.
    """

    latents = "hyperbolic"

    def __init__(self, latent: int, *, curvature: float = 0.7) -> None:
        super().__init__(latent)
        self.curvature = positive("curvature", curvature)

    def forward(self) -> Wrapped:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Wrapped(self.loc, self.scale, self.curvature)
