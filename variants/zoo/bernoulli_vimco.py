from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior", "objective"), paper="Mnih and Rezende 2016, arXiv:1602.06725")
def bernoulli_vimco(
    data: DataSpec,
    *,
    posterior: Choice = "bernoulli",
    prior: Choice = "bernoulli",
    objective: Choice = "vimco",
    **parts: Any,
) -> VAE:
    """Binary latents, trained on the bound of `iwae` by VIMCO: each draw's score by what it adds.

    Use it for binary codes without relaxing them; with 14 bits or fewer log p(x) is exact. Not where one decode a
    step must do: it needs K of 2 or more.
    """
    return assemble(data, posterior=posterior, prior=prior, objective=objective, **parts)
