from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.autoencoder import autoencoder


@register(base="autoencoder", changes=("prior", "objective"), paper="Ghosh et al. 2020, arXiv:1903.12436")
def rae_l2(
    data: DataSpec, *, prior: Choice = "full_gaussian_mixture", objective: Choice = "rae_l2", **parts: Any
) -> VAE:
    """RAE-L2: the squared error + b/2 |z|^2 + decay |decoder|^2, and a mixture of Gaussians fitted to the codes.

    Use it for samples from a plain autoencoder. Not to score data: it has no log p(x).
    """
    return autoencoder(data, prior=prior, objective=objective, **parts)
