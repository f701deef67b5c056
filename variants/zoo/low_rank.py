from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Rezende, Mohamed and Wierstra 2014, arXiv:1401.4082")
def low_rank(data: DataSpec, *, posterior: Choice = "low_rank", **parts: Any) -> VAE:
    """Low-rank posterior q(z|x) = N(mu(x), W(x) W(x)^T + diag(sigma(x)^2)): between diagonal and full covariance.

    Use it between `vanilla` and `full_covariance` where latents are many. Not for few latents, where the full
    covariance costs no more.
    """
    return assemble(data, posterior=posterior, **parts)
