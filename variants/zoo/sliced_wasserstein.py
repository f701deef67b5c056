from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.autoencoder import autoencoder


@register(base="autoencoder", changes="objective", paper="Kolouri, Pope, Martin and Rohde 2018, arXiv:1804.01947")
def sliced_wasserstein(data: DataSpec, *, objective: Choice = "sliced_wasserstein", **parts: Any) -> VAE:
    """Sliced Wasserstein autoencoder: the squared error + the mean over directions of W_2^2(q(z), p(z)) along them.

    Use it as `wae_mmd`, with no kernel to choose. Not with small batches: their W_2 is above zero for equal
    distributions; not to score data: it has no log p(x).
    """
    return autoencoder(data, objective=objective, **parts)
