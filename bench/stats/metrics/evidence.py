"""log p(x) by annealed importance sampling, from below and from above."""

from bench.stats.metrics.entry import SANDWICH, Metric

METRICS = (
    Metric(
        "nll_ais_nats",
        label="NLL (AIS)",
        unit="nats",
        better=None,
        digits=2,
        theme=SANDWICH,
        says=(
            "-log p(x) on the test split, by annealed importance sampling, without q(z|x); in expectation too high; "
            "from a few test examples, the same for all seeds, which no interval over seeds sees, so it is not ranked"
        ),
        formula=(
            "-(ELBO of the whole split + mean over `ais_points` evenly spaced examples of (log p̂(x) - ELBO(x) by 500 "
            "draws)), with log p̂(x) by annealed importance sampling from p(z) to p(z|x), `ais_chains` chains of "
            "`ais_steps` temperatures, Hamiltonian transitions"
        ),
        source="Neal 2001, arXiv:physics/9803008; Wu, Burda, Salakhutdinov and Grosse 2017, arXiv:1611.04273",
        cost=(
            "`ais_chains` × `ais_steps` × 10 draws with gradients an example: some 10⁵ ELBO draws × (`ais_points` / N)"
        ),
        beware=(
            "between numbers of chains or steps: in expectation it is too high, and falls with both. By seeds: it "
            "comes from a few test examples common to all seeds, which no interval over seeds sees, so it is not ranked"
        ),
        setting="ais_points",
        measured_by="judge.evidence:annealed",
    ),
    Metric(
        "ais_acceptance",
        label="acceptance",
        unit="share",
        better=None,
        digits=2,
        theme=SANDWICH,
        says="mean share of Hamiltonian moves accepted in the forward paths; far from 0.65 the chains were not tuned",
        formula=(
            "share of Hamiltonian moves that the Metropolis correction accepts, mean over temperatures, chains and "
            "examples of the forward paths, with step sizes as the pilot run left them"
        ),
        source="Wu, Burda, Salakhutdinov and Grosse 2017, arXiv:1611.04273 (0.65, at which the pilot run aims)",
        cost="none beyond NLL (AIS)",
        beware="as quality of a model. Far from 0.65 the chains were not tuned, and the bounds are loose",
        setting="ais_points",
        measured_by="judge.evidence:annealed",
    ),
    Metric(
        "bdmc_lower_nats",
        label="log p(x) at least",
        unit="nats",
        better=None,
        digits=2,
        theme=SANDWICH,
        says="log p(x) of examples drawn from the model itself, by annealing from the prior; in expectation too low",
        formula="mean of log p̂(x) by the same annealing, of x simulated from the model",
        source="Grosse, Ghahramani and Adams 2015, arXiv:1511.02543",
        cost="as NLL (AIS)",
        beware="between models: each has simulated its own x. With figures on test examples",
        setting="ais_points",
        measured_by="judge.evidence:annealed",
    ),
    Metric(
        "bdmc_upper_nats",
        label="log p(x) at most",
        unit="nats",
        better=None,
        digits=2,
        theme=SANDWICH,
        says="the same by annealing back from the latents that the examples were drawn with; in expectation too high",
        formula=(
            "the same annealing run backwards from the z that x was simulated with, an exact sample of p(z|x): in "
            "expectation an upper bound"
        ),
        source="Grosse, Ghahramani and Adams 2015, arXiv:1511.02543",
        cost="as NLL (AIS)",
        beware="between models: each has simulated its own x. With figures on test examples",
        setting="ais_points",
        measured_by="judge.evidence:reverse",
    ),
    Metric(
        "bdmc_gap_nats",
        label="upper minus lower",
        unit="nats",
        better=None,
        digits=2,
        theme=SANDWICH,
        says="bounds in expectation the error of annealed importance sampling on the model's own examples",
        formula=(
            "`bdmc_upper_nats` - `bdmc_lower_nats`: in expectation at least the error of either, on the model's own "
            "examples"
        ),
        source="Grosse, Ghahramani and Adams 2015, arXiv:1511.02543",
        cost="none beyond the two",
        beware=(
            "as quality of a model: it is the annealing's. On test examples, which the model may fit worse, the error "
            "may be larger"
        ),
        setting="ais_points",
        measured_by="judge.evidence:reverse",
    ),
)
