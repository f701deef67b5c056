"""Sylvester flow posteriors: planar maps along several directions at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from variants.core.rotated import reflections
from variants.parts.checks import at_least, positive
from variants.parts.flows import Flow
from variants.parts.heads import PACE, Head
from variants.parts.posteriors import Posterior


class SylvesterStep:
    """f(z) = z + Q R tanh(S Q^T z + b), with Q of M orthonormal columns and R, S upper triangular.

    Its determinant is prod_i (1 + R_ii S_ii (1 - tanh^2)_i), which |R_ii|, |S_ii| < 1 keeps above zero. Of a = Q^T z
    the last is moved by itself alone, the one before it by itself and the last, and so on: the inverse is M increasing
    functions of one number each, solved one after the other by bisection.

    Source: van den Berg, Hasenclever, Tomczak and Welling 2018, arXiv:1803.05649, theorem 1 and section 3. (They solve
    for the inverse nowhere.)

    Args:
        q: `[B, D, M]`.
        r: `[B, M, M]`, upper triangular.
        s: `[B, M, M]`, upper triangular.
        b: `[B, M]`.
    """

    HALVINGS = 60

    def __init__(self, q: Tensor, r: Tensor, s: Tensor, b: Tensor) -> None:
        self.q, self.r, self.s, self.b = q, r, s, b
        self.slope = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)

    def _moved(self, z: Tensor, bend: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        log_det = (self.slope * (1 - bend.square())).log1p().sum(-1)
        return z + sign * torch.einsum("bdm,bmn,...bn->...bd", self.q, self.r, bend), log_det

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`."""
        a = torch.einsum("bdm,...bd->...bm", self.q, z)
        return self._moved(z, (torch.einsum("bmn,...bn->...bm", self.s, a) + self.b).tanh(), 1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `flows.Step`: Q^T y = a + R tanh(S a + b), from the last row to the first."""
        image = torch.einsum("bdm,...bd->...bm", self.q, y)
        a: list[Tensor] = []
        bend: list[Tensor] = []
        for i in reversed(range(image.shape[-1])):
            r, s = self.r[:, i], self.s[:, i]
            known = sum((s[:, i + 1 + j] * value for j, value in enumerate(a)), self.b[:, i])
            moved = sum((r[:, i + 1 + j] * value for j, value in enumerate(bend)), torch.zeros_like(known))
            root = _solve(image[..., i] - moved, r[:, i], s[:, i], known, self.HALVINGS)
            a.insert(0, root)
            bend.insert(0, (s[:, i] * root + known).tanh())
        return self._moved(y, torch.stack(bend, -1), -1)


def _solve(image: Tensor, r: Tensor, s: Tensor, b: Tensor, halvings: int) -> Tensor:
    """The a with a + r tanh(s a + b) = image, elementwise, for r s > -1."""
    with torch.no_grad():
        low, high = image - r.abs(), image + r.abs()
        for _ in range(halvings):
            a = 0.5 * (low + high)
            below = a + r * (s * a + b).tanh() < image
            low, high = torch.where(below, a, low), torch.where(below, high, a)
        a = 0.5 * (low + high)
        rise = 1 + r * s * (1 - (s * a + b).tanh().square())
    # One step of Newton's, which gives the root its derivatives.
    return a - (a + r * (s * a + b).tanh() - image) / rise


class Sylvester(Posterior):
    """q(z|x): a diagonal Gaussian through Sylvester flows, whose Q, R, S and b come from the features.

    Q is the first M columns of a product of M Householder reflections, which is every set of M orthonormal columns up
    to signs, and orthonormal without an iteration.

    Source: van den Berg, Hasenclever, Tomczak and Welling 2018, arXiv:1803.05649, section 3 (there three ways to a Q).

    Args:
        features: H, width of the encoder's output.
        latent: D, at least 2.
        flows: T, number of maps.
        columns: M, at most D; None for 8, or D where that is smaller.
        pace: of log sigma, see `Head`.
    """

    # This margin keeps the determinant from vanishing in single precision.
    MARGIN = 1e-3

    above: Tensor

    has_marginals = False

    def __init__(
        self, features: int, latent: int, *, flows: int = 4, columns: int | None = None, pace: float = PACE
    ) -> None:
        super().__init__()
        if latent < 2:
            raise ValueError(
                f"a Sylvester flow needs a latent size of at least 2, got {latent}: choose posterior=planar"
            )
        self.flows = at_least("flows", flows, 1)
        self.columns = min(8, latent) if columns is None else at_least("columns", columns, 1)
        if self.columns > latent:
            raise ValueError(f"columns must be at most the latent size {latent}, got {columns}")
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent, pace=positive("pace", pace))
        self.vectors = Head(features, flows * self.columns * latent, zero=False)
        self.register_buffer("above", torch.triu_indices(self.columns, self.columns), persistent=False)
        # At zero R would give S no gradient, and S none to R.
        self.matrices = Head(features, flows * 2 * self.above.shape[1], zero=False)
        self.bias = Head(features, flows * self.columns, zero=False)

    def _triangular(self, h: Tensor) -> Tensor:
        """R and S of all maps, `[B, T, 2, M, M]`."""
        entries = self.matrices(h).unflatten(-1, (self.flows, 2, -1))
        full = entries.new_zeros(*entries.shape[:-1], self.columns, self.columns)
        full[..., self.above[0], self.above[1]] = entries
        diagonal: Tensor = (1 - self.MARGIN) * full.diagonal(dim1=-2, dim2=-1).tanh()
        triangular: Tensor = full.triu(1) + diagonal.diag_embed()
        return triangular

    def forward(self, h: Tensor) -> Flow:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        vectors = self.vectors(h).unflatten(-1, (self.flows, self.columns, -1))
        q = reflections(functional.normalize(vectors, dim=-1))[..., : self.columns]
        r, s = self._triangular(h).unbind(2)
        b = self.bias(h).unflatten(-1, (self.flows, -1))
        steps = [SylvesterStep(*(part[:, t] for part in (q, r, s, b))) for t in range(self.flows)]
        return Flow(self.loc(h), self.log_scale(h).exp(), steps)
