"""Parts that others need beside them, and models of any posterior."""

from typing import Any

import torch
from torch import Tensor

from variants import DataSpec
from variants.core import VAE, Batch
from variants.data_spec import Kind
from variants.parts import assemble

# Latents of one kind go together.
BITS = {"posterior": "bernoulli", "prior": "bernoulli", "objective": "vimco"}
SPHERE = {"posterior": "hyperspherical", "prior": "uniform_sphere"}
BALL = {"posterior": "poincare", "prior": "wrapped_normal"}
CODES = {"posterior": "codes", "prior": "codes", "objective": "vq"}
M2 = {"posterior": "labelled", "prior": "labelled_prior", "objective": "semi_supervised"}
GIVEN = {"posterior": "given_class", "prior": "given_class_prior"}
# Maps of 3 x 4 and of 2 x 2 places.
MAPS: dict[str, Any] = {
    "network": "conv_ladder",
    "posterior": "conv_residual_top_down",
    "prior": "conv_ladder_prior",
    "layers_at": (1, 1),
    "latent": 32,
}
IMAGE = (1, 6, 7)
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
    "labelled": M2,
    "labelled_prior": M2,
    "semi_supervised": M2,
    "given_class": GIVEN,
    "given_class_prior": GIVEN,
    "conv_ladder": MAPS,
    "conv_residual_top_down": MAPS,
    "conv_ladder_prior": MAPS,
}


def data_for(part: str, shape: tuple[int, ...] = IMAGE, kind: Kind = "unit") -> DataSpec:
    """Data that a part is for, of the shape and kind where it takes any."""
    if part == "pixel_decoder":
        kind = "binary"
    classes = 3 if BESIDE.get(part) in (M2, GIVEN) else None
    shape = IMAGE if BESIDE.get(part) is MAPS else shape
    return DataSpec(shape, kind, 40, classes=classes, pairs=part == "paired")


def model_of(posterior: str, features: int) -> VAE:
    """A named posterior with what it needs, 8 latents, and x itself for its features, but for maps of latents."""
    parts: dict[str, Any] = {"latent": 8, "network": "linear"} | BESIDE.get(posterior, {}) | {"posterior": posterior}
    return assemble(data_for(posterior, (features,), "real"), **parts)


def some(posterior: str, features: int, count: int) -> Tensor | Batch:
    """Examples for that model, of standard normal values and with a class where one is given."""
    x = torch.randn(count, *data_for(posterior, (features,)).shape)
    return Batch(x, c=torch.arange(count) % 3) if BESIDE.get(posterior) is GIVEN else x
