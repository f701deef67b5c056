from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("posterior", "prior"),
    paper="Mentzer, Minnen, Agustsson and Tschannen 2024, arXiv:2309.15505",
)
def fsq(
    data: DataSpec, *, latent: int = 64, posterior: Choice = "grid_codes", prior: Choice = "grid_codes", **parts: Any
) -> VAE:
    """FSQ: numbers of the encoder are bounded and rounded to `quant_levels` values each: no code book is learnt.

    Use it for codes without a loss of their own, or codes that die. Not for few codes of many numbers: a grid has a
    power of them.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, **parts)
