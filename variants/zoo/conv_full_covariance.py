from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.conv import conv


@register(base="conv", changes="posterior", paper="Kingma and Welling 2019, arXiv:1906.02691, section 2.5.1")
def conv_full_covariance(data: DataSpec, *, posterior: Choice = "full", **parts: Any) -> VAE:
    """Convolutional networks with a full-covariance posterior.

    Use it for images whose latents stay correlated given x. Not for hundreds of latents: the head has D (D + 3) / 2
    outputs.
    """
    return conv(data, posterior=posterior, **parts)
