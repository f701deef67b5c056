from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes=("posterior", "prior"), paper="Sohn, Lee and Yan 2015, NeurIPS")
def conditional(
    data: DataSpec, *, posterior: Choice = "given_class", prior: Choice = "given_class_prior", **parts: Any
) -> VAE:
    """p(x|c) = E_p(u) p(x|u, c) with the label c given to encoder and decoder, in training and when it is judged.

    Use it to sample a class of choice. Not beside models of p(x): its nats are of p(x|c), a group of their own.
    """
    return assemble(data, posterior=posterior, prior=prior, **parts)
