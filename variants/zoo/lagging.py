from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble


@register(base="vanilla", changes="objective", paper="He et al. 2019, arXiv:1901.05534")
def lagging(data: DataSpec, *, objective: Choice = "lagging", **parts: Any) -> VAE:
    """Lagging inference: for `lagging_epochs` passes the encoder moves alone until it helps no more, then the decoder.

    Use it where latents collapse because a strong decoder is ahead of the encoder. Not in short trainings: the decoder
    makes few steps in those passes.
    """
    return assemble(data, objective=objective, **parts)
