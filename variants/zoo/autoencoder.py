from functools import partial
from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.likelihoods import Gaussian

# Its -log p(x|z) is half the squared error, plus a constant.
UNIT_GAUSSIAN = partial(Gaussian, sigma=1.0)


@register(
    base="vanilla",
    changes=("posterior", "likelihood", "objective"),
    paper="Hinton and Salakhutdinov 2006, Science 313:504",
)
def autoencoder(
    data: DataSpec,
    *,
    posterior: Choice = "deterministic",
    likelihood: Choice = UNIT_GAUSSIAN,
    objective: Choice = "reconstruction",
    **parts: Any,
) -> VAE:
    """Plain autoencoder: z = f(x), trained on the squared error. It has no density q(z|x), hence no ELBO.

    Use it to see what reconstruction alone reaches. Not where data are to be generated or scored: it has no log
    p(x).
    """
    return assemble(data, posterior=posterior, likelihood=likelihood, objective=objective, **parts)
