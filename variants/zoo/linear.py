from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.likelihoods import Gaussian
from variants.parts.posteriors import Diagonal


@register(
    base="vanilla",
    changes=("network", "posterior", "likelihood"),
    paper="Tipping and Bishop 1999, JRSS B 61:611; Lucas et al. 2019, arXiv:1911.02469",
)
def linear(
    data: DataSpec,
    *,
    network: Choice = "linear",
    posterior: Choice = partial(Diagonal, shared_covariance=True),  # the exact posterior's covariance is the same for all x
    likelihood: Choice = partial(Gaussian, squash=False),
    **parts: Any,
) -> VAE:
    """Linear VAE = probabilistic PCA, x = W z + m + sigma eps: its optimum and its log p(x) are known in closed form."""
    return assemble(data, network=network, posterior=posterior, likelihood=likelihood, **parts)
