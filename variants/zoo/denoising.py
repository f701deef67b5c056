from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.networks import mlp

CORRUPTED_MLP = partial(mlp, corruption=0.1)


@register(base="vanilla", changes="network", paper="Im, Ahn, Memisevic and Bengio 2017, arXiv:1511.06406")
def denoising(data: DataSpec, *, network: Choice = CORRUPTED_MLP, **parts: Any) -> VAE:
    """Denoising VAE: in training the encoder is shown a corrupted x; any variant takes corruption=0.1.

    Use it for robust codes, and for small data sets. Not where every nat counts: the encoder is trained on other
    inputs than it is judged on.
    """
    return assemble(data, network=network, **parts)
