from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.priors import Hierarchical

# p(z2) p(z1|z2) with p(x|z1, z2).
SKIPPING = partial(Hierarchical, skip=True)


@register(base="vanilla", changes=("posterior", "prior"), paper="Tomczak and Welling 2018, arXiv:1705.07120")
def hierarchical_top_down(
    data: DataSpec, *, posterior: Choice = "top_down", prior: Choice = SKIPPING, **parts: Any
) -> VAE:
    """Two layers of latents, p(z2) p(z1|z2) p(x|z1, z2) and q(z2|x) q(z1|x, z2): both layers see x.

    Use it where `hierarchical` does not use its upper layer: here both see x. Not for the least cost: it has two
    networks more.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
