"""Intervals and verdicts against scipy and against sums done by hand."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stats


def test_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, standard deviation 1, t(2 degrees) = 4.30265, half-width 4.30265 / sqrt(3) = 2.48414.
    summary = stats.summarise([1.0, 2.0, 3.0])
    assert (summary.n, summary.mean, summary.std) == (3, 2.0, 1.0)
    assert summary.half_width == pytest.approx(2.48414, abs=1e-5)
    assert summary.low == pytest.approx(2 - 2.48414, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=8).filter(lambda values: np.ptp(values) > 1e-3))
def test_interval_is_scipys(values: list[float]) -> None:
    from scipy import stats as reference

    summary = stats.summarise(values)
    wanted = reference.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=reference.sem(values))
    assert (summary.low, summary.high) == pytest.approx(wanted, rel=1e-7, abs=1e-7)
    assert summary.std == pytest.approx(np.std(values, ddof=1))


def test_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(5.0, 2.0, (4000, 4))
    covered = np.mean([s.low <= 5.0 <= s.high for s in map(stats.summarise, draws.tolist())])  # type: ignore[operator]
    assert covered == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("values", "std"), [([4.0], None), ([4.0, 6.0], math.sqrt(2))])
def test_too_few_seeds_give_no_interval(values: list[float], std: float | None) -> None:
    summary = stats.summarise(values)
    assert summary.std == pytest.approx(std)
    assert (summary.low, summary.high, summary.half_width) == (None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, math.nan, 2.0], [math.inf]])
def test_no_value_and_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="summarise needs"):
        stats.summarise(values)


def test_paired_matches_scipy_and_uses_only_shared_seeds() -> None:
    from scipy import stats as reference

    a = {0: -100.1, 1: -100.6, 2: -99.8, 3: -100.0, 9: 50.0}
    b = {0: -101.0, 1: -101.7, 2: -100.5, 3: -101.1, 7: -500.0}
    found = stats.paired(a, b, higher_better=True)
    test = reference.ttest_rel([a[s] for s in range(4)], [b[s] for s in range(4)])
    assert found.n == 4
    assert found.difference == pytest.approx(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.verdict == "better"


def test_pairing_sees_what_the_separate_intervals_hide() -> None:
    a, b = {0: 10.0, 1: 20.0, 2: 30.0}, {0: 9.0, 1: 18.9, 2: 29.1}
    assert stats.paired(a, b, True).verdict == "better"
    mine, yours = stats.summarise(list(a.values())), stats.summarise(list(b.values()))
    assert mine.low is not None
    assert yours.high is not None
    assert mine.low < yours.high


@pytest.mark.parametrize(("higher_better", "verdict"), [(True, "worse"), (False, "better")])
def test_the_direction_decides(higher_better: bool, verdict: str) -> None:
    a, b = {0: 1.0, 1: 1.1, 2: 0.9}, {0: 2.0, 1: 2.05, 2: 2.0}
    assert stats.paired(a, b, higher_better).verdict == verdict
    assert stats.paired(b, a, higher_better).verdict != verdict


def test_equal_rows_are_not_distinguishable() -> None:
    row = {0: 1.0, 1: 5.0, 2: 3.0}
    found = stats.paired(row, row, True)
    assert (found.difference, found.low, found.high, found.verdict) == (0, 0, 0, "not distinguishable")


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_too_few_shared_seeds_decide_nothing(shared: int) -> None:
    a = {seed: 100.0 + seed for seed in range(5)}
    b = {seed if seed < shared else seed + 10: 1.0 for seed in range(5)}
    found = stats.paired(a, b, True)
    assert (found.n, found.enough, found.verdict) == (shared, False, "not distinguishable")
    assert ("no seed in common" if shared == 0 else "too few seeds") in stats.sentence(found, "a", "b", "toy")


def test_sentence() -> None:
    found = stats.Comparison(5, -0.35, -0.80, 0.10, "not distinguishable")
    assert stats.sentence(found, "full_covariance", "vanilla", "mnist-dynamic") == (
        "full_covariance against vanilla on mnist-dynamic: ELBO -0.35 nats [-0.80, 0.10] over 5 paired seeds: "
        "not distinguishable."
    )


def row(level: float, noise: tuple[float, ...] = (0.1, -0.1, 0.05, -0.05, 0.0)) -> dict[int, float]:
    return {seed: level + value for seed, value in enumerate(noise)}


def test_one_clear_winner() -> None:
    assert stats.best_rows({"a": row(-100), "b": row(-101, (0, 0.1, 0.1, 0, 0.1)), "c": row(-130)}, True) == {"a"}


def test_lower_is_better() -> None:
    assert stats.best_rows({"a": row(100), "b": row(101), "c": row(130)}, False) == {"a"}


def test_a_tie_is_marked_together() -> None:
    close = row(-100.02, (-0.1, 0.2, 0.1, -0.2, 0.05))
    assert stats.best_rows({"a": row(-100), "b": close, "c": row(-130)}, True) == {"a", "b"}


def test_nothing_is_marked_when_nobody_is_distinguishably_worse() -> None:
    close = row(-100.02, (-0.1, 0.2, 0.1, -0.2, 0.05))
    assert stats.best_rows({"a": row(-100), "b": close}, True) == set()
    assert stats.best_rows({"a": row(-100)}, True) == set()
    assert stats.best_rows({}, True) == set()


def test_a_row_with_two_seeds_is_neither_marked_nor_in_the_way() -> None:
    rows = {"lucky": row(-50, (0, 0.1)), "a": row(-100), "c": row(-130)}
    assert stats.best_rows(rows, True) == {"a"}


def test_a_row_without_shared_seeds_cannot_be_told_apart() -> None:
    rows = {"a": row(-100), "c": row(-130), "other": {seed + 10: value for seed, value in row(-110).items()}}
    assert stats.best_rows(rows, True) == {"a", "other"}


def test_metric_names_carry_their_number() -> None:
    entry = stats.metric("nll_is5000_nats")
    assert (entry.label, entry.unit, entry.direction) == ("NLL (IS-5000)", "nats", "lower")
    assert "5000 importance samples" in entry.definition
    assert stats.metric("elbo_nats").header == "ELBO ↑ (nats)"
    assert stats.metric("nll_isx_nats").direction is None
    assert stats.metric("something_new") == stats.Metric("something_new", "", None, 3, "not described")


def test_metrics_are_ordered_by_the_table_then_by_number() -> None:
    names = ["zzz", "kl_nats", "nll_is5000_nats", "nll_is500_nats", "elbo_nats"]
    assert stats.ordered(names) == ["elbo_nats", "nll_is500_nats", "nll_is5000_nats", "kl_nats", "zzz"]


def test_no_page_needs_torch() -> None:
    code = (
        "import sys, bench.stats\n"
        "assert not {'numpy', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules), 'bench.stats is meant to be light'\n"
        "import bench.table, bench.plot, bench.report\n"
        "assert not {'torch', 'torchvision', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
