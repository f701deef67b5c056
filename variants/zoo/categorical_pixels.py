from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("network", "likelihood"),
    paper="van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv:1601.06759",
)
def categorical_pixels(data: DataSpec, *, likelihood: Choice = "categorical_pixels", **parts: Any) -> VAE:
    """Each pixel one of L levels by a softmax, P(k) = exp(h_k) / sum_j exp(h_j): no order among levels is presumed.

    Use it for few levels, or to see what an ordered likelihood costs. Not with 256 levels and a dense network: the last
    layer is 256 times as wide.
    """
    return assemble(data, likelihood=likelihood, **parts)
