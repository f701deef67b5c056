from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Maddison, Mnih and Teh 2017, arXiv:1611.00712")
def concrete(data: DataSpec, *, posterior: Choice = "concrete", prior: Choice = "concrete", **parts: Any) -> VAE:
    """Binary latents, relaxed to (0, 1) in q(z|x) and p(z) alike while training, and judged as bits.

    Use it for binary latents by plain backpropagation. Not to compare training curves with the judge's: training
    sees the relaxed model, the judge the discrete one.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
