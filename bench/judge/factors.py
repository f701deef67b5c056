"""How the axes of a code stand to the factors that the examples were made from.

Codes are posterior means mu `[N, D]`, factors v `[N, F]` whole numbers. Every score is the same for axes in another
order or of another sign, and for axes that are each stretched; none is for rotated ones. Axes whose codes hardly vary
are left out, and so are factors that do not vary: neither helps or harms a score, however many there are. All scores
but the total correlation are at most 1. Higher is better.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.metrics.cluster import expected_mutual_information
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench import seeds
from bench.data.batches import Data
from bench.judge.representation import codes
from variants.core import VAE

# Locatello et al. 2019 take an axis to be dead whose standard deviation is below this, in units of the prior's.
LIVE = 0.05
# disentanglement_lib's number of bins, the least of ours.
BINS = 20
# Tails that are put into the outermost bins, which one outlier would else stretch.
TAIL = 0.005
TREES = 50
# Examples of a vote, votes to learn from, votes to judge by.
GROUP, VOTES, JUDGED = 64, 800, 400
# So many standard deviations above what chance gives, information counts as information and skill as skill.
SIGNIFICANT = 4.0
# The largest deviation of many is that of an outlier: the paper's supremum is taken as this quantile.
SUPREMUM = 0.99

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

NAMES = (
    "mig",
    "mig_dlib",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "beta_vae_score",
    "factor_vae_score",
    "modularity",
    "explicitness",
    "irs",
)


@dataclass(frozen=True)
class Coded:
    """Codes of one split beside the factors of the same examples, without dead axes and constant factors.

    Attributes:
        mu: `[N, D]`; one axis of zeros where all are dead.
        v: `[N, F]`, values counted from 0 to their number less one.
        ordered: of each factor, whether its values have an order.
    """

    mu: Array
    v: Whole
    ordered: tuple[bool, ...]


def live_axes(mu: Array) -> NDArray[np.bool_]:
    """`[D]`: whether the codes vary along an axis."""
    return np.asarray(mu.std(0) > LIVE)


def scores(model: VAE, data: Data, points: int) -> dict[str, float | int | None]:
    """All of `NAMES`, `gaussian_tc_nats` and `live_axes`; those that need factors are None for data without any.

    Args:
        model: left in evaluation mode.
        data: what must be learnt is learnt on its training split; the test split is judged by.
        points: evenly spaced examples of either split, at most.
    """
    test_mu, _ = codes(model, data, "test", points)
    alive = live_axes(test_mu)
    metrics: dict[str, float | int | None] = dict.fromkeys(NAMES)
    metrics["live_axes"] = int(alive.sum())
    correlation = gaussian_tc(test_mu[:, alive])
    metrics["gaussian_tc_nats"] = correlation if math.isfinite(correlation) else None
    if data.factors is None:
        return metrics
    train_mu, _ = codes(model, data, "train", points)
    train_v = data.factors.values["train"][data.places("train", points)]
    test_v = data.factors.values["test"][data.places("test", points)]
    varies = np.array([len(np.unique(each)) > 1 for each in test_v.T]) & (np.ptp(train_v, axis=0) > 0)
    if not varies.any():
        return metrics
    if not alive.any():
        train_mu, test_mu, alive = np.zeros((len(train_mu), 1)), np.zeros((len(test_mu), 1)), np.array([True])
    ordered = tuple(factor.ordered for factor, keep in zip(data.factors.table, varies, strict=True) if keep)
    train = Coded(train_mu[:, alive], train_v[:, varies], ordered)
    test = Coded(test_mu[:, alive], test_v[:, varies], ordered)
    random = np.random.default_rng(seeds.derive(seeds.JUDGE, "factors"))
    # The probes use the cell's share of the cores; a probe that stops early is still the probe that it is.
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return metrics | of_codes(train, test, random)


def of_codes(train: Coded, test: Coded, random: np.random.Generator) -> dict[str, float | None]:
    """All of `NAMES`, from codes that are there.

    Args:
        train: what must be learnt is learnt from it.
        test: judged by.
        random: for the trees and the votes.
    """
    information, most, noise = informations(test)
    importances, skills = forest_importances(train, test, seed=int(random.integers(2**31)))
    disentanglement, completeness = dci(importances)
    return {
        "mig": gap(information / most),
        "mig_dlib": mig_dlib(test),
        "dci_disentanglement": disentanglement,
        "dci_completeness": completeness,
        "dci_informativeness": float(skills.mean()),
        "sap": gap(separability(test)),
        "beta_vae_score": beta_vae(train, test, random),
        "factor_vae_score": factor_vae(train, test, random),
        "modularity": modularity(information, noise),
        "explicitness": explicitness(train, test),
        "irs": irs(test),
    }


def gap(each: Array) -> float:
    """Mean over factors of the best axis less the second best, of `[D, F]`, neither of which is below zero."""
    ranked = np.sort(np.vstack([each, np.zeros((1, each.shape[1]))]), axis=0)
    return float((ranked[-1] - ranked[-2]).mean())


def _entropy(counts: Whole) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def binned(axis: Array, bins: int) -> Whole:
    """The bin of equal width of each number: all of its own where there are no more numbers than bins."""
    values, which = np.unique(axis, return_inverse=True)
    if len(values) <= bins:
        return which.astype(np.int64)
    low, high = np.quantile(axis, [TAIL, 1 - TAIL])
    if low == high:
        low, high = values[0], values[-1]
    return np.asarray(np.clip((axis - low) / (high - low) * bins, 0, bins - 1), dtype=np.int64)


def _table(a: Whole, b: Whole) -> Whole:
    table = np.zeros((a.max() + 1, b.max() + 1), dtype=np.int64)
    np.add.at(table, (a, b), 1)
    return table


def informations(coded: Coded) -> tuple[Array, Array, Array]:
    """Mutual information of each axis and each factor, with at least twice as many bins as the factor has values.

    Fewer bins than values cap what a perfect code can reach, and what is counted from few examples is too high: what
    would be counted on average were the factor shuffled is taken off (Vinh, Epps and Bailey 2010, JMLR 11:2837).

    Returns:
        `[D, F]` in nats, which may be below zero; the most that each may be, `[D, F]`; and the standard deviation that
        it has where there is no information, `[D, F]`.
    """
    n, shape = len(coded.mu), (coded.mu.shape[1], coded.v.shape[1])
    information, most, noise = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for k, v in enumerate(coded.v.T):
        values = len(np.unique(v))
        for j, axis in enumerate(coded.mu.T):
            table = _table(binned(axis, max(BINS, 2 * values)), v)
            table = table[table.any(1)][:, table.any(0)]
            by_chance = expected_mutual_information(table, n)
            information[j, k] = mutual_info_score(None, None, contingency=table) - by_chance
            most[j, k] = _entropy(table.sum(0)) - by_chance
            # 2 N times the information that is counted where there is none is chi-squared.
            noise[j, k] = math.sqrt((table.shape[0] - 1) * (table.shape[1] - 1) / 2) / n
    return information, most, noise


def mig_dlib(coded: Coded) -> float:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942) as disentanglement_lib has it: 20 bins from the
    lowest to the highest code, whatever the factor, and nothing corrected."""
    information = np.zeros((coded.mu.shape[1], coded.v.shape[1]))
    for k, v in enumerate(coded.v.T):
        h_v = _entropy(np.bincount(v))
        for j, axis in enumerate(coded.mu.T):
            edges = np.histogram_bin_edges(axis, BINS)[1:-1]
            table = _table(np.digitize(axis, edges).astype(np.int64), v)
            information[j, k] = mutual_info_score(None, None, contingency=table) / h_v
    return gap(information)


def _skill(accuracy: float, v: Whole) -> float:
    """Accuracy from 0, that of the most frequent value, to 1; 0 as well where luck alone would do as much."""
    chance = float(np.bincount(v).max() / len(v))
    luck = SIGNIFICANT * math.sqrt(chance * (1 - chance) / len(v))
    return (accuracy - chance) / (1 - chance) if accuracy > chance + luck else 0.0


def forest_importances(train: Coded, test: Coded, seed: int) -> tuple[Array, Array]:
    """Importance of each axis for each factor, `[D, F]`, and how well they tell the factor, `[F]` from 0 to 1.

    Importances of trees add up to one for a factor of which they predict nothing; here to how well they predict it.
    """
    importances, skills = np.zeros((train.mu.shape[1], train.v.shape[1])), np.zeros(train.v.shape[1])
    for k in range(train.v.shape[1]):
        # All axes stand for choice at each split: a tree that is offered two of them must use what is useless.
        forest = RandomForestClassifier(TREES, max_features=None, random_state=seed)
        forest.fit(train.mu, train.v[:, k])
        skills[k] = _skill(forest.score(test.mu, test.v[:, k]), test.v[:, k])
        importances[:, k] = skills[k] * forest.feature_importances_
    return importances, skills


def _concentration(parts: Array) -> Array:
    """1 - H(P) / log n of each row of `[M, n]` that is divided by its sum; 0 for a row of zeros, 1 where n is one."""
    total = parts.sum(1, keepdims=True)
    share = np.divide(parts, total, out=np.full_like(parts, 1 / parts.shape[1]), where=total > 0)
    if parts.shape[1] == 1:
        return np.asarray(total[:, 0] > 0, dtype=float)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray(1 + (share * logs).sum(1) / math.log(parts.shape[1]))


def dci(importances: Array) -> tuple[float, float]:
    """Disentanglement, how few factors an axis tells, and completeness, how few axes tell a factor, of `[D, F]`.

    Source: Eastwood and Williams 2018, "A framework for the quantitative evaluation of disentangled representations".
    """
    total = importances.sum()
    if total <= 0:
        return 0.0, 0.0
    disentanglement = float((_concentration(importances) * importances.sum(1)).sum() / total)
    completeness = float((_concentration(importances.T) * importances.sum(0)).sum() / total)
    return disentanglement, completeness


def separability(coded: Coded) -> Array:
    """How well one axis alone tells one factor, `[D, F]` from 0 to 1: R^2 of a line where values have an order, else
    the skill of the nearest class mean.

    Source: Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848, whose linear classifiers on one number cannot
    single out a class in the middle.
    """
    each = np.zeros((coded.mu.shape[1], coded.v.shape[1]))
    for j, axis in enumerate(coded.mu.T):
        if np.ptp(axis) == 0:
            continue
        for k, v in enumerate(coded.v.T):
            if coded.ordered[k]:
                each[j, k] = np.corrcoef(axis, v)[0, 1] ** 2
            else:
                nearest = NearestCentroid().fit(axis[:, None], v)
                each[j, k] = _skill(nearest.score(axis[:, None], v), v)
    return each


def _alike(coded: Coded, votes: int, size: int, random: np.random.Generator) -> tuple[Whole, Whole]:
    """For each vote a factor `[V]`, and examples `[V, size]` that all have one value of it, drawn with replacement."""
    alike = [[np.flatnonzero(v == value) for value in np.unique(v)] for v in coded.v.T]
    factors = random.integers(len(alike), size=votes)
    rows = np.empty((votes, size), dtype=np.int64)
    for vote, k in enumerate(factors):
        same = alike[k][random.integers(len(alike[k]))]
        rows[vote] = same[random.integers(len(same), size=size)]
    return factors, rows


def beta_vae(train: Coded, test: Coded, random: np.random.Generator) -> float:
    """Share of votes whose common factor a linear classifier finds from mean |mu_1 - mu_2| of pairs that share it.

    Source: Higgins et al. 2017, "beta-VAE", ICLR. Chance is one over the number of factors.
    """

    def differences(coded: Coded, votes: int) -> tuple[Array, Whole]:
        factors, rows = _alike(coded, votes, 2 * GROUP, random)
        first, second = np.split(coded.mu[rows], 2, axis=1)
        return np.abs(first - second).mean(1), factors

    x, k = differences(train, VOTES)
    if len(np.unique(k)) < 2:
        return 1.0  # of one factor there is nothing to find
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=1000)).fit(x, k)
    return float(probe.score(*differences(test, JUDGED)))


def factor_vae(train: Coded, test: Coded, random: np.random.Generator) -> float:
    """Share of votes whose common factor is the one that most votes for the same axis have; an axis is voted for where
    it varies least among examples that share the factor, against how it varies at all.

    Source: Kim and Mnih 2018, arXiv:1802.05983, Algorithm 1. Chance is one over the number of factors.
    """
    variance = train.mu.var(0)
    if not (variance > 0).any():
        return float(1 / train.v.shape[1])
    kept = variance > 0  # of an axis that never varies 0/0 would win every vote

    def axes(coded: Coded, votes: int) -> tuple[Whole, Whole]:
        factors, rows = _alike(coded, votes, GROUP, random)
        spread = coded.mu[:, kept][rows].var(1) / variance[kept]
        return spread.argmin(1), factors

    votes = np.zeros((int(kept.sum()), train.v.shape[1]))
    np.add.at(votes, axes(train, VOTES), 1)
    axis, factor = axes(test, JUDGED)
    return float((votes.argmax(1)[axis] == factor).mean())


def modularity(information: Array, noise: Array) -> float:
    """How far each axis tells one factor alone, mean over axes; 0 for an axis that tells none.

    Source: Ridgeway and Mozer 2018, arXiv:1802.05312, section 3.

    Args:
        information: `[D, F]` in nats.
        noise: what it would vary by if there were none.
    """
    m = np.where(information > SIGNIFICANT * noise, information, 0.0)
    best = m.max(1)
    if m.shape[1] == 1:
        return float((best > 0).mean())
    others = np.square(m).sum(1) - np.square(best)
    deviation = np.divide(others, np.square(best) * (m.shape[1] - 1), out=np.ones_like(best), where=best > 0)
    return float((1 - deviation).mean())


def explicitness(train: Coded, test: Coded) -> float:
    """How well a linear rule tells each value of each factor: area under the ROC curve, one value against the others,
    from 0, a guess, to 1; mean over values, then over factors.

    Source: Ridgeway and Mozer 2018, arXiv:1802.05312, section 3.
    """
    means = []
    for k in range(train.v.shape[1]):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=300))
        probe.fit(train.mu, train.v[:, k])
        probability = probe.predict_proba(test.mu)
        areas = [
            roc_auc_score(test.v[:, k] == value, probability[:, i])
            for i, value in enumerate(probe.classes_)
            if 0 < (test.v[:, k] == value).sum() < len(test.v)
        ]
        means.append(2 * np.mean(areas) - 1)
    return float(np.mean(means))


def irs(coded: Coded) -> float:
    """Interventional robustness: how little an axis moves while the factor that it tells best is held, mean over axes
    weighted by how far they move at all.

    Source: Suter, Miladinovic, Scholkopf and Bauer 2019, arXiv:1811.00007, with its suprema as quantiles.
    """
    moves = np.quantile(np.abs(coded.mu - coded.mu.mean(0)), SUPREMUM, axis=0)
    if not (moves > 0).any():
        return 0.0
    robust = np.zeros((coded.mu.shape[1], coded.v.shape[1]))
    for k, v in enumerate(coded.v.T):
        held = [coded.mu[v == value] for value in np.unique(v)]
        moved = np.mean([np.quantile(np.abs(part - part.mean(0)), SUPREMUM, axis=0) for part in held], axis=0)
        robust[:, k] = 1 - np.divide(moved, moves, out=np.ones_like(moves), where=moves > 0)
    return float((robust.max(1) * moves).sum() / moves.sum())


def gaussian_tc(mu: Array) -> float:
    """Total correlation of the codes in nats as if they were Gaussian, -1/2 log det of their correlations `[D, D]`; 0
    where they have fewer than two axes, infinite where one is a sum of others.

    Source: Watanabe 1960, IBM Journal 4:66; as a score: Locatello et al. 2019, arXiv:1811.12359.
    """
    if mu.shape[1] < 2:
        return 0.0
    return float(-0.5 * np.linalg.slogdet(np.corrcoef(mu.T))[1])
