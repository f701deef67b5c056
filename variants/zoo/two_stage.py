from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.hierarchical import hierarchical


@register(base="hierarchical", changes="objective", paper="Dai and Wipf 2019, arXiv:1903.05789")
def two_stage(data: DataSpec, *, objective: Choice = "staged", **parts: Any) -> VAE:
    """Two-stage VAE: p(x|z1) under N(0, I), and a second VAE p(z2) p(z1|z2) of its codes, from which is sampled.

    Use it for samples from codes that q(z) leaves far from N(0, I), with both stages in one run. Not for the best
    log p(x): the first stage ignores what the second learns.
    """
    return hierarchical(data, objective=objective, **parts)
