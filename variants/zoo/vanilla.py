from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import assemble


@register(paper="Kingma and Welling 2014, arXiv:1312.6114")
def vanilla(data: DataSpec, **parts: Any) -> VAE:
    """VAE: diagonal Gaussian posterior, N(0, I) prior, trained on the ELBO E_q log p(x|z) - KL(q(z|x) || p(z)).

    Use it as the base that all others are compared with. Not as the best: nearly every part of it has a better one
    here.
    """
    return assemble(data, **parts)
