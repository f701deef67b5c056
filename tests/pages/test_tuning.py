"""The page of a search: defaults beside tuned rows, who changes places, what trials are worth."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bench.pages import report, tuning
from bench.pages.blocks import Items, Table, Text
from bench.pages.figures import tuning as of_trials
from bench.pages.figures.plot import View
from bench.pages.grids import markdown_text
from bench.records import store
from bench.records.record import TRIAL
from bench.stats.groups import groups
from bench.stats.intervals import Comparison
from bench.stats.tuning import expected_best, tuned
from bench.text import DASH
from tests.fake_records import write
from tests.stats.test_tuning import LEVELS, both, trial

TRIALS = [
    trial(-98.0 - n, n, variant, status="diverged" if (variant, n) == ("conv", 3) else "ok")
    for variant in LEVELS
    for n in range(4)
]


def texts(block: object) -> list[list[str]]:
    assert isinstance(block, Table)
    return [[cell.text for cell in line] for line in block.grid[1]]


def test_tables_say_what_was_chosen_and_what_it_changed() -> None:
    (found,) = tuned(groups(both()), TRIALS)
    lines = texts(Table(tuning.tuned_grid(found)))
    assert [line[0] for line in lines] == ["beta", "vanilla", "conv"]
    assert [(line[2], line[4]) for line in lines] == [("2", "1"), ("1", "2"), ("3", "3")]
    assert lines[0][5] == "+6.00 [6.00, 6.00]"
    assert [line[6] for line in lines] == ["better"] * 3
    assert [line[7:] for line in lines] == [["lr=0.002", "4/4"], ["lr=0.002", "4/4"], ["lr=0.002", "3/4"]]
    assert tuning.verdict(found) == (
        "Of 3 pairs of variants 1 change their order when all are tuned alike, 1 of them with intervals that leave out "
        "zero both times. Places by mean: beta from 2 to 1, vanilla from 1 to 2."
    )
    (swap,) = texts(Table(tuning.swap_grid(found) or ([], [])))
    assert swap[0] == "vanilla against beta"
    assert (swap[1][:5], swap[3][:5], swap[-1]) == ("+3.00", "-1.00", "yes")
    expected = texts(Table(tuning.expected_grid(found) or ([], [])))
    # -98, -99, -100 and one that failed, as bad as the worst: their mean, and the best of four draws.
    assert [line[0] for line in expected] == ["beta", "conv", "vanilla"]
    assert expected[1][1:] == ["-99.25", "-98.81", "-98.38"]
    (line,) = tuning.failures(found)
    assert line == "conv: 1 of 4 trials count as the worst (number 3): it has no such figure"


def test_what_was_chosen_at_the_edge_of_what_was_tried_is_said() -> None:
    """The step size rises with a trial's number: 0.001, 0.002, ..."""
    values = {"vanilla": (-98, -99, -97, -100), "beta": (-98, -99, -100, -97), "conv": (-97, -98, -99, -100)}
    trials = [trial(float(v), n, variant) for variant, each in values.items() for n, v in enumerate(each)]
    (found,) = tuned(groups(both()), trials)
    assert tuning.edges(found) == [
        "beta: lr=0.004 is the highest that was tried, so that a wider range may do better",
        "conv: lr=0.001 is the lowest that was tried, so that a wider range may do better",
    ]


def test_the_picture_names_the_best_first() -> None:
    levels = {"beta": -97.0, "conv": -104.0, "vanilla": -98.0}
    trials = [trial(level - n, n, variant) for variant, level in levels.items() for n in range(3)]
    figure: Any = of_trials.expected_best(View("mnist-dynamic", tuple(groups(both())), trials=tuple(trials)))
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["beta", "vanilla", "conv"]
    assert list(axis.lines[0].get_ydata()) == expected_best([-97.0, -98.0, -99.0], higher=True)
    assert list(axis.lines[0].get_xdata()) == [1, 2, 3]


def test_where_nothing_changes_the_page_says_so_and_what_is_missing_is_named() -> None:
    records = [each for each in both() if each.cell["variant"] != "beta"]
    (found,) = tuned(groups(records), TRIALS[:-2])
    assert tuning.verdict(found) == "No variant changes its place when all are tuned alike, of 2."
    assert tuning.swap_grid(found) is None
    assert "conv: 2 trials are not there" in tuning.failures(found)
    assert tuning.blocks(groups([each for each in records if "tuning" not in each.cell]), TRIALS) == []


def test_a_report_has_it_on_both_pages_with_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [*both(), *TRIALS], images=False)
    written = report.write(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Nothing was selected but the settings of tuned rows" in page
    assert page.count("Of 3 pairs of variants 1 change their order") == 1
    assert "18 quality runs and 0 throughput runs, 0 of them not ok" in page
    assert "plots/mnist-dynamic_tuning.png" in page
    assert "Of 3 pairs of variants" in written.terminal
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<section id="tuned"' in html
    assert '<a href="#tuned">Tuned alike</a>' in html
    assert [path.name for path in (tmp_path / "tables").iterdir() if f"(tables/{path.name})" not in page] == []
    assert (tmp_path / "tables" / "trials.csv").read_text(encoding="utf-8").splitlines()[0].startswith("id,dataset")
    capsys.readouterr()
    for path in (tmp_path / "runs").glob("*_trial.json"):
        path.unlink()
    assert store.read_all(tmp_path, (TRIAL,)) == ([], [])
    report.write(tmp_path)  # the tuned runs stand without their trials
    assert "Tuned alike" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_report_without_a_search_says_nothing_of_it(tmp_path: Path) -> None:
    write(tmp_path, [each for each in both() if "tuning" not in each.cell], images=False)
    report.write(tmp_path)
    assert "uned" not in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert 'id="tuned"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_line_of_a_file_is_one_trial_and_the_places_that_change_are_marked() -> None:
    lines = tuning.rows(TRIALS[::-1])
    assert [line["id"] for line in lines] == sorted(each.id for each in TRIALS)
    by_id = {each.id: each for each in TRIALS}
    for line in lines:
        of = by_id[str(line["id"])]
        failed = of.status != "ok"
        assert line["value"] == (None if failed else of.metrics["valid_elbo_nats"])
        assert (line["trial"], line["split"], line["status"]) == (of.cell["tuning"]["trial"], "valid", of.status)
        assert line["variant"] == of.cell["variant"] == str(line["row"]).partition(" (")[0]
    (found,) = tuned(groups(both()), TRIALS)
    headers, cells = tuning.tuned_grid(found)
    assert [line[4].best for line in cells] == [True, True, False]
    assert (headers[4], headers[-1]) == ("place, tuned", "trials that count")
    expected, _ = tuning.expected_grid(found) or ([], [])
    assert expected == ["variant", "1 trial", "2 trials", "4 trials"]
    # Of two values one is always the lowest: that says nothing of the range.
    (found,) = tuned(groups(both()), [trial(-98.0 - n, n, variant) for variant in LEVELS for n in range(2)])
    assert tuning.edges(found) == []


def test_where_less_is_better_the_least_is_named_first() -> None:
    squared = {"metric": "mse_per_pixel"}
    records = both()
    for record in records:
        if "tuning" in record.cell:
            record.cell["tuning"]["search"] = {**record.cell["tuning"]["search"], **squared}
    levels = {"beta": 0.03, "conv": 0.01, "vanilla": 0.02}
    trials = tuple(trial(level + n / 1000, n, v, **squared) for v, level in levels.items() for n in range(3))
    figure: Any = of_trials.expected_best(View("mnist-dynamic", tuple(groups(records)), trials=trials))
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["conv", "vanilla", "beta"]
    assert axis.get_ylabel().endswith("lower is better ←")
    assert list(axis.lines[0].get_ydata()) == expected_best([0.01, 0.011, 0.012], higher=False)


def test_a_page_has_every_table_of_a_search_and_what_failed_with_its_reason() -> None:
    trials = [
        structs.replace(each, reason="loss is nan") if each.status != "ok" else each
        for each in TRIALS
        if each is not TRIALS[0]
    ]
    (found,) = tuned(groups(both()), trials)
    made = tuning.blocks(groups(both()), trials)
    tables = [tuning.tuned_grid(found), tuning.swap_grid(found), tuning.expected_grid(found)]
    assert [block.grid for block in made if isinstance(block, Table)] == tables
    lines = [*tuning.failures(found), *tuning.edges(found)]
    assert "vanilla: 1 trials are not there" in lines
    assert "conv: 1 of 4 trials count as the worst (number 3): loss is nan" in lines
    assert any("is the lowest that was tried" in line for line in lines)
    assert [block.lines for block in made if isinstance(block, Items)] == [list(map(markdown_text, lines))]
    assert Text(f"**{markdown_text(tuning.verdict(found))}**") in made
    # One row has a trial less: of so many as all others have it has no figure.
    _, expected = tuning.expected_grid(found) or ([], [])
    assert sorted(line[-1].text == DASH for line in expected) == [False, False, True]


def test_a_difference_without_an_interval_is_told_and_is_never_sure() -> None:
    assert tuning.difference(Comparison(2, 1.5, None, None, "not distinguishable"), 2) == "+1.50"
    assert tuning.difference(Comparison(0, None, None, None, "not distinguishable"), 2) == DASH
    few = [record for record in both() if record.cell["seed"] < 2]
    (found,) = tuned(groups(few), TRIALS)
    (swap,) = texts(Table(tuning.swap_grid(found) or ([], [])))
    assert swap == ["vanilla against beta", "+3.00", "not distinguishable", "-1.00", "not distinguishable", "no"]
    assert "0 of them with intervals that leave out zero" in tuning.verdict(found)
    assert [tuning.is_number(value) for value in (1, 0.5, True, "1", None)] == [True, True, False, False, False]
