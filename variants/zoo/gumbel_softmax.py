from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Jang, Gu and Poole 2017, arXiv:1611.01144")
def gumbel_softmax(
    data: DataSpec, *, latent: int = 200, posterior: Choice = "gumbel_softmax", prior: Choice = "one_hots", **parts: Any
) -> VAE:
    """Categorical latents, N variables of K `classes`: softmax draws in training with the KL of the categories.

    Use it for categorical codes by plain backpropagation. Not where training should be on a bound: the relaxed z is
    not drawn from q(z|x).
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, **parts)
