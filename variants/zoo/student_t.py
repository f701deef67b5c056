from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="likelihood", paper="Takahashi et al. 2018, IJCAI, doi:10.24963/ijcai.2018/374")
def student_t(data: DataSpec, *, likelihood: Choice = "student_t", **parts: Any) -> VAE:
    """Student's t likelihood prod_i t(x_i; df, m_i(z), sigma), df and sigma learnt: outliers cost log |x_i - m_i|.

    Use it for real data with outliers. Not for binary data, nor to compare sigma with a Gaussian's: here it is a
    scale.
    """
    return assemble(data, likelihood=likelihood, **parts)
