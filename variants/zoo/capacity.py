from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="beta", changes="objective", paper="Burgess et al. 2018, arXiv:1804.03599")
def capacity(data: DataSpec, *, objective: Choice = "capacity", **parts: Any) -> VAE:
    """beta-VAE with a capacity: E_q log p(x|z) - gamma |KL - C|, C rising to `capacity` nats over `capacity_epochs`.

    Use it to train at a rate that is chosen in nats. Not where the right rate is unknown: `beta` and `geco` choose
    otherwise.
    """
    return assemble(data, objective=objective, **parts)
