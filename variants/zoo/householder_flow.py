from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Tomczak and Welling 2016, arXiv:1611.09630")
def householder_flow(data: DataSpec, *, posterior: Choice = "householder", **parts: Any) -> VAE:
    """Householder flow posterior q(z|x) = N(U mu, U diag(sigma^2) U^T), with U(x) a chain of `flows` reflections.

    Use it for correlated latents at a cost that is linear in D. Not in place of `full_covariance` with few latents:
    it reaches no Gaussian which that does not.
    """
    return assemble(data, posterior=posterior, **parts)
