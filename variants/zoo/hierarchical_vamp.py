from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.parts.priors import Hierarchical
from variants.zoo.hierarchical_top_down import hierarchical_top_down

SKIPPING_VAMP = partial(Hierarchical, skip=True, top_prior="vamp")


@register(base="hierarchical_top_down", changes="prior", paper="Tomczak and Welling 2018, arXiv:1705.07120")
def hierarchical_vamp(data: DataSpec, *, prior: Choice = SKIPPING_VAMP, **parts: Any) -> VAE:
    """Two layers of latents under a VampPrior, p(z2) = 1/C sum_c q(z2|u_c).

    Use it for the best log p(x) of the two-layer models. Not where steps must be fast: all pseudo-inputs go through
    the encoder at each.
    """
    return hierarchical_top_down(data, prior=prior, **parts)
