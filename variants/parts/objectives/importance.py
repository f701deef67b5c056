"""Bounds that weigh several draws by their importance, log w_k = log p(x, z_k) - log q(z_k|x)."""

import math

from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, between, number
from variants.parts.objectives.base import Sampled, linear_warmup, scale_path, with_gradient_of


def negative_log_mean(log_weights: Tensor) -> Tensor:
    """-log 1/K sum_k w_k of log w_k `[K, B]`, `[B]`; its gradient is -sum_k w~_k d log w_k, w~_k = w_k / sum_j w_j."""
    return math.log(len(log_weights)) - log_weights.logsumexp(0)


class Weighted(Sampled):
    """Abstract: of the weights p(x|z_k) (p(z_k) / q(z_k|x))^w, with the warm-up weight w, which is 1 after the warm-up.

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)

    def log_weights(self, terms: Terms, epoch: float) -> Tensor:
        """`[K, B]`."""
        return terms.log_px_z + linear_warmup(epoch, self.warmup_epochs) * (terms.log_pz - terms.log_qz_x)


class Iwae(Weighted):
    """-log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^w with the warm-up weight w, which is 1 after the warm-up.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, eq. 8.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return negative_log_mean(self.log_weights(terms, epoch))


class IwaeDreg(Weighted):
    """The bound of `Iwae` with doubly reparameterised gradients: same value, same expected gradient, less noise.

    With w~_k = w_k / sum_j w_j, what is not part of q is given sum_k w~_k d log w_k, as in `Iwae`, and q is given
    sum_k w~_k^2 (d log w_k / dz_k) (dz_k / dphi): the score of q is left out of each log w_k, and since the w~_k depend
    on z too, it comes back as a second reparameterised term (w~_k^2 - w~_k) (d log w_k / dz_k) (dz_k / dphi). Under a
    warm-up with weight w this term carries w, so the factor at z_k is 1 - w + w w~_k times the weight w~_k.

    A prior that shares parameters with the encoder is no part of q: those get sum_k w~_k d log p(z_k) as well.

    Source: Tucker, Lawson, Gu and Maddison 2018, arXiv:1810.04152, eq. 8 (IWAE-DReG).
    """

    eager = True

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)
        scale_path(terms, 1 - weight + weight * log_weights.detach().softmax(0))
        return negative_log_mean(log_weights)


class Renyi(Weighted):
    """-1/(1-a) log 1/K sum_k w_k^(1-a), the variational Renyi bound: a = 0 is `Iwae`, a -> 1 the ELBO.

    It does not rise with a. Its limit of many draws is log p(x) - D_a(q(z|x) || p(z|x)), for a >= 0 a lower bound of
    log p(x); for a < 0 an upper one, of which few draws stay below, so that the value bounds nothing.

    Source: Li and Turner 2016, arXiv:1602.02311 (VR).

    Args:
        alpha: a.
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, alpha: float = 0.5, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.alpha = number("alpha", alpha)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        log_weights, power = self.log_weights(terms, epoch), 1 - self.alpha
        return negative_log_mean(power * log_weights) / power if power else -log_weights.mean(0)


class VrMax(Weighted):
    """-max_k log w_k: the variational Renyi bound for a -> -infinity, whose gradient is that of the best draw alone.

    Source: Li and Turner 2016, arXiv:1602.02311 (VR-max).
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return -self.log_weights(terms, epoch).max(0).values


class Grouped(Weighted):
    """Abstract: K = M L draws are M groups of L each.

    Args:
        samples: K, all draws.
        estimates: M, which must divide K.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 8, estimates: int = 2, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.estimates = at_least("estimates", estimates, 1)
        if samples % estimates:
            raise ValueError(f"samples must be a multiple of estimates, got {samples} samples for {estimates}")

    def groups(self, log_weights: Tensor) -> Tensor:
        """`[K, B]` -> `[L, M, B]`: the draws of one estimate lie along the first axis."""
        return log_weights.reshape(self.estimates, -1, log_weights.shape[1]).transpose(0, 1)


class MultiplyIwae(Grouped):
    """-1/M sum_m log 1/L sum_l w_(m,l): the mean of M bounds of L draws each. M = 1 is `Iwae`, M = K is -ELBO.

    More estimates make the encoder's gradient less noisy, more draws in each make the bound tighter. (What others call
    MIWAE too is about missing data.)

    Source: Rainforth et al. 2018, arXiv:1802.04537 (MIWAE).
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return negative_log_mean(self.groups(self.log_weights(terms, epoch))).mean(0)


class PartialIwae(Grouped):
    """Encoder and posterior have the gradient of `MultiplyIwae`, everything else that of `Iwae` over all M L draws.

    The value is that of `Iwae`. With the shares a_k of draw k among all of them and b_k / M in its group, the loss has
    the gradient -sum_k a_k d log w_k, in which the path through z_k is multiplied by b_k / (M a_k), and the score of q
    stands apart.

    Source: Rainforth et al. 2018, arXiv:1802.04537 (PIWAE).
    """

    eager = True
    # A share that rounds to zero would take the path's gradient with it. This one moves no weight of the decoder.
    FLOOR = 1e-20

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)
        of_all = log_weights.detach().softmax(0).clamp_min(self.FLOOR)
        in_groups = self.groups(log_weights.detach()).softmax(0).transpose(0, 1).flatten(0, 1) / self.estimates
        scale_path(terms, in_groups / of_all)
        surrogate = (of_all * log_weights - weight * in_groups * terms.log_qz_x_held).sum(0)
        return with_gradient_of(negative_log_mean(log_weights.detach()), -surrogate)


class CombinationIwae(Weighted):
    """-(b ELBO + (1 - b) IWAE), both of the same K draws.

    Source: Rainforth et al. 2018, arXiv:1802.04537 (CIWAE).

    Args:
        elbo_weight: b, from 0, which is `Iwae`, to 1.
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, elbo_weight: float = 0.05, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.elbo_weight = between("elbo_weight", elbo_weight, 0, 1)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        log_weights, b = self.log_weights(terms, epoch), self.elbo_weight
        return (1 - b) * negative_log_mean(log_weights) - b * log_weights.mean(0)
