"""What is said of a figure, on records made by hand: which runs count, which sign, what is agreement."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bench.records import record, store
from bench.records.record import Timed
from bench.reproduce import committed, page, published, rewrite
from bench.reproduce.published import Table, Tolerance
from bench.reproduce.verdict import PROTOCOL, Finding, findings, judge, protocol_of
from bench.suites import suite
from bench.sweeps import execute
from bench.text import DASH
from tests.reproduce.tiny import write


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return published.load(str(write(tmp_path)))


def runs(
    table: Table, row: str, values: Sequence[dict[str, float] | str], profile: str = "short", **changes: Any
) -> list[Any]:
    """Records of a row, seed by seed: its figures, or the status of a run that failed."""
    made = []
    for seed, value in enumerate(values):
        cell = table.suite(profile, table.chosen([row])).cells("cpu")[0] | {"seed": seed} | changes
        found = record.new("quality", cell, {})
        if isinstance(value, str):
            made.append(structs.replace(found, status=value, reason="it broke"))
        else:
            made.append(structs.replace(found, status="ok", metrics=value, curve=[{}] * cell["budget"]["epochs"]))
    return made


def judged(table: Table, row: str, records: list[Any]) -> list[Finding]:
    return findings(table, "short", table.chosen([row]), records)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(-0.6, "differs"), (-0.5, "agrees"), (0.0, "agrees"), (3.0, "agrees"), (3.01, "differs")],
)
def test_tolerance_has_two_sides(difference: float, verdict: str) -> None:
    assert judge(difference, Tolerance(0.5, 3)) == verdict
    assert (str(Tolerance(0.5, 0.5)), str(Tolerance(0.5, 3))) == ("± 0.5", "-0.5 to +3")


def test_a_published_negative_elbo_is_held_against_minus_our_elbo(table: Table) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}, {"elbo_nats": -10.0}]))
    assert found.values == {0: 8.0, 1: 10.0}
    assert found.difference == pytest.approx(9.0 - 7.5)
    assert (found.verdict, found.runs, found.epochs) == ("agrees", 3, (2, 2))
    (twin,) = judged(table, "twin", runs(table, "twin", [{"elbo_nats": -8.0}]))
    assert twin.difference == pytest.approx(-8.0 + 7.0)  # published as an ELBO
    assert twin.summary is not None
    assert twin.summary.half_width is None


def test_a_disagreement_and_its_explanation(table: Table) -> None:
    records = runs(table, "other", [{"nll_is5_nats": 1.1, "kl_nats": 9.0, "recon_nats": 5.0}])
    nll, kl, recon = judged(table, "other", records)
    assert (nll.verdict, nll.reason, nll.difference) == ("differs", "It was made up.", pytest.approx(0.1))
    assert nll.tolerance == Tolerance(1e-9, 1e-9)
    assert (kl.verdict, kl.reason, kl.tolerance, kl.difference) == ("not comparable", "it is another KL", None, 8.0)
    assert (recon.verdict, recon.reason, recon.tolerance) == ("unverified source", "from memory, UNVERIFIED", None)
    assert page.tally([nll, kl, recon]) == "3 figures: 1 differs, 1 not comparable, 1 unverified source"
    assert page.reasons([nll, kl, recon]) == [
        "differs: other nll: It was made up.",
        "not comparable: other kl: it is another KL",
        "unverified source: other recon: from memory, UNVERIFIED",
    ]


def test_the_page_names_rows_that_have_fewer_seeds_than_planned(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = runs(table, "plain", [{"elbo_nats": -8.0}] * 2) + runs(table, "other", [{"nll_is5_nats": 1.0}])
    for each in records:
        store.write(tmp_path, each)
    monkeypatch.setattr(page.plot, "figure", lambda *_: None)
    page.write(tmp_path, table, "short", table.chosen(["plain"]))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    # `twin` is a run of seed 0, which is there.
    assert "Profile: `short`. Fewer seeds than planned so far: plain 2 of 3." in text


def test_a_line_of_the_page_and_of_its_file_says_what_was_found(table: Table) -> None:
    records = runs(table, "plain", [{"elbo_nats": -8.0}, {"elbo_nats": -10.0}, {"elbo_nats": -8.6}])
    records[1].curve = records[1].curve[:1]
    (found,) = judged(table, "plain", records)
    (line,), summary = page.rows([found]), found.summary
    assert summary is not None
    means = [line[key] for key in ("ours_mean", "ours_low", "ours_high", "seed_std")]
    assert means == [summary.mean, summary.low, summary.high, summary.std]
    assert (line["published"], line["difference"], line["published_stderr"]) == (7.5, found.difference, 0.1)
    assert (line["seeds"], line["runs"], line["epochs"]) == (3, 3, "2 1 2")
    assert (line["tolerance_below"], line["tolerance_above"], line["verdict"]) == (1000, 1000, "agrees")
    _, ((*cells, verdict),) = page.findings_grid([found])
    half = f"{summary.half_width:.2f}"
    wanted = ["plain", "neg_elbo", "7.50 ± 0.10 (SE)", f"8.87 ± {half}", "3/3", "1 to 2", "+1.37", str(found.tolerance)]
    assert [cell.text for cell in cells] == wanted
    assert verdict.text == "agrees"


def test_a_figure_that_two_sources_have_names_each(table: Table) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}]))
    other = replace(found, source="Somebody, Else and Others 2025, Table 3", published=9.5)

    def figures(findings: list[Finding]) -> list[str]:
        return [line[1].text for line in page.findings_grid(findings)[1]]

    assert figures([found]) == ["neg_elbo"]
    assert figures([found, other]) == ["neg_elbo (Nobody 2026)", "neg_elbo (Somebody et al. 2025)"]
    assert figures([found, replace(other, row="another")]) == ["neg_elbo", "neg_elbo"]


def test_the_count_says_how_many_figures_are_of_an_earlier_rows_run(table: Table) -> None:
    rows = table.chosen(["plain", "twin", "other"])
    found = findings(table, "short", rows, runs(table, "plain", [{"elbo_nats": -8.0}]))
    assert page.tally(found) == "5 figures (1 of them repeats another row's run): 2 agree, 3 not run"
    assert page.tally(found[1:]) == "4 figures: 1 agrees, 3 not run"


def test_the_two_sides_of_a_tolerance_in_the_sign_of_the_source(table: Table) -> None:
    """Published as a negative ELBO of 7.5, with 0.5 allowed below and 3 above: an ELBO of -10 is worse, and agrees."""
    plan = replace(table.rows[0].plans["short"], tolerance={"elbo_nats": Tolerance(0.5, 3)})
    row = replace(table.rows[0], plans={"short": plan})
    changed = replace(table, rows=(row,), figures=table.figures[:1])
    for elbo, verdict in ((-10.0, "agrees"), (-11.0, "differs"), (-7.25, "agrees"), (-6.0, "differs")):
        (found,) = findings(changed, "short", (row,), runs(table, "plain", [{"elbo_nats": elbo}]))
        assert (found.verdict, found.difference) == (verdict, pytest.approx(-elbo - 7.5))


def test_a_finished_run_stands_before_a_later_one_that_failed(table: Table) -> None:
    (good,) = runs(table, "plain", [{"elbo_nats": -8.0}])
    (bad,) = runs(table, "plain", ["error"], device="cuda")
    good.provenance.started, bad.provenance.started = "2026-01-01", "2026-01-02"
    for records in ([good, bad], [bad, good]):
        (found,) = judged(table, "plain", records)
        assert (found.verdict, found.values) == ("agrees", {0: 8.0})


@pytest.mark.parametrize("status", ["diverged", "error", "timeout", "killed"])
def test_what_a_failed_run_has_measured_is_no_figure(table: Table, status: str) -> None:
    """Whatever stands in its record, what is said of a row is the same."""
    good, bad = runs(table, "plain", [{"elbo_nats": -8.0}, status])
    told = structs.replace(bad, metrics={"elbo_nats": -800.0}, curve=[{}] * 9)
    for known in ([], [good]):
        assert judged(table, "plain", [*known, told]) == judged(table, "plain", [*known, bad])


@pytest.mark.parametrize("value", [float("nan"), -float("inf"), Timed(1.0), None])
def test_what_is_no_number_is_no_figure(table: Table, value: Any) -> None:
    records = runs(table, "plain", [{"elbo_nats": value}])
    records[0].curve = []
    (found,) = judged(table, "plain", records)
    assert (found.verdict, found.reason) == ("failed", "the runs have no figure elbo_nats")


def test_nothing_was_run_or_nothing_came_of_it(table: Table) -> None:
    (found,) = judged(table, "plain", [])
    assert (found.verdict, found.summary, found.difference) == ("not run", None, None)
    (found,) = judged(table, "plain", runs(table, "plain", ["diverged", "timeout"]))
    assert (found.verdict, found.reason) == ("failed", "diverged: it broke")
    (found,) = judged(table, "plain", runs(table, "plain", [{"kl_nats": 1.0}]))
    assert (found.verdict, found.reason) == ("failed", "the runs have no figure elbo_nats")
    # A figure that no run has, for a reason that was stated, is no failure.
    kl = judged(table, "other", runs(table, "other", [{"nll_is5_nats": 1.0}]))[1]
    assert (kl.verdict, kl.reason, kl.difference) == ("not comparable", "it is another KL", None)
    # So are runs beyond those that were planned.
    assert judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}] * 5))[0].runs == 5
    # One that failed takes nothing from the others, and is counted.
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}, "error"]))
    assert (found.verdict, len(found.values), found.runs) == ("agrees", 1, 3)


@pytest.mark.parametrize(
    "changes",
    [{"budget": {"epochs": 9}}, {"measure": {}}, {"overrides": {}}, {"binarise": "fixed"}, {"precision": "bf16"}],
)
def test_a_run_of_another_configuration_does_not_count(table: Table, changes: dict[str, Any]) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}], **changes))
    assert found.verdict == "not run"


@pytest.mark.parametrize(("moved", "verdict"), [(4.9, "agrees"), (-4.9, "agrees"), (5.1, "differs"), (-5.1, "differs")])
def test_a_mean_may_move_by_half_the_deviation_of_the_committed_seeds(table: Table, moved: float, verdict: str) -> None:
    """Of -90, -100 and -110 that is 5. A seed that nobody has committed takes no part."""
    theirs, again = (
        runs(table, "plain", [{"elbo_nats": elbo + more} for elbo in (-90.0, -100.0, -110.0)]) for more in (0.0, moved)
    )
    again += runs(table, "plain", [{"elbo_nats": 1e6}] * 4)[3:]
    (found,) = committed.findings([theirs[0].cell], again, theirs)
    assert (found.verdict, found.difference) == (verdict, pytest.approx(moved))
    assert found.published == -100


def test_device_and_threads_may_be_any_and_the_latest_run_of_a_seed_stands(table: Table) -> None:
    (old,) = runs(table, "plain", [{"elbo_nats": -8.0}])
    (new,) = runs(table, "plain", [{"elbo_nats": -9.0}], device="cuda", threads=4)
    old.provenance.started, new.provenance.started = "2026-01-01", "2026-01-02"
    for records in ([old, new], [new, old]):
        (found,) = judged(table, "plain", records)
        assert found.values == {0: 9.0}


def test_runs_of_the_last_protocol_count(table: Table) -> None:
    """An upgrade empties no page, and mixes no figures."""
    old, new = (runs(table, "plain", [{"elbo_nats": value}])[0] for value in (-8.0, -9.0))
    old.protocol = "0.9"
    assert judged(table, "plain", [old])[0].values == {0: 8.0}
    for records in ([old, new], [new, old]):
        assert judged(table, "plain", records)[0].values == {0: 9.0}
    oldest = structs.replace(old, protocol="0.10")
    assert protocol_of([old, oldest]) == "0.10"
    assert protocol_of([]) == protocol_of([new, old]) == PROTOCOL


def test_the_sides_of_a_tolerance_stand_in_their_own_columns(table: Table) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}]))
    (line,) = page.rows([replace(found, tolerance=Tolerance(0.5, 3))])
    assert (line["tolerance_below"], line["tolerance_above"]) == (0.5, 3)


def test_a_figure_without_an_interval_stands_alone_and_one_that_is_not_there_is_a_dash(table: Table) -> None:
    (one,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}]))
    (none,) = judged(table, "plain", [])
    _, lines = page.findings_grid([one, none])
    assert [line[3].text for line in lines] == ["8.00", DASH]


def test_a_reason_is_said_once_for_each_verdict_that_has_it(table: Table) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}]))
    verdicts: tuple[Any, ...] = ("differs", "failed", "differs")
    told = [replace(found, metric=m, verdict=v, reason="x") for m, v in zip("abc", verdicts, strict=True)]
    assert page.reasons(told) == ["differs: plain a, plain c: x", "failed: plain b: x"]
    assert page.reasons([replace(found, verdict="not run"), found]) == []


def test_what_nobody_saw_and_cannot_be_compared_says_both(table: Table) -> None:
    plan = replace(table.rows[2].plans["short"], not_comparable={"*": "too short"})
    row = replace(table.rows[2], plans={"short": plan})
    found = findings(table, "short", [row], runs(table, "other", [{"recon_nats": 5.0}]))[-1]
    assert (found.verdict, found.reason) == ("unverified source", "from memory, UNVERIFIED; too short")


def written(table: Table, out: Path, records: list[Any]) -> str:
    for each in records:
        store.write(out, each)
    page.write(out, table, "short", table.chosen(["plain"]))
    return (out / "README.md").read_text(encoding="utf-8").replace("\\", "")


def test_the_page_names_an_old_protocol_and_runs_that_others_stand_before(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page.plot, "figure", lambda *_: None)
    old, new = (runs(table, "plain", [{"elbo_nats": value}], threads=n)[0] for n, value in ((1, -8.0), (2, -9.0)))
    old.provenance.started, new.provenance.started = "2026-01-01", "2026-01-02"
    text = written(table, tmp_path / "new", [old, new])
    assert f"{old.id} is not shown: {new.id} has its place, started last" in text
    assert "these runs are of protocol" not in text
    text = written(table, tmp_path / "old", [structs.replace(new, protocol="0.9")])
    assert f"these runs are of protocol 0.9; under {PROTOCOL}, this version's, figures are others" in text
    assert "is not shown" not in text


def test_a_recipe_says_what_is_set_and_its_code_ends_where_it_should(table: Table) -> None:
    plan = table.rows[0].plans["short"]
    plan = replace(plan, overrides={"act": "a`b", "latent": 2}, budget=structs.replace(plan.budget, train_size=None))
    text = page._recipe(table, "short", replace(table.rows[0], plans={"short": plan}))
    assert text.count("`") == 2
    assert 'act="a\\u0060b", latent=2' in text
    assert "; epochs 2, batch_size 100, " in text
    assert "None" not in text


def test_a_page_explains_the_verdicts_that_it_has(table: Table) -> None:
    (found,) = judged(table, "plain", runs(table, "plain", [{"elbo_nats": -8.0}]))
    words = page._reading([found], [])
    told = [verdict for verdict in page.VERDICTS if any(line.startswith(f"**{verdict}**") for line in words)]
    assert told == ["agrees"]


@pytest.mark.parametrize(("drifted", "verdict"), [(0.0, "agrees"), (9.0, "differs")])
def test_drift_is_over_the_seeds_that_both_have_and_of_runs_that_finished(
    table: Table, drifted: float, verdict: str
) -> None:
    theirs = runs(table, "plain", [{"elbo_nats": elbo} for elbo in (-90.0, -100.0, -104.0)])
    # Another seed, and a run that failed after it had measured something, take no part.
    again = runs(table, "plain", [{"elbo_nats": 1e6}, {"elbo_nats": -100.0 + drifted}, {"elbo_nats": -104.0 + drifted}])
    again[0] = structs.replace(again[0], status="error", reason="it broke")
    (found,) = committed.findings([theirs[0].cell], again, theirs)
    assert (found.verdict, found.published, found.runs) == (verdict, -102.0, 3)
    assert found.values == {1: -100.0 + drifted, 2: -104.0 + drifted}


def test_why_nothing_is_said_of_runs_beside_committed_ones(table: Table) -> None:
    theirs = runs(table, "plain", [{"elbo_nats": elbo} for elbo in (-90.0, -100.0, -110.0)])
    for again, reason in (
        (runs(table, "plain", [{"elbo_nats": 1.0}] * 5)[3:], "no seed in common"),
        (runs(table, "plain", [{"kl_nats": 1.0}]), "the runs have no figure elbo_nats"),
        (runs(table, "plain", ["timeout"]), "timeout: it broke"),
    ):
        (found,) = committed.findings([theirs[0].cell], again, theirs)
        assert (found.verdict, found.reason, found.published) == ("failed", reason, -100.0)


def test_rows_of_two_data_sets_name_theirs(table: Table) -> None:
    theirs = runs(table, "plain", [{"elbo_nats": -90.0}] * 3)
    other = runs(table, "plain", [{"elbo_nats": -80.0}] * 3, data_options={"n": 2000})
    cells = [theirs[0].cell, other[0].cell]
    name = "linear (latent=2)"
    assert [found.row for found in committed.findings(cells[:1], [], theirs)] == [name]
    assert [found.row for found in committed.findings(cells, [], [*theirs, *other])] == [
        f"{name}, linear_gaussian-none-n=1000",
        f"{name}, linear_gaussian-none-n=2000",
    ]


def test_a_suite_is_run_again_without_speeds_and_for_as_many_seeds_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "mine.toml", []
    path.write_text(
        'variants = ["linear", { name = "vanilla", seeds = 3 }]\ndatasets = ["linear_gaussian"]\nseeds = 2\n'
    )
    cell = suite.load(str(path)).cells("cpu")[0]
    store.write(tmp_path / "reference" / "mine", structs.replace(record.new("quality", cell, {}), status="ok"))

    def execute_instead(*words: Any, **how: Any) -> None:
        asked.append((*words, how["jobs"]))
        raise InterruptedError

    monkeypatch.setattr(execute, "execute", execute_instead)
    for out, seeds in ((tmp_path / "out", None), (None, 1)):
        with pytest.raises(InterruptedError):
            committed.reproduce(str(path), out, seeds=seeds, reference=tmp_path / "reference", jobs=4)
    (first, there, _), (second, default, jobs) = asked
    assert [cell["seed"] for cell in first.cells("cpu")] == [0, 0, 1, 1, 2]
    assert [cell["seed"] for cell in second.cells("cpu")] == [0, 0]
    assert first.throughput_cells(["cpu"], 1) == []
    assert (there, default, jobs) == (tmp_path / "out" / "mine", published.HOME / "results" / "mine", 4)


def test_what_can_be_run_again_are_suites_with_committed_runs_that_compare_variants(tmp_path: Path) -> None:
    for name in ("standard/runs", "quick/runs", "oracle/runs", "samples"):
        (tmp_path / name).mkdir(parents=True)
    assert committed.suites(tmp_path) == ["quick", "standard"]


def test_a_page_is_written_anew_for_its_profile_and_for_what_was_run(table: Table, tmp_path: Path) -> None:
    page.write(tmp_path, table, "full", table.chosen(["plain"]))
    assert "Profile: `full`. Not run: twin, other." in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert rewrite.rewrite(tmp_path) is not None
    assert "Profile: `full`. Not run: plain, twin, other." in (tmp_path / "README.md").read_text(encoding="utf-8")
