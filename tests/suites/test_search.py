"""What trials draw: the same whatever stands beside it, inside its range, as likely everywhere as its scale says."""

import math
import statistics
from typing import Any

import pytest

from bench.errors import UsageError
from bench.settings import MOST_SEEDS, convert
from bench.suites import suite
from bench.suites.search import FIRST_SEED, Range, Search
from tests.suites.test_suite import GOOD

RANGES = {
    "lr": Range(log=(1e-4, 1e-1)),
    "beta": Range(linear=(0.5, 4)),
    "latent": Range(linear=(2, 5)),
    "samples": Range(log=(1, 64)),
    "hidden": Range(choice=([400], [200, 200], [200, 100])),
}


def test_a_draw_depends_on_its_stream_its_key_and_its_number_alone() -> None:
    all_of_them = [Search(trials=20).drawn(RANGES, trial) for trial in range(20)]
    backwards = [Search(trials=99).drawn({key: RANGES[key]}, trial)[key] for trial in (7, 3) for key in ("beta", "lr")]
    assert backwards == [all_of_them[7]["beta"], all_of_them[7]["lr"], all_of_them[3]["beta"], all_of_them[3]["lr"]]
    assert [Search(stream=1).drawn(RANGES, trial)["lr"] for trial in range(20)] != [each["lr"] for each in all_of_them]
    shares = [math.log(each["lr"] / 1e-4) for each in all_of_them]
    assert shares != sorted(shares)
    assert len(set(shares)) == 20
    # These are in the names of results that exist.
    assert [each["lr"] for each in all_of_them[:4]] == pytest.approx([0.000175, 0.0247, 0.000435, 0.000706], rel=1e-12)


@pytest.mark.parametrize(
    ("key", "middle"), [("lr", math.sqrt(1e-4 * 1e-1)), ("beta", 2.25), ("latent", 3.5), ("samples", 8.0)]
)
def test_draws_fill_their_range(key: str, middle: float) -> None:
    """The median is the geometric mean of a log range, the mean of a linear one."""
    low, high = RANGES[key].extremes
    values = [Search().drawn(RANGES, trial)[key] for trial in range(4000)]
    assert low <= min(values) < max(values) <= high
    assert statistics.median(values) == pytest.approx(middle, rel=0.1 if key == "lr" else 0.15)
    if isinstance(low, int):
        assert set(values) == set(range(low, high + 1))
    else:
        assert all(value == float(f"{value:.3g}") for value in values)


def test_the_ends_and_the_choices_are_as_likely_as_the_rest() -> None:
    values = [Search().drawn(RANGES, trial) for trial in range(4000)]
    shares = [sum(each["latent"] == n for each in values) / 4000 for n in range(2, 6)]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    shares = [sum(each["hidden"] == choice for each in values) / 4000 for choice in RANGES["hidden"].extremes]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"trials": 0}, "search.trials must be a whole number from 1 to 10000, got 0"),
        ({"trial": 3}, "unknown key search.trial: did you mean 'trials'?"),
        ({"ranges": {"lr": {}}}, "search.ranges.lr.linear = [low, high], log = [low, high], choice = [...]: say one"),
        ({"ranges": {"lr": {"log": [1, 2], "linear": [1, 2]}}}, "say one of the three"),
        ({"ranges": {"lr": {"log": [0, 1]}}}, "search.ranges.lr.log must be above 0, got [0, 1]"),
        ({"ranges": {"lr": {"linear": [2, 1]}}}, "linear must go from a lower to a higher number, got [2, 1]"),
        ({"ranges": {"lr": {"linear": [math.nan, 1.0]}}}, "search.ranges.lr.linear[0] must be a number, got nan"),
        ({"ranges": {"lr": {"linear": [1]}}}, "search.ranges.lr.linear must be a list"),
        ({"ranges": {"lr": {"choice": []}}}, "choice must have an entry"),
        ({"ranges": {"lr": {"choice": [math.inf]}}}, "choice must hold numbers, texts, true, false, and lists"),
        ({"ranges": {"lr": 3}}, "search.ranges.lr must be a table, got 3"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(table: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        suite.parse("mine", GOOD | {"search": table})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_of_a_variant_needs_a_search() -> None:
    own = {"name": "beta", "search": {"beta": {"log": [0.5, 8]}}}
    with pytest.raises(UsageError, match=r"variant beta has a range of its own, and the suite no \[search\]"):
        suite.parse("mine", GOOD | {"variants": [own]})
    made = suite.parse("mine", GOOD | {"variants": [own], "search": {}})
    assert made.variants[0].search == {"beta": Range(log=(0.5, 8))}
    assert made.search == Search()
    assert convert(Search, made.search.plain()) == made.search


@pytest.mark.parametrize("given", [Range(linear=(0.12345, 0.98765)), Range(log=(0.0012345, 0.0098765))])
def test_no_value_is_rounded_beyond_the_ends(given: Range) -> None:
    low, high = given.extremes
    assert given.at(0.0) == low
    assert given.at(1 - 1e-12) == high


def test_whole_numbers_below_zero_are_as_likely_as_others() -> None:
    values = [Range(linear=(-3, 2)).at((share + 0.5) / 60) for share in range(60)]
    assert [values.count(number) for number in range(-3, 3)] == [10] * 6


def test_every_choice_is_as_likely_and_both_ends_are_asked_about() -> None:
    given = Range(choice=("a", "b", "c"))
    assert [given.at((share + 0.5) / 6) for share in range(6)] == list("aabbcc")
    assert given.extremes == ("a", "b", "c")
    assert Search().trials == 8
    assert (Search().metric, Search().stream) == ("elbo_nats", 0)


def test_a_range_with_an_end_that_is_no_whole_number_has_values_between() -> None:
    assert Range(linear=(1, 2.5)).at(0.4) == 1.6
    assert Range(linear=(0.5, 2)).at(0.4) == 1.1
    assert Range(log=(1, 10.0)).at(0.5) == 3.16


def test_seeds_of_trials_lie_above_those_of_every_number_of_seeds() -> None:
    assert FIRST_SEED > MOST_SEEDS
    assert FIRST_SEED == 10**9  # it is in the names of results that exist
