from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.likelihoods import Gaussian

OPTIMAL_GAUSSIAN = partial(Gaussian, sigma="optimal")


@register(
    base="vanilla",
    changes=("likelihood", "objective"),
    paper="Larsen, Sonderby, Larochelle and Winther 2016, arXiv:1512.09300",
)
def vae_gan(
    data: DataSpec, *, likelihood: Choice = OPTIMAL_GAUSSIAN, objective: Choice = "vae_gan", **parts: Any
) -> VAE:
    """VAE/GAN: KL + 1/2 |f(x) - f(x~)|^2 with features f of a critic that tells data from what is decoded.

    Use it where samples are to look sharp. Not for log p(x): x is compared by learnt features, whose distance is no
    density, and only the variance of p(x|z) is fitted.
    """
    return assemble(data, likelihood=likelihood, objective=objective, **parts)
