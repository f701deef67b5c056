from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("network", "posterior", "prior"),
    paper="Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519",
)
def hierarchical(
    data: DataSpec, *, posterior: Choice = "bottom_up", prior: Choice = "hierarchical", **parts: Any
) -> VAE:
    """Two layers of latents, p(z2) p(z1|z2) p(x|z1) and q(z1|x) q(z2|z1): the decoder sees z1 alone.

    Use it where one Gaussian layer is too plain a prior. Not for few epochs: the upper layer is learnt late, or not
    at all.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
