"""What a run keeps to be looked at: the axes that vary most, and the covariance of draws."""

import io

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench import data
from bench.cells import pictures
from bench.judge.screen import Screen
from variants import registry


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
        self.z = z
        super().__init__(z.shape[1:-1], z.shape[-1:], validate_args=False)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return self.z[: sample_shape.numel()]


def test_a_covariance_of_draws_is_unbiased() -> None:
    z = torch.randn(pictures.MOMENT_DRAWS, 3, 4)
    expected = torch.stack([torch.cov(z[:, i].T) for i in range(3)])
    torch.testing.assert_close(pictures._covariance(Drawn(z)), expected)
