from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Makhzani et al. 2015, arXiv:1511.05644")
def adversarial(data: DataSpec, *, objective: Choice = "adversarial", **parts: Any) -> VAE:
    """Adversarial autoencoder: E_q log p(x|z), and a critic from which q(z) is to pass for p(z), in place of the KL.

    Use it where only the aggregated posterior is to fit the prior, which may be anything that can be sampled. Not for
    log p(x): nothing in it asks for a tight bound.
    """
    return assemble(data, objective=objective, **parts)
