from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("posterior", "prior", "objective"),
    paper="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937",
)
def vq(
    data: DataSpec,
    *,
    latent: int = 128,
    posterior: Choice = "codes",
    prior: Choice = "codes",
    objective: Choice = "vq",
    **parts: Any,
) -> VAE:
    """VQ-VAE: z is S = `latent` / `code_size` of K = `codes` learnt vectors, each the nearest to what the encoder says.

    Use it for discrete codes: its ELBO is minus the length of a code of two parts. Not where log p(x) is asked for:
    q(z|x) is one point.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, objective=objective, **parts)
