from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Kim and Mnih 2018, arXiv:1802.05983")
def factor(data: DataSpec, *, objective: Choice = "factor", **parts: Any) -> VAE:
    """FactorVAE: ELBO - gamma TC(z), the total correlation E log q(z) - log prod_j q(z_j) as seen by a critic.

    Use it for independent latents in large data sets, where `beta_tc`, which needs no critic, is off. Not in short
    trainings: the critic has to be good first.
    """
    return assemble(data, objective=objective, **parts)
