from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="likelihood", paper="Lopez et al. 2018, Nature Methods 15:1053 (scVI)")
def negative_binomial(data: DataSpec, *, likelihood: Choice = "negative_binomial", **parts: Any) -> VAE:
    """Counts x_i ~ NB(m_i(z), t_i) of variance m + m^2 / t, a dispersion t_i learnt for each value of the data.

    Use it for counts that vary more than a Poisson's, as of genes in single cells. Not beside figures of log p(x |
    library size): here the total is part of x.
    """
    return assemble(data, likelihood=likelihood, **parts)
