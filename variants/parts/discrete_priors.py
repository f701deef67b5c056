"""Priors of discrete latents, each for the posterior of the same name."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variants.core.blocks import Blocks
from variants.core.one_hots import OneHots as OneHotsDistribution
from variants.parts.checks import flag, positive
from variants.parts.discrete import RelaxedBits, bits, classes_of, joint_sizes
from variants.parts.priors import Prior, StandardNormal


class Bernoulli(Prior):
    """p(z) of independent bits.

    Args:
        latent: D.
        learned_prior: whether their logits are learnt; they start at zero, which are fair coins.
    """

    latents = "binary"
    logits: Tensor

    def __init__(self, latent: int, *, learned_prior: bool = True) -> None:
        super().__init__()
        if flag("learned_prior", learned_prior):
            self.logits = nn.Parameter(torch.zeros(latent))
        else:
            self.register_buffer("logits", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return bits(self.logits)


class Concrete(Bernoulli):
    """Bits in evaluation mode, and their relaxation in training.

    Source: Maddison, Mnih and Teh 2017, arXiv:1611.00712.

    Args:
        latent: D.
        learned_prior: whether their logits are learnt.
        prior_temperature: of the relaxation.
    """

    latents = "relaxed binary"

    def __init__(self, latent: int, *, learned_prior: bool = True, prior_temperature: float = 0.5) -> None:
        super().__init__(latent, learned_prior=learned_prior)
        self.temperature = positive("prior_temperature", prior_temperature)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return RelaxedBits(self.logits, self.temperature) if self.training else bits(self.logits)


class OneHots(Prior):
    """p(z) of N categorical variables of K classes, all equally likely.

    Args:
        latent: D = N K.
        classes: K; None for the largest divisor of D up to ten.
    """

    latents = "one-hot"
    logits: Tensor

    def __init__(self, latent: int, *, classes: int | None = None) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(classes_of(latent, classes)), persistent=False)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return OneHotsDistribution(self.logits)


class Joint(Prior):
    """p(z) = N(0, I) over D - K latents, times equal probabilities of K classes.

    Source: Dupont 2018, arXiv:1804.00104.

    Args:
        latent: D.
        classes: K; None for half of D, at most ten.
    """

    latents = "joint"

    def __init__(self, latent: int, *, classes: int | None = None) -> None:
        super().__init__()
        size, classes = joint_sizes(latent, classes)
        self.continuous = StandardNormal(size)
        self.discrete = OneHots(classes, classes=classes)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Blocks([self.continuous(), self.discrete()])
