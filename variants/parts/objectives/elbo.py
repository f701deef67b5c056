"""The ELBO, its weighted forms, and its reconstruction alone."""

from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, between, not_negative, positive
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


class Capacity(Objective):
    """-E_q log p(x|z) + gamma |KL - C|, with the mean KL of the batch and a capacity C that rises linearly from 0.

    Source: Burgess et al. 2018, arXiv:1804.03599, with their gamma and their 25 nats, which they reach after 1e5 steps,
    nine passes over their data.

    Args:
        gamma: weight of the distance, at least 0.
        capacity: C after the warm-up, in nats.
        samples: K draws over which E_q log p(x|z) is averaged.
        capacity_epochs: passes over which C rises; 0 for the full C from the start.
    """

    def __init__(
        self, *, gamma: float = 1000.0, capacity: float = 25.0, samples: int = 1, capacity_epochs: float = 10
    ) -> None:
        super().__init__()
        self.gamma = not_negative("gamma", gamma)
        self.capacity = not_negative("capacity", capacity)
        self.warmup_epochs = not_negative("capacity_epochs", capacity_epochs)
        self.samples = at_least("samples", samples, 1)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's distance."""
        capacity = self.capacity * linear_warmup(epoch, self.warmup_epochs)
        return self.gamma * (terms.kl.mean() - capacity).abs() - terms.log_px_z.mean(0)


class Cyclical(Objective):
    """-(E_q log p(x|z) - beta KL), where beta rises from 0 to 1 in the first part of each of several cycles.

    From the last rise on it is `Elbo`.

    Source: Fu et al. 2019, arXiv:1903.10145: four cycles, each rising for its first half.

    Args:
        cycles: their number.
        cycle_epochs: passes that a cycle takes.
        rise: the part of a cycle in which beta rises, above 0, at most 1.
        samples: K draws over which E_q log p(x|z) is averaged.
    """

    def __init__(self, *, cycles: int = 4, cycle_epochs: float = 5, rise: float = 0.5, samples: int = 1) -> None:
        super().__init__()
        self.cycles = at_least("cycles", cycles, 1)
        self.cycle_epochs = positive("cycle_epochs", cycle_epochs)
        self.rise = between("rise", positive("rise", rise), 0, 1)
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = (cycles - 1 + rise) * cycle_epochs

    def beta(self, epoch: float) -> float:
        """The weight of the KL after `epoch` passes."""
        begun = min(epoch // self.cycle_epochs, self.cycles - 1)
        return min(1.0, (epoch / self.cycle_epochs - begun) / self.rise)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        return self.beta(epoch) * terms.kl - terms.log_px_z.mean(0)


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
