from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.likelihoods import Gaussian

OPTIMAL = partial(Gaussian, sigma="optimal")


@register(base="vanilla", changes="likelihood", paper="Rybkin, Daniilidis and Levine 2021, arXiv:2006.13202")
def sigma_vae(data: DataSpec, *, likelihood: Choice = OPTIMAL, **parts: Any) -> VAE:
    """sigma-VAE: p(x|z) = N(m(z), sigma^2 I) with the best sigma of each batch, sigma^2 = mean squared error.

    Use it for grey or real data: the weight of the reconstruction need not be tuned. Not for binary data.
    """
    return assemble(data, likelihood=likelihood, **parts)
