from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.bernoulli_vimco import bernoulli_vimco


@register(base="bernoulli_vimco", changes="objective", paper="Dong, Mnih and Tucker 2020, arXiv:2006.10680")
def bernoulli_disarm(data: DataSpec, *, objective: Choice = "disarm", **parts: Any) -> VAE:
    """Binary latents, trained on the ELBO by DisARM: gradients from pairs of bits drawn with u and 1 - u.

    Use it to train bits with little noise by the ELBO; with 14 bits or fewer log p(x) is exact. Not for latents
    that are no bits.
    """
    return bernoulli_vimco(data, objective=objective, **parts)
