from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla", changes=("network", "likelihood"), paper="Kingma and Welling 2014, arXiv:1312.6114, appendix C.2"
)
def heteroscedastic(data: DataSpec, *, likelihood: Choice = "heteroscedastic", **parts: Any) -> VAE:
    """Gaussian likelihood N(m(z), diag(s(z)^2)), its s of the decoder too and at least `floor`.

    Use it for real data whose noise differs from place to place. Not for images with pixels that never change: there
    the density is what `floor` makes it.
    """
    return assemble(data, likelihood=likelihood, **parts)
