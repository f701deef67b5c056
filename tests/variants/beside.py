"""Parts that others need beside them, and models of any posterior."""

from typing import Any

from variants import DataSpec
from variants.core import VAE
from variants.parts import assemble

# Latents of one kind go together.
BITS = {"posterior": "bernoulli", "prior": "bernoulli", "objective": "vimco"}
SPHERE = {"posterior": "hyperspherical", "prior": "uniform_sphere"}
BALL = {"posterior": "poincare", "prior": "wrapped_normal"}
CODES = {"posterior": "codes", "prior": "codes", "objective": "vq"}
BESIDE: dict[str, dict[str, Any]] = {
    "bernoulli": BITS,
    "disarm": BITS,
    "concrete": {"posterior": "concrete", "prior": "concrete"},
    "one_hots": {"posterior": "one_hots", "prior": "one_hots", "objective": "vimco"},
    "gumbel_softmax": {"prior": "one_hots"},
    "joint": {"posterior": "joint", "prior": "joint"},
    "joint_capacity": {"posterior": "joint", "prior": "joint"},
    "staged": {"posterior": "bottom_up", "prior": "hierarchical"},
    "codes": CODES,
    "vq": CODES,
    "average_codes": CODES,
    "residual_codes": CODES | {"code_depth": 2},
    "stochastic_codes": {"prior": "codes"},
    "precision_weighted": {"prior": "ladder_prior"},
    "residual_top_down": {"prior": "ladder_prior"},
    "grid_codes": {"posterior": "grid_codes", "prior": "grid_codes"},
    "sign_codes": {"posterior": "sign_codes", "prior": "sign_codes"},
    "lfq": {"posterior": "sign_codes", "prior": "sign_codes"},
    "hamiltonian": {"prior": "with_momentum"},
    "hyperspherical": SPHERE,
    "uniform_sphere": SPHERE,
    "poincare": BALL,
    "wrapped_normal": BALL,
}


def model_of(posterior: str, features: int) -> VAE:
    """A named posterior with what it needs, 8 latents, and x itself for its features."""
    parts = BESIDE.get(posterior, {}) | {"posterior": posterior}
    return assemble(DataSpec((features,), "real", 40), latent=8, network="linear", **parts)
