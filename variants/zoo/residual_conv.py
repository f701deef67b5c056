from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="network", paper="Kingma et al. 2016, arXiv:1606.04934")
def residual_conv(data: DataSpec, *, network: Choice = "residual_conv", **parts: Any) -> VAE:
    """Convolutions with residual blocks h + conv(act(conv(act(h)))) in both networks, otherwise the vanilla VAE.

    Use it for images where `conv` is too shallow. Not for vectors.
    """
    return assemble(data, network=network, **parts)
