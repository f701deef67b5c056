from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="likelihood", paper="Skellam 1948, JRSS B 10:257")
def beta_binomial(data: DataSpec, *, likelihood: Choice = "beta_binomial", **parts: Any) -> VAE:
    """Levels P(k) = C(n, k) B(k + a, n - k + b) / B(a, b), n = L - 1, with a(z) and b(z) of the decoder.

    Use it for grey levels that are mostly black or white: two numbers a pixel hold both ends. Not where a pixel is
    sharp at a middle level: it is never narrower than a binomial.
    """
    return assemble(data, likelihood=likelihood, **parts)
