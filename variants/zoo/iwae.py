from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519")
def iwae(data: DataSpec, *, objective: Choice = "iwae", **parts: Any) -> VAE:
    """IWAE: trained on the importance-weighted bound log 1/K sum_k p(x, z_k) / q(z_k|x) with K = `samples`.

    Use it for a better log p(x): the bound is tighter with each of the K draws. Not for a better q(z|x): with many
    draws the encoder's signal is lost in noise.
    """
    return assemble(data, objective=objective, **parts)
