"""A folder of runs as tidy tables: what the tables of a page say, cell by cell."""

from pathlib import Path
from typing import Any

import pytest

import bench as vb
from bench.errors import UsageError
from bench.stats.groups import ERRORS
from tests import fake_records as fake


def test_scores_have_the_marks_and_the_errors_of_a_page(tmp_path: Path) -> None:
    records = [fake.thorough(variant, seed) for variant in ("vanilla", "conv", "linear") for seed in range(3)]
    found = vb.results(fake.write(tmp_path, records, images=False))
    (group,) = found.groups
    lines = found.scores.set_index(["row", "metric"])
    assert set(lines["dataset"]) == {group.dataset}
    assert any(marks.best for marks in group.marks.values())
    apart = 0
    for row in group.rows:
        for name in group.metrics:
            summary, marks = row.summary(name), group.marks.get(name)
            if summary is None:
                assert (row.label, name) not in lines.index
                continue
            line = lines.loc[(row.label, name)]
            assert (line["mean"], line["low"], line["high"]) == (summary.mean, summary.low, summary.high)
            assert line["best"] == (marks is not None and row.label in marks.best)
            assert line["learning"] == (marks is not None and row.label in marks.learning)
            errors = {kind: row.error(name, kind) for kind in ERRORS}
            apart += None not in errors.values() and len(set(errors.values())) == len(ERRORS)
            for kind, error in errors.items():
                assert line[f"{kind}_se"] == error or error is None
    assert apart, "both errors are there, and are two"


def test_a_name_of_several_rows_is_none(tmp_path: Path) -> None:
    records = [fake.quality("vanilla", seed, overrides={"latent": size}) for size in (2, 3) for seed in range(3)]
    records += [fake.quality("conv", seed) for seed in range(3)]
    found = vb.results(fake.write(tmp_path, records, images=False))
    with pytest.raises(UsageError, match=r"'vanilla' means several rows: say which, vanilla \(latent=\d\) or vanilla"):
        found.pair("vanilla", "conv")
    assert found.pair("vanilla (latent=2)", "conv") != found.pair("vanilla (latent=3)", "conv")


def test_tables_are_of_the_runs_that_train_and_of_the_data_that_are_asked_for(tmp_path: Path) -> None:
    datasets = ("mnist", "digits")
    records = [fake.quality(name, 0, dataset=each) for name in ("vanilla", "conv") for each in datasets]
    found = vb.results(fake.write(tmp_path, [*records, fake.throughput("vanilla")], images=False))
    assert len(found.records) == 5
    assert repr(found) == f"Results of 5 runs in {tmp_path}"
    assert set(found.runs["id"]) == set(found.curves["id"]) == {record.id for record in records}
    lines = found.runs.set_index("id")
    for record in records:
        line = lines.loc[record.id]
        assert (line["elbo_nats"], line["epochs"]) == (record.metrics["elbo_nats"], record.cell["budget"]["epochs"])
        assert (line["train_s"], line["protocol"]) == (record.timing["train_s"], record.protocol)
    both, one = found.table("csv"), found.table("csv", dataset="digits")
    assert "mnist" in both
    assert "digits" in one
    assert "mnist" not in one


def test_a_report_is_shown_if_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = vb.results(fake.write(tmp_path, [fake.quality()], images=False))
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    written = found.report()
    assert shown == []
    assert found.report(open=True).files == written.files
    assert shown == [(tmp_path / "report.html").as_uri()]


def test_a_report_is_that_of_what_the_folder_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.reproduce.rewrite.rewrite", lambda folder: folder.name)
    assert vb.results("results/reference/reproduce/ppca-short").report() == "ppca-short"
