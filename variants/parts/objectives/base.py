"""What every objective is, and what several of them share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from variants.core.support import draw
from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative


class Objective(nn.Module, ABC):
    """Abstract. A subclass takes its own keyword options and implements `forward`.

    One with a method `learns`, epoch -> roles or None, says whose parameters the next step moves; None for all.

    Attributes:
        samples: K, the posterior draws per example that training asks for.
        warmup_epochs: passes over the data during which the loss is not yet the one that is meant.
        needs_path: whether it differentiates through z; if not, its z carry no gradient, whatever the posterior.
        needs_marginals: whether it asks for the distributions of single latents, q(z_j|x).
        moves_codes: whether it moves the code book of a prior that has one to be moved.
        latents: the only kind of latents that it is for; None for any.
        adam: options of Adam for the parameters of a role, encoder to objective, where they are not the budget's:
            `betas`, `weight_decay`, and `pace`, a factor of the step size.
    """

    samples: int = 1
    warmup_epochs: float = 0
    needs_path: bool = True
    moves_codes: bool = False
    needs_marginals: bool = False
    latents: str | None = None
    adam: Mapping[str, Mapping[str, Any]] = {}

    @abstractmethod
    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example `[B]`, after `epoch` (fractional) passes over the data."""


class Sampled(Objective):
    """Abstract: with K draws per example and a linear warm-up, the two options that most objectives have.

    Args:
        samples: K, at least 1.
        warmup_epochs: passes over which the objective becomes the one that is meant; 0 for none.
    """

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)


def linear_warmup(epoch: float, epochs: float) -> float:
    """Weight of the KL: from 0 to 1 over the first `epochs` passes. Source: Bowman et al. 2016, arXiv:1511.06349."""
    return 1.0 if epochs == 0 else min(1.0, epoch / epochs)


def draws_of_prior(terms: Terms) -> Tensor:
    """As many draws of p(z) as there are of q(z|x), `[K, B, D]`."""
    samples, batch, _ = terms.z.shape
    return draw(terms.p, torch.Size([samples] if terms.p.batch_shape else [samples, batch]))


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A value that is shown, with the gradient of a surrogate added to its own."""
    return value + (surrogate - surrogate.detach())


def scale_path(terms: Terms, factor: Tensor) -> None:
    """Multiply the gradient that arrives at z by `factor` `[K, B]`.

    A hook does it, which saves a second pass through the decoder. So these terms must serve no other loss, and an
    objective that calls this is `eager`: within one compiled graph no gradient would pass by the hook.
    """
    if terms.z.requires_grad:
        terms.z.register_hook(lambda gradient: factor.unsqueeze(-1) * gradient)  # type: ignore[no-untyped-call]
