from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="posterior", paper="Durkan, Bekasov, Murray and Papamakarios 2019, arXiv:1906.04032")
def spline_flow(data: DataSpec, *, posterior: Choice = "spline", **parts: Any) -> VAE:
    """Spline flow posterior z = mu(x) + sigma(x) f(eps; x), f: `flows` rational-quadratic spline couplings.

    Use it for the most flexible posterior whose density is one pass everywhere, as `iwae_dreg` wants it. Not with
    one latent, nor where weights are dear.
    """
    return assemble(data, posterior=posterior, **parts)
