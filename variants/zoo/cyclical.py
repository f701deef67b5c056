from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Fu et al. 2019, arXiv:1903.10145")
def cyclical(data: DataSpec, *, objective: Choice = "cyclical", **parts: Any) -> VAE:
    """Cyclical annealing: the KL's weight rises from 0 to 1 in each of `cycles` cycles of `cycle_epochs` passes.

    Use it where a KL that is there from the start keeps latents from being learnt. Not for trainings shorter than
    its cycles.
    """
    return assemble(data, objective=objective, **parts)
