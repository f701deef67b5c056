"""Accuracy of codes and similarity of images, on models whose answers are known."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from bench import data
from bench.judge import representation
from tests.helpers import Held
from variants import DataSpec, build
from variants.core import VAE


class Labelled:
    """Images `[N, 1, 28, 28]` in [0, 1] and their classes, alike in every split."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y
        self.spec = DataSpec(tuple(x.shape[1:]), "unit")

    def eval_batches(self, split: str, batch: int, limit: int | None = None) -> Any:  # noqa: ARG002
        places = torch.arange(limit or len(self.x)) * len(self.x) // (limit or len(self.x))
        for chunk in places.split(batch):
            yield self.x[chunk], self.y[chunk]


def coder(means: Tensor) -> VAE:
    """A model whose posterior mean of the example with first number i is `means[i]`."""

    class Look(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return means[x.flatten(1)[:, 0].long()]

    model = build("autoencoder", data.spec("digits"), latent=means.shape[1], hidden=[4])
    model.encoder = Look()
    model.posterior.loc = nn.Identity()
    return model


def test_classes_that_the_code_separates_are_found_and_classes_that_it_does_not_hold_are_not() -> None:
    n = 600
    y = torch.arange(n) % 3
    x = torch.arange(n, dtype=torch.float32)[:, None]
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    held: Any = Labelled(x, y)
    found = representation.accuracies(coder(corners[y] + noise), held, n)
    assert found == {"probe_accuracy": 1.0, "knn_accuracy": 1.0}
    blind = representation.accuracies(coder(noise), held, n)
    assert blind["probe_accuracy"] == pytest.approx(1 / 3, abs=0.1)
    # A ring around a disc is no matter of a plane, so the neighbours find it and the linear probe does not.
    angle = torch.linspace(0, 6.28, n)
    ring = torch.stack([angle.cos(), angle.sin()], 1) * (1 + 4 * (y == 0))[:, None]
    held = Labelled(x, (y == 0).long())
    found = representation.accuracies(coder(ring), held, n)
    assert found["knn_accuracy"] == 1.0
    assert found["probe_accuracy"] == pytest.approx(2 / 3, abs=0.05)


def test_the_probe_sees_axes_on_any_scale_and_learns_from_the_training_split() -> None:
    n = 400
    y = (torch.arange(n) >= n // 2).long()
    x = torch.arange(n, dtype=torch.float32)[:, None]
    code = torch.stack([1e-4 * (y - 0.5), torch.randn(n, generator=torch.Generator().manual_seed(0))], 1)
    held: Any = Labelled(x, y)
    assert representation.accuracies(coder(code), held, n)["probe_accuracy"] == 1.0
    # What holds in training alone is found nowhere else: here the labels of the test split are the other way round.
    turned = Labelled(x, 1 - y)
    inner = held.eval_batches
    held.eval_batches = lambda split, *at, **how: (turned.eval_batches if split == "test" else inner)(split, *at, **how)
    found = representation.accuracies(coder(torch.stack([10.0 * y, 0.0 * y], 1)), held, n)
    assert found == {"probe_accuracy": 0.0, "knn_accuracy": 0.0}
    held.eval_batches = inner
    asked: list[tuple[str, int | None]] = []
    inner = held.eval_batches
    held.eval_batches = lambda split, batch, limit=None: (asked.append((split, limit)), inner(split, batch, limit))[1]
    representation.accuracies(coder(code), held, 100)
    assert asked == [("train", 100), ("test", None)]


def test_five_neighbours_vote() -> None:
    """Of the five nearest two are of the other class, and they are the nearest."""
    centres = torch.arange(20.0).repeat_interleave(5) * 100
    near = torch.tensor([0.1, -0.2, 0.5, -0.6, 0.7]).repeat(20)
    y = torch.arange(20).repeat_interleave(5) % 2
    learnt: Any = Labelled(torch.arange(100.0)[:, None], torch.where(near.abs() < 0.4, 1 - y, y))
    asked = Labelled(torch.arange(100, 120.0)[:, None], torch.arange(20) % 2)
    inner = learnt.eval_batches
    learnt.eval_batches = lambda split, *at, **how: (asked.eval_batches if split == "test" else inner)(
        split, *at, **how
    )
    code = torch.cat([centres + near, torch.arange(20.0) * 100])[:, None]
    assert representation.accuracies(coder(code), learnt, 100)["knn_accuracy"] == 1.0


def test_neighbours_are_near_in_the_code_as_it_is() -> None:
    random = torch.Generator().manual_seed(2)
    code, y = torch.randn(200, 2, generator=random) * torch.tensor([9.0, 1.0]), torch.arange(200) % 2
    code[:, 1] += y

    def voted(points: Tensor) -> float:
        nearest = torch.cdist(points, points).topk(5, largest=False).indices
        return ((y[nearest].float().mean(1) > 0.5).long() == y).float().mean().item()

    found = representation.accuracies(coder(code), Labelled(torch.arange(200.0)[:, None], y), 200)  # type: ignore[arg-type]
    assert found["knn_accuracy"] == pytest.approx(voted(code))
    assert abs(voted(code) - voted(code / code.std(0))) > 0.02


def test_the_probe_is_a_regression_of_standardised_codes_that_nobody_has_tuned() -> None:
    random = torch.Generator().manual_seed(1)
    code, y = torch.randn(200, 12, generator=random) * 5 + 3, torch.arange(200) % 3
    code[:, 0] += 2 * y
    held: Any = Labelled(torch.arange(200.0)[:, None], y)
    found = representation.accuracies(coder(code), held, 30)["probe_accuracy"]
    places = torch.arange(30) * 200 // 30
    table = code.double().numpy()
    mean, spread = table[places].mean(0), table[places].std(0)
    share = {}
    for strength in (0.01, 1.0, 100.0):
        probe = LogisticRegression(C=strength, max_iter=5000).fit((table[places] - mean) / spread, y[places].numpy())
        share[strength] = probe.score((table - mean) / spread, y.numpy())
    assert found == pytest.approx(share[1.0])
    assert len(set(share.values())) == 3


def test_data_without_classes_have_no_accuracy() -> None:
    loaded = data.load("linear_gaussian", d=4, k=2, n=100)
    model = build("linear", loaded.spec, latent=2)
    assert representation.accuracies(model, loaded, 50) == {"probe_accuracy": None, "knn_accuracy": None}


def test_similarity_by_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, 28, 28, generator=generator)

    class Shows(nn.Module):
        conditional = False

        def __init__(self, change: Any) -> None:
            super().__init__()
            self.change = change

        def eval(self) -> Any:
            return self

        def reconstruct(self, x: Tensor) -> Tensor:
            return self.change(x)

    held: Any = Held(x, kind="unit")
    held.spec = DataSpec((1, 28, 28), "unit")
    assert representation.similarity(Shows(lambda x: x), held, 3) == pytest.approx(1.0)  # type: ignore[arg-type]
    # Two constant images: no variances, so what is left is the luminance term (2ab + C1) / (a^2 + b^2 + C1).
    held.x = torch.full((2, 1, 28, 28), 0.2)
    found = representation.similarity(Shows(lambda x: x + 0.5), held, 2)  # type: ignore[arg-type]
    assert found == pytest.approx((2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4), rel=1e-5)
    # Any two images, with moments under a Gaussian window of sigma 1.5 cut off at 11 x 11, where it is inside of them.
    held.x, other = x, torch.rand(3, 1, 28, 28, generator=generator)
    found = representation.similarity(Shows(lambda x: (x + other) / 2), held, 3)  # type: ignore[arg-type]
    a, b = x[:, 0].double().numpy(), ((x + other) / 2)[:, 0].double().numpy()

    def mean(values: Any) -> Any:
        smooth = [gaussian_filter(each, 1.5, truncate=5 / 1.5) for each in values]
        return np.stack(smooth)[:, 5:-5, 5:-5]

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    by_hand = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert found == pytest.approx(by_hand.mean(), rel=1e-5)


def test_similarity_is_for_images_as_large_as_the_window() -> None:
    loaded = data.load("digits")
    assert representation.similarity(build("vanilla", loaded.spec, latent=2, hidden=[4]), loaded, 5) is None


@pytest.mark.parametrize(("points", "told"), [(4, False), (5, True)])
def test_with_fewer_examples_than_neighbours_nothing_is_learnt(points: int, told: bool) -> None:
    held: Any = Labelled(torch.arange(20.0)[:, None], torch.arange(20) // 4 % 2)
    found = representation.accuracies(coder(torch.randn(20, 2)), held, points)
    assert {value is not None for value in found.values()} == {told}


@pytest.mark.parametrize(("shape", "told"), [((1, 11, 11), True), ((1, 10, 30), False), ((1, 30, 10), False)])
def test_the_window_fits_into_an_image_of_its_own_size(shape: tuple[int, ...], told: bool) -> None:
    held: Any = Labelled(torch.rand(6, *shape), torch.zeros(6))
    asked: list[int | None] = []
    inner = held.eval_batches
    held.eval_batches = lambda split, batch, limit=None: (asked.append(limit), inner(split, batch, limit))[1]
    model = build("vanilla", DataSpec(shape, "unit"), latent=2, hidden=[4])
    assert (representation.similarity(model, held, 3) is not None) == told
    assert asked == [3] * told
