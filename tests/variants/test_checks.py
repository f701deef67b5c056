"""Range checks: what each takes, to the ends of its range, and the one line that it says of anything else."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from variants.parts import checks

NO_NUMBERS = [True, "1", None, math.nan, math.inf, -math.inf, 1j]


@pytest.mark.parametrize(
    ("check", "taken", "refused", "says"),
    [
        (lambda v: checks.at_least("n", v, 2), [2, 3], [1, 0, -3, 2.0], "a whole number of at least 2"),
        (lambda v: checks.number("n", v), [-3, 0, 2.5], [], "a number"),
        (lambda v: checks.share("n", v), [0, 0.5, 0.999], [1, 1.5, -0.001], "a number of at least 0 and below 1"),
        (lambda v: checks.positive("n", v), [1e-9, 3], [0, -1], "a number above 0"),
        (lambda v: checks.not_negative("n", v), [0, 3.5], [-1e-9], "a number of at least 0"),
        (lambda v: checks.between("n", v, 0.5, 2), [0.5, 1, 2], [0.499, 2.001], "a number from 0.5 to 2"),
    ],
    ids=["at least", "number", "share", "positive", "not negative", "between"],
)
def test_a_number_is_taken_as_it_is_up_to_the_ends_of_its_range(
    check: Callable[[Any], Any], taken: list[float], refused: list[float], says: str
) -> None:
    for value in taken:
        assert check(value) == value
    for value in refused:
        with pytest.raises(ValueError, match=f"^n must be {says}, got {re.escape(repr(value))}$"):
            check(value)
    for value in NO_NUMBERS:
        with pytest.raises(ValueError, match=r"^n must be a .*number.*, got "):
            check(value)


def test_sizes_are_one_whole_number_or_a_list_of_them() -> None:
    assert checks.sizes("n", 3) == (3,)
    assert checks.sizes("n", [2, 1]) == (2, 1)
    for value in ((), "40", True, None, 2.5):
        with pytest.raises(ValueError, match=f"^n must be a list of whole numbers, got {re.escape(repr(value))}$"):
            checks.sizes("n", value)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        checks.sizes("n", (3, 0))


def test_a_flag_is_true_or_false_alone() -> None:
    assert (checks.flag("n", True), checks.flag("n", False)) == (True, False)
    for value in (1, 0, "yes", None):
        with pytest.raises(ValueError, match=f"^n must be true or false, got {re.escape(repr(value))}$"):
            checks.flag("n", value)
