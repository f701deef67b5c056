from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="network", paper="Dieng, Kim, Rush and Blei 2019, arXiv:1807.04863")
def skip(data: DataSpec, *, network: Choice = "skip", **parts: Any) -> VAE:
    """Skip-VAE: every layer of the decoder sees z, h <- act(W h + V z), so that none can lose it.

    Use it for deep decoders whose latents collapse. Not with one hidden layer, where it adds a linear map alone.
    """
    return assemble(data, network=network, **parts)
