"""Regularised autoencoders: a smooth decoder in the place of a noisy code, and a density fitted to the codes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import not_negative
from variants.parts.objectives.base import Objective

# A budget may decay all weights beside their gradient: this decay is part of it.
COUPLED = {"decoupled_weight_decay": False}


class RaeL2(Objective):
    """-log p(x|z) + b/2 |z|^2 + decay |theta|^2, theta the decoder's weights; and the prior is fitted to the codes,
    -log p(z) with z held constant, so that it can be sampled.

    Adam adds the gradient of the last term itself: the loss is shown without it. The prior moves at ten step sizes, for
    codes may lie far out.

    Source: Ghosh, Sajjadi, Vergari, Black and Schoelkopf 2020, arXiv:1903.12436, section 3.

    Args:
        code_penalty: b, at least 0.
        decay: at least 0.
    """

    def __init__(self, *, code_penalty: float = 1e-4, decay: float = 1e-7) -> None:
        super().__init__()
        self.code_penalty = not_negative("code_penalty", code_penalty)
        self.decay = not_negative("decay", decay)

    @property
    def adam(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """See `Objective`."""
        return {"prior": {"pace": 10.0}, "decoder": {"weight_decay": 2 * self.decay, **COUPLED}}

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        codes = 0.5 * self.code_penalty * terms.z.square().sum(-1)
        return (codes - terms.p.log_prob(terms.z.detach()) - terms.log_px_z).mean(0)


def squared_slope(terms: Terms) -> Tensor:
    """|dE[x|z]/dz|^2, the squared Frobenius norm of the decoder's Jacobian at z_k, estimated by |v^T J|^2, v ~ N(0, I).

    Source: Hutchinson 1990, Communications in Statistics 19:433 (the trace of J J^T from random v).

    Returns:
        `[K, B]`; its gradient reaches the decoder and, through z, the encoder.
    """
    assert terms.ways is not None
    wanted = torch.is_grad_enabled()
    with torch.enable_grad():
        z = terms.z if terms.z.requires_grad else terms.z.detach().requires_grad_()
        mean = terms.ways.decode(z).mean
        along = (mean * torch.randn_like(mean)).sum()
        (slope,) = torch.autograd.grad(along, z, create_graph=wanted)
    return slope.square().sum(-1)


class RaeGp(Objective):
    """-log p(x|z) + b/2 |z|^2 + g |dE[x|z]/dz|^2, by `squared_slope`; the prior is fitted to the codes as in `RaeL2`.

    The authors' code squares another derivative, that of |E[x|z]|^2, so that its weight does not carry over.

    Source: Ghosh, Sajjadi, Vergari, Black and Schoelkopf 2020, arXiv:1903.12436, eq. 12.

    Args:
        code_penalty: b, at least 0.
        slope_penalty: g, at least 0.
    """

    # It differentiates within the loss.
    eager = True
    adam: Mapping[str, Mapping[str, Any]] = {"prior": {"pace": 10.0}}

    def __init__(self, *, code_penalty: float = 1e-4, slope_penalty: float = 0.01) -> None:
        super().__init__()
        self.code_penalty = not_negative("code_penalty", code_penalty)
        self.slope_penalty = not_negative("slope_penalty", slope_penalty)

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        codes = 0.5 * self.code_penalty * terms.z.square().sum(-1)
        slope = self.slope_penalty * squared_slope(terms)
        return (codes + slope - terms.p.log_prob(terms.z.detach()) - terms.log_px_z).mean(0)
