"""What one row gains on another, beside what the source has: laws of the verdict, and what a table may state."""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.records.record import Record
from bench.reproduce import page, published
from bench.reproduce.effects import effects, judge
from bench.reproduce.published import Table, Tolerance
from bench.reproduce.verdict import Finding, findings
from bench.stats.intervals import Summary, summarise
from tests.reproduce.test_verdict import runs
from tests.reproduce.tiny import FIGURES, RECIPE, write

EFFECT = """
[[effects]]
title = "Plain against other"
rows = ["plain", "other"]
ours = "nll_is5_nats"
tolerance = { short = 0.5 }
"""
# Published: 3 and 1 of one source; of another source, and from memory, there is one of the two.
MORE = """plain,nll,3,0.3,nll_is5_nats,1,Nobody 2026,its PDF
plain,nll,9,,nll_is5_nats,1,Somebody 2025,its PDF
plain,recon,1,,recon_nats,1,Nobody 2026,its PDF
"""
TOLERANT = RECIPE.replace("nll_is5_nats = 1e-9 }", "nll_is5_nats = 1e-9, recon_nats = 1 }").replace(
    "nll_is5_nats = 1000 }", "nll_is5_nats = 1000, recon_nats = 1 }"
)


def summary(low: float | None, high: float | None) -> Summary:
    return Summary(3, 0.0, 1.0, low, high)


@pytest.mark.parametrize(
    ("published", "low", "high", "verdict"),
    [
        (2.0, 1.6, 2.4, "reproduced"),
        (2.0, 1.5, 2.5, "reproduced"),
        (2.0, 1.4, 2.4, "undecided"),  # a part is further off than is tolerated
        (2.0, 2.6, 2.9, "not reproduced"),
        (2.0, 0.1, 1.4, "not reproduced"),
        (0.3, 0.1, 0.7, "reproduced"),
        (0.3, -0.1, 0.7, "undecided"),  # within the tolerance, but either sign
        (0.3, -0.2, -0.1, "not reproduced"),  # within the tolerance, and of the other sign
        (0.3, 0.0, 0.0, "not reproduced"),  # rows that are one run
        (0.0, -0.4, 0.4, "reproduced"),
        (2.0, None, None, "undecided"),
    ],
)
def test_an_effect_has_a_sign_and_a_size(published: float, low: float | None, high: float | None, verdict: str) -> None:
    assert judge(published, 0.5, summary(low, high)) == verdict
    # The same of the two rows exchanged.
    turned = summary(None, None) if low is None or high is None else summary(-high, -low)
    assert judge(-published, 0.5, turned) == verdict


def table_of(folder: Path, effect: str = EFFECT) -> Table:
    return published.load(str(write(folder, TOLERANT + effect, FIGURES + MORE)))


def judged(table: Table, plain: Sequence[float | str], other: Sequence[float | str]) -> list[Finding]:
    records: list[Record] = []
    for row, values in (("plain", plain), ("other", other)):
        records += runs(table, row, [v if isinstance(v, str) else {"nll_is5_nats": v} for v in values])
    return effects(table, "short", findings(table, "short", table.rows, records))


def test_an_effect_is_paired_by_seed(tmp_path: Path) -> None:
    """Seeds that differ by nats, and a difference that hardly does."""
    (found,) = judged(table_of(tmp_path), [12.0, 22.1, 31.9, 40.0], [10.0, 20.0, 30.0, "error"])
    assert found.values == {0: pytest.approx(2.0), 1: pytest.approx(2.1), 2: pytest.approx(1.9)}
    assert found.summary == summarise(list(found.values.values()))
    assert (found.row, found.published, found.stderr) == ("plain - other", 2.0, None)
    assert (found.verdict, found.reason, found.tolerance) == ("reproduced", "", Tolerance(0.5, 0.5))


def test_the_error_of_a_published_difference_is_that_of_two_independent_figures(tmp_path: Path) -> None:
    figures = (FIGURES + MORE).replace("other,nll,1,,", "other,nll,1,0.4,")
    table = published.load(str(write(tmp_path, TOLERANT + EFFECT, figures)))
    (found,) = judged(table, [12.0, 22.0, 32.0], [10.0, 20.0, 30.0])
    assert found.stderr == pytest.approx(0.5)  # of 0.3 and 0.4


@pytest.mark.parametrize(("plain", "other"), [(3, 5), (5, 3), (4, 4)])
def test_an_effect_has_as_many_runs_as_the_row_with_fewer(tmp_path: Path, plain: int, other: int) -> None:
    (found,) = judged(table_of(tmp_path), [12.0] * plain, [10.0] * other)
    assert found.runs == len(found.values) == min(plain, other)


def test_rows_exchanged_give_minus_the_effect(tmp_path: Path) -> None:
    there, back = (
        table_of(tmp_path / "a"),
        table_of(tmp_path / "b", EFFECT.replace('"plain", "other"', '"other", "plain"')),
    )
    for plain, verdict in (([12.0, 22.1, 31.9], "reproduced"), ([9.0, 19.1, 28.9], "not reproduced")):
        (one,), (two,) = (judged(table, plain, [10.0, 20.0, 30.0]) for table in (there, back))
        assert (one.verdict, two.verdict) == (verdict, verdict)
        assert (one.published, one.difference) == (-two.published, pytest.approx(-(two.difference or 0)))
        assert one.summary
        assert two.summary
        assert (one.summary.low, one.summary.high) == (
            pytest.approx(-(two.summary.high or 0)),
            pytest.approx(-(two.summary.low or 0)),
        )


@pytest.mark.parametrize(
    ("plain", "other", "reason"),
    [
        ([12.0], [10.0], "an interval needs 3 seeds that both rows have"),
        ([12.0, 12.0, 12.0], [10.0, 10.0], "an interval needs 3 seeds that both rows have"),
        (["error", 12.0], [10.0], "the two rows have no seed in common"),
        ([], [10.0], "no run of plain"),
        (["error"], [], "no run of plain and other"),
    ],
)
def test_without_three_seeds_of_both_nothing_is_said(
    tmp_path: Path, plain: list[float | str], other: list[float | str], reason: str
) -> None:
    (found,) = judged(table_of(tmp_path), plain, other)
    assert (found.verdict, found.reason) == ("undecided", reason)


def test_rows_that_are_trained_for_different_budgets_show_no_effect(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    changed = replace(table.rows[0].plans["short"], budget=table.rows[0].plans["full"].budget)
    table = replace(
        table, rows=(replace(table.rows[0], plans={**table.rows[0].plans, "short": changed}), *table.rows[1:])
    )
    (found,) = judged(table, [12.0, 22.1, 31.9], [10.0, 20.0, 30.0])
    assert (found.verdict, found.reason) == ("undecided", "this profile trains the two rows for different budgets")


def test_an_effect_that_is_not_reproduced_is_explained(tmp_path: Path) -> None:
    values = ([9.0, 19.1, 28.9], [10.0, 20.0, 30.0])
    found = judged(table_of(tmp_path), *values)
    assert page.reasons(found) == ["not reproduced: plain - other nll: no explanation is given"]
    explained = table_of(tmp_path, EFFECT + 'explanation = { short = "Made up." }')
    assert page.reasons(judged(explained, *values)) == ["not reproduced: plain - other nll: Made up."]
    assert [each.reason for each in judged(explained, [12.0, 22.1, 31.9], values[1])] == [""]


def test_a_profile_without_a_tolerance_has_no_effects(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    assert effects(table, "full", findings(table, "full", table.rows, [])) == []


def test_effects_are_on_the_page_and_in_the_csv(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    page.write(tmp_path, table, "short", table.rows)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "8 figures (1 of them repeats another row's run): 8 not run; 1 effect: 1 undecided." in text
    assert "| effect | figure |" in text
    assert "undecided: plain - other nll: no run of plain and other" in text
    with (tmp_path / "tables" / "figures.csv").open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert (last["row"], last["published"], last["tolerance_below"], last["verdict"]) == (
        *("plain - other", "2.0", "0.5"),
        "undecided",
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"other"', '"othr"', "effects, number 1: there is no row 'othr': did you mean 'other'?"),
        ("short", "shrt", "effects, number 1: there is no profile 'shrt': did you mean 'short'?"),
        (', "other"', "", "effects"),
        ("0.5", "-1", "short"),
        # Of one row nobody saw it; the other sources have one row.
        ("nll_is5_nats", "recon_nats", "number 1: no source that was seen has recon_nats of both plain and other"),
    ],
)
def test_a_broken_effect_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        table_of(tmp_path, EFFECT.replace(old, new))
    assert "\n" not in str(error.value)


def test_a_published_difference_has_the_digits_of_its_figures(tmp_path: Path) -> None:
    """Of 86.76 and 84.78 it is 1.98, and neither 2 nor 1.9800000000000040."""
    figures = (FIGURES + MORE).replace("other,nll,1,,", "other,nll,84.78,,").replace("plain,nll,3,", "plain,nll,86.76,")
    (found,) = judged(published.load(str(write(tmp_path, TOLERANT + EFFECT, figures))), [1.0], [1.0, 2.0])
    assert found.published == 1.98
    assert found.epochs == (2, 2, 2)  # of the runs of both rows


@pytest.mark.parametrize(
    "change",
    ["Nobody 2026,its PDF|Nobody 2027,its PDF", "nll_is5_nats,1|nll_is5_nats,-1", "nll,|log p,", "its PDF|UNVERIFIED"],
)
def test_an_effect_is_of_one_figure_of_one_source_that_was_seen(tmp_path: Path, change: str) -> None:
    old, new = change.split("|")
    lines = (FIGURES + MORE).splitlines(keepends=True)
    changed = [line.replace(old, new) if line.startswith("plain,nll,3") else line for line in lines]
    assert changed != lines
    with pytest.raises(UsageError, match="no source that was seen has nll_is5_nats of both plain and other"):
        published.load(str(write(tmp_path, TOLERANT + EFFECT, "".join(changed))))
