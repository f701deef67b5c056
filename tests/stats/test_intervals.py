"""Intervals and verdicts against scipy and against sums done by hand."""

import math
import random
import subprocess
import sys
from collections.abc import Set

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.judge.factors import NAMES
from bench.stats import differences, intervals, metrics
from bench.stats.intervals import Comparison

Values = st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=8).filter(lambda values: np.ptp(values) > 1e-3)


def test_mean_and_standard_deviation_by_hand() -> None:
    summary = intervals.summarise([1.0, 2.0, 3.0])
    assert (summary.n, summary.mean, summary.std) == (3, 2.0, 1.0)


def coverage(draws: np.ndarray, truth: float) -> float:
    return float(np.mean([s.low <= truth <= s.high for s in map(intervals.summarise, draws.tolist())]))  # type: ignore[operator]


@pytest.mark.parametrize(("noise", "seeds", "least"), [("normal", 3, 0.95), ("normal", 5, 0.95), ("outliers", 3, 0.95)])
def test_interval_covers_as_often_as_it_says(noise: str, seeds: int, least: float) -> None:
    rng = np.random.default_rng(seeds)
    draws = rng.normal(size=(500, seeds))
    if noise == "outliers":
        draws *= np.where(rng.random(draws.shape) < 0.1, 10, 1)
    # Two standard errors of a share of 500.
    assert least - 0.02 <= coverage(5 + 2 * draws, 5.0) <= 0.99


def test_the_percentile_bootstrap_would_cover_three_quarters_of_the_time() -> None:
    from scipy import stats as reference

    draws = np.random.default_rng(3).normal(5.0, 2.0, (500, 3))
    interval = reference.bootstrap(
        (draws,), np.mean, axis=1, n_resamples=999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    covered = np.mean((interval.low <= 5.0) & (interval.high >= 5.0))
    assert covered == pytest.approx(0.75, abs=0.04)


@settings(deadline=None, max_examples=20)
@given(Values, st.floats(-100, 100), st.floats(0.1, 10), st.randoms())
def test_interval_moves_and_stretches_with_the_values_and_knows_no_order(
    values: list[float], shift: float, scale: float, rng: random.Random
) -> None:
    half_width = intervals.summarise(values).half_width
    assert half_width
    mixed = [shift - scale * value for value in values]
    rng.shuffle(mixed)
    assert intervals.summarise(mixed).half_width == pytest.approx(scale * half_width, rel=1e-6)


def test_interval_comes_near_students_t_with_many_seeds() -> None:
    from scipy import stats as reference

    values = np.random.default_rng(0).normal(size=60)
    wanted = reference.t.ppf(0.975, 59) * reference.sem(values)
    assert intervals.summarise(values.tolist()).half_width == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_half_width_is_that_of_its_definition(n: int) -> None:
    """Resamples drawn one way or another: T of the noisy resample's mean, its 95th percentile, in standard errors."""
    random = np.random.default_rng(7)
    values = random.normal(size=n)
    made = values[random.integers(n, size=(400_000, n))] + values.std(ddof=1) / n**0.5 * random.normal(
        size=(400_000, n)
    )
    t = abs(made.mean(1) - values.mean()) / (made.std(1, ddof=1) / n**0.5)
    wanted = np.quantile(t, 0.95) * values.std(ddof=1) / n**0.5
    assert intervals.summarise(values.tolist()).half_width == pytest.approx(wanted, rel=0.06)


def test_interval_is_the_same_in_every_process() -> None:
    code = "from bench.stats import intervals; print(intervals.summarise([1.0, 2.5, 3.0]).high.hex())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    high = intervals.summarise([1.0, 2.5, 3.0]).high
    assert high is not None
    assert found == high.hex()


@pytest.mark.parametrize(("values", "std"), [([4.0], None), ([4.0, 6.0], math.sqrt(2))])
def test_too_few_seeds_give_no_interval(values: list[float], std: float | None) -> None:
    summary = intervals.summarise(values)
    assert summary.std == pytest.approx(std)
    assert (summary.low, summary.high, summary.half_width) == (None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, math.nan, 2.0], [math.inf]])
def test_no_value_and_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="summarise needs"):
        intervals.summarise(values)


def test_paired_is_the_summary_of_the_differences_on_shared_seeds() -> None:
    a = {0: -100.1, 1: -100.6, 2: -99.8, 3: -100.0, 9: 50.0}
    b = {0: -101.0, 1: -101.7, 2: -100.5, 3: -101.1, 7: -500.0}
    found = intervals.paired(a, b, higher_better=True)
    wanted = intervals.summarise([a[seed] - b[seed] for seed in range(4)])
    assert found.n == 4
    assert found.difference == pytest.approx(0.95)
    assert (found.low, found.high) == (wanted.low, wanted.high)
    assert found.verdict == "better"
    back = intervals.paired(b, a, higher_better=True)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))  # type: ignore[operator]
    assert back.verdict == "worse"


def test_probability_of_improvement_counts_all_pairs_of_runs_and_ties_half() -> None:
    from scipy import stats as reference

    a, b = [1.0, 2.0, 5.0], [2.0, 3.0]
    # Of the six pairs (1, 2), (1, 3), (2, 2), (2, 3), (5, 2), (5, 3) two are won and one is a tie.
    assert intervals.probability_of_improvement(a, b) == pytest.approx(2.5 / 6)
    assert intervals.probability_of_improvement(a, b) == pytest.approx(reference.mannwhitneyu(a, b).statistic / 6)
    assert intervals.probability_of_improvement(a, b) + intervals.probability_of_improvement(b, a) == pytest.approx(1)


def test_p_better_follows_the_direction_and_the_shared_seeds() -> None:
    a, b = {0: 1.0, 1: 2.0, 2: 5.0, 9: -50.0}, {0: 2.0, 1: 3.0, 2: 4.0}
    assert intervals.paired(a, b, True).p_better == pytest.approx(3.5 / 9)
    assert intervals.paired(a, b, False).p_better == pytest.approx(5.5 / 9)
    assert intervals.paired({0: 1.0}, {1: 1.0}, True).p_better is None


def test_pairing_sees_what_the_separate_intervals_hide() -> None:
    a, b = {0: 10.0, 1: 20.0, 2: 30.0}, {0: 9.0, 1: 18.9, 2: 29.1}
    assert intervals.paired(a, b, True).verdict == "better"
    mine, yours = intervals.summarise(list(a.values())), intervals.summarise(list(b.values()))
    assert mine.low is not None
    assert yours.high is not None
    assert mine.low < yours.high


@pytest.mark.parametrize(("higher_better", "verdict"), [(True, "worse"), (False, "better")])
def test_the_direction_decides(higher_better: bool, verdict: str) -> None:
    a, b = {0: 1.0, 1: 1.1, 2: 0.9}, {0: 2.0, 1: 2.05, 2: 2.0}
    assert intervals.paired(a, b, higher_better).verdict == verdict
    assert intervals.paired(b, a, higher_better).verdict != verdict


def test_equal_rows_are_not_distinguishable() -> None:
    row = {0: 1.0, 1: 5.0, 2: 3.0}
    found = intervals.paired(row, row, True)
    assert (found.difference, found.low, found.high, found.verdict) == (0, 0, 0, "not distinguishable")


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_too_few_shared_seeds_decide_nothing(shared: int) -> None:
    a = {seed: 100.0 + seed for seed in range(5)}
    b = {seed if seed < shared else seed + 10: 1.0 for seed in range(5)}
    found = intervals.paired(a, b, True)
    assert (found.n, found.enough, found.verdict) == (shared, False, "not distinguishable")
    assert ("no seed in common" if shared == 0 else "too few seeds") in differences.sentence(found, "a", "b", "toy")


@pytest.mark.parametrize(
    ("found", "name", "words"),
    [
        # P(better) knows no uncertainty: beside "not distinguishable" a 1.00 of three seeds would contradict.
        (
            Comparison(3, -0.35, -0.80, 0.10, "not distinguishable", 1.0),
            "elbo_nats",
            "ELBO -0.35 nats [-0.80, 0.10] over 3 paired seeds: not distinguishable.",
        ),
        (
            Comparison(10, 6.15, 4.57, 7.73, "better", 0.97),
            "elbo_nats",
            "ELBO +6.15 nats [4.57, 7.73], P(better) 0.97, over 10 paired seeds: better.",
        ),
        (
            Comparison(10, -6.15, -7.73, -4.57, "worse", 0.03),
            "elbo_nats",
            "ELBO -6.15 nats [-7.73, -4.57], P(better) 0.03, over 10 paired seeds: worse.",
        ),
        (
            Comparison(1, 6.15, None, None, "not distinguishable", 1.0),
            "elbo_nats",
            "ELBO +6.15 nats over 1 paired seed: too few seeds for an interval, not distinguishable.",
        ),
        (
            Comparison(9, 6.15, 4.57, 7.73, "better", 1.0),
            "elbo_nats",
            "ELBO +6.15 nats [4.57, 7.73] over 9 paired seeds: better.",
        ),
        (
            Comparison(3, 0.0269, 0.0101, 0.0437, "better", 0.9),
            "probe_accuracy",
            "probe accuracy +2.69 percentage points [1.01, 4.37] over 3 paired seeds: better.",
        ),
        (
            Comparison(3, 5.14, 0.88, 9.40, "still learning", 1.0, 8.19),
            "elbo_nats",
            "ELBO +5.14 nats [0.88, 9.40] over 3 paired seeds: still learning, no verdict; longer training may "
            "move it by 8.19 nats and reverse it.",
        ),
        (
            Comparison(3, 0.1, 0.05, 0.15, "still learning", 1.0),
            "ssim",
            "SSIM +0.1000 [0.0500, 0.1500] over 3 paired seeds: still learning, no verdict; longer training may "
            "reverse it.",
        ),
    ],
)
def test_sentence(found: Comparison, name: str, words: str) -> None:
    text = differences.sentence(found, "iwae", "vanilla", "mnist-dynamic after 1 epoch", name)
    assert text == f"iwae against vanilla on mnist-dynamic after 1 epoch: {words}"


def best(rows: dict[str, dict[int, float]], higher_better: bool) -> Set[str]:
    return intervals.best_rows(rows, higher_better).best


def row(level: float, noise: tuple[float, ...] = (0.1, -0.1, 0.05, -0.05, 0.0)) -> dict[int, float]:
    return {seed: level + value for seed, value in enumerate(noise)}


def test_one_clear_winner() -> None:
    assert best({"a": row(-100), "b": row(-101, (0, 0.1, 0.1, 0, 0.1)), "c": row(-130)}, True) == {"a"}


def test_lower_is_better() -> None:
    assert best({"a": row(100), "b": row(101), "c": row(130)}, False) == {"a"}


def test_a_tie_is_marked_together() -> None:
    close = row(-100.02, (-0.1, 0.2, 0.1, -0.2, 0.05))
    assert best({"a": row(-100), "b": close, "c": row(-130)}, True) == {"a", "b"}


def test_nothing_is_marked_when_nobody_is_distinguishably_worse() -> None:
    close = row(-100.02, (-0.1, 0.2, 0.1, -0.2, 0.05))
    assert best({"a": row(-100), "b": close}, True) == set()
    assert best({"a": row(-100)}, True) == set()
    assert best({}, True) == set()


def test_a_row_with_two_seeds_is_neither_marked_nor_in_the_way() -> None:
    rows = {"lucky": row(-50, (0, 0.1)), "a": row(-100), "c": row(-130)}
    assert best(rows, True) == {"a"}


@pytest.mark.parametrize(("shift", "marked"), [(2, {"a", "other"}), (3, {"a"}), (10, {"a"})])
def test_a_row_with_too_few_seeds_in_common_with_the_best_is_not_marked(shift: int, marked: set[str]) -> None:
    noise = (-0.1, 0.2, 0.1, -0.2, 0.05)
    close = {seed + shift: value for seed, value in row(-100.02, noise).items()}
    assert best({"a": row(-100), "c": row(-130), "other": close}, True) == marked


def test_nothing_is_marked_where_the_best_shares_too_few_seeds_with_all_others() -> None:
    others = {seed + 10: value for seed, value in row(-130).items()}
    assert best({"a": row(-100), "c": others}, True) == set()


def test_what_is_marked_does_not_depend_on_the_order_of_rows() -> None:
    """Of two rows of one mean the first by alphabet is held against the others, which may share seeds with it alone."""
    others = {seed + 10: value for seed, value in row(-100).items()}
    rows = {"b": others, "a": row(-100), "c": row(-130)}
    for order in (rows, dict(reversed(rows.items()))):
        assert best(order, True) == {"a"}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_mean_of_noughts_has_no_sign(seeds: int) -> None:
    assert str(intervals.summarise([-0.0] * seeds).mean) == "0.0"


def test_metric_names_carry_their_number() -> None:
    entry = metrics.metric("nll_is5000_nats")
    assert (entry.label, entry.unit, entry.better) == ("NLL (IS-5000)", "nats", "lower")
    assert "5000 importance samples" in entry.says
    assert metrics.metric("elbo_nats").header == "ELBO ↑ (nats)"
    assert metrics.metric("nll_isx_nats").better is None
    new = metrics.metric("something_new")
    assert (new.header, new.better, new.says, new.theme) == ("something_new", None, "not described", metrics.OTHER)


def test_metrics_are_ordered_by_the_table_then_by_number() -> None:
    names = ["zzz", "kl_nats", "nll_is5000_nats", "nll_is500_nats", "elbo_nats"]
    assert metrics.ordered(names) == ["elbo_nats", "nll_is500_nats", "nll_is5000_nats", "kl_nats", "zzz"]
    assert metrics.ordered(f"nll_is{k}_nats" for k in (500, 60, 50)) == [f"nll_is{k}_nats" for k in (50, 60, 500)]


def test_a_legend_says_once_what_differs_in_its_number_alone() -> None:
    layers = ["kl_layer10_nats", "kl_layer2_nats", "nll_is500_nats", "zzz", "kl_layer1_nats", "kl_nats"]
    told = {entry.label: entry.says for entry in metrics.legend([*layers, "kl_nats"])}
    assert list(told) == ["NLL (IS-500)", "KL", "KL, layer K", "zzz"]
    assert "of layer K of the latents" in told["KL, layer K"]


RANKED = ("frechet", "kid", "precision", "recall", "density", "coverage")


def test_every_metric_has_a_theme_and_what_has_no_better_direction_is_not_ranked() -> None:
    assert {entry.theme for entry in metrics.METRICS.values()} <= set(metrics.THEMES)
    ranked = {name for name, entry in metrics.METRICS.items() if entry.ranked}
    assert ranked == {
        "elbo_nats",
        "nll_is*_nats",
        "nll_exact_nats",
        "nll_excess_nats",
        "mse_per_pixel",
        "bits_per_dim",
        "elbo_bits_per_dim",
        "probe_accuracy",
        "knn_accuracy",
        "ssim",
        *NAMES,
        *(name + ending for name in RANKED for ending in ("", "_means", "_fitted", "_fitted_flow")),
    }
