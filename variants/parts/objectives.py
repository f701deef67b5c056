"""Objectives: what training minimises. The first door out of a model; no reported number ever passes through it."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative


class Objective(nn.Module, ABC):
    """Abstract. A subclass takes its own keyword options and implements `forward`.

    Attributes:
        samples: K, the posterior draws per example that training asks for.
    """

    samples: int = 1

    @abstractmethod
    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example `[B]`, after `epoch` (fractional) passes over the data."""


def linear_warmup(epoch: float, epochs: float) -> float:
    """Weight of the KL: from 0 to 1 over the first `epochs` passes. Source: Bowman et al. 2016, arXiv:1511.06349."""
    return 1.0 if epochs == 0 else min(1.0, epoch / epochs)


class Elbo(Objective):
    """-ELBO, the KL in closed form where there is one.

    Source: Kingma and Welling 2014, arXiv:1312.6114.

    Args:
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


class Beta(Objective):
    """-(E_q log p(x|z) - beta KL).

    Source: Higgins et al. 2017, beta-VAE, ICLR, eq. 4.

    Args:
        beta: weight of the KL, at least 0.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which beta is phased in linearly; 0 for none.
    """

    def __init__(self, *, beta: float = 4.0, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.beta = not_negative("beta", beta)
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


class Iwae(Objective):
    """-log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^w with the warm-up weight w, which is 1 after the warm-up.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, eq. 8.

    Args:
        samples: K importance samples.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def __init__(self, *, samples: int = 5, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)
        return math.log(len(log_weights)) - log_weights.logsumexp(0)


class Reconstruction(Objective):
    """-log p(x|z) alone: with a fixed-variance Gaussian it is the mean squared error of the plain autoencoder.

    Source: Hinton and Salakhutdinov 2006, Science 313:504.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        return -terms.log_px_z.mean(0)
