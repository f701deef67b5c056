from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Kingma et al. 2016, arXiv:1606.04934")
def free_bits(data: DataSpec, *, objective: Choice = "free_bits", **parts: Any) -> VAE:
    """Free bits: E_q log p(x|z) - sum_j max(`free_nats`, mean KL_j), so that no latent axis is paid to die out.

    Use it where latents collapse early in training. Not with fewer latents than the data need: all of them are used
    anyway.
    """
    return assemble(data, objective=objective, **parts)
