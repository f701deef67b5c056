"""Bounds that weigh several draws by their importance log w_k = log p(x, z_k) - log q(z_k|x)."""

import math

from torch import Tensor

from variants.core.terms import Terms
from variants.parts.objectives.base import Sampled, linear_warmup


def negative_log_mean(log_weights: Tensor) -> Tensor:
    """-log 1/K sum_k w_k of log w_k `[K, B]`, `[B]`; its gradient is -sum_k w~_k d log w_k, w~_k = w_k / sum_j w_j."""
    return math.log(len(log_weights)) - log_weights.logsumexp(0)


class Iwae(Sampled):
    """-log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^w with the warm-up weight w, which is 1 after the warm-up.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, eq. 8.

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)
        return negative_log_mean(log_weights)


class IwaeDreg(Iwae):
    """The bound of `Iwae` with doubly reparameterised gradients: same value, same expected gradient, less noise.

    With w~_k = w_k / sum_j w_j, what is not part of q is given sum_k w~_k d log w_k, as in `Iwae`, and q is given
    sum_k w~_k^2 (d log w_k / dz_k) (dz_k / dphi): the score of q is left out of each log w_k, and since the w~_k depend
    on z too, it comes back as a second reparameterised term (w~_k^2 - w~_k) (d log w_k / dz_k) (dz_k / dphi). Under a
    warm-up with weight w this term carries w, so the factor at z_k is 1 - w + w w~_k times the weight w~_k.

    A prior that shares parameters with the encoder is no part of q: those get sum_k w~_k d log p(z_k) as well.

    The factor is put on the gradient at `terms.z` by a hook, which saves a second pass through the decoder. So these
    terms must serve no other loss; and within one compiled graph no gradient would pass by the hook.

    Source: Tucker, Lawson, Gu and Maddison 2018, arXiv:1810.04152, eq. 8 (IWAE-DReG).

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    eager = True

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)
        factor = (1 - weight + weight * log_weights.detach().softmax(0)).unsqueeze(-1)
        if terms.z.requires_grad:
            terms.z.register_hook(lambda gradient: factor * gradient)  # type: ignore[no-untyped-call]
        return negative_log_mean(log_weights)
