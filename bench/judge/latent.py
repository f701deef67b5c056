"""What there is to be seen in a latent space: traversals, interpolations, the aggregated posterior beside the prior;
and which examples a model does well and badly by."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import seeds
from bench.data.batches import Data
from bench.judge.bounds import EVAL_BATCH, Batches, given, scores
from variants.core import VAE, draw, is_real

# Test examples that are looked at, evenly spaced.
POINTS = 2000
AXES, VALUES = 6, (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
PAIRS, STEPS = 4, 9
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
EXTREMES, BINS = 8, 20

Arrays = dict[str, NDArray[Any]]
Show = Callable[[Tensor], NDArray[np.uint8]]


@torch.no_grad()
def seen(model: VAE, data: Data, show: Show) -> Arrays:
    """All of this module, with names by which pages find it. Images are uint8 out of 255.

    Args:
        model: left in evaluation mode.
        data: on the model's device; the test split is looked at.
        show: makes images of what is modelled, see `bench.judge.screen`.

    Returns:
        Of latents on R^D: `traversals` `[A, T, *shape]`, `traversal_axes` `[A]` and `traversal_values` `[T]`;
        `interpolations_linear` and `interpolations_great_circle` `[P, T, *shape]`; `aggregate_quantiles` and
        `prior_quantiles` `[L, D]` of each axis, with `quantile_levels` `[L]`, and `aggregate_norms` and `prior_norms`
        `[101]` of |z|, in steps of a percent. Of all: `class_labels`, `class_counts`, `class_elbo`, `class_recon` and
        `class_kl` `[C]`; `best_inputs`, `best_reconstructions`, `best_scores` and the same for `worst`. Of binary data:
        `reliability_mean`, `reliability_share` and `reliability_count` `[20]`.
    """
    model.eval()
    arrays: Arrays = {}
    if is_real(model.prior()):
        codes = torch.cat([model.infer(x).mean for x in _examples(data)])
        arrays |= traversals(model, codes, show)
        arrays |= interpolations(model, codes, show)
        arrays |= aggregate(model, _examples(data), len(codes))
    arrays |= by_example(model, data, show)
    if data.spec.kind == "binary":
        arrays |= reliability(model, data.eval_batches("test", EVAL_BATCH, limit=POINTS))
    return arrays


def _examples(data: Data) -> Iterator[Tensor]:
    return (x for x, _ in data.eval_batches("test", EVAL_BATCH, limit=POINTS))


def traversals(model: VAE, codes: Tensor, show: Show) -> Arrays:
    """Means of p(x|z) along the axes whose codes `[N, D]` vary most, the other axes being those of the first code."""
    axes = codes.var(0, correction=0).topk(min(AXES, codes.shape[1])).indices
    z = codes[0].repeat(len(axes), len(VALUES), 1)
    for row, axis in enumerate(axes.tolist()):
        z[row, :, axis] = torch.tensor(VALUES, device=z.device, dtype=z.dtype)
    return {
        "traversals": show(model.decode(z).mean),
        "traversal_axes": axes.cpu().numpy(),
        "traversal_values": np.array(VALUES),
    }


def interpolations(model: VAE, codes: Tensor, show: Show) -> Arrays:
    """Means of p(x|z) on the way from one code to another, in a line and along a great circle."""
    pairs = codes[torch.linspace(0, len(codes) - 1, 2 * PAIRS).long().to(codes.device)]
    first, second = pairs[:PAIRS, None], pairs[PAIRS:, None]
    t = torch.linspace(0, 1, STEPS, device=codes.device, dtype=codes.dtype).view(1, -1, 1)
    ways = {"linear": torch.lerp(first, second, t), "great_circle": great_circle(first, second, t)}
    return {f"interpolations_{name}": show(model.decode(z).mean) for name, z in ways.items()}


def great_circle(first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """Points between two vectors that turn evenly from one direction to the other while their length changes evenly; on
    a line where the directions are one or opposite.

    Source: Shoemake 1985, SIGGRAPH; for latents: White 2016, arXiv:1609.04468.
    """
    a, b = first.norm(dim=-1, keepdim=True), second.norm(dim=-1, keepdim=True)
    u, v = first / a.clamp(min=1e-12), second / b.clamp(min=1e-12)
    angle = (u * v).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    direction = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / sine.clamp(min=1e-12)
    return torch.where(sine > 1e-4, direction * torch.lerp(a, b, t), torch.lerp(first, second, t))


def aggregate(model: VAE, batches: Iterator[Tensor], n: int) -> Arrays:
    """Quantiles of z, axis by axis, and of |z|: of one draw from q(z|x) of each example, and of `n` from p(z)."""
    both = {
        "aggregate": torch.cat([draw(model.infer(x), torch.Size()) for x in batches]),
        "prior": model.prior().sample(torch.Size([n])),
    }
    arrays: Arrays = {"quantile_levels": np.array(LEVELS)}
    for name, z in both.items():
        points = z.cpu().double().numpy()
        arrays[f"{name}_quantiles"] = np.quantile(points, LEVELS, axis=0).astype(np.float32)
        lengths = np.linalg.norm(points, axis=1)
        arrays[f"{name}_norms"] = np.quantile(lengths, np.linspace(0, 1, 101)).astype(np.float32)
    return arrays


def by_example(model: VAE, data: Data, show: Show) -> Arrays:
    """Mean ELBO, reconstruction and KL of each class, and the examples with the highest and the lowest ELBO, or without
    one with the best and the worst reconstruction."""
    batches = [(x, y) for x, y in data.eval_batches("test", EVAL_BATCH, limit=POINTS)]
    found = scores(model, batches, samples=1, seed=seeds.JUDGE)
    labels = torch.cat([y for _, y in batches]).cpu()
    classes, counts = torch.unique(labels, return_counts=True)
    arrays: Arrays = {"class_labels": classes.numpy(), "class_counts": counts.numpy()}
    for name, values in (("elbo", found.elbo), ("recon", found.recon), ("kl", found.kl)):
        if values is not None:
            means = [values[labels == label].mean().item() for label in classes]
            arrays[f"class_{name}"] = np.array(means, dtype=np.float32)
    quality = found.recon if found.elbo is None else found.elbo
    x = torch.cat([x for x, _ in batches])
    order = quality.argsort(descending=True)
    for name, places in (("best", order[:EXTREMES]), ("worst", order.flip(0)[:EXTREMES])):
        shown = x[places.to(x.device)]
        batch = given(model, shown, labels[places].to(x.device))
        arrays[f"{name}_inputs"] = show(shown)
        arrays[f"{name}_reconstructions"] = show(model.reconstruct(batch))
        arrays[f"{name}_scores"] = quality[places].numpy().astype(np.float32)
    return arrays


def reliability(model: VAE, batches: Batches) -> Arrays:
    """How often a pixel is 1 beside the probability that p(x|z), z ~ q(z|x), gives it: by bins of that probability, its
    mean, the share of ones (both NaN in an empty bin) and the number of pixels.

    Source: DeGroot and Fienberg 1983, The Statistician 32:12; Guo et al. 2017, arXiv:1706.04599.
    """
    totals = np.zeros((3, BINS))
    for x, y in batches:
        p = model.decode(draw(model.infer(given(model, x, y)), torch.Size())).mean.flatten().cpu().double().numpy()
        which = np.clip((p * BINS).astype(np.int64), 0, BINS - 1)
        for row, weights in enumerate((p, x.flatten().cpu().double().numpy(), None)):
            totals[row] += np.bincount(which, weights, minlength=BINS)
    sums, ones, counts = totals
    with np.errstate(invalid="ignore"):
        mean, share = sums / counts, ones / counts
    return {"reliability_mean": mean, "reliability_share": share, "reliability_count": counts.astype(np.int64)}
