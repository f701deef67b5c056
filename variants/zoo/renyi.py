from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="iwae", changes="objective", paper="Li and Turner 2016, arXiv:1602.02311")
def renyi(data: DataSpec, *, objective: Choice = "renyi", **parts: Any) -> VAE:
    """Variational Renyi bound 1/(1-a) log 1/K sum_k w_k^(1-a), a = `alpha`: IWAE for a = 0, the ELBO for a -> 1.

    Use it to go from the ELBO to IWAE and beyond by one number. Not with alpha below 0 as a bound: with K draws it
    is no upper one.
    """
    return assemble(data, objective=objective, **parts)
