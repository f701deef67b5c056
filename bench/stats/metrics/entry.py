"""What is said of one metric, and the tables that metrics stand in."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from typing import Any, Literal

# The tables that a metric may stand in, in the order of the page.
MAIN, COST = "Main", "Cost"
THEMES = (
    MAIN,
    "Inference gaps",
    "Latent code",
    "Layers of latents",
    "Representation and reconstruction",
    "Disentanglement",
    "Generated examples",
    "Anchors of generated examples",
    "Evidence sandwich",
    "Other",
    COST,
)
GAPS, CODE, LAYERS, REPRESENTATION, FACTORS, SAMPLES, ANCHORS, SANDWICH, OTHER = THEMES[1:10]
# Each text says what holds for all metrics of a theme.
ABOUT = {
    GAPS: (
        "On `gap_points` evenly spaced test examples, with log p(x) importance-sampled from the best full Gaussian of "
        "each example. Two errors oppose each other in an approximation gap: a search that ends early makes it too "
        "large, and log p̂(x), too low on average, makes it too small. The posterior of `linear` is exactly Gaussian, "
        "so its true full approximation gap is 0: what is measured there is the search's own error. A dash where "
        "q(z|x) or p(z) is no density on R^D, as with discrete latents: no Gaussian is then a member of any family."
    ),
    LAYERS: "Of models with several layers of latents. The first is nearest to x, and the KLs of all make the KL.",
    SANDWICH: (
        "On `ais_points` evenly spaced test examples, and as many simulated from the model itself. A dash where p(z) "
        "is no density on R^D, as with discrete latents: its Hamiltonian moves need a gradient in z."
    ),
    FACTORS: (
        "Of posterior means, beside the factors that the examples were made from; a dash for data without such. What "
        "must be learnt is learnt on `factor_points` training examples, and judged on as many test examples, whose "
        "combinations of factors are new. Axes whose codes vary by less than 0.05 standard deviations of the prior "
        "are left out, and factors that do not vary. A score ranks variants on one data set and no further, and most "
        "of its variance may be the seed's (Locatello et al. 2019, arXiv:1811.12359)."
    ),
    SAMPLES: (
        "`sample_points` examples drawn from the model beside as many test examples, in 64 features of a small "
        "classifier that is trained here, once for each data set, from a fixed seed; its sum is in every record. None "
        "of this is FID. Draws x ~ p(x|z) are compared, and for data that are not binary the means of p(x|z) as well: "
        "a grey mean beside binary images loses for its greyness alone. A dash for data without classes."
    ),
    ANCHORS: (
        "The same figures of what is known to be good, training examples, and bad, examples whose pixels are "
        "independent. They are the data's, and the same for all variants; a variant stands between them."
    ),
    COST: (
        "Never ranked. Timings are medians [quartiles] over blocks of synchronised calls, each variant with the device "
        "to itself; their columns are `<metric>_<device>_median`, `_q1` and `_q3`, and `throughput_status_<device>` "
        "says whether the measurement was ok. A precision other than fp32 stands beside the device. It speaks of "
        "training: evaluation, sampling and latency are always those of the judge, fp32 and uncompiled."
    ),
}


@dataclass(frozen=True)
class Metric:
    """How one metric is defined, measured, rounded and judged; docs/metrics.md is written from it.

    Args:
        name: as in a record; `*` stands for a whole number, which takes the place of `{K}` in `label` and `says`.
        label: short name for a header or an axis.
        unit: unit as printed, empty for a pure number.
        better: `"higher"` or `"lower"`; `None` where neither is, and no row is ever marked.
        digits: decimals when printed for people (files for machines keep full precision).
        theme: the table it stands in, one of `THEMES`; `COST` for what a variant costs (time, memory, size), which is
            never ranked.
        says: what it is, in one line, for legends.
        formula: how it is computed, with its own notation, that of docs/metrics.md.
        source: authors, year, where.
        cost: of measuring it, in ELBO draws on the whole test split.
        beware: what it is not to be compared with, or taken for.
        setting: the key of `Measure` or `Clock` without which it is not measured; None where it always is.
        by_likelihood: whether a likelihood that has settled speaks for it; the accuracies of a code move on their own.
        measured_by: module below `bench`, and function: `"judge.representation:similarity"`. Imported by `function`.
    """

    name: str
    _: KW_ONLY
    label: str
    unit: str
    better: Literal["higher", "lower"] | None
    digits: int
    theme: str
    says: str
    formula: str
    source: str
    cost: str
    beware: str
    setting: str | None
    measured_by: str
    by_likelihood: bool = True

    @property
    def is_cost(self) -> bool:
        """Whether it says what a variant costs, not how good it is."""
        return self.theme == COST

    @property
    def ranked(self) -> bool:
        """Whether rows are compared, and the best marked, in this metric."""
        return self.better is not None and not self.is_cost

    @property
    def sign(self) -> int:
        """-1 where higher is better, else 1: of values times it the least is the best."""
        return -1 if self.better == "higher" else 1

    @property
    def arrow(self) -> str:
        """`↑` where higher is better, `↓` where lower is, else empty."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.better]

    @property
    def header(self) -> str:
        """Label, arrow and unit: `"ELBO ↑ (nats)"`."""
        unit = f"({self.unit})" if self.unit else ""
        return " ".join(part for part in (self.label, self.arrow, unit) if part)

    def function(self) -> Callable[..., Any]:
        """The function that measures it. It needs torch."""
        module, name = self.measured_by.split(":")
        function: Callable[..., Any] = getattr(import_module(f"bench.{module}"), name)
        return function


def unlisted(name: str) -> Metric:
    """A metric of which nothing is known: it has no direction, so it is never ranked."""
    unknown: dict[str, Any] = dict.fromkeys(("formula", "source", "cost", "beware", "measured_by"), "")
    return Metric(
        name, label=name, unit="", better=None, digits=3, theme=OTHER, says="not described", setting=None, **unknown
    )
