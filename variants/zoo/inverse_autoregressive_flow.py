from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Kingma et al. 2016, arXiv:1606.04934")
def inverse_autoregressive_flow(data: DataSpec, *, posterior: Choice = "inverse_autoregressive", **parts: Any) -> VAE:
    """Inverse autoregressive flow posterior: a diagonal Gaussian through `flows` gated maps with masked networks."""
    return assemble(data, posterior=posterior, **parts)
