from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Locatello et al. 2020, arXiv:2002.02886")
def ada_gvae(data: DataSpec, *, posterior: Choice = "paired", **parts: Any) -> VAE:
    """Pairs share q(z_j|x), the mean of both, on axes whose KL between the two is below (max + min) / 2.

    Use it to disentangle by pairs that differ in few factors, `--data-option pairs=1`; `sharing=product` is Ada-ML-VAE.
    Not without pairs: other rows have nothing in common.
    """
    return assemble(data, posterior=posterior, **parts)
