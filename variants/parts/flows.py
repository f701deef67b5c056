"""Normalising-flow posteriors: a diagonal Gaussian, moved by a chain of invertible maps that depend on x.

More of them are in `splines` and `sylvester`. Every one of them has a density at every point, not at its own samples
alone, so the judge treats it like any other.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn import functional

from variants.core.rotated import RotatedNormal
from variants.parts.checks import at_least, flag
from variants.parts.heads import PACE, Constant, Head
from variants.parts.posteriors import Posterior

# Draws that stand for the expectation in the mean and the variance of a flow, in pairs eps and -eps.
MOMENT_PAIRS = 64
# A point whose preimage is as far as this has no density that a number can hold, and inverses stop there.
FAR = 1e12


class Step(Protocol):
    """One invertible map of `[..., B, D]`, with what it needs of the B examples.

    Where a preimage is beyond `FAR` an inverse may give any point that is.
    """

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z `[..., B, D]` -> its image, and log |det| of the Jacobian at z, `[..., B]`."""

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y `[..., B, D]` -> the z whose image it is, and log |det| of the Jacobian at that z, `[..., B]`."""


@cache
def _noise(latent: int) -> Tensor:
    eps = torch.randn(MOMENT_PAIRS, 1, latent, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([eps, -eps])


class Flow(Distribution):
    """z = f_T(... f_1(mu + sigma eps)), with log q(z) = log N(z_0; mu, sigma^2) - sum_t log |det df_t/dz_(t-1)|.

    Of its own last sample the density is known from drawing it; any other point is brought back through the inverses.

    Args:
        loc: mu, `[B, D]`; batch shape `[B]`, event shape `[D]`. Or `[D]`, batch shape `[]`.
        scale: sigma, of the same shape.
        steps: f_1 to f_T.
    """

    arg_constraints = {"loc": constraints.real_vector}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, steps: Sequence[Step]) -> None:
        self.loc = loc
        self.base = Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
        self.steps = steps
        self._last: tuple[Tensor, Tensor, bool] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_det = torch.zeros_like(z[..., 0])
        for step in self.steps:
            z, more = step.forward(z)
            log_det = log_det + more
        return z, log_det

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        start = self.base.rsample(torch.Size(sample_shape))
        z, log_det = self._push(start)
        # A draw without gradients is of no use to a caller who wants them.
        self._last = z, self._base_log_prob(start) - log_det, torch.is_grad_enabled()
        return z

    def _base_log_prob(self, z: Tensor) -> Tensor:
        return self.base.log_prob(z)  # type: ignore[no-untyped-call, no-any-return]

    def log_prob(self, value: Tensor) -> Tensor:
        """Of any points `[..., B, D]`, `[..., B]`."""
        if self._last is not None and value is self._last[0] and self._last[2] == torch.is_grad_enabled():
            return self._last[1]
        z, log_det = value, torch.zeros_like(value[..., 0])
        far = torch.zeros_like(log_det, dtype=torch.bool)
        for step in reversed(self.steps):
            z, more = step.inverse(z)
            log_det, far = log_det + more, far | (z.abs() >= FAR).any(-1)
        return (self._base_log_prob(z) - log_det).masked_fill(far, -math.inf)

    def _moments(self) -> tuple[Tensor, Tensor]:
        noise = _noise(self.loc.shape[-1]).to(self.loc)
        noise = noise.reshape(-1, *[1] * len(self.batch_shape), self.loc.shape[-1])
        z, _ = self._push(self.loc + self.base.stddev * noise)
        return z.mean(0), z.var(0)

    @property
    def mean(self) -> Tensor:
        """E_q z, `[B, D]`, by 2 `MOMENT_PAIRS` draws that are the same for every x: exact for maps that are affine."""
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        """Of each latent, `[B, D]`, by the same draws."""
        return self._moments()[1]


class PlanarStep:
    """f(z) = z + u tanh(w^T z + b).

    It is invertible where w^T u > -1, for which u is moved along w: w^T u becomes m(w^T u) with a monotone m that is
    above -1. The paper's m(a) = softplus(a) - 1 makes something of u = 0; here m(0) = 0, so that small parameters are a
    small step. The margin keeps the determinant from vanishing in single precision.

    Along w the inverse is one increasing function of one number; bisection finds it.

    Source: Rezende and Mohamed 2015, arXiv:1505.05770, section 4.1 and appendix A.1.

    Args:
        u: moved already, `[B, D]`.
        w: `[B, D]`.
        b: `[B]`.
        slope: w^T u, `[B]`.
    """

    MARGIN = 1e-3
    SHIFT = math.log(math.e - 1)  # softplus(SHIFT) = 1
    FAR = 10.0
    HALVINGS = 60

    def __init__(self, u: Tensor, w: Tensor, b: Tensor, slope: Tensor) -> None:
        self.u, self.w, self.b, self.slope = u, w, b, slope

    @classmethod
    def chain(cls, u: Tensor, w: Tensor, b: Tensor) -> list[Self]:
        """T steps from free parameters: u and w `[T, B, D]`, b `[T, B]`."""
        along = (w * u).sum(-1)
        # softplus(along + SHIFT) - 1, where it is small without their difference, of which a small w makes a large u.
        near = ((1 - 1 / math.e) * torch.expm1(along.clamp(max=cls.FAR))).log1p()
        far = functional.softplus(along + cls.SHIFT) - 1
        slope = (1 - cls.MARGIN) * torch.where(along < cls.FAR, near, far)
        length = w.square().sum(-1) + torch.finfo(w.dtype).tiny
        u = u + ((slope - along) / length).unsqueeze(-1) * w
        return [cls(*step) for step in zip(u, w, b, slope, strict=True)]

    def _log_det(self, bend: Tensor) -> Tensor:
        return (self.slope * (1 - bend.square())).log1p()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        bend = ((self.w * z).sum(-1) + self.b).tanh()
        return z + self.u * bend.unsqueeze(-1), self._log_det(bend)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`: a = w^T z solves a + w^T u tanh(a + b) = w^T y."""
        image = (self.w * y).sum(-1)
        with torch.no_grad():
            low, high = image - self.slope.abs(), image + self.slope.abs()
            for _ in range(self.HALVINGS):
                a = 0.5 * (low + high)
                below = a + self.slope * (a + self.b).tanh() < image
                low, high = torch.where(below, a, low), torch.where(below, high, a)
            a = 0.5 * (low + high)
            rise = 1 + self.slope * (1 - (a + self.b).tanh().square())
        # One step of Newton's, which gives the root its derivatives.
        a = a - (a + self.slope * (a + self.b).tanh() - image) / rise
        bend = (a + self.b).tanh()
        return y - self.u * bend.unsqueeze(-1), self._log_det(bend)


class Planar(Posterior):
    """q(z|x): a diagonal Gaussian through planar flows, whose u, w and b come from the features like its mean.

    Source: Rezende and Mohamed 2015, arXiv:1505.05770.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        flows: T, number of planar maps.
        shared_flow: the same maps for all x instead of maps that depend on it.
    """

    has_marginals = False

    def __init__(self, features: int, latent: int, *, flows: int = 10, shared_flow: bool = False) -> None:
        super().__init__()
        self.flows = at_least("flows", flows, 1)
        self.shared_flow = flag("shared_flow", shared_flow)
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent)
        size = flows * (2 * latent + 1)
        self.maps: nn.Module = Constant(size) if shared_flow else Head(features, size, zero=False)
        if isinstance(self.maps, Constant):
            # At zero neither u nor w would have a gradient.
            nn.init.normal_(self.maps.value, std=0.1)

    def forward(self, h: Tensor) -> Flow:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        latent = self.loc.out_features
        u, w, b = self.maps(h).unflatten(-1, (self.flows, -1)).movedim(-2, 0).split([latent, latent, 1], dim=-1)
        return Flow(self.loc(h), self.log_scale(h).exp(), PlanarStep.chain(u, w, b.squeeze(-1)))


class MaskedNetwork(nn.Module):
    """A network of one hidden layer whose i-th outputs see only the latents before the i-th, and all the features.

    What the features add is computed once an example, not once a draw.

    Source: Germain, Gregor, Murray and Larochelle 2015, arXiv:1502.03509 (masks).

    Args:
        features: H.
        latent: D, at least 2.
        width: hidden units.
        backwards: "before" means: of a higher index.
    """

    inner: Tensor
    outer: Tensor

    def __init__(self, features: int, latent: int, width: int, backwards: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent, width)
        self.out = nn.Linear(width, 2 * latent)
        self.to_hidden = Head(features, width, zero=False, bias=False)
        self.to_out = Head(features, 2 * latent, zero=False, bias=False)
        self.gain = PACE / width
        rank = torch.arange(latent)
        rank = rank.flip(0) if backwards else rank
        self.order: list[int] = rank.argsort().tolist()
        sees = torch.arange(width) % (latent - 1)
        self.register_buffer("inner", (sees[:, None] >= rank).float(), persistent=False)
        self.register_buffer("outer", (rank[:, None] > sees).float().repeat(2, 1), persistent=False)
        with torch.no_grad():
            # The first steps of training see nearly the same scaling for all z and x. (Not so under another `init`.)
            self.out.weight.mul_(0.1 / self.gain)
            self.out.bias.zero_()
            self.to_out.weight.mul_(0.1)

    def context(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[B, H]` -> what they add to the hidden layer `[B, width]` and to the outputs `[B, 2 D]`."""
        return self.to_hidden(h), self.to_out(h)

    def forward(self, z: Tensor, context: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """z `[..., B, D]` -> m and s, `[..., B, D]` each."""
        hidden = functional.linear(z, self.hidden.weight * self.inner, self.hidden.bias) + context[0]
        # The last layer learns at a pace, like a head; to squash would let each output see all hidden units.
        hidden = self.gain * functional.elu(hidden)
        out = functional.linear(hidden, self.out.weight * self.outer, self.out.bias) + context[1]
        m, s = out.chunk(2, dim=-1)
        return m, s


class AutoregressiveStep:
    """f(z) = g z + (1 - g) m with the gate g = sigmoid(s + 2), where m_i and s_i depend on the latents before z_i.

    All of f(z) is computed at once, its inverse one latent after the other.

    Source: Kingma et al. 2016, arXiv:1606.04934, eq. 14 and algorithm 1.

    Args:
        network: gives m and s.
        context: of the B examples.
    """

    OPEN = 2.0

    def __init__(self, network: MaskedNetwork, context: tuple[Tensor, Tensor]) -> None:
        self.network = network
        self.context = context

    def _gate(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m, s = self.network(z, self.context)
        log_gate = functional.logsigmoid(s + self.OPEN)
        gate = log_gate.exp()
        return gate, (1 - gate) * m, log_gate.sum(-1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        gate, shift, log_det = self._gate(z)
        return gate * z + shift, log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        indices = torch.arange(y.shape[-1], device=y.device)
        z = torch.zeros_like(y)
        for i in self.network.order:
            gate, shift, log_det = self._gate(z)
            # Small gates, one after the other, leave the range of numbers.
            z = torch.where(indices == i, ((y - shift) / gate).nan_to_num(FAR, FAR, -FAR).clamp(-FAR, FAR), z)
        return z, log_det


class InverseAutoregressive(Posterior):
    """q(z|x): a diagonal Gaussian through inverse autoregressive flows, every other one in reverse order of latents.

    Drawing is one pass through each network; the density at other points takes D of them. Training that asks for it,
    such as IWAE-DReG, and the mutual information cost accordingly.

    Source: Kingma et al. 2016, arXiv:1606.04934.

    Args:
        features: H, width of the encoder's output.
        latent: D, at least 2.
        flows: T, number of maps, each with a network of its own.
        flow_width: hidden units of each network.
    """

    has_marginals = False

    def __init__(self, features: int, latent: int, *, flows: int = 2, flow_width: int = 320) -> None:
        super().__init__()
        if latent < 2:
            raise ValueError(f"an inverse autoregressive flow needs a latent size of at least 2, got {latent}")
        at_least("flows", flows, 1)
        at_least("flow_width", flow_width, 1)
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent)
        self.networks = nn.ModuleList(
            MaskedNetwork(features, latent, flow_width, backwards=t % 2 == 1) for t in range(flows)
        )

    def forward(self, h: Tensor) -> Flow:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        steps = [AutoregressiveStep(network, network.context(h)) for network in self.networks]  # type: ignore[operator, arg-type]
        return Flow(self.loc(h), self.log_scale(h).exp(), steps)


class Householder(Posterior):
    """q(z|x) = N(U mu, U diag(sigma^2) U^T): a Gaussian with correlations, turned by U(x), a chain of reflections.

    D - 1 reflections reach every Gaussian, fewer reach some. Each has a head of its own, where the paper makes each
    vector from the one before by a linear layer. As torch's layers start (`init="torch"`), two reflections in a row are
    equal and undo each other: with an even number of them this posterior starts at the same q as `Diagonal`.

    Source: Tomczak and Welling 2016, arXiv:1611.09630.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        flows: T, number of reflections.
    """

    def __init__(self, features: int, latent: int, *, flows: int = 10) -> None:
        super().__init__()
        self.flows = at_least("flows", flows, 1)
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent)
        self.vectors = Head(features, flows * latent, zero=False)
        with torch.no_grad():
            for tensor in (self.vectors.weight, self.vectors.bias):
                rows = tensor.view(flows, latent, -1)
                rows[1::2] = rows[: flows // 2 * 2 : 2]

    def forward(self, h: Tensor) -> RotatedNormal:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        vectors = self.vectors(h).unflatten(-1, (self.flows, -1))
        return RotatedNormal(self.loc(h), self.log_scale(h).exp(), vectors)
