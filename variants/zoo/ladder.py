from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("network", "posterior", "prior"),
    paper="Sonderby, Raiko, Maaloe, Sonderby and Winther 2016, arXiv:1602.02282",
)
def ladder(
    data: DataSpec,
    *,
    latent: int = 40,
    posterior: Choice = "precision_weighted",
    prior: Choice = "ladder_prior",
    **parts: Any,
) -> VAE:
    """Ladder VAE: `layers` layers of latents, q of each the product of what x says and of what the layers above say.

    Use it where two layers are too few and upper ones die: x reaches each of them. Not with a KL that counts from the
    first step: `warmup_epochs` of some passes keep upper layers alive.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, **parts)
