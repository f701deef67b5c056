from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.codes import Codes

TWO = partial(Codes, code_depth=2)


@register(
    base="vq",
    changes=("network", "posterior", "prior"),
    paper="Zeghidour, Luebs, Omran, Skoglund and Tagliasacchi 2021, arXiv:2107.03312",
)
def residual_vq(
    data: DataSpec,
    *,
    latent: int = 128,
    posterior: Choice = TWO,
    prior: Choice = "residual_codes",
    objective: Choice = "vq",
    **parts: Any,
) -> VAE:
    """Residual VQ: at each site a sum of L = `code_depth` codes, each the nearest to what the ones before left.

    Use it for rates that one book would need K^L codes for. Not for codes that a simple prior is to model: they depend
    on each other.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, objective=objective, **parts)
