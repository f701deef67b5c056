from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Rezende and Viola 2018, arXiv:1810.00597")
def geco(data: DataSpec, *, objective: Choice = "geco", **parts: Any) -> VAE:
    """GECO: the least KL with -E_q log p(x|z) at most `kappa` nats a value, by a multiplier that training moves.

    Use it where the reconstruction error that is wanted is known, and the rate is not. Not for a bound in training:
    the constraint is what is trained for.
    """
    return assemble(data, objective=objective, **parts)
