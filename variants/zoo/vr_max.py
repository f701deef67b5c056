from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="iwae", changes="objective", paper="Li and Turner 2016, arXiv:1602.02311")
def vr_max(data: DataSpec, *, objective: Choice = "vr_max", **parts: Any) -> VAE:
    """VR-max: trained on max_k log w_k of K = `samples` draws, the variational Renyi bound for a -> -infinity.

    Use it for the fastest of the K-draw bounds: one draw of each example is differentiated. Not for a bound that is
    tight on average: the largest weight is a noisy one.
    """
    return assemble(data, objective=objective, **parts)
