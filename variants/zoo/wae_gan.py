from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.autoencoder import autoencoder


@register(base="autoencoder", changes="objective", paper="Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 1")
def wae_gan(data: DataSpec, *, objective: Choice = "adversarial", **parts: Any) -> VAE:
    """WAE-GAN: the squared error, and a critic from which codes z = f(x) are to pass for draws of p(z).

    Use it to sample from an autoencoder whose prior MMD does not tell from q(z). Not to score data: it has no log
    p(x).
    """
    return autoencoder(data, objective=objective, **parts)
