from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Zhao, Song and Ermon 2017, arXiv:1706.02262")
def info_vae(data: DataSpec, *, objective: Choice = "info_vae", **parts: Any) -> VAE:
    """InfoVAE: E_q log p(x|z) - (1 - alpha) KL - (alpha + mmd - 1) MMD^2(q(z), p(z)), q(z) the aggregated posterior.

    Use it for codes that keep much of x while q(z) fits p(z). Not with batches of a few examples, from which the
    MMD is estimated.
    """
    return assemble(data, objective=objective, **parts)
