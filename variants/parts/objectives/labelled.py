"""The bound of a model whose class is known for some examples."""

from typing import Any

import torch
from torch import Tensor

from variants.core.kl import closed_form_kl
from variants.core.terms import Terms
from variants.data_spec import DataSpec
from variants.parts.checks import not_negative
from variants.parts.objectives.base import Sampled, linear_warmup


class SemiSupervised(Sampled):
    """-L(x, y) - w log q(y|x) where y is known, else -sum_y q(y|x) (L(x, y) - log q(y|x)): every class is asked, none
    drawn. L(x, y) = E_q(u|x,y) log p(x|u, y) - KL(q(u|x,y) || p(u)) + log p(y).

    w = alpha N / n for n labelled of N examples, so that the n together weigh as alpha N.

    Source: Kingma, Rezende, Mohamed and Welling 2014, arXiv:1406.5298, eqs. 6, 7 and 9, with their alpha = 0.1.

    Args:
        alpha: weight of the classifier, at least 0.
        samples: K draws of u for each class.
        warmup_epochs: passes over which the KL of u is phased in linearly; 0 for none.
        data_spec: of the data, which says n and N.
    """

    needs_path = False
    uses_labels = True
    latents = "labelled"

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        samples: int = 1,
        warmup_epochs: float = 0,
        data_spec: DataSpec | None = None,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.weight = not_negative("alpha", alpha)
        if data_spec is not None and data_spec.labelled and data_spec.size:
            self.weight *= data_spec.size / data_spec.labelled

    def bounds(self, terms: Terms, epoch: float) -> Tensor:
        """L(x, y) of every class, `[B, C]`."""
        q: Any = terms.q
        of_u, of_y = _blocks(terms.p)
        y: Tensor = q.classes.enumerate_support()
        u: Tensor = q.each.rsample(torch.Size([self.samples]))
        z = torch.cat([u, y.expand(self.samples, *y.shape)], dim=-1)
        assert terms.ways is not None
        log_px = terms.ways.log_px(z.flatten(0, 1), terms.x).reshape(self.samples, *y.shape[:2]).mean(0)
        kl = closed_form_kl(q.each, of_u)
        assert kl is not None
        bounds: Tensor = log_px - linear_warmup(epoch, self.warmup_epochs) * kl + of_y.log_prob(y)
        return bounds.T

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        bounds = self.bounds(terms, epoch)
        q: Any = terms.q
        log_q: Tensor = q.classes.logits.squeeze(-2)
        unknown = (log_q.exp() * (bounds - log_q)).sum(-1)
        if terms.y is None:
            return -unknown
        y = terms.y.clamp(min=0).unsqueeze(-1)
        known = (bounds + self.weight * log_q).gather(-1, y).squeeze(-1)
        return -torch.where(terms.y >= 0, known, unknown)


def _blocks(p: Any) -> tuple[Any, Any]:
    """p(u) and p(y)."""
    u, y = p.blocks
    return u, y
