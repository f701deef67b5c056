"""The judge. Every reported figure comes from here: from `Terms` with beta = 1, in nats per example, on examples that
the model was not trained on, but for those whose names begin with `train_`. It never sees a training loss.
docs/metrics.md defines each figure."""

import itertools
import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench import seeds
from bench.data.batches import Data, Truth
from bench.judge import counted, evidence, factors, gaps, representation, samples, surgery
from bench.judge.bounds import (
    EVAL_BATCH,
    Scores,
    given,
    has_bits,
    lives_on_r_d,
    parameter_count,
    point_metrics,
    scores,
    true_nll,
)
from bench.resume.notebook import Columns, Notebook
from bench.settings import Measure
from variants.core import VAE
from variants.core.support import state_count

__all__ = ["EVAL_BATCH", "Judgement", "Scores", "evaluate", "parameter_count", "point_metrics", "scores"]

SPLIT = "test"
# Examples per entry of the notebook: work that a stopped measurement may lose.
NOTED = {"nll": 100, "gaps": 50, "ais": 10}
# Fresh draws for each ELBO and log p(x) where the gaps are measured.
GAP_EVIDENCE = 500
# Draws per step of the optimisation of a posterior.
GAP_SAMPLES = 8

Error = dict[str, float | None]


@dataclass
class Judgement:
    """What the judge says of one model.

    Attributes:
        metrics: figures by name, None where one does not apply.
        errors: for some of them, by how much they may be off: `mc` is the Monte Carlo standard error for this model and
            these examples, `test` the standard error of a mean over so many examples, as an estimate of the mean over
            all that there might be; either None where it cannot be told.
        latent: per latent axis `kl_per_dim` and `mean_variance`, and the number of `points`; empty without them.
        kl_method: `"closed_form"`, `"monte_carlo"` or None.
        features_sha256: of the feature space in which generated examples were compared; None where they were not.
    """

    metrics: dict[str, float | int | None]
    errors: dict[str, Error] = field(default_factory=dict)
    latent: dict[str, Any] = field(default_factory=dict)
    kl_method: str | None = None
    features_sha256: str | None = None


def evaluate(model: VAE, data: Data, measure: Measure, notebook: Notebook | None = None) -> Judgement:
    """Everything that `measure` asks for, of a trained model on the test split.

    Args:
        model: left in evaluation mode.
        data: on the model's device.
        measure: what to measure, and how finely.
        notebook: keeps what is done of the long measurements, and tells of their progress.
    """
    notebook = notebook or Notebook()
    test = scores(model, data.eval_batches(SPLIT, EVAL_BATCH), samples=measure.elbo_samples, seed=seeds.JUDGE)
    judgement = Judgement(
        metrics={**test.means(), **test.layers(), **point_metrics(model, data, SPLIT)}, kl_method=test.kl_method
    )
    if any(value is not None and not math.isfinite(value) for value in judgement.metrics.values()):
        return judgement  # the model is broken, and no further figure would mean anything
    if test.elbo is not None:
        judgement.errors["elbo_nats"] = _error(test.elbo, test.elbo_var)
        if data.spec.kind == "levels":
            judgement.metrics["elbo_bits_per_dim"] = -test.elbo.mean().item() / (data.spec.dims * math.log(2))
    if measure.nll_samples:
        _likelihood(judgement, model, data, measure, notebook, test)
    # What is told of codes, of p(z) and of samples would be told of the class that is given.
    if measure.mi_points and not model.conditional:
        _surgery(judgement, model, data, measure, notebook, test)
    if measure.gap_points and measure.gap_split == "train":
        _train_bounds(judgement, model, data, measure, notebook)
    elif measure.gap_points:
        _gaps(judgement, model, data, measure, notebook, test)
    if measure.ais_points:
        _sandwich(judgement, model, data, measure, notebook, test)
    if measure.probe_points and not model.conditional:
        judgement.metrics |= representation.accuracies(model, data, measure.probe_points)
    if measure.ssim_points:
        judgement.metrics["ssim"] = representation.similarity(model, data, measure.ssim_points)
    if measure.factor_points and not model.conditional:
        judgement.metrics |= factors.scores(model, data, measure.factor_points)
    if measure.sample_points and not model.conditional:
        figures, judgement.features_sha256 = samples.scores(model, data, measure.sample_points)
        judgement.metrics |= figures
    judgement.metrics["parameters"] = parameter_count(model)
    return judgement


def _error(values: Tensor, variances: Tensor | None) -> Error:
    """Errors of the mean of `values` `[N]`, whose Monte Carlo variances are `variances` `[N]`.

    The spread of the values over examples holds their Monte Carlo noise as well, which is taken out of `test`.
    """
    n = len(values)
    mc = None if variances is None else variances.sum().item() / n**2
    test = None if n < 2 else max(0.0, values.var().item() / n - (mc or 0.0))
    return {"mc": None if mc is None else math.sqrt(mc), "test": None if test is None else math.sqrt(test)}


def _each(
    notebook: Notebook, name: str, kind: str, model: VAE, data: Data, points: int | None, function: Any
) -> Columns:
    """A function of batches of x over so many evenly spaced test examples, None for all."""
    batch, whole = NOTED[kind], data.splits[SPLIT]
    batches = (given(model, x, y) for x, y in data.eval_batches(SPLIT, batch, limit=points))
    total = math.ceil(min(points or whole, whole) / batch)
    return notebook.each(f"{name}, {points or 'all'} points by {batch}", batches, function, total)


def _likelihood(
    judgement: Judgement, model: VAE, data: Data, measure: Measure, notebook: Notebook, test: Scores
) -> None:
    """log p(x) by importance sampling from q(z|x), and how far the ELBO is below it."""
    k, points = measure.nll_samples, measure.nll_points
    name = f"nll_is{k}_nats"
    judgement.metrics |= {name: None, "inference_gap_nats": None, "bits_per_dim": None}
    if test.elbo is None:
        return
    # Draws of a q(z|x) that misses some of p(z|x) weigh p(x) too low, whatever their number: of one point all are
    # equal, and log p(x) - ELBO would be a flattering zero.
    draws = k if model.covers else 1
    columns = _each(
        notebook,
        f"NLL, K = {draws}",
        "nll",
        model,
        data,
        points,
        partial(evidence.importance_weights, model, samples=draws),
    )
    if not model.covers:
        _exact(judgement, model, data, points, notebook, test, columns)
        return
    log_px = columns["log_px"]
    gap = log_px - columns["elbo"]
    if len(log_px) == len(test.elbo):
        nll = -log_px.mean().item()
        error = _error(log_px, columns.get("log_px_var"))
    else:
        nll, error = _whole(columns, gap, columns.get("gap_var"), test)
    # On a continuous support log p(x) is a density, whose bits depend on the unit of x.
    in_bits = has_bits(model, data, SPLIT)
    levels, bits = data.spec.levels, nll / (data.spec.dims * math.log(2))
    if not in_bits and levels is not None:
        # Of x = (k + u) / L: by Jensen's inequality -log P(k) is at most the mean of -log p(x) + D log L over u.
        bits += math.log2(levels)
    judgement.metrics |= {
        name: nll,
        "inference_gap_nats": gap.mean().item(),
        "bits_per_dim": bits if in_bits or levels is not None else None,
    }
    judgement.errors |= {name: error, "inference_gap_nats": _error(gap, columns.get("gap_var"))}
    _exact(judgement, model, data, points, notebook, test, columns)
    if data.truth is not None and not model.conditional:
        _excess(judgement, data.truth, data, name)


def _exact(
    judgement: Judgement, model: VAE, data: Data, points: int | None, notebook: Notebook, test: Scores, known: Columns
) -> None:
    """log p(x) as a sum over all latents, where they can be counted; `known` has the ELBO of the same examples."""
    with torch.no_grad():
        count = state_count(model.prior())
    if count is None or test.elbo is None:
        return
    judgement.metrics["nll_exact_nats"] = None
    if count > counted.MOST_STATES:
        return
    columns = _each(
        notebook, f"exact NLL, {count} states", "nll", model, data, points, partial(counted.enumerated, model)
    )
    log_px = columns["log_px"]
    if len(log_px) == len(test.elbo):
        nll, error = -log_px.mean().item(), _error(log_px, torch.zeros_like(log_px))
    else:
        nll, error = _whole(columns, log_px - known["elbo"], known.get("elbo_var"), test)
    judgement.metrics["nll_exact_nats"], judgement.errors["nll_exact_nats"] = nll, error


def _excess(judgement: Judgement, truth: Truth, data: Data, name: str) -> None:
    """How far -log p(x), exact or else the estimate `name`, is above that of what the data were drawn from."""
    least = true_nll(data, truth, SPLIT)
    best = name if judgement.metrics.get("nll_exact_nats") is None else "nll_exact_nats"
    nll = judgement.metrics[best]
    assert nll is not None
    judgement.metrics |= {"nll_truth_nats": least, "nll_excess_nats": nll - least}
    judgement.errors["nll_excess_nats"] = judgement.errors[best] | {"test": None}


def _whole(columns: Columns, gap: Tensor, gap_var: Tensor | None, test: Scores) -> tuple[float, Error]:
    """NLL of all N examples and its errors, from log p(x) - ELBO of n of them, `gap`.

    The ELBO, known on all, is a control variate for log p(x). Over test sets the variance of the sum of its mean and
    the gap's is Var(log p(x)) / N + Var(gap) (1/n - 1/N): two-phase sampling (Cochran 1977, section 12.6).
    """
    assert test.elbo is not None
    n, whole = len(gap), len(test.elbo)
    spread = None
    if n > 1:
        of_log_px, of_gap = (
            max(0.0, values.var().item() - (0.0 if noise is None else noise.mean().item()))
            for values, noise in ((columns["log_px"], columns.get("log_px_var")), (gap, gap_var))
        )
        spread = math.sqrt(of_log_px / whole + of_gap * (1 / n - 1 / whole))
    mc = None
    if gap_var is not None and test.elbo_var is not None:
        mc = math.sqrt(test.elbo_var.sum().item() / whole**2 + gap_var.sum().item() / n**2)
    return -(test.elbo.mean().item() + gap.mean().item()), {"mc": mc, "test": spread}


def _surgery(judgement: Judgement, model: VAE, data: Data, measure: Measure, notebook: Notebook, test: Scores) -> None:
    """The KL as mutual information plus marginal KL, and axis by axis."""
    judgement.metrics |= {"mutual_information_nats": None, "marginal_kl_nats": None}
    if test.kl is None:
        return
    whole = data.splits[SPLIT]

    def function(x: Tensor) -> Columns:
        return surgery.mutual_information(model, x, (batch for batch, _ in data.eval_batches(SPLIT, EVAL_BATCH)))

    points = min(measure.mi_points, whole)
    batches = (x for x, _ in data.eval_batches(SPLIT, points, limit=points))
    values = notebook.each(f"mutual information, {points} points", batches, function, 1)["mutual_information"]
    information = values.mean().item()
    judgement.metrics |= {
        "mutual_information_nats": information,
        "marginal_kl_nats": test.kl.mean().item() - information,
    }
    # The judge chose the examples of the split and the z of their posteriors: the error holds both choices.
    error: Error = {"mc": math.sqrt(values.var().item() / points) if points > 1 else None, "test": None}
    judgement.errors["mutual_information_nats"] = error
    # A KL that is itself estimated has an error of its own, which is not known here.
    judgement.errors["marginal_kl_nats"] = error if test.kl_method == "closed_form" else {"mc": None, "test": None}
    if whole < 2:
        return
    axes = surgery.latent_axes(model, (batch for batch, _ in data.eval_batches(SPLIT, EVAL_BATCH)))
    if axes is not None:
        judgement.latent = {**axes, "points": whole}


def _gaps(judgement: Judgement, model: VAE, data: Data, measure: Measure, notebook: Notebook, test: Scores) -> None:
    """What the best posterior of a family misses, and what amortisation adds to that."""
    names = {
        "inference_gap_optimised_nats": "inference",
        "approximation_gap_nats": "approximation",
        "amortisation_gap_nats": "amortisation",
        "approximation_gap_diagonal_nats": "approximation_diagonal",
        "approximation_gap_full_nats": "approximation_full",
    }
    judgement.metrics |= dict.fromkeys(["nll_optimised_nats", *names])
    if test.elbo is None or not lives_on_r_d(model, data):
        return
    function = partial(gaps.gaps, model, steps=measure.gap_steps, samples=GAP_SAMPLES, evidence_samples=GAP_EVIDENCE)
    title = f"gaps, {measure.gap_steps} steps of {GAP_SAMPLES}, {GAP_EVIDENCE} draws"
    columns = _each(notebook, title, "gaps", model, data, measure.gap_points, function)
    nll, error = _whole(columns, columns["inference"], columns["inference_var"], test)
    judgement.metrics["nll_optimised_nats"], judgement.errors["nll_optimised_nats"] = nll, error
    for name, column in names.items():
        if column in columns:
            judgement.metrics[name] = columns[column].mean().item()
            judgement.errors[name] = _error(columns[column], columns[f"{column}_var"])


def _train_bounds(judgement: Judgement, model: VAE, data: Data, measure: Measure, notebook: Notebook) -> None:
    """ELBO and log p(x) of the first training examples, of the encoder's posteriors and of the best of their family.

    These examples were trained on: the figures stand beside published ones of such examples, and rank nothing.
    """
    names = {"train_elbo_nats": "elbo", "train_elbo_optimised_nats": "elbo_own", "train_nll_optimised_nats": "log_px"}
    judgement.metrics |= dict.fromkeys(names)
    if not model.has_bound or not lives_on_r_d(model, data):
        return
    function = partial(gaps.gaps, model, steps=measure.gap_steps, samples=GAP_SAMPLES, evidence_samples=GAP_EVIDENCE)
    points, batch = min(measure.gap_points, data.splits["train"]), NOTED["gaps"]
    total = math.ceil(points / batch)
    whole = itertools.islice(data.eval_batches("train", batch), total)
    batches = (x[: points - i * batch] for i, (x, _) in enumerate(whole))
    title = f"gaps in training, {points} points by {batch}, {measure.gap_steps} steps of {GAP_SAMPLES}"
    columns = notebook.each(title, batches, function, total)
    for name, column in names.items():
        if column in columns:
            sign = -1 if name.startswith("train_nll") else 1
            judgement.metrics[name] = sign * columns[column].mean().item()
            judgement.errors[name] = _error(columns[column], columns[f"{column}_var"])


def _sandwich(judgement: Judgement, model: VAE, data: Data, measure: Measure, notebook: Notebook, test: Scores) -> None:
    """log p(x) of test examples from below, and that of simulated ones from both sides."""
    names = ("nll_ais_nats", "ais_acceptance", "bdmc_lower_nats", "bdmc_upper_nats", "bdmc_gap_nats")
    judgement.metrics |= dict.fromkeys(names)
    if test.elbo is None or not lives_on_r_d(model, data, posterior=False):
        return
    chains, steps = measure.ais_chains, measure.ais_steps

    def forward(x: Tensor) -> Columns:
        # The ELBO of the same examples is the control variate; its draws are enough not to add to the error.
        bound = evidence.importance_weights(model, x, GAP_EVIDENCE)
        columns = evidence.annealed(model, x, chains=chains, steps=steps)
        return columns | {"elbo": bound["elbo"], "elbo_var": bound["elbo_var"]}

    def both_sides(x: Tensor) -> Columns:
        simulated, z = evidence.simulate(model, len(x))
        lower = evidence.annealed(model, simulated, chains=chains, steps=steps)
        upper = evidence.reverse(model, simulated, z, chains=chains, steps=steps)
        return {
            f"{side}{key}": column
            for side, columns in (("lower_", lower), ("upper_", upper))
            for key, column in columns.items()
        }

    title, points = f"{chains} chains of {steps} steps", measure.ais_points
    columns = _each(notebook, f"AIS, {title}", "ais", model, data, points, forward)
    gap_var = columns["log_px_var"] + columns["elbo_var"] if chains > 1 else None
    nll, error = _whole(columns, columns["log_px"] - columns["elbo"], gap_var, test)
    judgement.metrics |= {"nll_ais_nats": nll, "ais_acceptance": columns["acceptance"].mean().item()}
    judgement.errors["nll_ais_nats"] = error
    columns = _each(notebook, f"BDMC, {title}", "ais", model, data, points, both_sides)
    for side in ("lower", "upper"):
        log_px, variance = columns[f"{side}_log_px"], columns.get(f"{side}_log_px_var")
        judgement.metrics[f"bdmc_{side}_nats"] = log_px.mean().item()
        judgement.errors[f"bdmc_{side}_nats"] = _error(log_px, variance)
    gap = columns["upper_log_px"] - columns["lower_log_px"]
    noise = columns["upper_log_px_var"] + columns["lower_log_px_var"] if chains > 1 else None
    judgement.metrics["bdmc_gap_nats"] = gap.mean().item()
    judgement.errors["bdmc_gap_nats"] = _error(gap, noise)
