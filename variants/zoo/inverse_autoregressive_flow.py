from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Kingma et al. 2016, arXiv:1606.04934")
def inverse_autoregressive_flow(data: DataSpec, *, posterior: Choice = "inverse_autoregressive", **parts: Any) -> VAE:
    """Inverse autoregressive flow posterior: a diagonal Gaussian through `flows` gated maps with masked networks.

    Use it for the most flexible posterior that is cheap to draw from. Not where the density at other points is
    asked for often: it takes D passes.
    """
    return assemble(data, posterior=posterior, **parts)
