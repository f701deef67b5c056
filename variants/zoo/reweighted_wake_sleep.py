from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="iwae",
    changes="objective",
    paper="Bornschein and Bengio 2015, arXiv:1406.2751; Le et al. 2019, arXiv:1805.10469",
)
def reweighted_wake_sleep(data: DataSpec, *, objective: Choice = "reweighted_wake_sleep", **parts: Any) -> VAE:
    """Reweighted wake-sleep: p ascends the IWAE bound, q descends KL(p(z|x) || q(z|x)) by the same K weights.

    Use it where z has no path, or where q should cover p(z|x). Not with few draws: both updates are biased, less
    with each draw.
    """
    return assemble(data, objective=objective, **parts)
