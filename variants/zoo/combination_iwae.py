from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="iwae", changes="objective", paper="Rainforth et al. 2018, arXiv:1802.04537")
def combination_iwae(data: DataSpec, *, objective: Choice = "combination_iwae", **parts: Any) -> VAE:
    """CIWAE: trained on b ELBO + (1 - b) IWAE of the same draws, b = `elbo_weight`.

    Use it for a tight bound whose encoder still gets a signal as K grows. Not for one draw a step: then it is the
    ELBO.
    """
    return assemble(data, objective=objective, **parts)
