from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="ladder",
    changes=("posterior", "objective"),
    paper="Child 2021, arXiv:2011.10650; Vahdat and Kautz 2020, arXiv:2007.03898",
)
def deep_top_down(
    data: DataSpec,
    *,
    latent: int = 40,
    posterior: Choice = "residual_top_down",
    prior: Choice = "ladder_prior",
    objective: Choice = "free_bits",
    **parts: Any,
) -> VAE:
    """Deep top-down VAE: p and q share one trunk of residual blocks; q(z_i | z_>i, x) is what x adds to p(z_i | z_>i).

    Use it for many layers, `layers=10` or more; it is trained with free bits for each. Not for the least cost: layers
    are passed one after the other.
    """
    return assemble(data, latent=latent, posterior=posterior, prior=prior, objective=objective, **parts)
