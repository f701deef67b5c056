"""Where a distribution over latents lives: on R^D, on a set that can be counted, or elsewhere. It says so itself."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints


def support_of(d: Distribution) -> constraints.Constraint | None:
    """The support that a distribution declares; None where it declares none."""
    try:
        return d.support
    except NotImplementedError:
        return None


def _innermost(support: constraints.Constraint | None) -> constraints.Constraint | None:
    """Of one number: a vector's support, or a mixture's, is made of it."""
    while support is not None and hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def is_real(d: Distribution) -> bool:
    """Whether d declares a density on all of R^D: only there does a Gaussian stand in for it, or a gradient lead."""
    return _innermost(support_of(d)) is constraints.real


def is_discrete(d: Distribution) -> bool:
    """Whether d declares probabilities of single points, whose logarithms are in units of nothing."""
    support = support_of(d)
    return support is not None and bool(support.is_discrete)


def where(d: Distribution) -> str:
    """The declared support in words, for messages: `"Boolean()"`."""
    base = _innermost(support_of(d))
    return "an undeclared support" if base is None else str(base)


def state_count(d: Distribution) -> int | None:
    """How many points d can take, all of them listed by `states`; None where they cannot be listed.

    A distribution of its own kind declares it as `state_count` and lists them by `enumerate_support(expand=False)`.
    """
    known = getattr(d, "state_count", None)
    if known is not None:
        return int(known)
    if isinstance(d, Independent) and d.reinterpreted_batch_ndims == 1 and d.base_dist.has_enumerate_support:
        values: int = d.base_dist.enumerate_support(expand=False).shape[0]
        return int(values ** d.event_shape.numel())
    return None


def states(d: Distribution) -> Tensor:
    """Every point that d, of batch shape `[]`, can take: `[S, D]` with S = `state_count(d)`, each once."""
    if hasattr(d, "state_count"):
        points: Tensor = d.enumerate_support(expand=False)
        return points.reshape(-1, d.event_shape.numel())
    assert isinstance(d, Independent)
    values = d.base_dist.enumerate_support(expand=False).flatten()
    axes = [values] * d.event_shape.numel()
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))


def draw(d: Distribution, sample_shape: Sequence[int] = ()) -> Tensor:
    """Draws `[*sample_shape, B, D]`, reparameterised where d can be."""
    shape = torch.Size(sample_shape)
    return d.rsample(shape) if d.has_rsample else d.sample(shape)
