from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Takahashi et al. 2022, arXiv:2205.07547")
def sq_vae(
    data: DataSpec, *, latent: int = 128, posterior: Choice = "stochastic_codes", prior: Choice = "codes", **parts: Any
) -> VAE:
    """SQ-VAE: q(z|x) = prod_s Cat(k; exp(-|h_s - e_k|^2 / 2 s^2)) over learnt codes, s learnt, relaxed in training.

    Use it where codes are to have an NLL: every code has a probability. Not with an autoregressive prior.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, **parts)
