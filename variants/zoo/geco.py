from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Rezende and Viola 2018, arXiv:1810.00597")
def geco(data: DataSpec, *, objective: Choice = "geco", **parts: Any) -> VAE:
    """GECO: the least KL with -E_q log p(x|z) at most `kappa` nats a value, by a multiplier that training moves."""
    return assemble(data, objective=objective, **parts)
