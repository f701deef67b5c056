from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="multiply_iwae", changes="objective", paper="Rainforth et al. 2018, arXiv:1802.04537")
def partial_iwae(data: DataSpec, *, objective: Choice = "partial_iwae", **parts: Any) -> VAE:
    """PIWAE: the encoder ascends M bounds of L draws (MIWAE), the decoder one of all M L = `samples` (IWAE).

    Use it to train the decoder on a tight bound and the encoder on a steady one. Not with torch.compile: it works
    by hooks.
    """
    return assemble(data, objective=objective, **parts)
