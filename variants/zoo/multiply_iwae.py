from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="iwae", changes="objective", paper="Rainforth et al. 2018, arXiv:1802.04537")
def multiply_iwae(data: DataSpec, *, objective: Choice = "multiply_iwae", **parts: Any) -> VAE:
    """MIWAE: the mean of M = `estimates` IWAE bounds of L draws each, M L = `samples`.

    Use it for many draws without losing the encoder's signal. Not for the tightest bound: `iwae` has that of all
    draws.
    """
    return assemble(data, objective=objective, **parts)
