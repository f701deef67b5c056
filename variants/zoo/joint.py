from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior", "objective"), paper="Dupont 2018, arXiv:1804.00104")
def joint(
    data: DataSpec,
    *,
    posterior: Choice = "joint",
    prior: Choice = "joint",
    objective: Choice = "joint_capacity",
    **parts: Any,
) -> VAE:
    """JointVAE: Gaussian latents beside one categorical, both KLs held at capacities that rise.

    Use it for data that are of classes and vary within them. Not where the number of classes is unknown and large.
    """
    return assemble(data, posterior=posterior, prior=prior, objective=objective, **parts)
