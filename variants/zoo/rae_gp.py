from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice
from variants.zoo.rae_l2 import rae_l2


@register(base="rae_l2", changes="objective", paper="Ghosh et al. 2020, arXiv:1903.12436")
def rae_gp(data: DataSpec, *, objective: Choice = "rae_gp", **parts: Any) -> VAE:
    """RAE-GP: the squared error + b/2 |z|^2 + g |dD/dz|^2, the squared slope of the decoder D, as `rae_l2` otherwise.

    Use it where neighbouring codes should decode alike. Not where time counts: the slope takes a second pass through
    the decoder and its derivative; not to score data.
    """
    return rae_l2(data, objective=objective, **parts)
