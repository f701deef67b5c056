from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.networks import mlp

# The dynamics follow the decoder's slope, which must not jump.
SMOOTH_MLP = partial(mlp, activation="silu")


@register(
    base="vanilla",
    changes=("network", "posterior", "prior"),
    paper="Caterini, Doucet and Sejdinovic 2018, arXiv:1805.11328",
)
def hamiltonian(
    data: DataSpec,
    *,
    latent: int = 40,
    network: Choice = SMOOTH_MLP,
    posterior: Choice = "hamiltonian",
    prior: Choice = "with_momentum",
    **parts: Any,
) -> VAE:
    """Hamiltonian VAE: q(z, r|x) moved by `leapfrogs` steps of the dynamics of log p(x, z); r are momenta.

    Use it for a posterior that the model itself shapes, with a density. Not where time counts: each step takes the
    decoder's gradient. Half of `latent` are momenta, which the decoder does not see.
    """
    return assemble(data, latent=latent, network=network, posterior=posterior, prior=prior, **parts)
