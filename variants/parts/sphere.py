"""Latents on the unit sphere: von Mises-Fisher posteriors under a uniform prior.

All densities are with respect to the sphere's surface. Bessel functions enter only by the mean resultant length
A(k) = I_(d/2)(k) / I_(d/2-1)(k) and its integral, computed in double precision on the CPU: not every device has it.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributions import Beta, Distribution, constraints, register_kl
from torch.nn import functional

from variants.parts.checks import at_least, positive
from variants.parts.heads import PACE, Head
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior

# Orders that Bessel functions are raised by before an expansion for large orders is good to 1e-10.
ORDERS = 100
# Nodes of the quadrature along one draw.
NODES = 64
# Above this concentration single precision accepts no draw.
MOST = 1e7


class _UnitSphere(constraints.Constraint):
    """Vectors of length one."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each is one, `[...]`."""
        return (value.square().sum(-1) - 1).abs() < 1e-4


unit_sphere = _UnitSphere()


def log_area(d: int) -> float:
    """log of the surface of the unit sphere in R^d, 2 pi^(d/2) / Gamma(d/2)."""
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def _log_bessel(order: float, k: Tensor) -> Tensor:
    """log I_order(k) for an order of at least `ORDERS`, by the uniform expansion of large orders.

    Source: Olver, NIST Digital Library of Mathematical Functions, 10.41.3 and 10.41.10.
    """
    t = k / order
    root = (1 + t.square()).sqrt()
    p = root.reciprocal()
    series = (
        1
        + (3 * p - 5 * p**3) / (24 * order)
        + (81 * p**2 - 462 * p**4 + 385 * p**6) / (1152 * order**2)
        + (30375 * p**3 - 369603 * p**5 + 765765 * p**7 - 425425 * p**9) / (414720 * order**3)
    )
    exponent = order * (root + (t / (1 + root)).log())
    return exponent - 0.5 * (2 * math.pi * order * root).log() + series.log()


def resultant(d: int, k: Tensor) -> tuple[Tensor, Tensor]:
    """A(k) and int_0^k A(t) dt = log[Gamma(d/2) (2/k)^(d/2-1) I_(d/2-1)(k)], of k `[...]`, float64.

    Ratios of neighbouring orders go down from a large one by the continued fraction, which is stable in that direction.
    """
    order = d / 2 - 1
    top = _log_bessel(order + ORDERS, k)
    ratio = (_log_bessel(order + ORDERS + 1, k) - top).exp()
    log_ratios = torch.zeros_like(k)
    for n in range(ORDERS, 0, -1):
        ratio = (2 * (order + n) / k + ratio).reciprocal()
        log_ratios = log_ratios + ratio.log()
    # The last ratio is that of the orders d/2 and d/2 - 1.
    return ratio, top - log_ratios + math.lgamma(order + 1) - order * (k / 2).log()


def _slope(d: int, k: Tensor, a: Tensor) -> Tensor:
    """A'(k) = 1 - A^2 - (d - 1) A / k, the variance of the component along the mean direction."""
    return 1 - a.square() - (d - 1) * a / k


class _Resultant(torch.autograd.Function):
    """(A(k), int_0^k A), with A' and A as their derivatives; k of any precision."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, d: int) -> tuple[Tensor, Tensor]:
        """See `resultant`."""
        wide = k.cpu().double()
        a, integral = resultant(d, wide)
        ctx.d = d
        ctx.save_for_backward(wide, a)
        return a.to(k), integral.to(k)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, of_a: Tensor, of_integral: Tensor) -> tuple[Tensor, None]:
        """Gradient in k."""
        k, a = ctx.saved_tensors
        gradient: Tensor = of_a.cpu() * _slope(ctx.d, k, a) + of_integral.cpu() * a
        return gradient.to(of_a), None


@cache
def _gauss_legendre() -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1], from the recurrence's eigenvalues (Golub and Welsch 1969)."""
    i = torch.arange(1, NODES, dtype=torch.float64)
    beside = i / (4 * i.square() - 1).sqrt()
    values, vectors = torch.linalg.eigh(beside.diag(1) + beside.diag(-1))
    return 0.5 * (1 + values), vectors[0].square()


def slope_of_draw(w: Tensor, k: Tensor, d: int) -> Tensor:
    """dw/dk at a fixed share of the mass below w: -(dF/dk) / p(w), F the distribution function of w = mu . z.

    p(w) ~ (1 - w^2)^((d-3)/2) exp(k w), so it is int_-1^w (A - t) p(t) dt / p(w), or int_w^1 (t - A) p(t) dt / p(w).
    The one is a sum of positive numbers below the mean, the other above it. In the angle of t it is smooth for every d.

    Source: Figurnov, Mohamed and Mnih 2018, arXiv:1805.08498 (implicit reparametrisation).

    Args:
        w: draws, `[..., B]`.
        k: `[B]`.
        d: of the space.

    Returns:
        `[..., B]`, float64, on the CPU.
    """
    w, k = torch.broadcast_tensors(w.cpu().double(), k.cpu().double())  # type: ignore[no-untyped-call]
    a, _ = resultant(d, k)
    below = w <= a
    # As far from w as any mass is: twelve standard deviations, and where exp(k t) has fallen to e^-40.
    far = 40 / k + 12 * _slope(d, k, a).clamp(min=0).sqrt()
    end = torch.where(below, w - far, w + far).clamp(-1, 1)
    here, there = w.clamp(-1, 1).acos(), end.acos()
    nodes, weights = _gauss_legendre()
    angle = here.unsqueeze(-1) + (there - here).unsqueeze(-1) * nodes
    here, k, a, w = (t.unsqueeze(-1) for t in (here, k, a, w))
    tiny = torch.finfo(torch.float64).tiny
    log_ratio = (d - 2) * ((angle.sin() + tiny) / (here.sin() + tiny)).log()
    # cos(angle) - w without cancellation.
    nearer = -2 * ((angle + here) / 2).sin() * ((angle - here) / 2).sin()
    density = (log_ratio + k * nearer).exp()
    off = a - angle.cos()
    return ((off.abs() * density) @ weights) * (there - here.squeeze(-1)).abs() * here.squeeze(-1).sin()


class _Drawn(torch.autograd.Function):
    """1 - w of draws as a function of k, with its derivative along fixed mass."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, below_one: Tensor, d: int) -> Tensor:
        """`below_one`, 1 - w `[..., B]`, drawn already."""
        ctx.d = d
        ctx.save_for_backward(k, below_one)
        return below_one.clone()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gradient in k."""
        k, below_one = ctx.saved_tensors
        slope = -slope_of_draw(1 - below_one.cpu().double(), k, ctx.d).to(gradient)
        return (gradient * slope).sum_to_size(k.shape), None, None


def draw_below_one(k: Tensor, d: int, sample_shape: torch.Size) -> Tensor:
    """1 - w for w = mu . z of a von Mises-Fisher z, `[*sample_shape, B]`, by rejection.

    Source: Wood 1994, Communications in Statistics 23:157 (VM*).
    """
    k = k.detach().expand(sample_shape + k.shape)
    b = (d - 1) / (2 * k + (4 * k.square() + (d - 1) ** 2).sqrt())
    x0 = (1 - b) / (1 + b)
    # 1 - x0^2 without cancellation.
    c = k * x0 + (d - 1) * (4 * b / (1 + b).square()).log()
    half = torch.as_tensor((d - 1) / 2, dtype=k.dtype, device=k.device)
    proposal = Beta(half, half, validate_args=False)
    open_ = k < MOST  # also false where k is no number: nothing would ever be accepted
    found = torch.where(open_, 0.0, math.nan)
    while open_.any():
        e = proposal.sample(k.shape)
        below_one = 2 * b * e / (1 - (1 - b) * e)
        w = 1 - below_one
        accepted = k * w + (d - 1) * (1 - x0 * w).log() - c >= torch.rand_like(k).log()
        found = torch.where(open_ & accepted, below_one, found)
        open_ = open_ & ~accepted
    return found


class VonMisesFisher(Distribution):
    """q(z) = exp(k mu . z - int_0^k A) / S_d on the unit sphere of R^d, S_d its surface.

    Args:
        loc: mu, of length one, `[B, D]`; batch shape `[B]`, event shape `[D]`, d = D.
        concentration: k, above 0, `[B]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = unit_sphere
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        self.loc, self.concentration = loc, concentration
        self.resultant, self.integral = _Resultant.apply(concentration, loc.shape[-1])  # type: ignore[no-untyped-call]
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean direction mu, `[B, D]`, a point of the sphere; E z is A(k) mu."""
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`, with unbiased gradients in mu and k."""
        shape, d = torch.Size(sample_shape), self.loc.shape[-1]
        drawn = draw_below_one(self.concentration, d, shape)
        below_one = _Drawn.apply(self.concentration, drawn, d).unsqueeze(-1)  # type: ignore[no-untyped-call]
        noise = torch.randn(self._extended_shape(shape), dtype=self.loc.dtype, device=self.loc.device)
        aside = functional.normalize(noise - (noise * self.loc).sum(-1, keepdim=True) * self.loc, dim=-1)
        across = (below_one * (2 - below_one)).clamp(min=torch.finfo(self.loc.dtype).tiny).sqrt()
        z: Tensor = (1 - below_one) * self.loc + across * aside
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """At `value` `[..., D]` on the sphere, `[...]` in nats."""
        along = (value * self.loc).sum(-1)
        log_q: Tensor = self.concentration * along - self.integral - log_area(self.loc.shape[-1])
        return log_q


class UniformOnSphere(Distribution):
    """p(z) = 1 / S_d on the unit sphere of R^d.

    Args:
        like: `[D]`, of whose dtype and device the draws are; event shape `[D]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = unit_sphere

    def __init__(self, like: Tensor) -> None:
        self.like = like
        super().__init__(torch.Size(), like.shape, validate_args=False)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, D]`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return functional.normalize(torch.randn(shape, dtype=self.like.dtype, device=self.like.device), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """At `value` `[..., D]`, `[...]` in nats."""
        return torch.full_like(value[..., 0], -log_area(value.shape[-1]))


@register_kl(VonMisesFisher, UniformOnSphere)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_to_uniform(q: VonMisesFisher, p: UniformOnSphere) -> Tensor:  # noqa: ARG001 - it is that of the same sphere
    # E k mu . z - int_0^k A
    kl: Tensor = q.concentration * q.resultant - q.integral
    return kl


class Hyperspherical(Posterior):
    """q(z|x) = von Mises-Fisher(mu(x), k(x)) on the unit sphere, with k = D exp(head).

    Draws have unbiased gradients in k, by implicit differentiation; rejection sampling differentiated without its
    correction, as in the authors' code, has none. The paper's k is 1 + softplus(head).

    Source: Davidson, Falorsi, De Cao, Kipf and Tomczak 2018, arXiv:1804.00891 (S-VAE).

    Args:
        features: H, width of the encoder's output.
        latent: D of the space, at least 2: one more than the sphere has, by which the paper counts.
        pace: of log k, see `Head`.
    """

    # Rejection goes on for as long as it takes.
    eager = True
    latents = "spherical"
    has_marginals = False

    def __init__(self, features: int, latent: int, *, pace: float = PACE) -> None:
        super().__init__()
        self.latent = at_least("latent, on a sphere,", latent, 2)
        self.loc = nn.Linear(features, latent)
        self.log_concentration = Head(features, 1, pace=positive("pace", pace))

    def forward(self, h: Tensor) -> VonMisesFisher:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        loc = functional.normalize(self.loc(h), dim=-1)
        return VonMisesFisher(loc, self.latent * self.log_concentration(h).squeeze(-1).exp())


class UniformSphere(Prior):
    """p(z) uniform on the unit sphere. Source: Davidson et al. 2018, arXiv:1804.00891.

    Args:
        latent: D of the space, at least 2.
    """

    latents = "spherical"
    like: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(at_least("latent, on a sphere,", latent, 2)), persistent=False)

    def forward(self) -> UniformOnSphere:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return UniformOnSphere(self.like)
