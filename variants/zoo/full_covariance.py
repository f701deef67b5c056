from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Kingma and Welling 2019, arXiv:1906.02691, section 2.5.1")
def full_covariance(data: DataSpec, *, posterior: Choice = "full", **parts: Any) -> VAE:
    """Full-covariance posterior q(z|x) = N(mu(x), L(x) L(x)^T), all d x d entries amortised by a Cholesky factor.

    Use it where latents stay correlated given x; of few and linear ones it is exact. Not for hundreds of latents:
    the head has D (D + 3) / 2 outputs.
    """
    return assemble(data, posterior=posterior, **parts)
