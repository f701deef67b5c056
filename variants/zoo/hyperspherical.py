from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Davidson et al. 2018, arXiv:1804.00891")
def hyperspherical(
    data: DataSpec, *, posterior: Choice = "hyperspherical", prior: Choice = "uniform_sphere", **parts: Any
) -> VAE:
    """S-VAE: latents on the unit sphere, q(z|x) von Mises-Fisher(mu(x), k(x)) under a uniform p(z).

    Use it for directions, and with few latents, where a Gaussian prior pulls all to the origin. Not with many: one
    concentration serves all of them.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
