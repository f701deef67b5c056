"""KL(q || p) in closed form. Pairs that torch does not register are registered here and nowhere else."""

from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)

from variants.core.rotated import RotatedNormal


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats where a closed form is known, else `None` (the caller then estimates it).

    Args:
        q: batch shape `[B]`, event shape `[D]`.
        p: batch shape `[]` or `[B]`, event shape `[D]`.

    Returns:
        `[B]`, or `None`.
    """
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


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
