from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="prior", paper="Razavi, van den Oord, Poole and Vinyals 2019, arXiv:1901.03416")
def delta(data: DataSpec, *, prior: Choice = "autoregressive_normal", **parts: Any) -> VAE:
    """delta-VAE: a prior of correlated latents, from which no factorised q(z|x) is nearer than a committed rate.

    Use it where latents collapse: the rate cannot fall below what is chosen. Not where latents should be
    independent a priori.
    """
    return assemble(data, prior=prior, **parts)
