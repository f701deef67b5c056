from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="dip_i", changes="objective", paper="Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848")
def dip_ii(data: DataSpec, *, objective: Choice = "dip_ii", **parts: Any) -> VAE:
    """DIP-VAE-II: DIP-VAE-I with C the covariance of the aggregated posterior, E_x Cov[z|x] + Cov_x(E[z|x]).

    Use it where `dip_i` lets the variances of q grow: it bounds those as well. Not with small batches, from which
    the covariance is estimated.
    """
    return assemble(data, objective=objective, **parts)
