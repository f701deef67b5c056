from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.levels import DiscretisedLogistic

TEN = partial(DiscretisedLogistic, mixtures=10)


@register(
    base="vanilla",
    changes=("network", "likelihood"),
    paper="Salimans, Karpathy, Chen and Kingma 2017, arXiv:1701.05517",
)
def discretised_logistic(data: DataSpec, *, likelihood: Choice = TEN, **parts: Any) -> VAE:
    """Levels P(k) = sum_m pi_m [F((c_k + w - mu_m) / s_m) - F((c_k - w - mu_m) / s_m)], F logistic, M `mixtures`.

    Use it for images of 8 bits: its bits/dim are those of the literature. Not for binary or real data. `vanilla` on
    levels has M = 1.
    """
    return assemble(data, likelihood=likelihood, **parts)
