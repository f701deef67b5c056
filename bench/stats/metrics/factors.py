"""How the axes of a code stand to the factors that the examples were made from."""

from typing import Any, Literal

from bench.stats.metrics.entry import FACTORS, Metric

_CHEAP = "none of the model's beyond the codes; below a second for 2,000 points"


def _row(name: str, function: str, *, better: Literal["higher", "lower"] | None = "higher", **more: Any) -> Metric:
    facts: dict[str, Any] = {"unit": "", "digits": 3, "cost": _CHEAP} | more
    return Metric(
        name,
        better=better,
        theme=FACTORS,
        setting="factor_points",
        measured_by=f"judge.factors:{function}",
        by_likelihood=False,
        **facts,
    )


METRICS = (
    _row(
        "mig",
        "informations",
        label="MIG",
        says="mutual information gap: how much more the best axis tells of a factor than the second best; 1 is perfect",
        formula=(
            "1/F Σₖ (I(z_j₁; vₖ) - I(z_j₂; vₖ)) / H(vₖ), the two best axes of each factor; max(20, 2 |vₖ|) bins of "
            "equal width between the 0.5 % and 99.5 % quantiles; what would be counted on average were v shuffled is "
            "taken off I and H"
        ),
        source="Chen et al. 2018, arXiv:1802.04942; Vinh, Epps and Bailey 2010, JMLR 11:2837 (the correction)",
        beware=(
            "with MIG (dlib), nor with the original, which is of draws of q and not of its means. A factor that two "
            "axes share in halves scores 0"
        ),
    ),
    _row(
        "mig_dlib",
        "mig_dlib",
        label="MIG (dlib)",
        says="mutual information gap with disentanglement_lib's 20 bins, whatever the factor, and no correction",
        formula=(
            "as MIG, with 20 bins of equal width from the lowest to the highest code, and nothing corrected: a perfect "
            "code of a factor of 32 values reaches 0.85"
        ),
        source="Locatello et al. 2019, arXiv:1811.12359, and its library",
        beware="between data sets whose factors have other numbers of values",
    ),
    _row(
        "dci_disentanglement",
        "forest_importances",
        label="DCI disentanglement",
        cost="none of the model's beyond the codes; about five seconds for 2,000 points and five factors",
        says="how few factors each axis tells, by the importances of random forests; 1 is one factor an axis",
        formula=(
            "Σⱼ ρⱼ (1 - H_F(Pⱼ.)) of the importances R of 50 trees a factor, each factor's times how well it is told "
            "(`dci_informativeness`); Pⱼ. = Rⱼ. / Σₖ Rⱼₖ, ρⱼ its share of all"
        ),
        source="Eastwood and Williams 2018, ICLR",
        beware="with figures by gradient boosting or lasso, or where a factor that nothing tells counts as well",
    ),
    _row(
        "dci_completeness",
        "forest_importances",
        label="DCI completeness",
        cost="none beyond `dci_disentanglement`",
        says="how few axes tell each factor, by the same importances; 1 is one axis a factor",
        formula="Σₖ ρₖ (1 - H_D(P.ₖ)), P.ₖ = R.ₖ / Σⱼ Rⱼₖ, ρₖ the factor's share of all importances",
        source="Eastwood and Williams 2018, ICLR",
        beware="as `dci_disentanglement`; between numbers of axes, for the entropy is to base D",
    ),
    _row(
        "dci_informativeness",
        "forest_importances",
        label="DCI informativeness",
        cost="none beyond `dci_disentanglement`",
        says="how well random forests tell the factors from the code: 0 is a guess, 1 perfect",
        formula="1/F Σₖ (aₖ - cₖ) / (1 - cₖ), a the test accuracy, c that of the most frequent value",
        source="Eastwood and Williams 2018, ICLR",
        beware="with the papers' errors or plain accuracies",
    ),
    _row(
        "sap",
        "separability",
        label="SAP",
        says="how much better the best single axis tells a factor than the second best; 1 is perfect",
        formula=(
            "1/F Σₖ (S_j₁ₖ - S_j₂ₖ), S the R² of a line where a factor's values have an order, else the nearest class "
            "mean's accuracy from chance to one"
        ),
        source="Kumar, Sattigeri and Balakrishnan 2018, arXiv:1711.00848",
        beware="with disentanglement_lib's, whose linear classifiers on one axis depend on its scale",
    ),
    _row(
        "beta_vae_score",
        "beta_vae",
        label="beta-VAE score",
        says="share of groups of pairs whose common factor a linear classifier finds; chance is one over the factors",
        formula=(
            "accuracy of a logistic regression for k from mean |μ₁ - μ₂| over 64 pairs that share factor k; 800 groups "
            "of training examples to learn from, 400 of test examples"
        ),
        source="Higgins et al. 2017, ICLR",
        beware="between numbers of factors. It saturates: with all factors but one told it can be 1",
    ),
    _row(
        "factor_vae_score",
        "factor_vae",
        label="FactorVAE score",
        says="share of groups whose common factor the axis that varies least finds; chance is one over the factors",
        formula=(
            "accuracy of the majority vote for k by argminⱼ Var(μⱼ of 64 examples that share factor k) / Var(μⱼ); 800 "
            "groups of training examples to learn from, 400 of test examples"
        ),
        source="Kim and Mnih 2018, arXiv:1802.05983",
        beware="between numbers of factors; with implementations where an axis that never varies wins every vote",
    ),
    _row(
        "modularity",
        "modularity",
        label="modularity",
        says="how far each axis tells one factor alone, by mutual information; an axis that tells none has 0",
        formula="mean over axes of 1 - Σ_{k≠k*} I(zⱼ; vₖ)² / ((F - 1) I(zⱼ; v_k*)²), I below four of its σ being 0",
        source="Ridgeway and Mozer 2018, arXiv:1802.05312",
        beware="as quality alone: it says not how much is told. With disentanglement_lib's, where dead axes have 0",
    ),
    _row(
        "explicitness",
        "explicitness",
        label="explicitness",
        cost="none of the model's beyond the codes; some seconds for 2,000 points and five factors",
        says="how well linear rules tell each value of each factor, by the area under the ROC curve: 0 is a guess",
        formula=(
            "1/F Σₖ mean over values of 2 AUC - 1, one value against the others, by a multinomial logistic regression "
            "(C = 100, standardised)"
        ),
        source="Ridgeway and Mozer 2018, arXiv:1802.05312",
        beware="with disentanglement_lib's, which is the area itself: a guess has 0.5",
    ),
    _row(
        "irs",
        "irs",
        label="IRS",
        says="how little an axis moves while the factor that it tells best is held; 1 is not at all",
        formula=(
            "Σⱼ wⱼ maxₖ (1 - mean over values g of q₉₉ |μⱼ - E(μⱼ|g)| / q₉₉ |μⱼ - E μⱼ|), w each axis's share of "
            "q₉₉ |μⱼ - E μⱼ|; q₉₉ is the quantile of 0.99"
        ),
        source="Suter, Miladinovic, Schölkopf and Bauer 2019, arXiv:1811.00007",
        beware="with largest deviations instead of quantiles; where factors are not balanced",
    ),
    _row(
        "gaussian_tc_nats",
        "gaussian_tc",
        better=None,
        unit="nats",
        label="Gaussian TC",
        says="total correlation of the posterior means as if they were Gaussian; 0 is uncorrelated; needs no factors",
        formula="-1/2 log det corr(μ) over axes that vary",
        source="Watanabe 1960, IBM Journal 4:66; Locatello et al. 2019, arXiv:1811.12359",
        beware="with the total correlation of q(z), which draws of z decide and which is never smaller than 0 either",
    ),
    _row(
        "live_axes",
        "live_axes",
        better=None,
        digits=1,
        label="live axes",
        says="axes of the code that vary enough to be judged here",
        formula="number of axes whose posterior mean has a standard deviation above 0.05 on the test examples",
        source="Locatello et al. 2019, arXiv:1811.12359 (the threshold)",
        beware="with active units, whose threshold is a variance of 0.01",
    ),
)
