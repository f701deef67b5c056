"""Generated examples beside real ones, in a feature space.

`compare` takes any features `[N, d]`: of a network of your own as well as of `bench.judge.features`. Distances are
Euclidean. What is compared with itself has a Frechet distance of 0, a KID of 0 on average, a density of 1 and a
coverage of `1 - 2^-k`, about, and is told from the real ones in half of the cases.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_chunked
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

from bench import seeds
from bench.data.batches import Data
from bench.errors import DataError
from bench.judge.bounds import EVAL_BATCH
from bench.judge.features import features, space
from variants.core import VAE, draw, is_real
from variants.parts.coupling import Flow

# Naeem et al. 2020 for precision, recall, density and coverage.
NEIGHBOURS = 5
# Cells of the memorisation test, and the fewest examples that one must have.
CELLS, FEWEST = 5, 20
NAMES = ("frechet", "kid", "precision", "recall", "density", "coverage", "told_apart", "memorisation")
# What plays the generated examples: draws of x, means of p(x|z), draws of x with z from a density that was fitted to
# codes after training, a mixture or a flow, training examples, and independent pixels.
KINDS = {
    "": "draws",
    "_means": "means",
    "_fitted": "fitted",
    "_fitted_flow": "fitted_flow",
    "_floor": "train",
    "_ceiling": "independent",
}
# Training examples to whose codes a density is fitted, and components of the mixture (Ghosh et al. 2020).
CODES, COMPONENTS = 10_000, 10
# Steps of Adam that fit the flow, codes a step, and its step size at the start, which falls to zero.
FLOW_STEPS, FLOW_BATCH, FLOW_LR = 1000, 512, 2e-3

Array = NDArray[np.float64]


def scores(
    model: VAE, data: Data, points: int, own: Callable[[Tensor], Any] | None = None
) -> tuple[dict[str, float | None], str | None]:
    """`NAMES` of draws from the model, of means where the data are not binary, of draws with fitted codes where those
    are points of R^D, and of the two anchors, each with its ending of `KINDS`; and the sum of the feature space, None
    of one's own. All None for data without classes, unless features are given.

    Args:
        model: left in evaluation mode.
        data: on the model's device.
        points: examples that are generated; as many of the test split at most.
        own: features in the place of those of `bench.judge.features`: x `[B, *shape]` -> `[B, W]`.

    Raises:
        DataError: what `own` gives are no finite numbers, or not those of B examples.
    """
    kinds = [ending for ending in KINDS if ending != "_means" or data.spec.kind != "binary"]
    metrics: dict[str, float | None] = {name + ending: None for ending in kinds for name in NAMES}
    metrics["feature_accuracy"] = None
    known = None if own else space(data)
    look = partial(_of_one_s_own, own) if own else partial(features, known.network) if known else None
    n = min(points, data.splits["test"], data.splits["train"])
    # The floor is half of the training split.
    if look is None or min(n, data.splits["train"] // 2) <= NEIGHBOURS:
        return metrics, None

    def seen(batches: Iterator[Tensor]) -> Array:
        return np.concatenate([look(x) for x in batches])

    possible = _samplers(model)
    kinds = [ending for ending in kinds if KINDS[ending] not in SAMPLERS or KINDS[ending] in possible]
    real = seen(x for x, _ in data.eval_batches("test", EVAL_BATCH, limit=n))
    # Two halves of the training split: one to memorise, the other to play what is generated.
    train = seen(x for x, _ in data.eval_batches("train", EVAL_BATCH, limit=2 * n))
    with threadpool_limits(torch.get_num_threads()):
        for ending in kinds:
            fake = train[1::2] if ending == "_floor" else seen(generated(model, data, KINDS[ending], n))
            found = compare(fake, real, train[::2])
            metrics |= {name + ending: value for name, value in found.items()}
    metrics["feature_accuracy"] = known.accuracy if known else None
    return metrics, known.sha256 if known else None


def _of_one_s_own(own: Callable[[Tensor], Any], x: Tensor) -> Array:
    found = own(x)
    rows = np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found, dtype=np.float64)
    if rows.shape[:1] != (len(x),) or not np.isfinite(rows).all():
        raise DataError(f"features must be finite numbers, a row for each of {len(x)} examples, got {rows.shape}")
    return rows.reshape(len(x), -1)


@torch.no_grad()
def generated(model: VAE, data: Data, kind: str, n: int) -> Iterator[Tensor]:
    """`n` examples in batches `[B, *shape]`: `"draws"` x ~ p(x|z) of z ~ p(z), `"means"` of p(x|z), `"fitted"` and
    `"fitted_flow"`, x ~ p(x|z) of `fitted_codes` and of `fitted_flow_codes`, or `"independent"`, each value of which is
    that of another training example."""
    model.eval()
    device = next(model.parameters()).device.type
    if kind == "independent":
        random = seeds.generator(seeds.JUDGE, "independent pixels")
        for x, _ in data.eval_batches("train", EVAL_BATCH, limit=n):
            flat = x.flatten(1).cpu()
            order = torch.rand(flat.shape, generator=random).argsort(0)
            yield flat.gather(0, order).view(x.shape).to(x.device)
        return
    fitted = SAMPLERS[kind](model, data, n) if kind in SAMPLERS else None
    for start in range(0, n, EVAL_BATCH):
        # One stream for draws and means: they are of the same z.
        with seeds.stream(seeds.derive(seeds.JUDGE, f"samples {start}"), kind, device):
            torch.manual_seed(seeds.derive(seeds.JUDGE, f"z {start}"))
            shape = torch.Size([min(EVAL_BATCH, n - start)])
            p = model.decode(model.prior().sample(shape) if fitted is None else fitted[start : start + shape[0]])
            x = p.mean if kind == "means" else p.sample()
            yield x.clamp(0, 1) if data.spec.kind in ("unit", "levels") else x


@torch.no_grad()
def _codes(model: VAE, data: Data) -> Tensor:
    """One z ~ q(z|x) of each of up to `CODES` training examples, `[N, D]`."""
    model.eval()
    with seeds.stream(seeds.JUDGE, "fitted codes", next(model.parameters()).device.type):
        return torch.cat([draw(model.infer(x)) for x, _ in data.eval_batches("train", EVAL_BATCH, limit=CODES)])


def fitted_codes(model: VAE, data: Data, n: int) -> Tensor:
    """`n` draws `[n, D]` of a mixture of full Gaussians that is fitted to codes of training examples, one z ~ q(z|x) of
    each: a sampler for any model on R^D, which changes neither its p(z) nor its ELBO.

    Source: Ghosh, Sajjadi, Vergari, Black and Schoelkopf 2020, arXiv:1903.12436, section 4 (ex-post estimation).
    """
    z = _codes(model, data)
    mixture = GaussianMixture(min(COMPONENTS, len(z)), random_state=seeds.JUDGE).fit(z.cpu().double().numpy())
    found = mixture.sample(n)[0]
    # They come component by component: any part of them is to be like the whole.
    order = np.random.default_rng(seeds.JUDGE).permutation(n)
    return torch.as_tensor(found[order], dtype=z.dtype, device=z.device)


def fitted_flow_codes(model: VAE, data: Data, n: int) -> Tensor:
    """`n` draws `[n, D]` of a flow of affine couplings that is fitted by maximum likelihood to the codes of
    `fitted_codes`, each axis less its mean and over its standard deviation; D is at least 2.

    Source: Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803 (RealNVP); Ghosh et al. 2020, see `fitted_codes`.
    """
    z = _codes(model, data)
    mean, scale = z.mean(0), z.std(0).clamp(min=torch.finfo(z.dtype).tiny)
    z = (z - mean) / scale
    with seeds.stream(seeds.JUDGE, "fitted flow", z.device.type), torch.enable_grad():
        flow = Flow(z.shape[-1]).to(z)
        optim = torch.optim.Adam(flow.parameters(), lr=FLOW_LR, fused=True)
        for step in range(FLOW_STEPS):
            optim.param_groups[0]["lr"] = FLOW_LR * (1 - step / FLOW_STEPS)
            optim.zero_grad(set_to_none=True)
            loss = -flow().log_prob(z[torch.randint(len(z), (FLOW_BATCH,), device=z.device)]).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optim.step()
        drawn: Tensor = mean + scale * flow().sample(torch.Size([n]))
        return drawn


# Densities that are fitted to codes, by kind.
SAMPLERS = {"fitted": fitted_codes, "fitted_flow": fitted_flow_codes}


@torch.no_grad()
def _samplers(model: VAE) -> list[str]:
    """Those of `SAMPLERS` that can be fitted: couplings move one part of a code by another."""
    p = model.prior()
    return [] if not is_real(p) else [kind for kind in SAMPLERS if kind != "fitted_flow" or p.event_shape[-1] > 1]


def compare(fake: Array, real: Array, train: Array) -> dict[str, float | None]:
    """All of `NAMES`, of features.

    Args:
        fake: of generated examples, `[M, d]`.
        real: of test examples, `[N, d]`.
        train: of training examples, `[T, d]`.
    """
    return {
        "frechet": frechet(fake, real),
        "kid": kid(fake, real),
        **neighbourhoods(fake, real),
        "told_apart": told_apart(fake, real),
        "memorisation": memorisation(fake, real, train),
    }


def frechet(a: Array, b: Array) -> float:
    """Frechet distance of the Gaussians of two samples, |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2).

    Source: Dowson and Landau 1982, Journal of Multivariate Analysis 12:450; of features: Heusel et al. 2017,
    arXiv:1706.08500. Too high by about d/N, so figures of different N do not compare.
    """
    first, second = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)
    shift = np.square(a.mean(0) - b.mean(0)).sum()
    return float(shift + np.trace(first) + np.trace(second) - 2 * np.sqrt(product).sum())


def kid(a: Array, b: Array) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x'y / d + 1)^3; it may be below zero.

    Source: Binkowski et al. 2018, arXiv:1801.01401, who average it over subsets; here it is of all pairs at once.
    """

    def mean(x: Array, y: Array, same: bool) -> float:
        total = 0.0
        for start in range(0, len(x), 1000):
            part = x[start : start + 1000]
            kernel = (part @ y.T / x.shape[1] + 1) ** 3
            if same:  # an example and itself say nothing of two
                kernel[np.arange(len(part)), start + np.arange(len(part))] = 0.0
            total += kernel.sum()
        return float(total / (len(x) * (len(y) - 1 if same else len(y))))

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


def neighbourhoods(fake: Array, real: Array) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797), by balls that reach to the `NEIGHBOURS`-th nearest of their own kind, itself not counted."""
    of_real, of_fake = (_radii(each) for each in (real, fake))
    precise, dense = 0, 0
    covered, recalled = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    start = 0
    for distances in pairwise_distances_chunked(fake, real):
        inside = distances < of_real
        precise += int(inside.any(1).sum())
        dense += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distances < of_fake[start : start + len(distances), None]).any(0)
        start += len(distances)
    return {
        "precision": precise / len(fake),
        "recall": float(recalled.mean()),
        "density": dense / (NEIGHBOURS * len(fake)),
        "coverage": float(covered.mean()),
    }


def _radii(x: Array) -> Array:
    distances, _ = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(x).kneighbors()
    return np.asarray(distances[:, -1])


def told_apart(fake: Array, real: Array) -> float:
    """Share of both kinds whose nearest other example is of their own kind: 1/2 where they are alike, less where
    generated examples copy these real ones.

    Source: Lopez-Paz and Oquab 2017, arXiv:1610.06545; Xu et al. 2018, arXiv:1806.07755.
    """
    n = min(len(fake), len(real))
    both, kinds = np.concatenate([fake[:n], real[:n]]), np.repeat([0, 1], n)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(both).kneighbors(return_distance=False)[:, 0]
    return float((kinds[nearest] == kinds).mean())


def memorisation(fake: Array, real: Array, train: Array) -> float | None:
    """How much nearer test examples are to training examples than generated ones, in standard deviations of a
    Mann-Whitney test, mean over cells of the space: far below zero, generated examples are copies of training
    examples; far above, they are far from them. None where no cell has enough examples.

    Source: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675.
    """
    index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train)
    cells = KMeans(min(CELLS, len(train)), n_init=1, random_state=seeds.JUDGE).fit(train)
    (d_fake, c_fake), (d_real, c_real) = (
        (index.kneighbors(each)[0][:, 0], cells.predict(each)) for each in (fake, real)
    )
    total, weight = 0.0, 0
    for cell in range(cells.n_clusters):
        near, far = d_fake[c_fake == cell], d_real[c_real == cell]
        if min(len(near), len(far)) >= FEWEST:
            total += len(far) * _mann_whitney(near, far)
            weight += len(far)
    return total / weight if weight else None


def _mann_whitney(a: Array, b: Array) -> float:
    """Standard score of the number of pairs in which a is above b; below zero where a tends to be the smaller."""
    m, n = len(a), len(b)
    above = rankdata(np.concatenate([a, b]))[:m].sum() - m * (m + 1) / 2
    return float((above - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))
