"""KL(q || p) in closed form. Pairs that torch does not register are registered here and nowhere else."""

from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)

from variants.core.one_hots import OneHots
from variants.core.rotated import RotatedNormal


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats where a closed form is known, else `None` (the caller then estimates it).

    Args:
        q: batch shape `[B]`, event shape `[D]`.
        p: batch shape `[]` or `[B]`, event shape `[D]`.

    Returns:
        `[B]`, or `None`.
    """
    if isinstance(getattr(p, "base_dist", None), Bernoulli):
        p = p.expand(q.batch_shape)  # torch's formula for a pair of these does not broadcast
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def kl_parts(q: Distribution, p: Distribution, z: Tensor) -> Tensor | None:
    """KL(q || p) by groups of latents, in nats: one group an axis where both are products over axes.

    A distribution of its own kind brings `kl_parts(p, z)`: one group a layer, a block or a variable.

    Args:
        q: batch shape `[B]`, event shape `[D]`.
        p: batch shape `[]` or `[B]`, event shape `[D]`.
        z: draws of q, `[K, B, D]`, over which parts without a closed form are averaged.

    Returns:
        `[B, G]`; the sum over G is the KL, exactly so where both are closed forms. None where the KL has no parts.
    """
    if hasattr(q, "kl_parts"):
        parts: Tensor | None = q.kl_parts(p, z)
        return parts
    if not all(isinstance(d, Independent) and d.reinterpreted_batch_ndims == 1 for d in (q, p)):
        return None
    return closed_form_kl(q.base_dist, p.base_dist.expand(q.base_dist.batch_shape))  # type: ignore[attr-defined]


def _diagonal_normal(p: Independent[Normal]) -> Normal:
    base = p.base_dist
    if not isinstance(base, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    return base


@register_kl(MultivariateNormal, Independent)  # type: ignore[no-untyped-call, untyped-decorator]
@register_kl(LowRankMultivariateNormal, Independent)  # type: ignore[no-untyped-call, untyped-decorator]
@register_kl(RotatedNormal, Independent)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_gaussian_diagonal(
    q: MultivariateNormal | LowRankMultivariateNormal | RotatedNormal, p: Independent[Normal]
) -> Tensor:
    # KL = -H(q) - E_q log p, and for a diagonal p the expectation sees only the mean and the variances of q:
    # E_q log p(z) = log p(mu) - 1/2 sum_i var_i / s_i^2.
    normal = _diagonal_normal(p)
    expected_log_p: Tensor = (normal.log_prob(q.mean) - 0.5 * q.variance / normal.variance).sum(-1)  # type: ignore[no-untyped-call]
    entropy: Tensor = q.entropy()  # type: ignore[no-untyped-call]
    return -entropy - expected_log_p


@register_kl(Independent, MultivariateNormal)  # type: ignore[no-untyped-call, untyped-decorator]
@register_kl(Independent, LowRankMultivariateNormal)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_diagonal_gaussian(q: Independent[Normal], p: MultivariateNormal | LowRankMultivariateNormal) -> Tensor:
    normal = _diagonal_normal(q)
    full = MultivariateNormal(normal.loc, scale_tril=normal.scale.diag_embed(), validate_args=False)
    return kl_divergence(full, p)


@register_kl(OneHots, OneHots)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_one_hots(q: OneHots, p: OneHots) -> Tensor:
    return q.kl_by_variable(p).sum(-1)
