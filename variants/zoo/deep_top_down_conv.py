from typing import Any

from variants import DataSpec, register
from variants.core import VAE
from variants.parts import Choice, assemble
from variants.parts.conv_ladder import LAYERS_AT, places_of


@register(base="deep_top_down", changes=("network", "posterior", "prior"), paper="Child 2021, arXiv:2011.10650")
def deep_top_down_conv(
    data: DataSpec,
    *,
    latent: int | None = None,
    layers_at: tuple[int, ...] = LAYERS_AT,
    network: Choice = "conv_ladder",
    posterior: Choice = "conv_residual_top_down",
    prior: Choice = "conv_ladder_prior",
    objective: Choice = "free_bits",
    **parts: Any,
) -> VAE:
    """Deep top-down VAE on images: layers of latents are maps, `layers_at` of them after each halving; 4 at a place.

    Use it for images, with `grad_skip` in the budget; a GPU takes `layers_at=(8, 8, 4, 2)` and `trunk_channels=128`.
    Not for vectors, nor for few latents.
    """
    if latent is None:
        latent = 4 * places_of(data, layers_at)
    return assemble(
        data,
        latent=latent,
        layers_at=layers_at,
        network=network,
        posterior=posterior,
        prior=prior,
        objective=objective,
        **parts,
    )
