from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="network", paper="Salimans, Kingma and Welling 2015, arXiv:1410.6460")
def conv(data: DataSpec, *, network: Choice = "conv", **parts: Any) -> VAE:
    """Convolutional encoder and decoder, otherwise the vanilla VAE.

    Use it for images: fewer weights and a better bound than `vanilla`. Not for vectors.
    """
    return assemble(data, network=network, **parts)
