from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Roeder, Wu and Duvenaud 2017, arXiv:1703.09194")
def sticking_the_landing(data: DataSpec, *, objective: Choice = "sticking_the_landing", **parts: Any) -> VAE:
    """Sticking the landing: the ELBO, its gradient without the score of q, so that an exact q gives no noise.

    Use it for less noise near the end of training, where q is nearly exact. Not at the start, where the score that
    it leaves out reduces noise.
    """
    return assemble(data, objective=objective, **parts)
