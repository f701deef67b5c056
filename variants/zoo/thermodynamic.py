from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Masrani, Le and Wood 2019, arXiv:1907.00031")
def thermodynamic(data: DataSpec, *, objective: Choice = "thermodynamic", **parts: Any) -> VAE:
    """TVO: left Riemann sum of log p(x) = int_0^1 E_b[log w] db with pi_b ~ q^(1-b) p(x, z)^b; no path through z.

    Use it for a bound tighter than the ELBO without a path, also for discrete latents. Not with few draws: its
    weights are normalised by them.
    """
    return assemble(data, objective=objective, **parts)
