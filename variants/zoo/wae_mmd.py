from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.autoencoder import autoencoder


@register(base="autoencoder", changes="objective", paper="Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 2")
def wae_mmd(data: DataSpec, *, objective: Choice = "wae_mmd", **parts: Any) -> VAE:
    """WAE-MMD: the squared error + mmd MMD^2(q(z), p(z)) of codes z = f(x), with inverse multiquadratic kernels.

    Use it to sample from an autoencoder without a game. Not with small batches or many latents, where MMD says
    little; not to score data: it has no log p(x).
    """
    return autoencoder(data, objective=objective, **parts)
