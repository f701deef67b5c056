from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="fsq", changes=("posterior", "prior", "objective"), paper="Yu et al. 2024, arXiv:2310.05737")
def lfq(
    data: DataSpec,
    *,
    latent: int = 64,
    posterior: Choice = "sign_codes",
    prior: Choice = "sign_codes",
    objective: Choice = "lfq",
    **parts: Any,
) -> VAE:
    """LFQ: the signs of the encoder's numbers, d = `code_size` bits a site, with entropies that keep all codes in use.

    Use it for very large code books. Not for small batches: the entropies are those of a batch.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, objective=objective, **parts)
