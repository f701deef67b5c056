from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Kim et al. 2018, arXiv:1802.02550")
def semi_amortised(data: DataSpec, *, posterior: Choice = "semi_amortised", **parts: Any) -> VAE:
    """Semi-amortised VAE: the encoder's diagonal q(z|x) after `refinements` steps up the ELBO of each x.

    Use it where the encoder is what loses (see the amortisation gap), and against collapse. Not where time counts: a
    step of training or of inference takes a dozen passes through the decoder.
    """
    return assemble(data, posterior=posterior, **parts)
