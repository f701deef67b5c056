from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vq", changes="prior", paper="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, appendix A.1"
)
def vq_ema(
    data: DataSpec,
    *,
    latent: int = 128,
    posterior: Choice = "codes",
    prior: Choice = "average_codes",
    objective: Choice = "vq",
    **parts: Any,
) -> VAE:
    """VQ-VAE whose codes are running means of what they stood for, of decay `code_decay`.

    Use it where `vq` leaves codes unused: these follow the encoder faster. Not with batches of a few examples, whose
    means are noise.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, objective=objective, **parts)
