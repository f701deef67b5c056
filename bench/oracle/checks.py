"""One problem of the oracle suite -> a list of checks, each a figure of the judge beside the truth.

What is checked is the code that judges every model: `variants.core` and `bench.judge`. The truth comes from
`bench.oracle.truth` and shares no line with it.
"""

import math
import time
from functools import partial

import torch

from bench import device as devices
from bench import seeds
from bench.judge import bounds, evidence
from bench.judge.gaps import gaps
from bench.oracle import belief, objectives
from bench.oracle import truth as exact
from bench.oracle.problem import ESTIMATES, STANDARD_ERRORS, Checks, Problem
from bench.records.record import Cell, Record
from bench.settings import Budget
from bench.suites.oracle import BELIEF
from bench.train.loop import train
from variants import registry
from variants.core import elbo, iwae

# Stated beforehand, in nats: how far training with a finite budget may stay below the maximum of the likelihood, how
# far its KL and its reconstruction may be off (they move in the first order where the ELBO moves in the second), and
# what local optimisation of one example's posterior may leave.
TRAINED_BELOW, TRAINED_ABOVE, TRAINED_TERMS, OPTIMISED = 0.05, 1e-6, 0.5, 0.02
# An encoder optimised by L-BFGS is at its optimum but for this much rate or distortion, in nats.
ENCODER = 1e-3
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)
IWAE_SAMPLES = (2, 10, 100)
# The covariance of the widened posterior over the true one: its weights have a variance, and no reason to agree.
WIDENING = 2.0
TRAIN_BATCH, TRAIN_LR = 100, 0.03
# Draws per step of local optimisation: near the optimum its gradient has hardly any noise.
GAP_DRAWS = 8
TRAINED, RATE = "trained", "rate-distortion"


def run(cell: Cell, result: Record) -> None:
    """Check one problem in this process; fill the record's `checks`, `rate_distortion`, `metrics` and `timing`."""
    torch.set_num_threads(cell["threads"])
    started = time.perf_counter()
    checks = Checks()
    result.provenance.device_name = devices.describe(cell["device"])
    (belief.check if cell["dataset"] == BELIEF else linear_gaussian)(cell, result, checks)
    result.checks = checks.rows
    result.metrics = {"checks": len(checks.rows), "failed": sum(not row.passed for row in checks.rows)}
    result.timing = {"measure_s": time.perf_counter() - started}


def linear_gaussian(cell: Cell, result: Record, checks: Checks) -> None:
    """All checks of one linear Gaussian model; the record is given its rate-distortion curve."""
    problem = Problem(cell)
    result.provenance.data_sha256 = problem.data.checksum
    with torch.no_grad():
        closed_forms(problem, checks)
        estimates(problem, checks)
        annealing(problem, checks)
        objectives.bounds(problem, checks, WIDENING)
    optimised(problem, checks)
    trained(problem, checks)
    result.rate_distortion = rate_distortion(problem, checks)


def closed_forms(problem: Problem, checks: Checks) -> None:
    """What has no sampling error, on the whole test split."""
    truth, x = problem.truth, problem.test
    log_px, gap = exact.mean_log_prob(truth, x), exact.diagonal_gap(truth)
    checks.equal("log p(x), as the data set states it", log_px, truth.log_prob(x).mean().item())
    rate, distortion = (column.mean().item() for column in exact.rate_distortion(truth, x, 1.0))
    full, diagonal = problem.model("full"), problem.model("diagonal")
    terms = exact.exact_terms(full, problem.here(x))
    checks.equal("ELBO, full posterior", log_px, elbo(terms).mean().item())
    checks.equal("KL, full posterior", rate, terms.kl.mean().item())
    checks.equal("reconstruction, full posterior", -distortion, terms.log_px_z.mean().item())
    checks.equal(
        "ELBO, best diagonal posterior", log_px - gap, elbo(exact.exact_terms(diagonal, problem.here(x))).mean().item()
    )
    with problem.draws("constant weights"):
        checks.equal(
            "IWAE-10, full posterior: equal weights", log_px, iwae(full.terms(problem.here(x), 10)).mean().item()
        )
        estimate = evidence.importance_weights(full, problem.here(x), 10)["log_px"].mean().item()
        checks.equal("importance sampling, full posterior: equal weights", log_px, estimate)
    best = exact.Ppca(problem.train, problem.k)
    terms = exact.exact_terms(exact.at_truth(best.model, "diagonal").to(problem.device), problem.here(problem.train))
    checks.equal("ELBO at the PPCA optimum", best.log_px, elbo(terms).mean().item())
    checks.equal("KL at the PPCA optimum", best.kl, terms.kl.mean().item())
    checks.equal("reconstruction at the PPCA optimum", best.recon, terms.log_px_z.mean().item())


def estimates(problem: Problem, checks: Checks) -> None:
    """Monte Carlo over posterior draws."""
    truth, samples = problem.truth, problem.settings.importance_samples
    points = problem.here(problem.points)
    log_px = truth.log_prob(problem.points)
    spread = math.sqrt(0.5 * problem.d / len(problem.test))
    checks.add(
        ESTIMATES,
        "log p(x) of the data set, beside its expectation",
        exact.negative_entropy(truth),
        truth.log_prob(problem.test).mean().item(),
        low=-STANDARD_ERRORS * spread,
        high=STANDARD_ERRORS * spread,
        rule="4 SE",
        standard_error=spread,
    )
    full, diagonal = problem.model("full"), problem.model("diagonal")
    widened = problem.model("full", widening=WIDENING)
    for name, model, loss in (
        ("full", full, 0.0),
        ("diagonal", diagonal, exact.diagonal_gap(truth)),
        ("widened", widened, exact.widened_iwae_gap(problem.k, WIDENING, 1)),
    ):
        scores = problem.scores(model, name)
        assert scores.elbo is not None
        assert scores.elbo_var is not None
        checks.estimate(f"ELBO, {name} posterior", log_px - loss, scores.elbo)
        checks.stated(f"ELBO, {name} posterior", scores.elbo_var, scores.elbo - log_px)
    for k in IWAE_SAMPLES:
        with problem.draws(f"iwae {k}"):
            bound = iwae(widened.terms(points, k)).cpu().double()
        checks.estimate(f"IWAE-{k}, widened posterior", log_px - exact.widened_iwae_gap(problem.k, WIDENING, k), bound)
    for name, model in (("diagonal", diagonal), ("widened", widened)):
        with problem.draws(f"importance {name}"):
            columns = evidence.importance_weights(model, points, samples)
        estimate = columns["log_px"]
        label = f"importance sampling, {name} posterior"
        checks.estimate(f"{label}, {samples} draws", log_px, estimate, sides="at most")
        # The best diagonal posterior is narrower than the true one: its weights may have no variance to speak of.
        if name == "widened" or exact.has_finite_weight_variance(truth):
            checks.estimate(f"estimated p(x) / p(x), {label}", 1.0, (estimate - log_px).exp())
        if name == "widened":
            checks.stated(label, columns["log_px_var"], estimate - log_px)


def annealing(problem: Problem, checks: Checks) -> None:
    """Annealed importance sampling of the points, and both bounds for examples that the model drew itself."""
    how = {"chains": problem.settings.chains, "steps": problem.settings.steps}
    truth, model = problem.truth, problem.model("diagonal")
    log_px = truth.log_prob(problem.points)
    with problem.draws("annealed"):
        columns = evidence.annealed(model, problem.here(problem.points), **how)
    checks.estimate("AIS", log_px, columns["log_px"], sides="at most")
    checks.estimate("estimated p(x) / p(x), AIS", 1.0, (columns["log_px"] - log_px).exp())
    checks.stated("AIS", columns["log_px_var"], columns["log_px"] - log_px)
    with problem.draws("simulate"):
        x, z = evidence.simulate(model, problem.settings.points)
    log_px = truth.log_prob(x)
    spread = math.sqrt(0.5 * problem.d / len(x))
    checks.add(
        ESTIMATES,
        "log p(x) of simulated data, beside its expectation",
        exact.negative_entropy(truth),
        log_px.mean().item(),
        low=-STANDARD_ERRORS * spread,
        high=STANDARD_ERRORS * spread,
        rule="4 SE",
        standard_error=spread,
    )
    with problem.draws("forward"):
        lower = evidence.annealed(model, x, **how)["log_px"]
    with problem.draws("reverse"):
        upper = evidence.reverse(model, x, z, **how)["log_px"]
    checks.estimate("BDMC lower bound, simulated data", log_px, lower, sides="at most")
    checks.estimate("BDMC upper bound, simulated data", log_px, upper, sides="at least")
    checks.estimate("p(x) / estimated p(x), BDMC upper bound", 1.0, (log_px - upper).exp())


def optimised(problem: Problem, checks: Checks) -> None:
    """The inference gap of a posterior that is too wide, split into approximation and amortisation."""
    model = problem.model("full", widening=WIDENING)
    settings = problem.settings
    with problem.draws("gaps"):
        columns = gaps(
            model,
            problem.here(problem.points),
            steps=settings.gap_steps,
            samples=GAP_DRAWS,
            evidence_samples=settings.importance_samples,
        )
    approximation = exact.diagonal_gap(problem.truth)
    lost = exact.widened_iwae_gap(problem.k, WIDENING, 1)
    # A local optimum that is not quite reached makes its gap larger, never smaller.
    for name, gap, lower, upper, slack in (
        ("approximation gap, diagonal family", approximation, "elbo_diagonal", "log_px", (0.0, OPTIMISED)),
        ("approximation gap, full family", 0.0, "elbo_full", "log_px", (0.0, OPTIMISED)),
        ("amortisation gap, widened posterior", lost, "elbo", "elbo_own", (OPTIMISED, 0.0)),
        ("inference gap, widened posterior", lost, "elbo", "log_px", (0.0, 0.0)),
    ):
        checks.estimate(name, gap, columns[upper] - columns[lower], slack=slack)


def trained(problem: Problem, checks: Checks) -> None:
    """Linear VAEs trained by the suite's own loop, beside the maximum of the likelihood of their training data."""
    best = exact.Ppca(problem.train, problem.k)
    budget = Budget(epochs=problem.settings.epochs, batch_size=TRAIN_BATCH, lr=TRAIN_LR)
    for posterior in ("diagonal", "full"):
        options = {"latent": problem.k, "posterior": posterior, "shared_covariance": True}
        model = registry.seeded("linear", problem.data.spec, seeds.derive(0, "init"), **options).to(problem.device)
        train(model, problem.data, budget, look=partial(bounds.look, data=problem.data), seed=0, device=problem.device)
        with torch.no_grad():
            terms = exact.exact_terms(model.eval().double(), problem.here(problem.train))
        checks.add(
            TRAINED,
            f"ELBO, {posterior} posterior",
            best.log_px,
            elbo(terms).mean().item(),
            low=-TRAINED_BELOW,
            high=TRAINED_ABOVE,
            rule=f"{TRAINED_BELOW:g} below, {TRAINED_ABOVE:g} above",
        )
        for name, value, reached in (("KL", best.kl, terms.kl), ("reconstruction", best.recon, terms.log_px_z)):
            checks.add(
                TRAINED,
                f"{name}, {posterior} posterior",
                value,
                reached.mean().item(),
                low=-TRAINED_TERMS,
                high=TRAINED_TERMS,
                rule=f"{TRAINED_TERMS:g}",
            )


def rate_distortion(problem: Problem, checks: Checks) -> dict[str, list[list[float]]]:
    """Encoders optimised for the beta objective under the true decoder, measured by the judge, beside the exact curve.

    Returns:
        `exact` and `measured`, rows of beta, distortion and rate in nats, on the points.
    """
    truth, points = problem.truth, problem.points
    measured = []
    model = problem.model("full", beta_of_posterior=100.0, objective="beta")
    # Beta goes from a wide posterior to a narrow one; each starts where the last ended.
    for beta in sorted(BETAS, reverse=True):
        model.objective.beta = beta
        exact.minimise(model, list(model.posterior.parameters()), problem.here(points))
        scores = problem.scores(model, f"beta {beta}")
        assert scores.kl is not None
        rate, distortion = exact.rate_distortion(truth, points, beta)
        near = (ENCODER, ENCODER)
        checks.add(
            RATE,
            f"rate, beta {beta:g}",
            rate.mean().item(),
            scores.kl.mean().item(),
            low=-ENCODER,
            high=ENCODER,
            rule=f"{ENCODER:g}",
        )
        checks.estimate(f"distortion, beta {beta:g}", distortion, -scores.recon, slack=near, part=RATE)
        measured.append([beta, -scores.recon.mean().item(), scores.kl.mean().item()])
    curve = []
    for step in range(61):
        beta = 10 ** (-1.5 + step / 20)
        rate, distortion = exact.rate_distortion(truth, points, beta)
        curve.append([beta, distortion.mean().item(), rate.mean().item()])
    return {"exact": curve, "measured": measured}
