"""What a code is good for, and how a reconstruction looks, without weights from elsewhere."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.data.batches import Data
from bench.judge.bounds import EVAL_BATCH, given
from variants.core import VAE

NEIGHBOURS = 5
# Wang et al. 2004: a Gaussian window of 11 x 11 pixels.
SSIM_WINDOW = 11


@torch.no_grad()
def codes(model: VAE, data: Data, split: str, points: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Posterior means `[N, D]` float64 and labels `[N]` of so many evenly spaced examples of a split, None for all."""
    model.eval()
    means, labels = [], []
    for x, y in data.eval_batches(split, EVAL_BATCH, limit=points):
        means.append(model.infer(x).mean.cpu().double())
        labels.append(y.cpu())
    return torch.cat(means).numpy(), torch.cat(labels).numpy()


def accuracies(model: VAE, data: Data, points: int) -> dict[str, float | None]:
    """Share of test examples whose class is found from the posterior mean; None for data without classes.

    `probe_accuracy`: multinomial logistic regression on standardised codes (Alain and Bengio 2016, arXiv:1610.01644),
    C = 1, nothing tuned. `knn_accuracy`: the five nearest by Euclidean distance in the code as it is.

    Args:
        model: left in evaluation mode.
        data: learnt on its training split, judged on the whole test split.
        points: evenly spaced training examples to learn from.
    """
    train, classes = codes(model, data, "train", points)
    if len(np.unique(classes)) < 2 or len(classes) < NEIGHBOURS:
        return {"probe_accuracy": None, "knn_accuracy": None}
    test, truth = codes(model, data, "test", None)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    nearest = KNeighborsClassifier(NEIGHBOURS)
    # The probes use the cell's share of the cores; a probe that stops early is still the probe that it is.
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            "probe_accuracy": float(probe.fit(train, classes).score(test, truth)),
            "knn_accuracy": float(nearest.fit(train, classes).score(test, truth)),
        }


@torch.no_grad()
def similarity(model: VAE, data: Data, points: int) -> float | None:
    """Mean structural similarity between x and the decoder's mean at the posterior mean, over test images.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, IEEE Transactions on Image Processing 13(4), with their Gaussian
    window and constants; channels are averaged.

    Args:
        model: left in evaluation mode.
        data: its examples lie in [0, 1].
        points: evenly spaced test examples.

    Returns:
        At most 1, or None for data that are no images, or smaller than the window.
    """
    shape = data.spec.shape
    if len(shape) != 3 or min(shape[1:]) < SSIM_WINDOW:
        return None
    model.eval()
    similarities = []
    for x, y in data.eval_batches("test", EVAL_BATCH, limit=points):
        rebuilt = model.reconstruct(given(model, x, y))
        for image, shown in zip(x.cpu().double().numpy(), rebuilt.cpu().double().numpy(), strict=True):
            similarities.append(
                structural_similarity(  # type: ignore[no-untyped-call]
                    image,
                    shown,
                    data_range=1.0,
                    channel_axis=0,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                )
            )
    return float(np.mean(similarities))
