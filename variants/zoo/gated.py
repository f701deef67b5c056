from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.networks import mlp

GATED_MLP = partial(mlp, activation="gated")


@register(base="vanilla", changes="network", paper="Dauphin, Fan, Auli and Grangier 2017, arXiv:1612.08083")
def gated(data: DataSpec, *, network: Choice = GATED_MLP, **parts: Any) -> VAE:
    """Gated layers h * sigmoid(g) in both networks, with no other activation; any variant takes activation=gated.

    Use it for dense networks that should choose by input what they pass on. Not where weights are dear: each layer
    has twice as many.
    """
    return assemble(data, network=network, **parts)
