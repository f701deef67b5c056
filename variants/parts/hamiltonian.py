"""The Hamiltonian posterior: latents and momenta, moved by the dynamics of log p(x, z) itself."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from variants.core.ways import Ways
from variants.parts.checks import at_least, positive
from variants.parts.flows import Flow
from variants.parts.heads import PACE, Head
from variants.parts.posteriors import Posterior
from variants.parts.priors import Standard

# Rows of a decoder that are moved at once where no gradient is wanted.
ROWS = 2**12


def halves(latent: int) -> int:
    """D of the 2 D latents (z, r). ValueError for an odd number."""
    if latent < 2 or latent % 2:
        raise ValueError(f"latents with momenta need an even latent size of at least 2, got {latent}")
    return latent // 2


class WithMomentum(Standard):
    """p(z, r) = N(0, I) over latents z and as many momenta r, of which the decoder sees z alone.

    Source: Caterini, Doucet and Sejdinovic 2018, arXiv:1805.11328, section 3.

    Args:
        latent: 2 D, even.
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.seen = halves(latent)

    def forward(self) -> Independent[Normal]:
        """p(z, r), batch shape `[]`, event shape `[2 D]`."""
        return Independent(Normal(self.loc, self.scale, validate_args=False), 1, validate_args=False)


class Leapfrogs:
    """K leapfrog steps of (z, r) by the force d log p(x, z)/dz, the momenta cooled after each; a `Step` of a flow.

    r <- r + 1/2 s F(z), z <- z + s r, r <- r + 1/2 s F(z), r <- a_k r. The three shears keep the volume, so log |det|
    is D sum_k log a_k; backwards they are undone one by one. F should be smooth: a decoder with kinks makes it jump.

    Args:
        force: z `[..., B, D]` -> F(z), the same shape.
        sizes: s of each step, `[K, B, D]`.
        cooling: a_k, `[K]`.
    """

    def __init__(self, force: Callable[[Tensor], Tensor], sizes: Tensor, cooling: Tensor) -> None:
        self.force, self.sizes, self.cooling = force, sizes, cooling

    def _log_det(self, z: Tensor) -> Tensor:
        return (z.shape[-1] * self.cooling.log().sum()).expand(z.shape[:-1])

    def _parted(self, both: Tensor) -> tuple[Tensor, Tensor]:
        lead = torch.broadcast_shapes(both.shape[:-1], self.sizes.shape[1:2])  # type: ignore[no-untyped-call]
        z, r = both.expand(*lead, -1).chunk(2, dim=-1)
        return z, r

    def forward(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        z, r = self._parted(both)
        force = self.force(z) if len(self.sizes) else z
        for size, cooling in zip(self.sizes, self.cooling, strict=True):
            r = r + 0.5 * size * force
            z = z + size * r
            force = self.force(z)
            r = cooling * (r + 0.5 * size * force)
        return torch.cat([z, r], dim=-1), self._log_det(z)

    def inverse(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        z, r = self._parted(both)
        force = self.force(z) if len(self.sizes) else z
        for size, cooling in zip(self.sizes.flip(0), self.cooling.flip(0), strict=True):
            r = r / cooling - 0.5 * size * force
            z = z - size * r
            force = self.force(z)
            r = r - 0.5 * size * force
        return torch.cat([z, r], dim=-1), self._log_det(z)


class Moved(Flow):
    """A flow too dear for its mean to be taken over draws."""

    @property
    def mean(self) -> Tensor:
        """Where the centre of the base is moved to, `[B, 2 D]`: the mean of q only where the moves are affine."""
        return self._push(self.loc)[0]


class Hamiltonian(Posterior):
    """q(z, r|x): z ~ N(mu(x), sigma(x)^2) and r ~ N(0, T I), after K leapfrog steps up log p(x, z), cooled from T to 1.

    Steps are so many sigma(x) long, eps_k sigma(x), with eps_k per step and latent learnt as T is. The paper's are not
    in units of sigma. sqrt(T) falls to 1 with the square of k / K.

    Drawing takes K + 1 gradients of the decoder, and so does the density of a point: the mutual information, a matter
    of all pairs of draws and posteriors, costs accordingly.

    Source: Caterini, Doucet and Sejdinovic 2018, arXiv:1805.11328, algorithm 1 (HVAE, there eps from 0.2 to at most 0.5
    and T from 1.5).

    Args:
        features: H, width of the encoder's output.
        latent: 2 D, half of them momenta.
        leapfrogs: K, at least 0.
        leapfrog_size: eps at the start, below 0.5.
        heat: T at the start.
    """

    # It differentiates within the model.
    eager = True
    refines = True
    has_marginals = False
    LARGEST = 0.5
    _ways: Ways

    def __init__(
        self, features: int, latent: int, *, leapfrogs: int = 3, leapfrog_size: float = 0.2, heat: float = 1.5
    ) -> None:
        super().__init__()
        size = halves(latent)
        self.leapfrogs = at_least("leapfrogs", leapfrogs, 0)
        if positive("leapfrog_size", leapfrog_size) >= self.LARGEST:
            raise ValueError(f"leapfrog_size must be above 0 and below {self.LARGEST}, got {leapfrog_size:g}")
        share = leapfrog_size / self.LARGEST
        self.start = math.log(share / (1 - share))
        self.loc = nn.Linear(features, size)
        self.log_scale = Head(features, size)
        self.size = nn.Parameter(torch.zeros(leapfrogs, size))
        self.log_heat = nn.Parameter(torch.tensor(math.log(positive("heat", heat))))

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it goes those of log p(x, z)."""
        self._ways = ways

    def forward(self, h: Tensor) -> Independent[Normal]:
        """Features `[B, H]` -> where (z, r) start, batch shape `[B]`, event shape `[2 D]`."""
        loc, scale = self.loc(h), self.log_scale(h).exp()
        heat = (0.5 * self.log_heat).exp().expand_as(scale)
        density = Normal(torch.cat([loc, torch.zeros_like(loc)], -1), torch.cat([scale, heat], -1), validate_args=False)
        return Independent(density, 1, validate_args=False)

    def cooling(self) -> Tensor:
        """a_k, `[K]`: their product is T^(-1/2)."""
        k = torch.arange(self.leapfrogs + 1, device=self.log_heat.device, dtype=self.log_heat.dtype)
        roots = 1 + ((0.5 * self.log_heat).exp() - 1) * (1 - (k / max(1, self.leapfrogs)).square())
        return roots[1:] / roots[:-1]

    def refine(self, q: Independent[Normal], x: Tensor) -> Distribution:
        """Where (z, r) start, and the x `[B, *shape]` that it is of -> q(z, r|x)."""
        size = self.size.shape[-1]
        sizes = self.LARGEST * torch.sigmoid(PACE * self.size + self.start).unsqueeze(1) * q.stddev[:, :size]

        def force(z: Tensor) -> Tensor:
            rows = z.reshape(-1, *z.shape[-2:])
            if torch.is_grad_enabled():
                return self._force(rows, x, learning=True).reshape(z.shape)
            turn = max(1, ROWS // len(x))
            turns = [self._force(part, x, learning=False) for part in torch.split(rows, turn)]
            return torch.cat(turns).reshape(z.shape)

        return Moved(q.mean, q.stddev, [Leapfrogs(force, sizes, self.cooling())])

    def _force(self, z: Tensor, x: Tensor, *, learning: bool) -> Tensor:
        """d log p(x, z)/dz at `[K, B, D]`."""
        with torch.enable_grad():
            z = z if z.requires_grad else z.detach().requires_grad_()
            # No force is felt by momenta, nor do they exert one.
            both = torch.cat([z, torch.zeros_like(z)], dim=-1)
            log_joint = self._ways.log_px(both, x) + self._ways.prior().log_prob(both)
            (force,) = torch.autograd.grad(log_joint.sum(), z, create_graph=learning)
        return force
