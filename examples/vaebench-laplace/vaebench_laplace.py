"""A plugin of vaebench: the vanilla VAE with a Laplace posterior."""

from typing import Any

from torch import Tensor, distributions, nn

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.heads import Head
from variants.parts.posteriors import Posterior


class Laplace(Posterior):
    """q(z|x) = prod_i Laplace(z_i; mu_i(x), b_i(x)), with a log-b head.

    Args:
        features: H, width of the encoder's output.
        latent: D.
    """

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent)

    def forward(self, h: Tensor) -> distributions.Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return distributions.Independent(distributions.Laplace(self.loc(h), self.log_scale(h).exp()), 1)


@register(base="vanilla", changes="posterior")
def laplace_posterior(data: DataSpec, *, posterior: Choice = Laplace, **parts: Any) -> VAE:
    """VAE with a Laplace posterior. Its KL to N(0, I) is known in closed form."""
    return assemble(data, posterior=posterior, **parts)
