from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Mathieu et al. 2019, arXiv:1901.06033")
def poincare(data: DataSpec, *, posterior: Choice = "poincare", prior: Choice = "wrapped_normal", **parts: Any) -> VAE:
    """Poincare VAE: latents in the hyperbolic ball of `curvature` -c, wrapped normals for q(z|x) and p(z).

    Use it for data that branch like a tree, with few latents. Not otherwise: the KL is estimated by draws, and
    coordinates near the edge are all but the same.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
