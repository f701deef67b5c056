"""The main figures: the ELBO and its parts, log p(x), reconstruction."""

from bench.stats.metrics.entry import LAYERS, MAIN, Metric

METRICS = (
    Metric(
        "elbo_nats",
        label="ELBO",
        unit="nats",
        better="higher",
        digits=2,
        theme=MAIN,
        says="evidence lower bound with beta = 1 on the test split, reconstruction minus KL, per example",
        formula=(
            "1/N Σₙ E_q(z|xₙ)[log p(xₙ|z)] - KL(q(z|xₙ) || p(z)), with β = 1 whatever the variant trained on; the KL "
            "in closed form where there is one, else by the same draws"
        ),
        source="Kingma and Welling 2014, arXiv:1312.6114",
        cost="`elbo_samples` draws (the unit of this page: 1 a draw)",
        beware="with a training loss, or with an IWAE bound; with models without q(z|x) density, which have none",
        setting=None,
        measured_by="judge.bounds:scores",
    ),
    Metric(
        "nll_is*_nats",
        label="NLL (IS-{K})",
        unit="nats",
        better="lower",
        digits=2,
        theme=MAIN,
        says="-log p(x) on the test split, by {K} importance samples from q(z|x) per example; in expectation too high",
        formula=(
            "-1/N Σₙ log 1/K Σₖ wₙₖ with zₙₖ ~ q(z|xₙ). On `nll_points` examples only, if set: minus (the ELBO of all "
            "N plus the mean of log p(x) - ELBO on those), see [why](decisions/nll.md)"
        ),
        source="Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519",
        cost="K × (`nll_points` / N)",
        beware=(
            "between different K (it falls with K), or as exact log p(x): in expectation it is too high, the more so "
            "the worse q(z|x) fits"
        ),
        setting="nll_samples",
        measured_by="judge.evidence:importance_weights",
    ),
    Metric(
        "nll_exact_nats",
        label="NLL (exact)",
        unit="nats",
        better="lower",
        digits=2,
        theme=MAIN,
        says="-log p(x), summed over every latent; only where those can be counted and are at most 16,384",
        formula="-1/N Σₙ log Σ_z p(z) p(xₙ|z) over all z; of `nll_points` examples, with the ELBO as control variate",
        source="none needed: it is the definition of log p(x)",
        cost="as many decodes as latents, once, and as many densities for each example",
        beware="with NLL (IS-K), which is in expectation higher; where latents are continuous there is none",
        setting="nll_samples",
        measured_by="judge.counted:enumerated",
    ),
    Metric(
        "nll_truth_nats",
        label="NLL of the truth",
        unit="nats",
        better=None,
        digits=2,
        theme=MAIN,
        says="-log p(x) of the test split under what it was drawn from; only for data that are generated",
        formula="-1/N Σₙ log p*(xₙ), p* the density that the data were drawn from, over the whole test split",
        source="none needed: it is the definition of log p(x)",
        cost="none of the model's",
        beware="as a bound for every split: on few examples a model may by chance be more likely than the truth",
        setting="nll_samples",
        measured_by="judge.bounds:true_nll",
    ),
    Metric(
        "nll_excess_nats",
        label="NLL - truth",
        unit="nats",
        better="lower",
        digits=3,
        theme=MAIN,
        says=(
            "what the model misses: its NLL (exact where there is one, else by importance samples) less that of the "
            "distribution that the data were drawn from; 0 is perfect"
        ),
        formula="NLL - (-1/N Σₙ log p*(xₙ)), an estimate of KL(p* || p)",
        source="none needed: it is the definition of log p(x)",
        cost="none beyond the NLL",
        beware="between data sets: a nat in 2 dimensions is more than one in 16. It has all the limits of the NLL",
        setting="nll_samples",
        measured_by="judge.bounds:true_nll",
    ),
    Metric(
        "nll_optimised_nats",
        label="NLL (IS, optimised q)",
        unit="nats",
        better=None,
        digits=2,
        theme=MAIN,
        says=(
            "-log p(x) on the test split, by 500 importance samples from the best full Gaussian for each example, "
            "found by search, so that it hardly depends on how good the encoder is; in expectation too high; from a "
            "few test examples, the same for all seeds, which no interval over seeds sees, so it is not ranked"
        ),
        formula=(
            "-(ELBO of the whole split + mean over `gap_points` evenly spaced examples of (log p̂(x) - ELBO(x) by 500 "
            "draws)), with log p̂(x) = log 1/500 Σₖ wₖ and z drawn from q*, the full Gaussian that maximises the ELBO "
            "of that x alone. It hardly depends on how good the encoder is (the search starts at the encoder's "
            "posterior)"
        ),
        source=(
            "Cremer, Li and Duvenaud 2018, arXiv:1801.03558 (q*); Burda, Grosse and Salakhutdinov 2016, "
            "arXiv:1509.00519 (the estimate)"
        ),
        cost="that of the inference gaps, which need it",
        beware=(
            "with NLL (IS-K) of the literature, which a poor encoder makes too high, by about a nat for an MLP trained "
            "for ten epochs ([what we measured](decisions/nll.md)). By seeds: it comes from a few test examples common "
            "to all seeds, which no interval over seeds sees, so it is not ranked"
        ),
        setting="gap_points",
        measured_by="judge.gaps:gaps",
    ),
    Metric(
        "recon_nats",
        label="recon",
        unit="nats",
        better=None,
        digits=2,
        theme=MAIN,
        says="mean log p(x|z) with z drawn from q(z|x); a higher KL buys more of it, so it is not ranked",
        formula="1/N Σₙ E_q(z|xₙ)[log p(xₙ|z)]",
        source="Kingma and Welling 2014, arXiv:1312.6114",
        cost="none beyond the ELBO",
        beware=(
            "without the KL beside it: a higher rate buys more of it. With a likelihood on another support, or a "
            "Gaussian of another scale"
        ),
        setting=None,
        measured_by="judge.bounds:scores",
    ),
    Metric(
        "kl_nats",
        label="KL",
        unit="nats",
        better=None,
        digits=2,
        theme=MAIN,
        says="KL(q(z|x) || p(z)), the rate; neither high nor low is good in itself",
        formula="1/N Σₙ KL(q(z|xₙ) || p(z)), the rate R; recon is minus the distortion D",
        source="Kingma and Welling 2014, arXiv:1312.6114; as a rate: Alemi et al. 2018, arXiv:1711.00464",
        cost="none beyond the ELBO",
        beware="as good or bad in itself: zero is posterior collapse, and a large one may be waste",
        setting=None,
        measured_by="judge.bounds:scores",
    ),
    Metric(
        "inference_gap_nats",
        label="gap",
        unit="nats",
        better=None,
        digits=2,
        theme=MAIN,
        says=(
            "estimated log p(x) minus the ELBO, an estimate of KL(q(z|x) || p(z|x)), in expectation too low; a weak "
            "decoder has a small one, so it is not ranked"
        ),
        formula=(
            "mean of log 1/K Σₖ wₖ - ELBO over the examples of the NLL and their own draws, an estimate of KL(q(z|x) "
            "|| p(z|x))"
        ),
        source="Cremer, Li and Duvenaud 2018, arXiv:1801.03558",
        cost="none beyond the NLL",
        beware=(
            "as quality: a weak decoder has a small gap. In expectation too low, by what importance sampling misses. "
            "With the gaps below, which are measured on other examples and with better proposals"
        ),
        setting="nll_samples",
        measured_by="judge.evidence:importance_weights",
    ),
    Metric(
        "active_units",
        label="active units",
        unit="",
        better=None,
        digits=1,
        theme=MAIN,
        says="latent axes whose posterior mean varies over the data (variance > 0.01)",
        formula=(
            "number of latent axes j with Var over test examples of E_q[zⱼ|x] > 0.01. With two layers of latents it "
            "counts both"
        ),
        source="Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2",
        cost="below 1",
        beware=(
            "between priors of another scale, for which 0.01 means something else; between rotations of the latent "
            "space, which change it"
        ),
        setting=None,
        measured_by="judge.bounds:point_metrics",
    ),
    Metric(
        "active_units_layer*",
        label="active units, layer {K}",
        unit="",
        better=None,
        digits=1,
        theme=LAYERS,
        says="active units of layer {K} of the latents, the first nearest to x",
        formula=(
            "as `active_units`, of layer {K} of the latents, the first being nearest to x. E_q[z|x] of the layer "
            "that is drawn second is taken at the mean of the layer that is drawn first"
        ),
        source="Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2",
        cost="none beyond `active_units`",
        beware="as `active_units`; models with one layer have none",
        setting=None,
        measured_by="judge.bounds:point_metrics",
    ),
    Metric(
        "kl_layer*_nats",
        label="KL, layer {K}",
        unit="nats",
        better=None,
        digits=2,
        theme=LAYERS,
        says="KL of layer {K} of the latents given the layers above it, the first nearest to x",
        formula=(
            "E_q KL(q(zₖ|z₎ₖ, x) || p(zₖ|z₎ₖ)) of layer {K}, in closed form given draws of the layers above it "
            "where p and q go the same way, else by the same draws; "
            "all layers add up to the KL"
        ),
        source="Sonderby, Raiko, Maaloe, Sonderby and Winther 2016, arXiv:1602.02282, section 3",
        cost="none beyond the ELBO",
        beware="between models of other layers, or other sizes of them; models with one layer have none",
        setting=None,
        measured_by="judge.bounds:scores",
    ),
    Metric(
        "mse_per_pixel",
        label="MSE",
        unit="per pixel",
        better="lower",
        digits=4,
        theme=MAIN,
        says="squared error of the mean reconstruction, per pixel",
        formula="1/(N D) Σₙ |xₙ - E[x | z = E_q[z|xₙ]]|²",
        source="Hinton and Salakhutdinov 2006, Science 313:504",
        cost="below 1",
        beware=(
            "with binary data's grey originals: x is what the model saw. As a likelihood: it has neither variance nor "
            "constant"
        ),
        setting=None,
        measured_by="judge.bounds:point_metrics",
    ),
    Metric(
        "bits_per_dim",
        label="bits/dim",
        unit="bits",
        better="lower",
        digits=4,
        theme=MAIN,
        says="NLL in bits per data dimension; of dequantised data an upper bound of it, of other densities none",
        formula=(
            "NLL / (D log 2) where p(x|z) gives probabilities (bits, levels, counts); for a density of dequantised "
            "data x = (k + u) / L, NLL / (D log 2) + log₂ L, by Jensen's inequality at least the bits of k. None for "
            "other densities, whose bits depend on the unit of x"
        ),
        source="Theis, van den Oord and Bethge 2016, arXiv:1511.01844",
        cost="none beyond the NLL",
        beware=(
            "between binarised images and those of 256 levels; between levels and dequantised data without saying that "
            "the latter is an upper bound. It has all the limits of the NLL"
        ),
        setting="nll_samples",
        measured_by="judge.evidence:importance_weights",
    ),
    Metric(
        "elbo_bits_per_dim",
        label="bits/dim, bound",
        unit="bits",
        better="lower",
        digits=4,
        theme=MAIN,
        says="the negative ELBO in bits per data dimension, for grey levels: it has a value where q(z|x) is one point",
        formula="-ELBO / (D log 2) of data that are one of L levels, at least `bits_per_dim`",
        source="van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, section 4",
        cost="none",
        beware="with `bits_per_dim`, which is of log p(x), and lower",
        setting=None,
        measured_by="judge.bounds:scores",
    ),
)
