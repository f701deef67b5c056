from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="iwae", changes="objective", paper="Tucker, Lawson, Gu and Maddison 2018, arXiv:1810.04152")
def iwae_dreg(data: DataSpec, *, objective: Choice = "iwae_dreg", **parts: Any) -> VAE:
    """IWAE with doubly reparameterised gradients: the encoder gets sum_k w~_k^2 (d log w_k / dz_k) (dz_k / dphi).

    Use it in place of `iwae`: the same bound, and an encoder that gains from more draws. Not with torch.compile,
    nor where q has no density that can be differentiated.
    """
    return assemble(data, objective=objective, **parts)
