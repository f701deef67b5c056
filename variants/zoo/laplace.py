from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Kingma and Welling 2014, arXiv:1312.6114, section 2.4")
def laplace(data: DataSpec, *, posterior: Choice = "laplace", prior: Choice = "laplace", **parts: Any) -> VAE:
    """Laplace posterior and prior, q(z|x) = prod_j Laplace(mu_j(x), b_j(x)) and p(z) = prod_j Laplace(0, 1).

    Use it for sparse codes: most mass at zero, and heavy tails. Not where the gaps of the posterior's own family
    are wanted: they are measured of Gaussians.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
