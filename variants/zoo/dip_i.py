from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848")
def dip_i(data: DataSpec, *, objective: Choice = "dip_i", **parts: Any) -> VAE:
    """DIP-VAE-I: ELBO - a sum_(i != j) C_ij^2 - b sum_i (C_ii - 1)^2 with C the covariance of the means of q(z|x).

    Use it for codes that are not correlated over the data. Not with small batches, from which their covariance is
    estimated.
    """
    return assemble(data, objective=objective, **parts)
