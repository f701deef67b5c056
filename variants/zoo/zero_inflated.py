from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="negative_binomial",
    changes=("network", "likelihood"),
    paper="Lopez et al. 2018, Nature Methods 15:1053 (scVI)",
)
def zero_inflated(data: DataSpec, *, likelihood: Choice = "zero_inflated_negative_binomial", **parts: Any) -> VAE:
    """Counts that are zero with probability pi_i(z), and else NB(m_i(z), t_i).

    Use it where zeros are more than a negative binomial has. Not without trying `negative_binomial` first, which often
    explains them.
    """
    return assemble(data, likelihood=likelihood, **parts)
