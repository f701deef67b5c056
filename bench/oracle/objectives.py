"""What objectives say of the linear Gaussian model, beside the formula of the bound that each is an estimate of."""

import math
from itertools import pairwise

from bench.oracle import truth as exact
from bench.oracle.problem import Checks, Problem
from variants.parts.objectives import MultiplyIwae, Renyi, Thermodynamic

# The Renyi divergence is infinite for some orders; so is the variance of an estimate, at half of those powers.
ORDERS = (-1.0, 0.5, 2.0)
ESTIMATES, DRAWS = 4, 10
# Self-normalised weights of some hundreds of draws stay this many nats below the mean under pi_b.
SELF_NORMALISED = 0.05


def bounds(problem: Problem, checks: Checks, widening: float) -> None:
    """The best diagonal posterior under Renyi bounds and the thermodynamic sum, the widened one under MIWAE."""
    truth, points = problem.truth, problem.here(problem.points)
    log_px = truth.log_prob(problem.points)
    with problem.draws("objectives"):
        terms = problem.model("diagonal").terms(points, problem.settings.importance_samples)
    for alpha in ORDERS:
        power = 1 - alpha
        if not math.isfinite(exact.log_power(truth, 2 * power)):
            continue
        bound = -Renyi(alpha=alpha)(terms, 0.0).cpu().double()
        ratio = (power * (bound - log_px) - exact.log_power(truth, power)).exp()
        checks.estimate(f"estimated E w^{power:g} / E w^{power:g}, Renyi bound of order {alpha:g}", 1.0, ratio)
    left_sum = Thermodynamic()
    widths = [(b, end - b) for b, end in pairwise(left_sum.partition)]
    left = log_px + sum(width * exact.thermodynamic_integrand(truth, b) for b, width in widths)
    checks.estimate(
        f"thermodynamic left sum, {len(widths)} intervals",
        left,
        -left_sum(terms, 0.0).cpu().double(),
        slack=(SELF_NORMALISED, 0.0),
    )
    objective = MultiplyIwae(samples=ESTIMATES * DRAWS, estimates=ESTIMATES)
    with problem.draws("multiply"):
        terms = problem.model("full", widening=widening).terms(points, objective.samples)
    gap = exact.widened_iwae_gap(problem.k, widening, DRAWS)
    checks.estimate(
        f"MIWAE, {ESTIMATES} of IWAE-{DRAWS}, widened posterior", log_px - gap, -objective(terms, 0.0).cpu().double()
    )
