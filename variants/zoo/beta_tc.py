from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Chen, Li, Grosse and Duvenaud 2018, arXiv:1802.04942")
def beta_tc(data: DataSpec, *, objective: Choice = "total_correlation", **parts: Any) -> VAE:
    """beta-TCVAE: trained on ELBO - (beta - 1) TC, with TC = KL(q(z) || prod_j q(z_j)) by stratified sampling.

    Use it for separate latents at less cost in reconstruction than `beta`. Not with small batches, from which q(z)
    is estimated, nor for the best log p(x).
    """
    return assemble(data, objective=objective, **parts)
