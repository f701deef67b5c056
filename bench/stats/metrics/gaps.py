"""Inference gaps: what the posterior family loses, and what the encoder loses."""

from bench.stats.metrics.entry import GAPS, Metric

METRICS = (
    Metric(
        "inference_gap_optimised_nats",
        label="inference gap",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says=(
            "estimated log p(x) minus the ELBO of the encoder's posterior, log p(x) by importance samples from the "
            "best full Gaussian for each example: approximation plus amortisation"
        ),
        formula=(
            "mean over `gap_points` of log p̂(x) - ELBO[q(z|x)], with log p̂(x) by 500 importance samples from the "
            "best full Gaussian of each x: exactly the approximation gap plus the amortisation gap"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="none beyond the two",
        beware=(
            "as quality across decoders. With the gap of the main table, which is measured on other examples and with "
            "the encoder's posterior as proposal. log p̂(x) is too low on average, which makes it too small"
        ),
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "approximation_gap_nats",
        label="approximation",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says="estimated log p(x) minus the ELBO of the best posterior of the variant's own family for each example",
        formula=(
            "mean of log p(x) - ELBO[q*], q* the best member of the variant's own Gaussian family for that x alone, "
            "decoder fixed"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost=(
            "`gap_steps` × 8 draws with gradients an example, then 500 without: some 10⁴ ELBO draws × (`gap_points` / "
            "N)"
        ),
        beware=(
            "as quality across decoders: a decoder learns to have posteriors that its own family fits. A search that "
            "ends early makes it too large; log p̂(x), too low on average, makes it too small"
        ),
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "amortisation_gap_nats",
        label="amortisation",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says=(
            "ELBO of the best posterior of the variant's own family for each example minus that of the encoder's "
            "posterior"
        ),
        formula=(
            "mean of ELBO[q*] - ELBO[q(z|x)], q* as above: what the encoder loses by serving all x with one network"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="none beyond the approximation gap",
        beware="as quality across decoders. A search that ends early makes it too small",
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "approximation_gap_diagonal_nats",
        label="approximation, diagonal",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says="estimated log p(x) minus the ELBO of the best diagonal Gaussian for each example, on the same decoder",
        formula="mean of log p(x) - max over diagonal Gaussians q of ELBO[q], for each x alone",
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="as the approximation gap",
        beware=(
            "with what the variant would lose if it were trained with that posterior: here the decoder is fixed. A "
            "search that ends early makes it too large; log p̂(x), too low on average, makes it too small"
        ),
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "approximation_gap_full_nats",
        label="approximation, full",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says="the same for the best Gaussian with a full covariance",
        formula="mean of log p(x) - max over Gaussians q of ELBO[q], for each x alone",
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="as the approximation gap",
        beware=(
            "with what the variant would lose if it were trained with that posterior: here the decoder is fixed. A "
            "search that ends early makes it too large; log p̂(x), too low on average, makes it too small"
        ),
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "train_elbo_nats",
        label="ELBO, training examples",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says=(
            "ELBO of the encoder's posterior on the first training examples; they were trained on, so it is not ranked"
        ),
        formula=(
            "the ELBO of q(z|x), as the mean of 500 log-weights, over the first `gap_points` training examples, with "
            '`gap_split="train"`; under dynamic binarisation of their fixed draw'
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558, who report their gaps on such examples",
        cost="with the two below, as the gaps on as many test examples",
        beware="with the ELBO: these examples were trained on. It stands beside published figures of the same kind",
        setting="gap_split",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "train_elbo_optimised_nats",
        label="ELBO, training examples, optimised q",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says="the same of the best posterior of the variant's own family for each of them",
        formula=(
            "the same with the best posterior of the variant's own family for each example; less `train_elbo_nats` it "
            "is the amortisation gap there"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558, section 3",
        cost="see `train_elbo_nats`",
        beware="as `train_elbo_nats`; of posteriors that are no Gaussian there is none",
        setting="gap_split",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "train_nll_optimised_nats",
        label="NLL, training examples, optimised q",
        unit="nats",
        better=None,
        digits=2,
        theme=GAPS,
        says="-log p(x) of the first training examples, by importance samples from the best full Gaussian for each",
        formula=(
            "-1/n Σₙ log 1/K Σₖ wₖ on the same examples, with K = 500 draws from the best full Gaussian for each; less "
            "the negative of `train_elbo_optimised_nats` it is the approximation gap there"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="see `train_elbo_nats`",
        beware="with the NLL: these examples were trained on. In expectation too high",
        setting="gap_split",
        measured_by="judge.gaps:gaps",
    ),
)
