"""Unsupervised disentanglement ranking: how far several seeds of a variant found the same axes. Needs no factors."""

import statistics
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from bench.data.batches import Data
from bench.judge.factors import Array, live_axes
from bench.judge.representation import codes
from variants.core import VAE


def scores(models: Sequence[VAE], data: Data, points: int) -> list[float]:
    """Of each model the median of its `agreement` with the others, 0 to 1.

    Source: Duan, Matthey, Saraiva, Watters, Burgess, Lerchner and Higgins 2020, arXiv:1905.12614, UDR_S. In the paper
    axes count by their KL, which not every posterior has axis by axis; here, as for all scores of codes, those count
    whose posterior means vary.

    Its cost is that of encoding the points once with each model.

    Args:
        models: two or more, of one variant and different seeds; left in evaluation mode.
        data: the test split is read.
        points: evenly spaced examples, at most.
    """
    found = [mu[:, live_axes(mu)] for mu, _ in (codes(model, data, "test", points) for model in models)]
    return [statistics.median(agreement(a, b) for b in found if b is not a) for a in found]


def agreement(a: Array, b: Array) -> float:
    """How far each axis of one code is an axis of the other, codes `[N, D_a]` and `[N, D_b]` of the same examples.

    With R the rank correlations without their signs, each axis has its largest R squared over the sum of its R; the
    mean is over all D_a + D_b axes. Codes without an axis agree with none: 0.
    """
    if not a.shape[1] or not b.shape[1]:
        return 0.0
    ranks = rankdata(np.hstack([a, b]), axis=0)
    r = np.abs(np.corrcoef(ranks, rowvar=False))[: a.shape[1], a.shape[1] :]
    sides = [r.max(axis) ** 2 / np.maximum(r.sum(axis), np.finfo(float).tiny) for axis in (0, 1)]
    return float(np.concatenate(sides).mean())
