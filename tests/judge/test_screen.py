"""Images are shown in the data's own units, whatever was modelled."""

import io
from typing import Any

import numpy as np
import pytest
import torch

import bench as vb
import bench.data as data
from bench.cells.pictures import artefacts_of
from bench.data.given.facts import Scaling
from bench.judge.screen import Screen, screen_of

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (60, 3, 6, 5)) * [[[200.0]], [[20.0]], [[2.0]]] + [[[-50.0]], [[0.0]], [[0.0]]]


@pytest.mark.parametrize("scale", ["none", "standard"])
def test_real_images_go_from_the_least_to_the_largest_value_of_the_test_split(scale: str) -> None:
    held = data.own(IMAGES, kind="real", scale=scale)
    assert held.scaling.how == scale
    x = torch.cat([x for x, _ in held.eval_batches("test", 10)])
    raw = held.scaling.undo(x.double()).numpy()
    wanted = np.rint((raw - raw.min()) / (raw.max() - raw.min()) * 255)
    shown = screen_of(held, 2000)(x)
    assert shown.dtype == np.uint8
    assert np.abs(shown - wanted).max() <= 1
    assert (shown.min(), shown.max()) == (0, 255)
    assert shown[:, 2].max() < shown[:, 0].max() / 2, "a dark channel is dark, though all were standardised"
    assert screen_of(held, 2000)(x * 100).max() == 255, "what lies beyond is set to the ends"


@pytest.mark.parametrize(
    "given", [IMAGES[:, :1], (IMAGES[:, 0] > 50), RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)]
)
def test_what_is_modelled_in_0_to_1_is_shown_as_it_is(given: Any) -> None:
    held = data.own(given, scale="unit" if given.ndim == 4 else None)
    x = next(held.eval_batches("test", 6))[0]
    assert (screen_of(held, 2000)(x) == np.rint(x.numpy() * np.float32(255))).all()


def test_images_of_one_value_are_black() -> None:
    assert not Screen(Scaling("standard", 7.0, 2.0), 7.0, 8.0)(torch.zeros(1, 1, 2, 2)).any()
    held = data.own(np.full((40, 4, 4), -3.0), kind="real", layout="NHW")
    assert not screen_of(held, 2000)(next(held.eval_batches("test", 4))[0]).any()


@torch.no_grad()
def test_what_a_run_keeps_is_in_these_units() -> None:
    held = data.own(IMAGES, kind="real", scale="standard")
    model = vb.build("vanilla", held, latent=2, hidden=[8], device="cpu")
    with np.load(io.BytesIO(artefacts_of(model.vae, held)), allow_pickle=False) as file:
        arrays = dict(file)
    raw = held.scaling.undo(torch.cat([x for x, _ in held.eval_batches("test", 10)])).numpy()
    assert arrays["inputs"].shape == (6, 3, 6, 5)
    wanted = (raw - raw.min()) / (raw.max() - raw.min()) * 255
    assert np.abs(arrays["inputs"] - wanted).max() <= 1
    # An untrained decoder gives about the mean of the data: nothing is clamped.
    means = [arrays[name].mean((0, 2, 3)) for name in ("samples", "reconstructions")]
    assert all(np.abs(mean - wanted.mean((0, 2, 3))).max() < 60 for mean in means)
    assert arrays["traversals"].shape[-3:] == arrays["worst_inputs"].shape[-3:] == (3, 6, 5)


@torch.no_grad()
def test_one_test_image_gives_dashes_and_no_warning() -> None:
    """pytest makes an error of every warning."""
    images = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
    held = data.own(images, test=images[:1], layout="NHW")
    scores = vb.evaluate(vb.build("vanilla", held, latent=2, hidden=[8], device="cpu"), held, nll_samples=5)
    assert scores["active_units"] is None
    assert scores["elbo_nats"] is not None
    assert artefacts_of(vb.build("vanilla", held, latent=2, hidden=[8], device="cpu").vae, held)


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (IMAGES, {"kind": "real", "scale": "standard"}, "log densities of values standardised; minus"),
        (IMAGES, {"kind": "real", "scale": "none"}, "log densities of the values as they are"),
        (IMAGES, {"scale": "unit"}, "log densities of values scaled to [0, 1]; minus"),
        (np.abs(IMAGES).astype(np.uint8), {}, "log densities of values over white; minus"),
        (np.abs(IMAGES).astype(np.uint8), {"binarise": "dequantise"}, "log densities of (level + noise) / 256"),
        (np.abs(IMAGES).astype(np.uint8), {"kind": "levels"}, None),
        (np.abs(IMAGES).astype(np.uint8), {"binarise": "threshold"}, None),
        (RNG.poisson(0.5, (60, 5)), {}, None),
    ],
)
def test_densities_say_in_which_units_they_are(given: Any, options: dict[str, Any], words: str | None) -> None:
    units = data.own(given, **options).units
    assert units is None if words is None else units is not None and units.startswith(words)
    assert data.load("digits").units is None


def test_levels_are_shown_by_all_that_there_might_be() -> None:
    """Also where those that are there are few."""
    held = data.own(RNG.integers(40, 60, (60, 6, 5), dtype=np.uint8), kind="levels", layout="NHW")
    assert held.spec.kind == "levels"
    x = next(held.eval_batches("test", 6))[0]
    assert (screen_of(held, 2000)(x) == Screen()(x)).all()
    assert screen_of(held, 2000)(x).max() < 70
