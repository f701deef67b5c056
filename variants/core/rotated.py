"""A Gaussian in a rotated frame: all that a chain of Householder reflections makes of a diagonal one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints


class RotatedNormal(Distribution):
    """z = U (mu + sigma eps), that is N(U mu, U diag(sigma^2) U^T), with U = H_T ... H_1 and H_t = I - 2 v_t v_t^T.

    Args:
        loc: mu, `[B, D]`; batch shape `[B]`, event shape `[D]`.
        scale: sigma, `[B, D]`.
        vectors: `[B, T, D]`, of any length; v_t is the unit vector in that direction.
    """

    arg_constraints = {"loc": constraints.real_vector}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, vectors: Tensor) -> None:
        self.loc = loc
        self.base = Normal(loc, scale, validate_args=False)
        self.rotation = reflections(torch.nn.functional.normalize(vectors, dim=-1))
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """U mu, `[B, D]`."""
        return torch.einsum("bij,bj->bi", self.rotation, self.loc)

    @property
    def covariance_matrix(self) -> Tensor:
        """U diag(sigma^2) U^T, `[B, D, D]`."""
        factor = self.rotation * self.base.scale.unsqueeze(-2)
        return factor @ factor.mT

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance, `[B, D]`."""
        return (self.rotation * self.base.scale.unsqueeze(-2)).square().sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        z: Tensor = self.base.rsample(torch.Size(sample_shape))
        return torch.einsum("bij,...bj->...bi", self.rotation, z)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of any points `[..., B, D]`, `[..., B]`: a rotation has the determinant one, and its transpose undoes it."""
        back = torch.einsum("bij,...bi->...bj", self.rotation, value)
        return self.base.log_prob(back).sum(-1)  # type: ignore[no-untyped-call, no-any-return]

    def entropy(self) -> Tensor:
        """That of the diagonal Gaussian, `[B]`."""
        return self.base.entropy().sum(-1)  # type: ignore[no-untyped-call, no-any-return]


def reflections(vectors: Tensor) -> Tensor:
    """U = H_T ... H_1 with H_t = I - 2 v_t v_t^T, of unit vectors `[B, T, D]`: `[B, D, D]`.

    All at once, U = I - V^T A^-1 V with the rows v_t of V and A = I/2 + the part of V V^T below its diagonal.

    Source: Joffrain, Low, Quintana-Orti, van de Geijn and Van Zee 2006, ACM TOMS 32:169 (UT transform).
    """
    identity = torch.eye(vectors.shape[-2], dtype=vectors.dtype, device=vectors.device)
    lower = (vectors @ vectors.mT).tril(-1) + 0.5 * identity
    solved = torch.linalg.solve_triangular(lower, vectors, upper=False)
    u: Tensor = torch.eye(vectors.shape[-1], dtype=vectors.dtype, device=vectors.device) - vectors.mT @ solved
    return u
