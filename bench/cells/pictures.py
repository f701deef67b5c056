"""What a run keeps to be looked at: reconstructions, samples, points on the latent plane."""

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.data.batches import Data
from bench.judge import latent
from bench.judge.bounds import given
from bench.judge.codes import code_maps
from bench.judge.screen import screen_of
from variants.core import VAE

# Evenly spaced test examples shown as reconstructions, draws from the prior, and points on the latent plane; draws for
# the covariance of a posterior that has none in closed form.
SHOWN, DRAWN, PLACED, MOMENT_DRAWS = 8, 32, 500, 64


def artefacts_of(model: VAE, loaded: Data) -> bytes:
    """Reconstructions, prior samples, the two most active latent axes with each posterior's covariance on them, the
    code at each place where codes are a map, and all of `bench.judge.latent.seen`."""
    model.eval()
    show = screen_of(loaded, latent.POINTS)
    points, labels = next(loaded.eval_batches("test", PLACED, limit=min(PLACED, loaded.splits["test"])))
    shown, classes = next(loaded.eval_batches("test", SHOWN, limit=min(SHOWN, loaded.splits["test"])))
    q = model.infer(given(model, points, labels))
    mean = q.mean
    axes = mean.var(0, correction=0).topk(min(2, mean.shape[-1])).indices
    arrays: dict[str, Any] = dict(
        inputs=show(shown),
        reconstructions=show(model.reconstruct(given(model, shown, classes))),
        samples=show(model.sample(DRAWN)),
        latent_mean=_numbers(mean[:, axes]),
        latent_cov=_numbers(_covariance(q, axes)),
        latent_axes=axes.cpu().numpy(),
        labels=labels.cpu().numpy(),
        **latent.seen(model, loaded, show),
    )
    maps = code_maps(model, given(model, shown, classes))
    if maps is not None:
        arrays["code_maps"] = maps.cpu().numpy().astype(np.uint16)  # `MOST_CODES` are fewer
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _covariance(q: Distribution, axes: Tensor) -> Tensor:
    """Of so many axes, `[B, A, A]`: in closed form, or where there is none that of draws.

    Thousands of latents have a covariance of gigabytes, of which two axes are shown.
    """
    matrix: Tensor | None = getattr(q, "covariance_matrix", None)
    if matrix is not None:
        return matrix[:, axes][:, :, axes]
    try:
        return q.variance[:, axes].diag_embed()
    except NotImplementedError:
        # A few at a time: on their way draws may pass maps of pixels.
        z = torch.cat([q.sample(torch.Size([8]))[..., axes] for _ in range(MOMENT_DRAWS // 8)])
        z = (z - z.mean(0)).movedim(0, -1)
        return z @ z.mT / (MOMENT_DRAWS - 1)


def _numbers(x: Tensor) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return x.to("cpu", torch.float32).numpy()
