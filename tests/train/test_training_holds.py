"""No built-in variant diverges with the shipped budget, whatever the data look like.

The suite `shapes` has three seeds of MNIST and photographs. Here are odd sizes, images that are all alike and vectors
too, and as many steps as it took to diverge."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench import data, seeds
from bench.settings import Budget
from tests.helpers import fit
from variants import DataSpec, names, registry
from variants.parts.networks import Encoder, mlp

# Sixteen steps: log sigma of a plain layer overflowed within 7 to 15.
BUDGET = Budget(epochs=2, batch_size=32, train_size=256)
# A step of these passes through the decoder many times: what counts here is not the width.
NARROWER = {name: {"hidden": (50,)} for name in ("semi_amortised", "iterative", "hamiltonian")}
# Each pixel has 256 outputs.
NARROWER["categorical_pixels"] = {"hidden": (10,)}
SHAPES = {"odd": (3, 9, 13), "grey": (1, 20, 17)}
# What the pixels are taken for, by variants that are not for grey values between 0 and 1.
TAKEN_FOR = {name: {"binarise": "levels"} for name in ("beta_binomial", "categorical_pixels", "discretised_logistic")}
TAKEN_FOR |= {name: {"kind": "counts"} for name in ("negative_binomial", "zero_inflated")}
TAKEN_FOR["pixel_decoder"] = {"binarise": "threshold"}
IMAGES_ONLY = ("conv", "conv_full_covariance", "residual_conv", "vq_spatial", "deep_top_down_conv")
COLOURS, ONE_CHANNEL = ("photographs32", "odd"), ("pixel_decoder",)
# In colour these see the smaller images alone: 24 seconds of a test.
SLOW = ("categorical_pixels",)
# Those are trained where data are as they need them: by tests/variants/test_labels.py.
OF_PAIRS_AND_CLASSES = ("ada_gvae", "conditional")
BUILT_IN = sorted(name for name in names() if registry.get(name).built_in and name not in OF_PAIRS_AND_CLASSES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a user's own: photographs, also of odd sizes, and images that are all the same."""
    folder = tmp_path_factory.mktemp("shapes")
    small = data.load("photographs32").raw.images
    np.savez(folder / "photographs32.npz", **{k: v[:256] for k, v in small.items()})
    photographs = data.load("photographs64").raw.images
    for name, (channels, height, width) in SHAPES.items():
        np.savez(folder / f"{name}.npz", **{k: v[:256, :channels, :height, :width] for k, v in photographs.items()})
    for name, grey in {"black": 0, "constant": 90}.items():
        same = np.full((320, 1, 9, 9), grey, dtype=np.uint8)
        np.savez(folder / f"{name}.npz", train=same[:256], valid=same[:32], test=same[:32])
    return folder


@functools.cache
def loaded(name: str, train_size: int | None, **taken_for: str) -> Any:
    return data.load(name, train_size=train_size, **taken_for)


def last(
    variant: str,
    name: str,
    budget: Budget = BUDGET,
    seed: int = 0,
    taken_for: dict[str, str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What is seen of a training after its last pass; it raises where one diverges."""
    examples = loaded(name, budget.train_size, **(taken_for or {}))
    options = NARROWER.get(variant, {}) | options
    model = registry.seeded(variant, examples.spec, seeds.derive(seed, "init"), **options)
    return fit(model, examples, budget, seed=seed, device="cpu")[-1]


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (variant, name)
        for name in ("photographs32", "odd", "grey", "black", "constant")
        for variant in BUILT_IN
        if (name not in COLOURS or variant not in ONE_CHANNEL) and (name != "photographs32" or variant not in SLOW)
    ],
)
def test_images(variant: str, name: str, folder: Path) -> None:
    last(variant, str(folder / f"{name}.npz"), taken_for=TAKEN_FOR.get(variant))


@pytest.mark.parametrize("variant", [name for name in BUILT_IN if name not in IMAGES_ONLY])
@pytest.mark.parametrize("sigma", ["learned", "optimal"])
def test_standardised_vectors(variant: str, sigma: str) -> None:
    last(variant, "breast_cancer", likelihood="gaussian", sigma=sigma)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("variant", ["full_covariance", "vanilla", "conv"])
def test_large_photographs(variant: str, size: int) -> None:
    last(variant, f"photographs{size}", Budget(epochs=2, batch_size=16, train_size=128))


@pytest.mark.parametrize("variant", ["vanilla", "full_covariance"])
def test_photographs_are_learnt_and_not_only_stood(variant: str) -> None:
    """With this seed plain heads reached 200 nats; data that are not centred do not reach 1,600."""
    assert last(variant, "photographs32", Budget(epochs=3), seed=1)["valid_elbo_nats"] > 1900


def test_an_encoder_that_knows_nothing_of_heads() -> None:
    """Its features are as large as it likes, and its data are not centred."""

    def network(spec: DataSpec, latent: int) -> tuple[nn.Module, nn.Module]:
        body = nn.Sequential(nn.Flatten(), nn.Linear(spec.dims, 64), nn.ReLU(), nn.Linear(64, 64))
        with torch.no_grad():
            body[1].weight.mul_(100)
        return Encoder("large", body, 64), mlp(spec, latent)[1]

    for posterior in ("diagonal", "full", "low_rank", "planar"):
        last("vanilla", "photographs32", network=network, posterior=posterior)
