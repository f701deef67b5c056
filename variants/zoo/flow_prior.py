from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes="prior",
    paper="Chen et al. 2017, arXiv:1611.02731; Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803",
)
def flow_prior(data: DataSpec, *, prior: Choice = "flow", **parts: Any) -> VAE:
    """Flow prior log p(z) = log N(f^-1(z); 0, I) - log |det df|, f a chain of `prior_flows` affine couplings.

    Use it where codes do not fill N(0, I): a free density of codes at no cost to the encoder. Not with one latent,
    nor with few data, where it is fitted to noise.
    """
    return assemble(data, prior=prior, **parts)
