"""A posterior for pairs: what two examples have in common is one latent for both."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from variants.data_spec import DataSpec
from variants.parts.checks import positive
from variants.parts.heads import PACE
from variants.parts.posteriors import Diagonal

Fuse = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def average(loc: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the means and of the variances of two, `[2, ...]` -> mean, variance `[1, ...]`: of equals it is the same
    (Hosoya 2019, GVAE)."""
    return loc.mean(0, keepdim=True), variance.mean(0, keepdim=True)


def product(loc: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The normalised product of two Gaussians, `[2, ...]` -> mean, variance `[1, ...]`: of equals it has half their
    variance (Bouchacourt, Tomioka and Nowozin 2018, ML-VAE)."""
    total = 1 / (1 / variance).sum(0, keepdim=True)
    return total * (loc / variance).sum(0, keepdim=True), total


SHARING: dict[str, Fuse] = {"average": average, "product": product}


def common(loc: Tensor, scale: Tensor) -> Tensor:
    """Which latents of two, `[2, ..., D]`, are in common, `[..., D]`: those whose KL(q_1 || q_2) is below the middle of
    the least and the greatest of the D."""
    kl = kl_divergence(Normal(loc[0], scale[0], validate_args=False), Normal(loc[1], scale[1], validate_args=False))
    threshold = (kl.amin(-1, keepdim=True) + kl.amax(-1, keepdim=True)) / 2
    return kl < threshold


def shared(q: Independent[Normal], fuse: Fuse) -> Independent[Normal]:
    """q(z|x) of `[B]` examples, 2 i and 2 i + 1 a pair, with one distribution for both where `common`. The last of an
    odd number is left as it is."""
    loc, scale = q.base_dist.loc, q.base_dist.scale
    paired = len(loc) // 2 * 2
    mu, sigma = (each[:paired].reshape(-1, 2, each.shape[-1]).transpose(0, 1) for each in (loc, scale))
    same = common(mu, sigma)
    mean, variance = fuse(mu, sigma.square())
    mu, sigma = torch.where(same, mean, mu), torch.where(same, variance.sqrt(), sigma)
    loc, scale = (
        torch.cat([new.transpose(0, 1).flatten(0, 1), old[paired:]]) for new, old in ((mu, loc), (sigma, scale))
    )
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


class Paired(Diagonal):
    """A diagonal Gaussian that in training two examples of a pair share where they seem to have a factor in common.

    In evaluation mode each example has its own, so the bound is one of p(x).

    Source: Locatello, Poole, Raetsch, Schoelkopf, Bachem and Tschannen 2020, arXiv:2002.02886, section 4.2.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        sharing: `"average"` (Ada-GVAE) or `"product"` (Ada-ML-VAE).
        pace: of log sigma, see `Head`.
        data_spec: of data in pairs.

    Raises:
        ValueError: the data are no pairs, or another sharing.
    """

    batch_statistics = True

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        sharing: str = "average",
        pace: float = PACE,
        data_spec: DataSpec | None = None,
    ) -> None:
        super().__init__(features, latent, pace=positive("pace", pace))
        if sharing not in SHARING:
            raise ValueError(f"sharing must be one of {', '.join(SHARING)}, got {sharing!r}")
        self.fuse = SHARING[sharing]
        if data_spec is None or not data_spec.pairs:
            raise ValueError("posterior paired is for pairs: --data-option pairs=1 of sprites, xy_squares or solids")

    def forward(self, h: Tensor) -> Independent[Normal]:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`; in training rows 2 i and 2 i + 1 are a
        pair."""
        q = super().forward(h)
        return shared(q, self.fuse) if self.training else q
