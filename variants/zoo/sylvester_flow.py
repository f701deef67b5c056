from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla", changes="posterior", paper="van den Berg, Hasenclever, Tomczak and Welling 2018, arXiv:1803.05649"
)
def sylvester_flow(data: DataSpec, *, posterior: Choice = "sylvester", **parts: Any) -> VAE:
    """Sylvester flow posterior: a diagonal Gaussian through `flows` maps z + Q R tanh(S Q^T z + b) of M `columns`.

    Use it in place of `planar_flow` with more latents: each map bends along M directions. Not where the density at
    other points is asked for often: it takes M root searches a map.
    """
    return assemble(data, posterior=posterior, **parts)
