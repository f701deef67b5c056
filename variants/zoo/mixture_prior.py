from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="prior", paper="Tomczak and Welling 2018, arXiv:1705.07120")
def mixture_prior(data: DataSpec, *, prior: Choice = "gaussian_mixture", **parts: Any) -> VAE:
    """Mixture prior p(z) = sum_c pi_c N(z; m_c, diag(s_c^2)) with learnt weights, means and scales.

    Use it for data of several kinds: codes may lie in clusters. Not where components should be like data:
    `vamp_prior` ties them to the encoder.
    """
    return assemble(data, prior=prior, **parts)
