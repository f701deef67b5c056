"""Objectives that steer how many nats the latents carry, or how many the reconstruction may cost."""

import math

import torch
from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative, number
from variants.parts.objectives.base import Objective


def grouped_kl(terms: Terms, objective: str) -> Tensor:
    """The KL by groups of latents, `[B, G]`; ValueError where it has none."""
    if terms.kl_parts is None:
        raise ValueError(
            f"the objective {objective} needs a KL by groups of latents: {type(terms.q).__name__} against "
            f"{type(terms.p).__name__} has none; choose a diagonal posterior with a standard_normal prior, say"
        )
    return terms.kl_parts


class FreeBits(Objective):
    """-E_q log p(x|z) + sum_g max(l, mean over the batch of KL_g): a group of latents pays nothing for its first nats.

    A group is a latent axis of a diagonal posterior, a layer, a block or a categorical variable, see `core.kl`. The
    mean is over the batch, before the maximum.

    Source: Kingma et al. 2016, arXiv:1606.04934, appendix C.8.

    Args:
        free_nats: l, free nats a group.
        samples: K draws over which E_q log p(x|z) is averaged.
    """

    def __init__(self, *, free_nats: float = 0.25, samples: int = 1) -> None:
        super().__init__()
        self.free_nats = not_negative("free_nats", free_nats)
        self.samples = at_least("samples", samples, 1)

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`; the KL in it is one number for the whole batch."""
        paid = grouped_kl(terms, "free_bits").mean(0).clamp(min=self.free_nats).sum()
        return paid - terms.log_px_z.mean(0)


def capacity_at(epoch: float, epochs: float, most: float) -> float:
    """Nats of capacity after `epoch` passes: from 0 to `most` over the first `epochs` of them."""
    return most if epochs == 0 else most * min(1.0, epoch / epochs)


class JointCapacity(Objective):
    """-E_q log p(x|z) + gamma |KL_z - C_z| + gamma |KL_c - C_c|: both blocks of `joint` latents held at a capacity.

    Each KL is the mean over the batch. Both capacities rise from 0.

    Source: Dupont 2018, arXiv:1804.00104, eq. 7.

    Args:
        gamma: weight of the distances.
        capacity: C_z, nats of the Gaussian latents at last.
        discrete_capacity: C_c, nats of the categorical variable at last; None for all that it can hold, log K.
        capacity_epochs: passes over which both rise.
        samples: K draws over which E_q log p(x|z) is averaged.

    Raises:
        ValueError: at the first loss, if the variable cannot hold so many nats.
    """

    latents = "joint"

    def __init__(
        self,
        *,
        gamma: float = 30.0,
        capacity: float = 5.0,
        discrete_capacity: float | None = None,
        capacity_epochs: float = 5,
        samples: int = 1,
    ) -> None:
        super().__init__()
        self.gamma = not_negative("gamma", gamma)
        self.capacity = not_negative("capacity", capacity)
        self.discrete_capacity = (
            None if discrete_capacity is None else not_negative("discrete_capacity", discrete_capacity)
        )
        self.warmup_epochs = not_negative("capacity_epochs", capacity_epochs)
        self.samples = at_least("samples", samples, 1)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`; the distances in it are one number for the whole batch."""
        classes = terms.p.blocks[1].state_count  # type: ignore[attr-defined]
        holds = math.log(classes)
        wanted = holds if self.discrete_capacity is None else self.discrete_capacity
        if wanted > holds + 1e-9:
            raise ValueError(
                f"discrete_capacity must be at most log {classes} = {holds:.4f} nats, which a variable of {classes} "
                f"classes holds, got {wanted:g}"
            )
        most = terms.x.new_tensor([self.capacity, wanted])
        distance = (
            grouped_kl(terms, "joint_capacity").mean(0) - capacity_at(epoch, self.warmup_epochs, 1.0) * most
        ).abs()
        return self.gamma * distance.sum() - terms.log_px_z.mean(0)


class Geco(Objective):
    """KL + lambda (-E_q log p(x|z) - D kappa): the least rate at which a reconstruction costs kappa nats a value.

    lambda is no parameter: after each training step it is multiplied by exp(rate C), C being a moving average of the
    constraint -E_q log p(x|z) / D - kappa over batches, and held between 1e-4 and 1e4. So it rises while the
    reconstruction costs too much, and is left alone in evaluation mode. D is the number of values of an example.

    Source: Rezende and Viola 2018, arXiv:1810.00597, algorithm 1.

    Args:
        kappa: nats a value of x that -log p(x|z) may cost; below zero for densities.
        multiplier_rate: by which log lambda moves for each nat a value; 0 holds it at 1.
        samples: K draws over which E_q log p(x|z) is averaged.
    """

    least, most, momentum = 1e-4, 1e4, 0.99
    multiplier: Tensor
    average: Tensor
    steps: Tensor

    def __init__(self, *, kappa: float = 0.12, multiplier_rate: float = 0.1, samples: int = 1) -> None:
        super().__init__()
        self.kappa = number("kappa", kappa)
        self.rate = not_negative("multiplier_rate", multiplier_rate)
        self.samples = at_least("samples", samples, 1)
        for name, value in (("multiplier", 1.0), ("average", 0.0), ("steps", 0.0)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        values = terms.x[0].numel()
        excess = -terms.log_px_z.mean(0) - values * self.kappa
        loss = terms.kl + self.multiplier.clone() * excess
        if self.training:
            self._learn(excess.detach().mean() / values)
        return loss

    @torch.no_grad()
    def _learn(self, constraint: Tensor) -> None:
        """Towards the multiplier at which the constraint is met, after a batch."""
        self.steps += 1
        # The first batches have a plain mean, so that the first is not a hundredth of itself.
        self.average.lerp_(constraint, self.steps.reciprocal().clamp(min=1 - self.momentum))
        self.multiplier.mul_((self.rate * self.average).exp()).clamp_(self.least, self.most)
