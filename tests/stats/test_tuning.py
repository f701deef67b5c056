"""Trials: which is chosen, what more of them would be worth, and who changes places once all are tuned."""

import itertools
import math
import statistics
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from bench.records.record import TRIAL, Record
from bench.stats import tuning
from bench.stats.differences import differences
from bench.stats.frame import frame
from bench.stats.groups import groups, not_shown
from tests.fake_records import identity, quality

SEARCH = {"trials": 4, "metric": "elbo_nats", "stream": 0, "ranges": {"lr": {"log": [0.0001, 0.1]}}}


def tuned(record: Record, trial: int = 0, lr: float = 0.01, **search: Any) -> Record:
    """The record with the settings of a trial."""
    cell = record.cell
    of = {"trial": trial, "settings": {"lr": lr}, "overrides": cell["overrides"], "budget": cell["budget"]}
    made = cell | {"budget": cell["budget"] | {"lr": lr}, "tuning": of | {"search": SEARCH | search}}
    return structs.replace(record, cell=made, id=f"{identity(made)}_{lr}")


def trial(value: float | None, number: int, variant: str = "vanilla", status: str = "ok", **search: Any) -> Record:
    made = tuned(quality(variant, 10**9 + number), number, 0.001 * (number + 1), **search)
    name = f"valid_{(SEARCH | search)['metric']}"
    return structs.replace(made, kind=TRIAL, status=status, metrics={name: value}, id=f"{made.id}_trial")


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0, 2.0], [-1.5], [0.0, 0.0, 0.0], [5.0, -100.0, 4.0]])
def test_the_expected_best_is_the_mean_over_all_draws(values: list[float], higher: bool) -> None:
    best = max if higher else min
    brute = [
        statistics.fmean(map(best, itertools.product(values, repeat=n)))  # with replacement
        for n in range(1, len(values) + 1)
    ]
    assert tuning.expected_best(values, higher=higher) == pytest.approx(brute)


def test_the_best_trial_is_chosen_by_the_direction_of_the_metric() -> None:
    assert tuning.choose([trial(v, n) for n, v in enumerate([-101.0, -99.0, -100.0])]).cell["tuning"]["trial"] == 1  # type: ignore[union-attr]
    squared = [trial(v, n, metric="mse_per_pixel") for n, v in enumerate([0.03, 0.01, 0.02])]
    assert tuning.choose(squared) is squared[1]


def test_of_equals_the_first_counts_in_whatever_order_they_come() -> None:
    trials = [trial(v, n) for n, v in enumerate([-101.0, -99.0, -99.0, -100.0])]
    assert {tuning.choose(order).cell["tuning"]["trial"] for order in itertools.permutations(trials)} == {1}  # type: ignore[union-attr]


def test_a_trial_that_failed_is_the_worst_whatever_figure_it_has() -> None:
    bad = [trial(-1.0, 0, status="diverged"), trial(-1.0, 1, status="error"), trial(None, 2), trial(-99.0, 3)]
    assert tuning.choose(bad) is bad[3]
    assert tuning.choose(bad[:3]) is None
    assert tuning.choose([]) is None
    (found,) = tuning.searches(bad).values()
    assert found[0].valued == [-99.0]
    assert found[0].expected == pytest.approx([-99.0] * 4)
    (mixed,) = tuning.searches([*bad[:2], trial(-100.0, 2), trial(-98.0, 3)]).values()
    assert mixed[0].expected == tuning.expected_best([-100.0, -100.0, -100.0, -98.0], higher=True)
    (squared,) = tuning.searches(
        [trial(v, n, metric="mse_per_pixel") for n, v in enumerate([0.03, None, 0.01])]
    ).values()
    assert squared[0].expected == tuning.expected_best([0.03, 0.03, 0.01], higher=False)
    (none,) = tuning.searches(bad[:3]).values()
    assert (none[0].expected, none[0].chosen) == ([], None)


LEVELS = {"vanilla": (-100.0, -98.0), "beta": (-103.0, -97.0), "conv": (-105.0, -104.0)}


def both() -> list[Record]:
    """Three variants, defaults and tuned: tuned alike beta comes to be better than vanilla."""
    made = []
    for variant, (before, after) in LEVELS.items():
        for seed in range(3):
            made.append(quality(variant, seed, elbo=before + 0.01 * seed))
            made.append(tuned(quality(variant, seed, elbo=after + 0.01 * seed), 1, 0.002))
    return made


def test_tuned_runs_are_a_group_of_their_own_and_name_their_settings() -> None:
    found = groups(both())
    assert [tuning.is_tuned(group) for group in found] == [False, True]
    plain, chosen = found
    assert plain.id == groups([each for each in both() if "tuning" not in each.cell])[0].id
    assert [row.label for row in chosen.rows] == ["beta (lr=0.002)", "vanilla (lr=0.002)", "conv (lr=0.002)"]
    assert {row.overrides for row in chosen.rows} == {"{}"}
    assert chosen.settings == plain.settings | {"tuned": SEARCH}
    assert "each tuned by 4 trials on the validation split's elbo_nats over lr log [0.0001, 0.1]" in chosen.title
    assert not_shown(both()) == []
    # A step size that a variant chose for itself sets it apart from no other.
    (own,) = groups([tuned(quality(name, 0), lr=lr) for name, lr in (("vanilla", 0.001), ("beta", 0.02))])
    assert own.settings["budget"] == plain.settings["budget"]
    # A column that only some groups have, wherever these stand.
    table = frame([tuned(quality("vanilla", 0, dataset="digits")), quality("vanilla", 0)])
    assert list(table["tuned"].notna()) == [True, False]
    # A row is held against the baseline of its own group.
    compared = [each for each in differences(both(), "vanilla") if each.metric == "elbo_nats"]
    assert [(each.variant, each.baseline) for each in compared] == [
        ("beta", "vanilla"),
        ("conv", "vanilla"),
        ("beta (lr=0.002)", "vanilla (lr=0.002)"),
        ("conv (lr=0.002)", "vanilla (lr=0.002)"),
    ]
    assert "after 10 epochs of the whole training split, tuned by 4 trials" in compared[2].sentence


def test_who_changes_places() -> None:
    trials = [trial(-100.0 - n, n, variant) for variant in LEVELS for n in range(4)]
    (found,) = tuning.tuned(groups(both()), trials)
    assert found.ranks() == {"beta": (2, 1), "vanilla": (1, 2), "conv": (3, 3)}
    (swap,) = found.swaps()
    assert (swap.ahead, swap.behind, swap.sure) == ("vanilla", "beta", True)
    assert (swap.defaults.difference, swap.tuned.difference) == pytest.approx((3.0, -1.0))
    assert [found.gain(pair).difference for pair in found.pairs] == pytest.approx([6.0, 2.0, 1.0])
    assert [tried.name for tried in found.tried] == ["beta", "conv", "vanilla"]


def test_changes_of_place_that_intervals_carry_come_first() -> None:
    """`conv` is as good as `beta` but for noise, before and after; both overtake `vanilla`."""
    records = both()
    for record in records:
        if record.cell["variant"] == "conv":
            level, least = (-97.0, 1e-3) if "tuning" in record.cell else (-103.0, -1e-3)
            record.metrics["elbo_nats"] = (
                level + least + 0.01 * record.cell["seed"] + (-0.1, 0.1, 0.0)[record.cell["seed"]]
            )
    (found,) = tuning.tuned(groups(records), [])
    pairs = [({swap.ahead, swap.behind}, swap.sure) for swap in found.swaps()]
    assert [sure for _, sure in pairs] == [True, True, False]
    assert pairs[-1][0] == {"beta", "conv"}


def test_trials_of_another_search_are_not_counted_with_them() -> None:
    first = trial(-99.0, 0)
    others = [
        structs.replace(trial(-98.0, 1), protocol="0.9"),
        structs.replace(trial(-98.0, 1), cell=trial(-98.0, 1).cell | {"precision": "bf16"}),
        structs.replace(trial(-98.0, 1), cell=trial(-98.0, 1).cell | {"dataset": "digits"}),
        trial(-98.0, 1, stream=1),
        trial(-98.0, 1),
    ]
    others[-1].cell["tuning"]["budget"] = others[-1].cell["tuning"]["budget"] | {"epochs": 3}
    for other in others:
        assert [[len(row.trials) for row in rows] for rows in tuning.searches([first, other]).values()] == [[1], [1]]
    assert [len(row.trials) for rows in tuning.searches([first, trial(-98.0, 1)]).values() for row in rows] == [2]


def test_trials_in_other_ranges_of_their_own_chose_nothing_for_a_row() -> None:
    records = both()
    for record in records:
        if record.cell["variant"] == "beta" and "tuning" in record.cell:
            record.cell["tuning"]["own"] = {"beta": [1, 2]}
    trials = [trial(-99.0, number, "beta") for number in range(4)]
    for number in range(4):
        trials.append(trial(-98.0, number, "beta"))
        trials[-1].cell["tuning"] |= {"own": {"beta": [1, 2]}, "settings": {"beta": 1.5}}
    ((found),) = tuning.tuned(groups(records), trials)
    (tried,) = found.tried
    assert (tried.own, len(tried.trials)) == ('{"beta": [1, 2]}', 4)
    assert {value for each in tried.trials for value in each.cell["tuning"]["settings"].values()} == {1.5}
    # Tuned in both ranges, a row has the trials of both.
    ((found),) = tuning.tuned(groups([*records, tuned(quality("beta", 0), 3, 0.02)]), trials)
    assert {tried.own for tried in found.tried} == {"{}", '{"beta": [1, 2]}'}


def test_with_few_seeds_nothing_is_sure() -> None:
    records = [each for each in both() if each.cell["seed"] < 2]
    (found,) = tuning.tuned(groups(records), [])
    assert [swap.sure for swap in found.swaps()] == [False]


def test_trials_of_other_likelihoods_stand_beside_their_own_rows() -> None:
    other = [quality("autoencoder", seed) for seed in range(3)]
    records = [*both(), *other, *(tuned(each, 1, 0.002) for each in other)]
    found = tuning.tuned(groups(records), [trial(-1.0, n, name) for name in ("vanilla", "autoencoder") for n in (0, 1)])
    assert [[tried.name for tried in each.tried] for each in found] == [["vanilla"], ["autoencoder"]]
    assert replace(found[0], tried=()).pairs[0][0].label == "beta"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_chooses_nothing(value: float) -> None:
    for trials in ([trial(value, 0), trial(-99.0, 1)], [trial(-99.0, 1), trial(value, 0)]):
        assert tuning.choose(trials).cell["tuning"]["trial"] == 1  # type: ignore[union-attr]
    assert tuning.choose([trial(value, 0)]) is None


def test_a_search_has_its_trials_by_number_and_nothing_else() -> None:
    trials = [trial(-100.0, n) for n in (2, 0, 1)]
    ((row,),) = tuning.searches([*both(), *trials]).values()
    assert [each.cell["tuning"]["trial"] for each in row.trials] == [0, 1, 2]


def test_rows_that_are_level_before_or_after_do_not_change_places() -> None:
    for before, after in (((-100.0, -100.0), (-98.0, -97.0)), ((-100.0, -101.0), (-98.0, -98.0))):
        records = []
        for variant, first, then in zip(("vanilla", "beta"), before, after, strict=True):
            records += [quality(variant, seed, elbo=first) for seed in range(3)]
            records += [tuned(quality(variant, seed, elbo=then), 1, 0.002) for seed in range(3)]
        (found,) = tuning.tuned(groups(records), [])
        assert found.swaps() == []


def test_the_stream_of_a_search_is_said_where_it_is_another_one() -> None:
    for stream, words in ((0, "over lr log [0.0001, 0.1], fp32"), (7, "over lr log [0.0001, 0.1], stream 7, fp32")):
        (group,) = groups([tuned(quality("vanilla", 0), stream=stream)])
        assert words in group.title
