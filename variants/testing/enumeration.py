"""Exact expectations over discrete latents: every K-tuple of draws with its probability, no Monte Carlo error.

An objective whose gradient is an estimate is unbiased if, over all tuples, its mean is the gradient of the mean:

    exact = expectation(model, x, k, lambda terms: -iwae(terms))
    estimated = expectation(model, x, k, lambda terms: model.objective(terms, LATE), fixed=True)
"""

from collections.abc import Callable

import torch
from torch import Tensor

from variants.core.support import state_count, states
from variants.core.terms import Terms
from variants.core.vae import VAE


def tuples(model: VAE, x: Tensor, samples: int) -> tuple[Terms, Tensor]:
    """All draws (z_1, ..., z_K) of one example's posterior, side by side as a batch, and log prod_k q(z_k|x).

    Args:
        model: its posterior has few points, S of them.
        x: `[1, *shape]`.
        samples: K.

    Returns:
        Terms of a batch of S^K copies of x, and `[S^K]`.

    Raises:
        ValueError: the posterior's points cannot be listed.
    """
    one = model.infer(x)
    if state_count(one) is None:
        raise ValueError(f"the points of {type(one).__name__} cannot be listed")
    points = states(one).to(x.dtype)
    chosen = torch.cartesian_prod(*[torch.arange(len(points), device=x.device)] * samples).reshape(-1, samples).T
    copies = x.expand(chosen.shape[1], *x.shape[1:])
    q, z = model.infer(copies), points[chosen]
    terms = Terms(x=copies, z=z, q=q, p=model.prior(), log_px_z=model.log_px(z, copies), ways=model.ways)
    return terms, q.log_prob(z).sum(0)


def expectation(
    model: VAE, x: Tensor, samples: int, value: Callable[[Terms], Tensor], *, fixed: bool = False
) -> Tensor:
    """E[value(terms)] over all draws, a scalar.

    Args:
        model: as for `tuples`.
        x: `[1, *shape]`.
        samples: K.
        value: of terms, `[B]`.
        fixed: whether the probabilities are constants: the gradient is then the mean of the gradients of `value`.
    """
    terms, log_q = tuples(model, x, samples)
    return ((log_q.detach() if fixed else log_q).exp() * value(terms)).sum()
