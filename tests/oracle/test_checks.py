"""The checks see a judge that is wrong, and stay quiet about one that is right."""

import math
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from msgspec import structs

from bench import data
from bench.data.belief import BeliefNetwork
from bench.judge import bounds, counted, evidence
from bench.oracle import belief, checks, objectives
from bench.oracle import problem as problems
from bench.oracle import truth as exact
from bench.pages import oracle
from bench.records import record
from bench.suites.oracle import parse
from tests.oracle.tiny import TINY
from variants.core import Terms, elbo
from variants.parts.objectives import Vimco
from variants.parts.objectives.base import with_gradient_of


@pytest.fixture
def problem() -> checks.Problem:
    return checks.Problem(parse("tiny", TINY).cells("cpu")[0])


def failed(found: checks.Checks) -> set[str]:
    return {row.quantity for row in found.rows if not row.passed}


def look(problem: checks.Problem, *parts: Any) -> checks.Checks:
    found = checks.Checks()
    with torch.no_grad():
        for part in parts:
            part(problem, found)
    return found


def test_a_right_judge_passes(problem: checks.Problem) -> None:
    found = look(problem, checks.closed_forms, checks.estimates, checks.annealing)
    assert failed(found) == set()
    assert len(found.rows) > 25
    assert all(math.isfinite(row.error) for row in found.rows)


def of_objectives(problem: checks.Problem) -> checks.Checks:
    return look(problem, partial(objectives.bounds, widening=checks.WIDENING))


def test_objectives_meet_their_formulas(problem: checks.Problem) -> None:
    found = of_objectives(problem)
    assert failed(found) == set()
    assert len(found.rows) >= 4


@pytest.mark.parametrize("name", ["Renyi", "Thermodynamic", "MultiplyIwae"])
def test_an_objective_that_is_off_by_a_tenth_of_a_nat_fails(
    problem: checks.Problem, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    right = getattr(objectives, name)

    class Off(right):  # type: ignore[misc, valid-type]
        def forward(self, *words: Any) -> torch.Tensor:
            return super().forward(*words) - 0.1  # type: ignore[no-any-return]

    monkeypatch.setattr(objectives, name, Off)
    assert failed(of_objectives(problem))


@pytest.mark.parametrize("off", [1e-6, -1e-6])
def test_an_elbo_that_is_off_by_a_millionth_fails_the_closed_forms(
    problem: checks.Problem, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    monkeypatch.setattr(checks, "elbo", lambda terms: elbo(terms) + off)
    expected = {"ELBO, full posterior", "ELBO, best diagonal posterior", "ELBO at the PPCA optimum"}
    assert failed(look(problem, checks.closed_forms)) == expected


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_judge_whose_elbo_is_off_fails_the_estimates(
    problem: checks.Problem, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    monkeypatch.setattr(bounds, "elbo", lambda terms: factor * elbo(terms))
    assert {"ELBO, full posterior", "ELBO, diagonal posterior"} <= failed(look(problem, checks.estimates))


def test_a_judge_that_forgets_to_divide_by_k_fails(problem: checks.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    right = evidence.importance_weights

    def wrong(model: Any, x: torch.Tensor, samples: int) -> dict[str, torch.Tensor]:
        columns = right(model, x, samples)
        return columns | {"log_px": columns["log_px"] + math.log(samples)}

    monkeypatch.setattr(evidence, "importance_weights", wrong)
    names = failed(look(problem, checks.closed_forms, checks.estimates))
    assert "importance sampling, full posterior: equal weights" in names
    assert "estimated p(x) / p(x), importance sampling, widened posterior" in names


def test_a_judge_that_understates_its_error_fails(problem: checks.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "elbo_variance", lambda terms: terms.log_px_z.var(0) / len(terms.z) ** 2)
    names = failed(look(problem, checks.estimates))
    assert names == {
        f"stated standard error / spread of errors, ELBO, {q} posterior" for q in ("full", "diagonal", "widened")
    }


def test_an_upper_bound_that_lies_below_fails(problem: checks.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    right = evidence.reverse

    def wrong(*words: Any, **how: Any) -> dict[str, torch.Tensor]:
        columns = right(*words, **how)
        return columns | {"log_px": columns["log_px"] - 1}

    monkeypatch.setattr(evidence, "reverse", wrong)
    assert "BDMC upper bound, simulated data" in failed(look(problem, checks.annealing))


def of_a_network() -> checks.Checks:
    cell = parse("tiny", TINY).cells("cpu")[-1]
    found = checks.Checks()
    belief.check(cell, record.new(record.ORACLE, cell, {}, "ok"), found)
    return found


def test_discrete_latents_meet_what_is_counted() -> None:
    found = of_a_network()
    assert failed(found) == set()
    assert [row.part for row in found.rows].count("closed form") == 6
    assert [row.part for row in found.rows].count("estimate") == 5


def test_independent_bits_hear_what_lies_beside_the_middle_of_no_bit_and_all_bits() -> None:
    """There q(z|x) is the prior."""
    truth = data.load("tiny_sbn", d=5, bits=3, n=20).truth
    assert isinstance(truth, BeliefNetwork)
    V, v = belief.mean_field(truth)
    middle = (truth.bias.sigmoid() + (truth.bias + truth.W.sum(1)).sigmoid()) / 2
    torch.testing.assert_close(V @ middle + v, truth.prior)
    torch.testing.assert_close(4 * V, truth.W.T)


def test_a_score_that_is_credited_wrongly_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong(Vimco):
        def forward(self, terms: Terms, epoch: float) -> torch.Tensor:
            # Credited with the bound itself twice: the value is right, the gradient is not.
            return with_gradient_of(super().forward(terms, epoch), -super().forward(terms, epoch) * terms.log_qz_x[0])

    monkeypatch.setattr(belief, "Vimco", Wrong)
    assert failed(of_a_network()) == {"VIMCO-2, largest error of its mean gradient, all pairs counted"}


def test_a_judge_that_counts_too_few_states_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = counted.enumerated
    monkeypatch.setattr(counted, "enumerated", lambda model, x: {"log_px": right(model, x)["log_px"] - 1e-6})
    assert failed(of_a_network()) == {"log p(x), all states counted"}


def test_an_estimate_that_is_no_number_does_not_pass() -> None:
    found = checks.Checks()
    found.estimate("a", 0.0, torch.tensor([1.0, math.nan], dtype=torch.float64))
    found.estimate("b", 0.0, torch.full((3,), -math.inf, dtype=torch.float64), sides="at most")
    found.equal("c", 0.0, math.nan)
    assert failed(found) == {"a", "b", "c"}
    assert all(row.estimate is None and row.error is None for row in found.rows)
    # JSON has no NaN, and the page must still be written.
    assert not any(isinstance(v, float) and math.isnan(v) for row in found.rows for v in structs.asdict(row).values())
    assert len(oracle.failures([fake_record(found)])) == 3


def fake_record(found: checks.Checks) -> record.Record:
    made = record.new(record.ORACLE, parse("tiny", TINY).cells("cpu")[0], {}, "ok")
    return structs.replace(made, checks=found.rows)


def test_the_sides_of_a_bound() -> None:
    found = checks.Checks()
    spread = torch.tensor([-0.1, 0.1] * 50, dtype=torch.float64)
    for name, sides, shift in (
        ("lower, below", "at most", -5.0),
        ("lower, above", "at most", 5.0),
        ("upper, below", "at least", -5.0),
        ("upper, above", "at least", 5.0),
        ("unbiased, at its place", "both", 0.0),
        ("unbiased, above", "both", 0.05),
        ("unbiased, below", "both", -0.05),
    ):
        found.estimate(name, 2.0, 2.0 + shift + spread, sides=sides)
    assert failed(found) == {"lower, above", "upper, below", "unbiased, above", "unbiased, below"}


def test_tolerances_are_those_that_were_stated_beforehand() -> None:
    """A wider one passes whatever it is given."""
    assert (problems.CLOSED_FORM, problems.STANDARD_ERRORS) == (1e-9, 4.0)
    assert (problems.STATED_LOW, problems.STATED_HIGH) == (0.65, 1.5)
    assert (checks.TRAINED_BELOW, checks.TRAINED_ABOVE, checks.TRAINED_TERMS) == (0.05, 1e-6, 0.5)
    assert (checks.OPTIMISED, checks.ENCODER) == (0.02, 1e-3)
    assert (objectives.SELF_NORMALISED, belief.GRADIENT) == (0.05, 1e-8)


def test_errors_of_closed_forms_do_not_cancel() -> None:
    found = checks.Checks()
    found.equal("one off, and one as far off the other way", torch.zeros(3), torch.tensor([1e-3, -1e-3, 0.0]))
    found.equal("all alike", torch.arange(3.0), torch.arange(3.0))
    found.equal("one that is below", torch.zeros(2), torch.tensor([-1e-3, 0.0]))
    assert failed(found) == {"one off, and one as far off the other way", "one that is below"}
    assert abs(found.rows[0].error or 0) == pytest.approx(1e-3)
    assert found.rows[1].truth == 1


def test_what_an_estimate_may_be_off_is_of_its_own_side() -> None:
    found = checks.Checks()
    spread = torch.tensor([-0.1, 0.1] * 50, dtype=torch.float64)
    for side, slack in (("below", (0.5, 0.0)), ("above", (0.0, 0.5))):
        for shift in (-0.4, 0.4):
            found.estimate(f"{side}, {shift:+}", 2.0, 2.0 + shift + spread, slack=slack)
    assert failed(found) == {"below, +0.4", "above, -0.4"}
    (first, *_), error = found.rows, 0.1 * math.sqrt(100 / 99) / 10
    assert first.standard_error == pytest.approx(error)
    assert (first.low, first.high) == (pytest.approx(-4 * error - 0.5), pytest.approx(4 * error))
    assert first.rule == "4 SE, 0.5 below"


def test_a_stated_error_is_held_against_the_spread_of_the_errors() -> None:
    """Of examples whose errors have the standard deviation that their variances state the ratio is 1."""
    errors = torch.tensor([-3.0, 3.0] * 50, dtype=torch.float64)
    found = checks.Checks()
    for share in (1.0, 0.5, 0.7, 1.4, 1.6):
        found.stated(f"{share}", (share * errors.std()).square().expand(100), errors)
    assert [row.estimate for row in found.rows] == pytest.approx([1.0, 0.5, 0.7, 1.4, 1.6])
    assert [row.passed for row in found.rows] == [True, False, True, True, False]


def test_the_exact_curve_goes_as_far_above_a_beta_of_one_as_below_and_beyond_all_that_are_measured(
    problem: checks.Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = checks.BETAS
    monkeypatch.setattr(checks, "BETAS", ())
    betas = [beta for beta, _, _ in checks.rate_distortion(problem, checks.Checks())["exact"]]
    assert [a * b for a, b in zip(betas, betas[::-1], strict=True)] == pytest.approx([1.0] * len(betas))
    assert [b / a for a, b in pairwise(betas)] == pytest.approx([betas[1] / betas[0]] * (len(betas) - 1))
    assert betas[0] < min(measured) < max(measured) < betas[-1]


def test_trained_and_optimised_models_reach_their_optimum(problem: checks.Problem) -> None:
    found = checks.Checks()
    checks.optimised(problem, found)
    checks.trained(problem, found)
    curves = checks.rate_distortion(problem, found)
    assert failed(found) == set()
    assert [row.part for row in found.rows].count("trained") == 6
    rates = [rate for _, _, rate in curves["exact"]]
    assert rates == sorted(rates, reverse=True)
    assert {beta for beta, _, _ in curves["measured"]} == set(checks.BETAS)


def test_a_record_counts_the_checks_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_in_three(_cell: Any, _result: Any, found: checks.Checks) -> None:
        for error in (0.0, 1.0, 2.0):
            found.equal("a", 0.0, error)

    monkeypatch.setattr(checks, "linear_gaussian", one_in_three)
    cell = parse("tiny", TINY).cells("cpu")[0]
    made = record.new(record.ORACLE, cell, {}, "ok")
    checks.run(cell, made)
    assert made.metrics == {"checks": 3, "failed": 2}
    assert len(made.checks) == 3


def test_orders_whose_estimates_have_no_variance_are_left_out(problem: checks.Problem) -> None:
    """Of the tiny problem that is the order -1, whose own power is finite."""
    assert math.isfinite(exact.log_power(problem.truth, 2.0))
    orders = [row.quantity.split()[-1] for row in of_objectives(problem).rows if "order" in row.quantity]
    assert orders == ["0.5", "2"]


def test_each_problem_has_draws_of_its_own() -> None:
    def seed(**changes: Any) -> int:
        return checks.Problem(parse("tiny", TINY | {"problem": [TINY["problem"][0] | changes]}).cells("cpu")[0]).seed

    assert seed() == seed()
    assert len({seed(), seed(noise=0.7), seed(k=1)}) == 3


def test_what_the_data_may_be_off_is_of_their_number(problem: checks.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """One log p(x) of d numbers has the variance d / 2."""

    def estimated(_: Any, x: torch.Tensor, *__: Any, **___: Any) -> dict[str, torch.Tensor]:
        return dict.fromkeys(("log_px", "log_px_var"), torch.ones(len(x), dtype=torch.float64))

    for name in ("importance_weights", "annealed", "reverse"):
        monkeypatch.setattr(evidence, name, estimated)
    found = look(problem, checks.estimates, checks.annealing)
    of_data, of_simulated = (row for row in found.rows if "beside its expectation" in row.quantity)
    for row, n in ((of_data, len(problem.test)), (of_simulated, 60)):
        error = math.sqrt(4 / 2 / n)
        assert row.standard_error == pytest.approx(error)
        assert (row.low, row.high) == (pytest.approx(-4 * error), pytest.approx(4 * error))
