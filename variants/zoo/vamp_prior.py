from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="prior", paper="Tomczak and Welling 2018, arXiv:1705.07120")
def vamp_prior(data: DataSpec, *, prior: Choice = "vamp", **parts: Any) -> VAE:
    """VampPrior p(z) = 1/C sum_c q(z|u_c): a mixture of the posteriors of C learnt pseudo-inputs u_c.

    Use it for a richer prior that is tied to the encoder. Not where steps must be fast: all pseudo-inputs go
    through the encoder at each.
    """
    return assemble(data, prior=prior, **parts)
