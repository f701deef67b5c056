"""What a run keeps to be looked at: the axes that vary most, and the covariance of draws."""

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from bench import data
from bench.cells import pictures
from bench.judge.codes import code_maps
from bench.judge.screen import Screen
from variants import registry
from variants.core import Batch


def test_the_latent_plane_is_that_of_the_two_axes_that_vary_most() -> None:
    loaded = data.load("digits", train_size=200)
    model = registry.seeded("vanilla", loaded.spec, 0, latent=5, hidden=[8])
    with torch.no_grad():
        model.posterior.loc.weight[[4, 2]] *= 20  # type: ignore[operator,index]
        model.posterior.log_scale.bias.copy_(0.1 * torch.arange(5))  # type: ignore[operator,union-attr]
    with torch.no_grad(), np.load(io.BytesIO(pictures.artefacts_of(model, loaded))) as arrays:
        x, _ = next(loaded.eval_batches("test", 500, limit=min(500, loaded.splits["test"])))
        q = model.infer(x)
        means = q.mean.numpy()
        spread = means.var(0)
        assert arrays["latent_axes"].tolist() == np.argsort(-spread)[:2].tolist()
        assert set(arrays["latent_axes"]) == {2, 4}
        np.testing.assert_array_equal(arrays["latent_mean"], means[:, arrays["latent_axes"]])
        shown, _ = next(loaded.eval_batches("test", pictures.SHOWN, limit=pictures.SHOWN))
        for name, images in (("inputs", shown), ("reconstructions", model.reconstruct(shown))):
            np.testing.assert_array_equal(arrays[name], Screen()(images))
        covariance = q.variance[:, arrays["latent_axes"]].diag_embed()
        np.testing.assert_array_equal(arrays["latent_cov"], covariance.numpy())


class Drawn(Distribution):
    """Of which nothing is known but draws."""

    def __init__(self, z: Tensor) -> None:
        self.z, self.given = z, 0
        super().__init__(z.shape[1:-1], z.shape[-1:], validate_args=False)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        self.given += sample_shape.numel()
        return self.z[self.given - sample_shape.numel() : self.given]


def test_a_covariance_of_draws_is_unbiased() -> None:
    z = torch.randn(pictures.MOMENT_DRAWS, 3, 4)
    expected = torch.stack([torch.cov(z[:, i, [3, 1]].T) for i in range(3)])
    torch.testing.assert_close(pictures._covariance(Drawn(z), torch.tensor([3, 1])), expected)


def test_the_covariance_of_two_axes_of_many_latents_is_all_that_is_made() -> None:
    """That of all would be 400 GB."""
    q = Independent(Normal(torch.zeros(10, 100_000), torch.linspace(1, 2, 100_000).expand(10, -1)), 1)
    found = pictures._covariance(q, torch.tensor([99_999, 0]))
    torch.testing.assert_close(found, torch.tensor([[4.0, 0.0], [0.0, 1.0]]).expand(10, 2, 2))


def test_what_is_shown_is_of_the_test_split() -> None:
    loaded = data.load("digits", train_size=200)
    asked: list[tuple[str, int | None]] = []
    inner = loaded.eval_batches
    loaded.eval_batches = lambda split, size, limit=None: (asked.append((split, limit)), inner(split, size, limit))[1]  # type: ignore[method-assign]
    model = registry.seeded("vanilla", loaded.spec, 0, latent=2, hidden=[8])
    with torch.no_grad(), np.load(io.BytesIO(pictures.artefacts_of(model, loaded))) as arrays:
        assert (len(arrays["inputs"]), len(arrays["samples"]), len(arrays["latent_mean"])) == (8, 32, 250)
    assert {split for split, _ in asked} == {"test"}
    assert {limit for _, limit in asked} == {8, 250, 2000}


def test_pictures_of_a_given_class_are_of_the_class_of_each() -> None:
    loaded = data.load("digits", train_size=200)
    model = registry.seeded("conditional", loaded.spec, 0, latent=12, hidden=[8], class_hidden=[5])
    with torch.no_grad(), np.load(io.BytesIO(pictures.artefacts_of(model, loaded))) as arrays:
        x, y = next(loaded.eval_batches("test", 500, limit=250))
        means = model.infer(Batch(x, c=y)).mean.numpy()
        np.testing.assert_allclose(arrays["latent_mean"], means[:, arrays["latent_axes"]], atol=1e-6)
        x, y = next(loaded.eval_batches("test", pictures.SHOWN, limit=pictures.SHOWN))
        np.testing.assert_array_equal(arrays["reconstructions"], Screen()(model.reconstruct(Batch(x, c=y))))


def test_maps_of_codes_are_of_what_is_shown_beside_them() -> None:
    loaded = data.load("digits", train_size=200)
    options = {"code_size": 4, "latent": 16, "codes": 8, "channels": [4, 6], "order_width": 8}
    model: Any = registry.seeded("vq_spatial", loaded.spec, 0, **options)
    with torch.no_grad():
        model.prior.book.weight.mul_(1e-3)  # of short vectors the nearest is one of the same direction: all are used
    with torch.no_grad(), np.load(io.BytesIO(pictures.artefacts_of(model, loaded))) as arrays:
        x, _ = next(loaded.eval_batches("test", pictures.SHOWN, limit=pictures.SHOWN))
        maps = arrays["code_maps"]
        assert len(np.unique(maps, axis=0)) > 1
        np.testing.assert_array_equal(maps, code_maps(model.eval(), x))
