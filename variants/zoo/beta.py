from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Higgins et al. 2017, ICLR (beta-VAE)")
def beta(data: DataSpec, *, objective: Choice = "beta", **parts: Any) -> VAE:
    """beta-VAE: trained on E_q log p(x|z) - beta KL(q(z|x) || p(z)), judged like all by the ELBO with beta = 1.

    Use it to trade reconstruction for rate, to find more separate latents above 1 or sharper images below. Not for
    the best log p(x): that is what beta = 1 is trained for.
    """
    return assemble(data, objective=objective, **parts)
