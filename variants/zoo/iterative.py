from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Marino, Yue and Mandt 2018, arXiv:1807.09356")
def iterative(data: DataSpec, *, posterior: Choice = "iterative", **parts: Any) -> VAE:
    """Iterative amortised inference: a network moves q(z|x) in a few steps, shown the ELBO's gradient at each.

    Use it as `semi_amortised`, at less cost a step: no second derivative is taken. Not where steps must not make an
    ELBO worse.
    """
    return assemble(data, posterior=posterior, **parts)
