from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Rezende and Mohamed 2015, arXiv:1505.05770")
def planar_flow(data: DataSpec, *, posterior: Choice = "planar", **parts: Any) -> VAE:
    """Planar flow posterior: a diagonal Gaussian through `flows` maps z + u tanh(w^T z + b) with u, w, b from x.

    Use it for a posterior that bends a little, at little cost. Not in high dimensions: each map bends along one
    direction.
    """
    return assemble(data, posterior=posterior, **parts)
