"""What is to be seen in a latent space."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import bench.data as data
from bench import seeds
from bench.judge import latent
from bench.judge.bounds import EVAL_BATCH, scores
from bench.judge.screen import Screen
from tests.helpers import Held
from variants import build
from variants.core import Batch

T = len(latent.VALUES)


@pytest.fixture(scope="module")
def loaded() -> Any:
    return data.load("digits")


def seen(variant: str, held: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return latent.seen(build(variant, held.spec, hidden=(16,), **options), held, Screen())


def test_everything_has_its_shape(loaded: Any) -> None:
    arrays = seen("vanilla", loaded, latent=5)
    shapes = {name: array.shape for name, array in arrays.items()}
    image = (1, 8, 8)
    assert shapes["traversals"] == (5, T, *image)
    assert shapes["interpolations_linear"] == shapes["interpolations_great_circle"] == (4, 9, *image)
    assert shapes["aggregate_quantiles"] == shapes["prior_quantiles"] == (7, 5)
    assert shapes["aggregate_norms"] == shapes["prior_norms"] == (101,)
    assert shapes["class_elbo"] == shapes["class_recon"] == shapes["class_kl"] == (10,)
    assert shapes["best_inputs"] == shapes["worst_reconstructions"] == (8, *image)
    assert shapes["reliability_mean"] == (20,)
    assert arrays["class_counts"].sum() == 250
    assert arrays["reliability_count"].sum() == 250 * 64
    np.testing.assert_allclose(arrays["class_elbo"], arrays["class_recon"] - arrays["class_kl"], rtol=1e-4)
    assert arrays["best_scores"].min() >= arrays["worst_scores"].max()
    assert (np.diff(arrays["best_scores"]) <= 0).all()
    assert (np.diff(arrays["worst_scores"]) >= 0).all()


def test_what_is_said_of_classes_adds_up_to_what_is_said_of_all(loaded: Any) -> None:
    arrays = seen("vanilla", loaded)
    torch.manual_seed(0)
    batches = loaded.eval_batches("test", EVAL_BATCH, limit=latent.POINTS)
    found = scores(build("vanilla", loaded.spec, hidden=(16,)), batches, samples=1, seed=seeds.JUDGE)
    for name, values in (("elbo", found.elbo), ("recon", found.recon), ("kl", found.kl)):
        assert values is not None
        of_classes = np.average(arrays[f"class_{name}"], weights=arrays["class_counts"])
        assert of_classes == pytest.approx(values.mean().item(), rel=1e-5)


def test_latents_that_are_no_points_of_r_d_have_no_line_between_them(loaded: Any) -> None:
    arrays = seen("bernoulli_vimco", loaded, latent=4)
    assert not [name for name in arrays if name.startswith(("traversal", "interpolation", "aggregate", "prior"))]
    assert "best_inputs" in arrays
    # Without a bound there is neither an ELBO nor a KL of a class.
    without = seen("autoencoder", loaded, latent=3)
    assert "class_recon" in without
    assert "class_elbo" not in without


def linear(d: int) -> Any:
    """x = z: whatever is done to a code is seen in its image."""
    model = build("linear", Held(torch.zeros(4, d)).spec, latent=d, network="linear")
    with torch.no_grad():
        model.decoder.body.weight.copy_(torch.eye(d))
        model.decoder.body.bias.zero_()
    return model


def test_a_traversal_moves_one_axis() -> None:
    codes = torch.tensor([[9.0, 0.2, 0.1], [9.0, -1.0, 5.0], [9.0, 2.0, -5.0]])
    found = latent.traversals(linear(3), codes, lambda x: x.detach().numpy())
    assert found["traversal_axes"].tolist() == [2, 1, 0]  # what is large and does not vary comes last
    np.testing.assert_allclose(found["traversals"][0, :, 2], latent.VALUES)
    np.testing.assert_allclose(found["traversals"][0, :, :2], np.tile([9.0, 0.2], (T, 1)), rtol=1e-6)
    np.testing.assert_allclose(found["traversals"][1, :, 1], latent.VALUES)


@pytest.mark.parametrize("n", [8, 15])
def test_interpolations_end_at_the_codes(n: int) -> None:
    codes = torch.randn(n, 3)
    found = latent.interpolations(linear(3), codes, lambda x: x.detach().numpy())
    codes = codes[:: n // 7]  # eight, from the first to the last
    for way in ("linear", "great_circle"):
        images = found[f"interpolations_{way}"]
        np.testing.assert_allclose(images[:, 0], codes[:4].numpy(), atol=1e-5)
        np.testing.assert_allclose(images[:, -1], codes[4:].numpy(), atol=1e-5)
    middle = found["interpolations_linear"][:, 4]
    np.testing.assert_allclose(middle, (codes[:4] + codes[4:]).numpy() / 2, atol=1e-5)


def test_the_aggregate_is_of_draws_by_axis_and_by_length() -> None:
    """Where each posterior is the prior, a standard normal, so are all of them together."""
    torch.manual_seed(0)
    model, n = linear(3), 4000
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()
        found = latent.aggregate(model, iter(torch.zeros(n, 3).split(1000)), n)
    for name in ("aggregate", "prior"):
        expected = np.tile(stats.norm.ppf(latent.LEVELS)[:, None], 3)
        np.testing.assert_allclose(found[f"{name}_quantiles"], expected, atol=0.3)
        np.testing.assert_allclose(found[f"{name}_norms"][10:91], stats.chi(3).ppf(np.arange(10, 91) / 100), atol=0.1)


def test_a_great_circle_keeps_the_length_and_turns_evenly() -> None:
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    t = torch.linspace(0, 1, 5).view(1, -1, 1)
    way = latent.great_circle(first[:, None], second[:, None], t)[0]
    torch.testing.assert_close(way.norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(torch.atan2(way[:, 1], way[:, 0]), torch.linspace(0, torch.pi / 2, 5))
    for other in (-first, first, 0 * first):
        assert latent.great_circle(first[:, None], other[:, None], t).isfinite().all()


def test_a_great_circle_changes_its_length_evenly() -> None:
    first, second = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    way = latent.great_circle(first[:, None], second[:, None], torch.linspace(0, 1, 4).view(1, -1, 1))[0]
    torch.testing.assert_close(way.norm(dim=1), torch.tensor([4.0, 3.0, 2.0, 1.0]))


def test_opposite_directions_have_a_line_between_them() -> None:
    first = torch.tensor([[2.0, 0.0]])
    t = torch.linspace(0, 1, 5).view(1, -1, 1)
    for factor in (-1.0, 3.0):
        way = latent.great_circle(first[:, None], factor * first[:, None], t)[0]
        torch.testing.assert_close(way[:, 0], torch.linspace(2.0, 2.0 * factor, 5))


def test_the_best_and_the_worst_are_those_examples_and_their_own_reconstructions() -> None:
    """The first number of an example is its place; what is far from the mean of p(x|z) is the worst."""
    torch.manual_seed(0)
    x = torch.cat([torch.arange(40.0).view(-1, 1), torch.randn(40, 1)], 1)
    held: Any = Held(x, kind="real")
    model = linear(2)
    found = latent.by_example(model, held, lambda shown: shown.detach().numpy())
    scored = scores(model, held.eval_batches("test", 40), samples=1, seed=seeds.JUDGE).elbo
    assert scored is not None
    for name, places in (("best", scored.argsort(descending=True)[:8]), ("worst", scored.argsort()[:8])):
        np.testing.assert_array_equal(found[f"{name}_inputs"], x[places].numpy())
        np.testing.assert_allclose(found[f"{name}_reconstructions"], model.reconstruct(x[places]).detach().numpy())
        np.testing.assert_allclose(found[f"{name}_scores"], scored[places].numpy(), rtol=1e-6)


def test_reliability_is_of_draws_and_not_of_the_mean() -> None:
    """z of either sign says that a pixel is surely 1 or surely 0; its mean, 0, says that nobody knows."""

    class Says:
        conditional = False

        def infer(self, x: torch.Tensor) -> Any:
            return torch.distributions.Normal(torch.zeros(len(x), 3), 1.0)

        def decode(self, z: torch.Tensor) -> Any:
            return torch.distributions.Bernoulli(0.5 + 0.5 * z.sign())

    torch.manual_seed(0)
    batch = (torch.ones(100, 3), torch.zeros(100))
    found: Any = latent.reliability(Says(), iter([batch]))  # type: ignore[arg-type]
    assert found["reliability_count"][0] + found["reliability_count"][-1] == 300
    assert 100 < found["reliability_count"][0] < 200


def test_reliability_of_probabilities_that_are_right_and_of_one_that_is_not() -> None:
    class Says:
        conditional = False

        def __init__(self, p: torch.Tensor) -> None:
            self.p = p

        def infer(self, x: torch.Tensor) -> Any:
            return torch.distributions.Normal(torch.zeros(len(x), 1), 1.0)

        def decode(self, z: torch.Tensor) -> Any:  # noqa: ARG002
            return torch.distributions.Bernoulli(self.p)

    torch.manual_seed(0)
    p = torch.rand(200, 500)
    right: Any = latent.reliability(Says(p), iter([(torch.bernoulli(p), torch.zeros(200))]))  # type: ignore[arg-type]
    assert np.abs(right["reliability_mean"] - right["reliability_share"]).max() < 0.03
    np.testing.assert_allclose(right["reliability_mean"], (np.arange(20) + 0.5) / 20, atol=0.002)
    batches = [(torch.bernoulli(p), torch.zeros(200)) for _ in range(2)]
    both, first, second = (latent.reliability(Says(p), each) for each in (batches, batches[:1], batches[1:]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(both["reliability_count"], first["reliability_count"] * 2)
    np.testing.assert_allclose(
        both["reliability_share"], (first["reliability_share"] + second["reliability_share"]) / 2
    )
    sure: Any = latent.reliability(Says((p > 0.5).float()), iter([(torch.bernoulli(p), torch.zeros(200))]))  # type: ignore[arg-type]
    assert sure["reliability_count"].tolist()[1:-1] == [0] * 18
    assert sure["reliability_share"][0] == pytest.approx(0.25, abs=0.02)
    assert np.isnan(sure["reliability_mean"][5])


def test_values_between_black_and_white_are_no_outcomes_of_a_probability() -> None:
    grey = data.load("digits", binarise="none")
    assert not [name for name in seen("vanilla", grey, latent=2) if name.startswith("reliability")]


def test_the_best_and_the_worst_of_given_classes_are_shown_with_their_own(loaded: Any) -> None:
    torch.manual_seed(0)
    model = build("conditional", loaded.spec, latent=12, hidden=(8,), class_hidden=(5,))
    found = latent.by_example(model, loaded, lambda shown: shown.detach().numpy())
    batches = list(loaded.eval_batches("test", EVAL_BATCH, limit=latent.POINTS))
    scored = scores(model, batches, samples=1, seed=seeds.JUDGE).elbo
    assert scored is not None
    x, y = (torch.cat(part) for part in zip(*batches, strict=True))
    places = scored.argsort(descending=True)[: latent.EXTREMES]
    shown = model.reconstruct(Batch(x[places], c=y[places])).detach().numpy()
    np.testing.assert_allclose(found["best_reconstructions"], shown, atol=1e-6)
