"""Generated examples beside real ones; and the same of what is known to be good and bad, between which they stand."""

from dataclasses import replace
from typing import Any, Literal

from bench.stats.metrics.entry import ANCHORS, SAMPLES, Metric


def _row(name: str, better: Literal["higher", "lower"] | None, function: str = "", **more: Any) -> Metric:
    facts: dict[str, Any] = {"unit": "", "digits": 3, "cost": "the draws and their features, a second or two"} | more
    return Metric(
        name,
        better=better,
        theme=SAMPLES,
        setting="sample_points",
        measured_by=f"judge.samples:{function or name}",
        by_likelihood=False,
        **facts,
    )


_DRAWS = (
    _row(
        "frechet",
        "lower",
        label="Fréchet distance",
        says="of the Gaussians of generated and of test examples, in the features of a classifier that is trained here",
        formula="|m₁ - m₂|² + tr(S₁ + S₂ - 2 (S₁^½ S₂ S₁^½)^½) of 64 features, each kind with N = `sample_points`",
        source="Heusel et al. 2017, arXiv:1706.08500; Dowson and Landau 1982",
        beware="with FID, whose features are another network's; between numbers of examples; a memoriser scores 0",
    ),
    _row(
        "kid",
        "lower",
        label="kernel distance",
        says="unbiased squared maximum mean discrepancy of generated and test examples in the same features",
        formula="mean k(x, x') + mean k(y, y') - 2 mean k(x, y), k = (x·y / 64 + 1)³, over pairs of different examples",
        source="Bińkowski, Sutherland, Arbel and Gretton 2018, arXiv:1801.01401",
        beware="with KID by Inception; it may be below 0, which is as good as 0",
    ),
    _row(
        "precision",
        "higher",
        "neighbourhoods",
        label="precision",
        says="share of generated examples that lie among real ones: how good they are",
        formula="share of generated examples within the distance of some test example to its own 5th nearest",
        source="Kynkäänniemi et al. 2019, arXiv:1904.06991",
        beware="without recall; one outlier among the real ones makes a large ball",
    ),
    _row(
        "recall",
        "higher",
        "neighbourhoods",
        label="recall",
        says="share of real examples that lie among generated ones: how many kinds of them there are",
        formula="share of test examples within the distance of some generated example to its own 5th nearest",
        source="Kynkäänniemi et al. 2019, arXiv:1904.06991",
        beware="without precision: noise that is everywhere has a high recall",
    ),
    _row(
        "density",
        "higher",
        "neighbourhoods",
        label="density",
        says="how many real examples' surroundings a generated one lies in; 1 for the real thing, and not at most 1",
        formula="1/(5 N) Σ over generated examples of the number of test examples in whose ball (precision) it lies",
        source="Naeem et al. 2020, arXiv:2002.09797",
        beware="above 1 as better than real: examples near the modes alone have it",
    ),
    _row(
        "coverage",
        "higher",
        "neighbourhoods",
        label="coverage",
        says="share of real examples with a generated one in their surroundings; 0.97 for the real thing",
        formula="share of test examples whose ball (precision) holds a generated example",
        source="Naeem et al. 2020, arXiv:2002.09797",
        beware="between numbers of examples",
    ),
    _row(
        "told_apart",
        None,
        label="1-NN test",
        says="share of generated and real examples whose nearest other is of their own kind: 0.5 is alike",
        formula="leave-one-out accuracy of the nearest neighbour among N generated and N test examples",
        source="Lopez-Paz and Oquab 2017, arXiv:1610.06545; Xu et al. 2018, arXiv:1806.07755",
        beware="below 0.5 as better than alike: it is copying",
    ),
    _row(
        "memorisation",
        None,
        digits=1,
        label="memorisation",
        says="far below 0, generated examples are nearer to training examples than test examples are: they are copies",
        formula=(
            "mean over 5 k-means cells, weighted by test examples, of the Mann-Whitney z of distances to the nearest "
            "training example, generated above test"
        ),
        source="Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675",
        beware="far above 0 as good: the examples are far from all real ones",
    ),
)


def _like(row: Metric, ending: str, **changes: Any) -> Metric:
    name = changes.pop("prefix") + row.label
    return replace(row, name=row.name + ending, label=name, formula=f"as `{row.name}`{changes.pop('of')}", **changes)


METRICS = (
    *_DRAWS,
    *(
        _like(
            row,
            "_means",
            prefix="means: ",
            of=", of the means of p(x|z) instead of draws; only for data that are not binary",
            says=f"as {row.label}, of means of p(x|z) instead of draws",
        )
        for row in _DRAWS
    ),
    *(
        _like(
            row,
            ending,
            prefix=prefix,
            of=(
                f", of x ~ p(x|z) with z from {density} that is fitted to one z ~ q(z|x) of each of up to 10,000 "
                f"training examples; only where latents are points of {space}"
            ),
            says=f"as {row.label}, with z from {short} fitted to the codes after training",
            source=source,
            cost=cost,
            beware="as samples of the model: p(z) has no part in it, and the ELBO is that of p(z)",
        )
        for ending, prefix, density, short, space, source, cost in (
            (
                "_fitted",
                "fitted: ",
                "a mixture of 10 full Gaussians",
                "a density",
                "R^D",
                "Ghosh, Sajjadi, Vergari, Black and Schölkopf 2020, arXiv:1903.12436 (ex-post density estimation)",
                "the fit, some seconds, and the draws and their features",
            ),
            (
                "_fitted_flow",
                "fitted flow: ",
                "a flow of 6 affine couplings (1,000 steps of Adam, 512 codes each)",
                "a flow",
                "R^D with D of at least 2",
                "Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803; Ghosh et al. 2020, arXiv:1903.12436",
                "the fit, about ten seconds on one core, and the draws and their features",
            ),
        )
        for row in _DRAWS
    ),
    *(
        _like(
            row,
            ending,
            prefix=f"{word}: ",
            of=of,
            better=None,
            theme=ANCHORS,
            says=f"{row.label} of {what}",
            beware=f"as a property of the model: it is one of the data, {why}",
        )
        for ending, word, what, of, why in (
            (
                "_floor",
                "floor",
                "training examples",
                ", of training examples against test examples",
                "and the best there is",
            ),
            (
                "_ceiling",
                "ceiling",
                "independent pixels",
                ", of examples each pixel of which is from another training example",
                "and easily beaten",
            ),
        )
        for row in _DRAWS
    ),
    replace(
        _DRAWS[0],
        name="feature_accuracy",
        label="classifier",
        unit="share",
        better=None,
        digits=4,
        theme=ANCHORS,
        says="accuracy on the test split of the classifier whose features are used",
        formula="share of test examples whose class it finds; 1,000 steps of Adam, 64 examples each",
        source="none needed",
        beware="as a property of the model: it is one of the features",
        measured_by="judge.features:space",
    ),
)
