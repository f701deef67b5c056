import math
from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.code_priors import Codes as CodesPrior
from variants.parts.codes import Codes
from variants.parts.residual_conv import residual_conv

MAP, IN_PLACE, IN_ORDER = (
    partial(residual_conv, spatial=True),
    partial(Codes, spatial=True),
    partial(CodesPrior, autoregressive=True),
)


@register(
    base="vq",
    changes=("network", "posterior", "prior"),
    paper="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, section 4.1",
)
def vq_spatial(
    data: DataSpec,
    *,
    latent: int | None = None,
    network: Choice = MAP,
    posterior: Choice = IN_PLACE,
    prior: Choice = IN_ORDER,
    objective: Choice = "vq",
    **parts: Any,
) -> VAE:
    """VQ-VAE on images: a map of codes of 8 numbers, one for every 4 x 4 pixels, under an autoregressive prior.

    Use it for images: its prior of the map is trained with the rest, so that it draws. Not for vectors. For other
    codes give `latent` and `code_size`, the latents being the sites of the map times `code_size`.
    """
    if latent is None:
        latent = 8 * math.prod(-(-side // 4) for side in data.shape[1:])
    return assemble(
        data, latent=latent, network=network, posterior=posterior, prior=prior, objective=objective, **parts
    )
