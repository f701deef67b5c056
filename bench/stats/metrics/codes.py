"""What the latent code holds, and what can be read from it."""

from bench.stats.metrics.entry import CODE, REPRESENTATION, Metric

METRICS = (
    Metric(
        "mutual_information_nats",
        label="mutual information",
        unit="nats",
        better=None,
        digits=2,
        theme=CODE,
        says=(
            "I(n; z) between an example's index and its code, by the mixture of all posteriors; at most the log of "
            "their number, and a part of the KL"
        ),
        formula=(
            "I(n; z) = 1/N Σₙ E_q(z|xₙ)[log q(z|xₙ) - log q(z)], q(z) = 1/N Σₙ q(z|xₙ), by one z for each of "
            "`mi_points` examples"
        ),
        source="Hoffman and Johnson 2016, ELBO surgery (NeurIPS workshop on approximate inference)",
        cost="`mi_points` × N densities; no decoding",
        beware=(
            "between test splits of different size: it is at most log N, and says no more than log N once it is there. "
            "Neither high nor low is good in itself"
        ),
        setting="mi_points",
        measured_by="judge.surgery:mutual_information",
    ),
    Metric(
        "marginal_kl_nats",
        label="marginal KL",
        unit="nats",
        better=None,
        digits=2,
        theme=CODE,
        says="KL(q(z) || p(z)) of the aggregated posterior: the KL minus the mutual information",
        formula="KL(q(z) || p(z)) = KL - I(n; z)",
        source="Hoffman and Johnson 2016, ELBO surgery (NeurIPS workshop on approximate inference)",
        cost="none beyond the mutual information",
        beware="between test splits of different size; with the KL of a density fitted to q(z)",
        setting="mi_points",
        measured_by="judge.surgery:mutual_information",
    ),
    Metric(
        "probe_accuracy",
        label="probe accuracy",
        unit="share",
        better="higher",
        digits=4,
        theme=REPRESENTATION,
        says="share of test examples whose class a logistic regression on the posterior mean finds",
        formula=(
            "share of test examples whose class a multinomial logistic regression (C = 1, standardised inputs, nothing "
            "tuned) finds from E_q[z|x], learnt from `probe_points` training examples"
        ),
        source="Alain and Bengio 2016, arXiv:1610.01644",
        cost="below 1 for the codes; seconds for the fit",
        beware=(
            "between latent sizes or numbers of `probe_points` without saying so; as a property of the density. "
            "Training never sees a label"
        ),
        setting="probe_points",
        measured_by="judge.representation:accuracies",
        by_likelihood=False,
    ),
    Metric(
        "knn_accuracy",
        label="5-NN accuracy",
        unit="share",
        better="higher",
        digits=4,
        theme=REPRESENTATION,
        says="share of test examples whose class the five nearest posterior means of training examples find",
        formula=(
            "share of test examples whose class is that of most of the 5 nearest training codes E_q[z|x], Euclidean, "
            "not standardised"
        ),
        source="Cover and Hart 1967, IEEE Transactions on Information Theory 13:21",
        cost="as the probe",
        beware=(
            "between latent sizes or numbers of `probe_points` without saying so. Unlike the probe it changes with the "
            "scale of single axes"
        ),
        setting="probe_points",
        measured_by="judge.representation:accuracies",
        by_likelihood=False,
    ),
    Metric(
        "ssim",
        label="SSIM",
        unit="",
        better="higher",
        digits=4,
        theme=REPRESENTATION,
        says="structural similarity between a test image and its mean reconstruction, at most 1",
        formula=(
            "mean structural similarity (Gaussian window of 11 × 11, σ = 1.5, data range 1) between x and E[x | z = "
            "E_q[z|x]] on `ssim_points` test images, at most 1"
        ),
        source="Wang, Bovik, Sheikh and Simoncelli 2004, IEEE Transactions on Image Processing 13:600",
        cost="below 1 for the reconstructions; milliseconds an image",
        beware="between binarised and grey images: a mean in [0, 1] never looks like zeros and ones",
        setting="ssim_points",
        measured_by="judge.representation:similarity",
    ),
    Metric(
        "code_perplexity",
        label="code perplexity",
        unit="codes",
        better=None,
        digits=1,
        theme=CODE,
        says="how many codes of a code book are used, counted as if all were used equally often",
        formula=(
            "exp(-Σₖ fₖ log fₖ), fₖ the share of code k among the codes that q(z|x) chooses, or deems likeliest, over "
            "all sites of all test examples; a mean over the books where there are several"
        ),
        source="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937",
        cost="none",
        beware="between code books of different size: it is at most K. High is good only at an equal ELBO",
        setting=None,
        measured_by="judge.codes:usage",
    ),
    Metric(
        "dead_codes",
        label="dead codes",
        unit="share",
        better=None,
        digits=3,
        theme=CODE,
        says="share of the codes of a code book that no test example uses",
        formula="share of the K codes with fₖ = 0; a mean over the books where there are several",
        source="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937",
        cost="none",
        beware="between test splits of different size, and where K is not far below sites × examples",
        setting=None,
        measured_by="judge.codes:usage",
    ),
)
