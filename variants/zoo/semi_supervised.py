from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(
    base="vanilla",
    changes=("posterior", "prior", "objective"),
    paper="Kingma et al. 2014, arXiv:1406.5298 (M2)",
)
def semi_supervised(
    data: DataSpec,
    *,
    posterior: Choice = "labelled",
    prior: Choice = "labelled_prior",
    objective: Choice = "semi_supervised",
    **parts: Any,
) -> VAE:
    """M2: a class y beside Gaussian latents, told for the examples of `--data-option labelled=100`, else summed over.

    Use it where few of many examples have labels. Not with hundreds of classes: each is decoded for every example.
    """
    return assemble(data, posterior=posterior, prior=prior, objective=objective, **parts)
