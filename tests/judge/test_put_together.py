"""What `evaluate` makes of the measurements of single examples: which examples, which sign, which error."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import judge
from bench.judge import (
    Judgement,
    Scores,
    bounds,
    counted,
    evaluate,
    evidence,
    factors,
    features,
    gaps,
    latent,
    representation,
    samples,
    surgery,
)
from bench.reproduce import committed, effects
from bench.resume.notebook import Notebook
from bench.settings import Measure
from bench.stats import intervals, learning
from tests.helpers import Held
from variants import DataSpec, build
from variants.core import VAE, Terms

N = 12


@pytest.fixture
def held() -> Held:
    return Held(torch.randn(N, 5, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return build("linear", DataSpec((5,), "real"), latent=2)


def columns(log_px: Tensor, variance: float) -> dict[str, Tensor]:
    one = torch.ones(len(log_px), dtype=torch.float64)
    return {"log_px": log_px.double(), "log_px_var": variance * one, "acceptance": 0.5 * one}


@pytest.mark.parametrize("points", [4, N])
def test_the_sandwich_is_of_test_examples_from_below_and_of_simulated_ones_from_both_sides(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    drawn = torch.full((points, 5), 7.0), torch.full((points, 2), 3.0)

    def weights(_: VAE, x: Tensor, __: int) -> Any:
        return {"elbo": x[:, 0].double() - 2, "elbo_var": torch.full((len(x),), 0.25, dtype=torch.float64)}

    def annealed(_: VAE, x: Tensor, **how: Any) -> Any:
        assert how == {"chains": 2, "steps": 3}
        return columns(x[:, 0], 0.04)

    def reverse(_: VAE, x: Tensor, z: Tensor, **how: Any) -> Any:
        assert how == {"chains": 2, "steps": 3}
        assert torch.equal(x, drawn[0][: len(x)])
        assert torch.equal(z, drawn[1][: len(x)])
        return columns(x[:, 0] + 2, 0.09)

    monkeypatch.setattr(evidence, "importance_weights", weights)
    monkeypatch.setattr(evidence, "simulate", lambda _, n: tuple(each[:n] for each in drawn))
    monkeypatch.setattr(evidence, "annealed", annealed)
    monkeypatch.setattr(evidence, "reverse", reverse)
    judged = evaluate(model, held, Measure(3, 0, ais_points=points, ais_chains=2, ais_steps=3))  # type: ignore[arg-type]
    found, errors = judged.metrics, judged.errors
    # log p(x) is two nats above the ELBO of each test example.
    assert found["nll_ais_nats"] == pytest.approx(-found["elbo_nats"] - 2)
    assert (found["bdmc_lower_nats"], found["bdmc_upper_nats"], found["bdmc_gap_nats"]) == (7, 9, 2)
    assert found["ais_acceptance"] == 0.5
    mc = {name: errors[name]["mc"] for name in errors}
    elbo = mc["elbo_nats"]
    assert elbo is not None
    assert mc["nll_ais_nats"] == pytest.approx(math.sqrt(elbo**2 + (0.04 + 0.25) / points))
    assert mc["bdmc_lower_nats"] == pytest.approx(math.sqrt(0.04 / points))
    assert mc["bdmc_upper_nats"] == pytest.approx(math.sqrt(0.09 / points))
    assert mc["bdmc_gap_nats"] == pytest.approx(math.sqrt((0.04 + 0.09) / points))


def test_one_chain_says_nothing_of_its_own_error(held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(_: VAE, x: Tensor, *__: Any, **___: Any) -> dict[str, Tensor]:
        return {name: column for name, column in columns(x[:, 0], 0.0).items() if name != "log_px_var"}

    def weights(_: VAE, x: Tensor, __: int) -> dict[str, Tensor]:
        return {"elbo": x[:, 0].double(), "elbo_var": torch.full((len(x),), 0.25, dtype=torch.float64)}

    monkeypatch.setattr(evidence, "importance_weights", weights)
    monkeypatch.setattr(evidence, "simulate", lambda _, n: (torch.ones(n, 5), torch.ones(n, 2)))
    monkeypatch.setattr(evidence, "annealed", one)
    monkeypatch.setattr(evidence, "reverse", one)
    judged = evaluate(model, held, Measure(2, 0, ais_points=3, ais_chains=1, ais_steps=2))  # type: ignore[arg-type]
    for name in ("nll_ais_nats", "bdmc_lower_nats", "bdmc_upper_nats", "bdmc_gap_nats"):
        assert judged.metrics[name] is not None
        assert judged.errors[name]["mc"] is None


@pytest.mark.parametrize("points", [4, N])
def test_each_gap_is_that_of_its_own_name_with_its_own_error(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    told = {
        "inference_gap_optimised_nats": "inference",
        "approximation_gap_nats": "approximation",
        "amortisation_gap_nats": "amortisation",
        "approximation_gap_diagonal_nats": "approximation_diagonal",
        "approximation_gap_full_nats": "approximation_full",
    }
    asked: list[tuple[int, dict[str, Any]]] = []

    def found(_: VAE, x: Tensor, **how: Any) -> dict[str, Tensor]:
        asked.append((len(x), how))
        one = torch.ones(len(x), dtype=torch.float64)
        made = {name: i * one for i, name in enumerate(told.values(), start=1)}
        return made | {f"{name}_var": column / 100 for name, column in made.items()} | {"log_px": x[:, 0].double()}

    monkeypatch.setattr(gaps, "gaps", found)
    judged = evaluate(model, held, Measure(2, 0, gap_points=points, gap_steps=7))  # type: ignore[arg-type]
    assert asked == [(points, {"steps": 7, "samples": 8, "evidence_samples": 500})]
    assert [judged.metrics[name] for name in told] == [1, 2, 3, 4, 5]
    errors = [judged.errors[name]["mc"] for name in told]
    assert errors == pytest.approx([math.sqrt(i / 100 / points) for i in range(1, 6)])


def test_bounds_in_training_are_of_as_many_examples_as_there_are(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, dict[str, Any]]] = []
    progress: list[tuple[int, int]] = []

    def found(_: VAE, x: Tensor, **how: Any) -> dict[str, Tensor]:
        asked.append((len(x), how))
        one = torch.ones(len(x), dtype=torch.float64)
        made = {name: i * one for i, name in enumerate(("elbo", "elbo_own", "log_px"), start=1)}
        return made | {f"{name}_var": column / 100 for name, column in made.items()}

    inner = held.eval_batches
    held.splits["train"] = N
    held.eval_batches = lambda _, size, limit=None: inner("test", size, limit)  # type: ignore[method-assign]
    monkeypatch.setattr(gaps, "gaps", found)
    how = Measure(2, 0, gap_points=100, gap_steps=7, gap_split="train")
    notebook = Notebook(None, lambda _, done, total: progress.append((done, total)))
    judged = evaluate(model, held, how, notebook)  # type: ignore[arg-type]
    assert asked == [(N, {"steps": 7, "samples": 8, "evidence_samples": 500})]
    assert progress == [(1, 1)]
    names = ("train_elbo_nats", "train_elbo_optimised_nats", "train_nll_optimised_nats")
    assert [judged.metrics[name] for name in names] == [1, 2, -3]
    errors = [judged.errors[name]["mc"] for name in names]
    assert errors == pytest.approx([math.sqrt(i / 100 / N) for i in (1, 2, 3)])


@pytest.mark.parametrize("points", [4, N])
def test_an_exact_nll_has_no_error_but_that_of_the_elbo_of_examples_that_were_not_asked(
    monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    x = torch.rand(N, 5, generator=torch.Generator().manual_seed(0)).round()
    model = build("bernoulli_vimco", DataSpec((5,), "binary"), latent=3, hidden=(4,))
    one = torch.ones(points, dtype=torch.float64)

    def weights(_: VAE, x: Tensor, samples: int) -> dict[str, Tensor]:  # noqa: ARG001
        variances = {"log_px_var": 0.09 * one, "elbo_var": 0.25 * one, "gap_var": 0.49 * one}
        return {"log_px": x[:, 0].double() + 5, "elbo": x[:, 0].double()} | variances

    monkeypatch.setattr(evidence, "importance_weights", weights)
    monkeypatch.setattr(counted, "enumerated", lambda _, x: {"log_px": x[:, 0].double() + 2})
    # As many states as may be counted.
    monkeypatch.setattr(counted, "MOST_STATES", 8)
    judged = evaluate(model, Held(x, kind="binary"), Measure(2, 5, points))  # type: ignore[arg-type]
    elbo = judged.errors["elbo_nats"]["mc"]
    assert elbo is not None
    if points == N:
        assert judged.metrics["nll_exact_nats"] == pytest.approx(-(x[:, 0].mean().item() + 2))
        assert judged.errors["nll_exact_nats"]["mc"] == 0
    else:
        assert judged.metrics["nll_exact_nats"] == pytest.approx(-(judged.metrics["elbo_nats"] + 2))  # type: ignore[operator]
        assert judged.errors["nll_exact_nats"]["mc"] == pytest.approx(math.sqrt(elbo**2 + 0.25 / points))


@pytest.mark.parametrize("n", [1, 2, N])
def test_the_axes_are_told_of_all_examples_and_of_one_there_are_none(held: Held, model: VAE, n: int) -> None:
    found = evaluate(model, Held(held.x[:n]), Measure(2, 0, mi_points=1)).latent  # type: ignore[arg-type]
    assert found.get("points") == (n if n > 1 else None)
    assert len(found.get("mean_variance", [])) == (2 if n > 1 else 0)


@pytest.mark.parametrize("points", [4, N])
def test_the_error_of_a_mutual_information_is_that_of_the_examples_that_were_asked(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    values = torch.linspace(0, 1, points, dtype=torch.float64)

    def information(_: VAE, x: Tensor, components: Any) -> dict[str, Tensor]:
        assert len(x) == points
        assert sum(map(len, components)) == N
        return {"mutual_information": values}

    monkeypatch.setattr(surgery, "mutual_information", information)
    judged = evaluate(model, held, Measure(2, 0, mi_points=points))  # type: ignore[arg-type]
    error = {"mc": pytest.approx((values.var() / points).sqrt().item()), "test": None}
    assert judged.metrics["mutual_information_nats"] == pytest.approx(0.5)
    assert judged.metrics["marginal_kl_nats"] == pytest.approx(judged.metrics["kl_nats"] - 0.5)
    assert judged.errors["mutual_information_nats"] == judged.errors["marginal_kl_nats"] == error


def test_a_marginal_kl_has_no_known_error_where_the_kl_is_an_estimate(held: Held) -> None:
    model = build("vamp_prior", held.spec, latent=2, pseudo_inputs=3, hidden=[4])
    errors = evaluate(model, held, Measure(2, 0, mi_points=4)).errors  # type: ignore[arg-type]
    assert errors["mutual_information_nats"]["mc"] is not None
    assert errors["marginal_kl_nats"] == {"mc": None, "test": None}


@pytest.mark.parametrize("n", [2, 5, N])
def test_of_a_part_of_the_examples_the_rest_is_known_by_their_elbo(n: int) -> None:
    """Two-phase sampling: Var(log p(x)) / N + Var(gap) (1/n - 1/N), each without the noise of the judge's own draws."""
    random = torch.Generator().manual_seed(n)
    elbo, log_px = (torch.randn(size, generator=random, dtype=torch.float64) for size in (N, n))
    gap, noise = log_px - elbo[:n], torch.full((n,), 0.01, dtype=torch.float64)
    test = Scores(elbo, elbo, elbo, torch.full((N,), 0.02, dtype=torch.float64), None, "closed_form")
    nll, error = judge._whole({"log_px": log_px, "log_px_var": noise}, gap, noise, test)
    assert nll == pytest.approx(-(elbo.mean() + gap.mean()).item())
    spread = (log_px.var() - 0.01).clamp(min=0) / N + (gap.var() - 0.01).clamp(min=0) * (1 / n - 1 / N)
    assert error == {"mc": pytest.approx(math.sqrt(0.02 / N + 0.01 / n)), "test": pytest.approx(spread.sqrt().item())}


def test_what_is_exact_is_held_against_the_truth_before_any_estimate(held: Held) -> None:
    class Truth:
        def log_prob(self, x: Tensor) -> Tensor:
            return torch.full((len(x),), -8.0, dtype=torch.float64)

    errors: Any = {"nll_is5_nats": {"mc": 0.3, "test": 0.1}, "nll_exact_nats": {"mc": 0.0, "test": 0.1}}
    for exact, excess, mc in ((9.0, 1.0, 0.0), (None, 2.0, 0.3)):
        judged = Judgement({"nll_is5_nats": 10.0, "nll_exact_nats": exact}, dict(errors))
        judge._excess(judged, Truth(), held, "nll_is5_nats")  # type: ignore[arg-type]
        assert (judged.metrics["nll_truth_nats"], judged.metrics["nll_excess_nats"]) == (8, excess)
        assert judged.errors["nll_excess_nats"] == {"mc": mc, "test": None}


def test_the_variance_of_a_mean_of_draws_is_theirs_over_their_number(model: VAE) -> None:
    made = model.terms(torch.randn(6, 5), 7)
    log_px_z = torch.randn(7, 6)
    terms = Terms(x=made.x, z=made.z, q=made.q, p=made.p, log_px_z=log_px_z)
    assert terms.kl_method == "closed_form"
    torch.testing.assert_close(bounds.elbo_variance(terms), log_px_z.var(0) / 7)


def test_the_errors_of_a_mean_of_few_values_by_hand() -> None:
    values = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)  # of variance 7
    noise = torch.tensor([0.3, 0.9, 0.6], dtype=torch.float64)
    assert judge._error(values, None) == {"mc": None, "test": pytest.approx(math.sqrt(7 / 3))}
    mc = 1.8 / 9
    assert judge._error(values, noise) == {
        "mc": pytest.approx(math.sqrt(mc)),
        "test": pytest.approx(math.sqrt(7 / 3 - mc)),
    }
    # Draws that are noisier than the examples differ leave nothing for the choice of these.
    assert judge._error(values, 100 * noise) == {"mc": pytest.approx(math.sqrt(100 * mc)), "test": 0.0}
    assert judge._error(values[:1], noise[:1]) == {"mc": pytest.approx(math.sqrt(0.3)), "test": None}


@pytest.mark.parametrize("k", [2, 5])
def test_the_variance_of_the_logarithm_of_a_mean_by_the_delta_method(k: int) -> None:
    """Of few draws, whose weights w relative to their mean have the unbiased variance."""
    log_w = torch.randn(k, 3, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    draws = torch.randn(k, 3, generator=torch.Generator().manual_seed(k + 1), dtype=torch.float64)
    w = log_w.exp().numpy()
    found = evidence.log_mean_exp(log_w - 700)
    np.testing.assert_allclose(found["log_px"], np.log(w.mean(0)) - 700)
    np.testing.assert_allclose(found["log_px_var"], w.var(0, ddof=1) / (k * w.mean(0) ** 2))
    both = (w / w.mean(0) - draws.numpy()).var(0, ddof=1) / k
    np.testing.assert_allclose(evidence.gap_variance(log_w - 700, draws), both)


def test_numbers_are_those_of_the_sources_and_of_what_is_said_of_the_metrics() -> None:
    """Another number is another metric under the same name."""
    # Naeem et al. 2020; Meehan et al. 2020; Ghosh et al. 2020.
    assert (samples.NEIGHBOURS, samples.CELLS, samples.FEWEST) == (5, 5, 20)
    assert (samples.COMPONENTS, samples.CODES) == (10, 10_000)
    assert (features.WIDTH, features.EXAMPLES, features.STEPS) == (64, 20_000, 1000)
    assert (features.BATCH, features.RATE) == (64, 1e-3)
    # Locatello et al. 2019 and disentanglement_lib; Higgins et al. 2017; Suter et al. 2019.
    assert (factors.LIVE, factors.BINS, factors.GROUP, factors.VOTES, factors.JUDGED) == (0.05, 20, 64, 800, 400)
    assert (factors.TREES, factors.TAIL, factors.SIGNIFICANT, factors.SUPREMUM) == (50, 0.005, 4.0, 0.99)
    # Burda et al. 2016; Wang et al. 2004; Wu et al. 2017.
    assert (bounds.ACTIVE_VARIANCE, representation.NEIGHBOURS, representation.SSIM_WINDOW) == (0.01, 5, 11)
    assert (evidence._SCHEDULE_WIDTH, evidence._ACCEPTANCE, evidence._JITTER) == (4.0, 0.65, 0.2)
    assert (counted.MOST_STATES, judge.GAP_SAMPLES, judge.GAP_EVIDENCE) == (2**14, 8, 500)
    assert latent.VALUES == (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
    assert latent.LEVELS == (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    assert (latent.POINTS, latent.AXES, latent.EXTREMES, latent.BINS) == (2000, 6, 8, 20)
    assert (intervals.MIN_SEEDS, intervals.LEVEL, learning.LONGER, learning.SHARE) == (3, 0.95, 10, 0.3)
    assert (committed.SHARE, committed.ERRORS, effects.DIGITS) == (0.5, 3, 9)


@pytest.mark.parametrize(("points", "total"), [(None, 3), (5, 1), (500, 2), (10_000, 3)])
def test_a_measurement_has_as_many_batches_as_there_are_points(
    monkeypatch: pytest.MonkeyPatch, points: int | None, total: int
) -> None:
    monkeypatch.setitem(judge.NOTED, "nll", 250)
    held = Held(torch.zeros(700, 6))
    asked: list[int] = []
    notebook: Any = SimpleNamespace(each=lambda _name, batches, _function, total: asked.append(total) or list(batches))
    model = build("vanilla", held.spec, latent=2, hidden=[4])
    batches: Any = judge._each(notebook, "NLL", "nll", model, held, points, None)  # type: ignore[arg-type]
    assert asked == [total] == [len(batches)]
