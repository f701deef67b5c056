from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.likelihoods import Gaussian
from variants.parts.posteriors import Diagonal

# The exact posterior of a linear model has one covariance for all x, and its mean of x is not squashed.
SHARED_DIAGONAL = partial(Diagonal, shared_covariance=True)
LINEAR_GAUSSIAN = partial(Gaussian, squash=False)


@register(
    base="vanilla",
    changes=("network", "posterior", "likelihood"),
    paper="Tipping and Bishop 1999, JRSS B 61:611; Lucas et al. 2019, arXiv:1911.02469",
)
def linear(
    data: DataSpec,
    *,
    network: Choice = "linear",
    posterior: Choice = SHARED_DIAGONAL,
    likelihood: Choice = LINEAR_GAUSSIAN,
    **parts: Any,
) -> VAE:
    """Linear VAE = probabilistic PCA, x = W z + m + sigma eps: its optimum and log p(x) are known in closed form.

    Use it to check the judge: all of it is known in closed form. Not for data that are no affine image of Gaussian
    latents.
    """
    return assemble(data, network=network, posterior=posterior, likelihood=likelihood, **parts)
