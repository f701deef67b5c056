from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("network", "likelihood"), paper="Gulrajani et al. 2017, arXiv:1611.05013")
def pixel_decoder(data: DataSpec, *, likelihood: Choice = "pixel_decoder", **parts: Any) -> VAE:
    """Each pixel given z and the pixels before it, p(x|z) = prod_i p(x_i | x_<i, z), by masked convolutions.

    Use it as the test bed of posterior collapse: with `objective=free_bits`, `lagging`, `cyclical` or `prior=
    autoregressive_normal` z comes back into use. Not where samples must be fast: they are drawn pixel by pixel.
    """
    return assemble(data, likelihood=likelihood, **parts)
