from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Zhu et al. 2020, arXiv:2004.12585")
def batch_norm_posterior(data: DataSpec, *, posterior: Choice = "batch_norm", **parts: Any) -> VAE:
    """BN-VAE: posterior means batch-normalised to standard deviation g = `bn_scale`, so E KL >= D g^2 / 2.

    Use it where the posterior collapses: a rate is guaranteed at the cost of one number. Not with batches of a few
    examples, nor with a prior that is made of posteriors.
    """
    return assemble(data, posterior=posterior, **parts)
