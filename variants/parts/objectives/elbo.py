"""The ELBO, its weighted forms, and its reconstruction alone."""

from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import not_negative
from variants.parts.objectives.base import Objective, Sampled, linear_warmup


class Elbo(Sampled):
    """-ELBO, the KL in closed form where there is one.

    Source: Kingma and Welling 2014, arXiv:1312.6114.

    Args:
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


class Beta(Sampled):
    """-(E_q log p(x|z) - beta KL).

    Source: Higgins et al. 2017, beta-VAE, ICLR, eq. 4.

    Args:
        beta: weight of the KL, at least 0.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which beta is phased in linearly; 0 for none.
    """

    def __init__(self, *, beta: float = 4.0, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.beta = not_negative("beta", beta)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)


class StickingTheLanding(Sampled):
    """-ELBO by its log-weights, with the score of q left out of the gradient: none of it is noise at the exact q.

    The score has the mean zero, and is the only part of the gradient that does not vanish where q(z|x) = p(z|x).

    Source: Roeder, Wu and Duvenaud 2017, arXiv:1703.09194.

    Args:
        samples: K draws over which the log-weights are averaged.
        warmup_epochs: passes over which log p(z) - log q(z|x) is phased in linearly; 0 for none.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        weight = linear_warmup(epoch, self.warmup_epochs)
        return -(terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x_stopped)).mean(0)


class Reconstruction(Objective):
    """-log p(x|z) alone: with a fixed-variance Gaussian it is the mean squared error of the plain autoencoder.

    Source: Hinton and Salakhutdinov 2006, Science 313:504.
    """

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        return -terms.log_px_z.mean(0)
