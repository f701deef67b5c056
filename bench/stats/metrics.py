"""The one place that says what each metric is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

# The tables that a metric may stand in, in the order of the page.
MAIN, COST = "Main", "Cost"
THEMES = (
    MAIN,
    "Inference gaps",
    "Latent code",
    "Representation and reconstruction",
    "Evidence sandwich",
    "Other",
    COST,
)
GAPS, CODE, REPRESENTATION, SANDWICH, OTHER = THEMES[1:6]


@dataclass(frozen=True)
class Metric:
    """How one metric is named, rounded and judged. docs/metrics.md has its formula, source and cost.

    Args:
        label: short name for a header or an axis.
        unit: unit as printed, empty for a pure number.
        direction: `"higher"` or `"lower"` is better; `None` where neither is, and no row is ever marked.
        digits: decimals when printed for people (files for machines keep full precision).
        definition: one line, for legends and docs.
        theme: the table it stands in, one of `THEMES`; `COST` for what a variant costs (time, memory, size), which is
            never ranked.
    """

    label: str
    unit: str
    direction: Literal["higher", "lower"] | None
    digits: int
    definition: str
    theme: str = MAIN

    @property
    def cost(self) -> bool:
        """Whether it says what a variant costs, not how good it is."""
        return self.theme == COST

    @property
    def ranked(self) -> bool:
        """Whether rows are compared, and the best marked, in this metric."""
        return self.direction is not None and not self.cost

    @property
    def arrow(self) -> str:
        """`↑` where higher is better, `↓` where lower is, else empty."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.direction]

    @property
    def header(self) -> str:
        """Label, arrow and unit: `"ELBO ↑ (nats)"`."""
        unit = f"({self.unit})" if self.unit else ""
        return " ".join(part for part in (self.label, self.arrow, unit) if part)


# `*` in a name stands for a whole number, which takes the place of `{K}` in the label and the definition.
METRICS: dict[str, Metric] = {
    "elbo_nats": Metric(
        "ELBO",
        "nats",
        "higher",
        2,
        "evidence lower bound with beta = 1 on the test split, reconstruction minus KL, per example",
    ),
    "nll_is*_nats": Metric(
        "NLL (IS-{K})",
        "nats",
        "lower",
        2,
        "-log p(x) on the test split, by {K} importance samples from q(z|x) per example; in expectation too high",
    ),
    "nll_optimised_nats": Metric(
        "NLL (IS, optimised q)",
        "nats",
        None,
        2,
        "-log p(x) on the test split, by 500 importance samples from the best full Gaussian for each example, found by "
        "search, so that it hardly depends on how good the encoder is; in expectation too high; from a few test "
        "examples, the same for all seeds, which no interval over seeds sees, so it is not ranked",
    ),
    "recon_nats": Metric(
        "recon",
        "nats",
        None,
        2,
        "mean log p(x|z) with z drawn from q(z|x); a higher KL buys more of it, so it is not ranked",
    ),
    "kl_nats": Metric("KL", "nats", None, 2, "KL(q(z|x) || p(z)), the rate; neither high nor low is good in itself"),
    "inference_gap_nats": Metric(
        "gap",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO, an estimate of KL(q(z|x) || p(z|x)), in expectation too low; a weak "
        "decoder has a small one, so it is not ranked",
    ),
    "active_units": Metric(
        "active units", "", None, 1, "latent axes whose posterior mean varies over the data (variance > 0.01)"
    ),
    "active_units_layer*": Metric(
        "active units, layer {K}", "", None, 1, "active units of the {K}-th layer of latents, the first nearest to x"
    ),
    "mse_per_pixel": Metric("MSE", "per pixel", "lower", 4, "squared error of the mean reconstruction, per pixel"),
    "bits_per_dim": Metric(
        "bits/dim", "bits", "lower", 4, "NLL in bits per data dimension; for binary likelihoods only"
    ),
    "inference_gap_optimised_nats": Metric(
        "inference gap",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the encoder's posterior, log p(x) by importance samples from the best "
        "full Gaussian for each example: approximation plus amortisation",
        GAPS,
    ),
    "approximation_gap_nats": Metric(
        "approximation",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the best posterior of the variant's own family for each example",
        GAPS,
    ),
    "amortisation_gap_nats": Metric(
        "amortisation",
        "nats",
        None,
        2,
        "ELBO of the best posterior of the variant's own family for each example minus that of the encoder's posterior",
        GAPS,
    ),
    "approximation_gap_diagonal_nats": Metric(
        "approximation, diagonal",
        "nats",
        None,
        2,
        "estimated log p(x) minus the ELBO of the best diagonal Gaussian for each example, on the same decoder",
        GAPS,
    ),
    "approximation_gap_full_nats": Metric(
        "approximation, full",
        "nats",
        None,
        2,
        "the same for the best Gaussian with a full covariance",
        GAPS,
    ),
    "train_elbo_nats": Metric(
        "ELBO, training examples",
        "nats",
        None,
        2,
        "ELBO of the encoder's posterior on the first training examples; they were trained on, so it is not ranked",
        GAPS,
    ),
    "train_elbo_optimised_nats": Metric(
        "ELBO, training examples, optimised q",
        "nats",
        None,
        2,
        "the same of the best posterior of the variant's own family for each of them",
        GAPS,
    ),
    "train_nll_optimised_nats": Metric(
        "NLL, training examples, optimised q",
        "nats",
        None,
        2,
        "-log p(x) of the first training examples, by importance samples from the best full Gaussian for each",
        GAPS,
    ),
    "mutual_information_nats": Metric(
        "mutual information",
        "nats",
        None,
        2,
        "I(n; z) between an example's index and its code, by the mixture of all posteriors; at most the log of their "
        "number, and a part of the KL",
        CODE,
    ),
    "marginal_kl_nats": Metric(
        "marginal KL",
        "nats",
        None,
        2,
        "KL(q(z) || p(z)) of the aggregated posterior: the KL minus the mutual information",
        CODE,
    ),
    "probe_accuracy": Metric(
        "probe accuracy",
        "share",
        "higher",
        4,
        "share of test examples whose class a logistic regression on the posterior mean finds",
        REPRESENTATION,
    ),
    "knn_accuracy": Metric(
        "5-NN accuracy",
        "share",
        "higher",
        4,
        "share of test examples whose class the five nearest posterior means of training examples find",
        REPRESENTATION,
    ),
    "ssim": Metric(
        "SSIM",
        "",
        "higher",
        4,
        "structural similarity between a test image and its mean reconstruction, at most 1",
        REPRESENTATION,
    ),
    "nll_ais_nats": Metric(
        "NLL (AIS)",
        "nats",
        None,
        2,
        "-log p(x) on the test split, by annealed importance sampling, without q(z|x); in expectation too high; from a "
        "few test examples, the same for all seeds, which no interval over seeds sees, so it is not ranked",
        SANDWICH,
    ),
    "ais_acceptance": Metric(
        "acceptance",
        "share",
        None,
        2,
        "mean share of Hamiltonian moves accepted in the forward paths; far from 0.65 the chains were not tuned",
        SANDWICH,
    ),
    "bdmc_lower_nats": Metric(
        "log p(x) at least",
        "nats",
        None,
        2,
        "log p(x) of examples drawn from the model itself, by annealing from the prior; in expectation too low",
        SANDWICH,
    ),
    "bdmc_upper_nats": Metric(
        "log p(x) at most",
        "nats",
        None,
        2,
        "the same by annealing back from the latents that the examples were drawn with; in expectation too high",
        SANDWICH,
    ),
    "bdmc_gap_nats": Metric(
        "upper minus lower",
        "nats",
        None,
        2,
        "bounds in expectation the error of annealed importance sampling on the model's own examples",
        SANDWICH,
    ),
    "train_s": Metric("training time", "s", None, 1, "wall-clock seconds of the training run", COST),
    "parameters": Metric("parameters", "", None, 0, "trainable parameters", COST),
    "train_samples_per_s": Metric(
        "training",
        "samples/s",
        "higher",
        0,
        "training examples per second, forward, backward and step",
        COST,
    ),
    "train_mflop": Metric(
        "work per training example", "MFLOP", None, 2, "operations of matrix products and convolutions", COST
    ),
    "matrix_peak_gflops": Metric(
        "matrix peak", "GFLOP/s", None, 0, "speed of a large matrix product on the same device", COST
    ),
    "train_mfu": Metric(
        "FLOP utilisation",
        "share",
        "higher",
        2,
        "operations of matrix products and convolutions in training, per second, over the device's matrix peak",
        COST,
    ),
    "eval_samples_per_s": Metric(
        "evaluation", "samples/s", "higher", 0, "ELBO evaluations per second, without gradients", COST
    ),
    "sample_samples_per_s": Metric(
        "sampling", "samples/s", "higher", 0, "draws from the prior, decoded, per second", COST
    ),
    "latency_b1_ms": Metric("latency", "ms", "lower", 2, "encoding and decoding a single example", COST),
    "peak_memory_mb": Metric(
        "peak memory",
        "MB",
        "lower",
        0,
        "largest memory held up to the end of training: allocated on an accelerator, resident on a CPU",
        COST,
    ),
}


def metric(name: str) -> Metric:
    """The entry of `METRICS` for a metric name; a name that is not listed gets no direction, so it is never ranked.

    Example: `metric("nll_is500_nats").label == "NLL (IS-500)"`.
    """
    if name in METRICS and "*" not in name:
        return METRICS[name]
    for pattern, entry in METRICS.items():
        if number := _number(pattern, name):
            return replace(
                entry,
                label=entry.label.replace("{K}", number),
                definition=entry.definition.replace("{K}", number),
            )
    return Metric(name, "", None, 3, "not described", OTHER)


def ordered(names: Iterable[str]) -> list[str]:
    """Metric names in the order of `METRICS`, then by their number, then unlisted names by alphabet."""
    patterns = list(METRICS)

    def position(name: str) -> tuple[int, int, str]:
        if name in METRICS:
            return patterns.index(name), 0, name
        for index, pattern in enumerate(patterns):
            if number := _number(pattern, name):
                return index, int(number), name
        return len(patterns), 0, name

    return sorted(set(names), key=position)


def _number(pattern: str, name: str) -> str | None:
    """The digits that stand for `*` when the name has the pattern's form, else None."""
    if "*" not in pattern:
        return None
    found = re.fullmatch(re.escape(pattern).replace(r"\*", r"(\d+)"), name)
    return found.group(1) if found else None
