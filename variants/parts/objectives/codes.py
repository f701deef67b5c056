"""Objectives of codes: what moves a code book, and keeps it in use."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from variants.core.terms import Terms
from variants.parts.checks import not_negative, positive
from variants.parts.objectives.base import Objective, linear_warmup


class Vq(Objective):
    """-log p(x|z) + KL + |sg(h) - e|^2 + beta |h - sg(e)|^2, h what the encoder says and e the codes that stand for it.

    The first square moves the codes, unless they are running means, the second keeps the encoder near them; both are
    summed over sites and numbers, as log p(x|z) is over the data. The KL is -log p(z), which moves the prior alone.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, eq. 3.

    Args:
        commitment: beta.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    latents = "codes"
    moves_codes = True

    def __init__(self, *, commitment: float = 0.25, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.commitment = not_negative("commitment", commitment)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        q, weight = terms.q, linear_warmup(epoch, self.warmup_epochs)
        indices = q.indices  # type: ignore[attr-defined]
        book, encoder = q.book.misfit(q.h, indices)  # type: ignore[attr-defined]
        loss: Tensor = weight * terms.kl - terms.log_px_z.mean(0) + book + self.commitment * encoder
        if self.training:
            q.book.learn(q.h, indices)  # type: ignore[attr-defined]
        return loss


def code_entropies(h: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """E H(q(k|h)) and H(E q(k|h)) over all codes k in {-1, 1}^d, q(k|h) proportional to exp(-t |h - k|^2), in nats.

    q is a product over the d bits, 1 with probability sigmoid(4 t h_i); the mean is over N rows.

    Args:
        h: `[N, d]`.
        sharpness: t.

    Returns:
        Two scalars.
    """
    logits = 4 * sharpness * h
    log_p, log_not = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    each = -(log_p.exp() * log_p + log_not.exp() * log_not).sum(-1).mean()
    joint = torch.zeros_like(h[:, :1])
    for one, zero in zip(log_p.unbind(-1), log_not.unbind(-1), strict=True):
        joint = torch.cat([joint + zero.unsqueeze(-1), joint + one.unsqueeze(-1)], dim=-1)
    # Of a code that no row is near the probability underflows, but not its logarithm.
    log_mean = joint.logsumexp(0) - math.log(len(joint))
    return each, -(log_mean.exp() * log_mean).sum()


class Lfq(Objective):
    """-log p(x|z) + KL + beta |h - sg(e)|^2 + gamma S (E H(k|h) - H(E k)), with soft codes k of h.

    The entropies ask for every site to be sure of its code, and for all codes to be used. They are means over the batch
    and its S sites.

    Source: Yu et al. 2024, arXiv:2310.05737, section 3.1, eq. 5, with a weight of 0.1; 0.25 is that of `Vq`.

    Args:
        commitment: beta.
        entropy_weight: gamma.
        sharpness: t of the soft codes, see `code_entropies`.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    latents = "sign codes"

    def __init__(
        self,
        *,
        commitment: float = 0.25,
        entropy_weight: float = 0.1,
        sharpness: float = 1.0,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__()
        self.commitment = not_negative("commitment", commitment)
        self.entropy_weight = not_negative("entropy_weight", entropy_weight)
        self.sharpness = positive("sharpness", sharpness)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's entropies."""
        h, book = terms.q.h, terms.q.book  # type: ignore[attr-defined]
        _, encoder = book.misfit(h, terms.q.indices)  # type: ignore[attr-defined]
        each, mean = code_entropies(h.reshape(-1, book.size), self.sharpness)
        weight = linear_warmup(epoch, self.warmup_epochs)
        bound = weight * terms.kl - terms.log_px_z.mean(0)
        loss: Tensor = bound + self.commitment * encoder + self.entropy_weight * book.sites * (each - mean)
        return loss
