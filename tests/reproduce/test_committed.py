"""The suites' own tables, run again: no drift on one machine, and drift that is put there is found."""

import copy
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench.cli import app
from bench.errors import UsageError
from bench.pages.page import Report
from bench.records import schema, store
from bench.reproduce import committed
from bench.reproduce.published import Tolerance
from bench.suites import suite
from bench.sweeps import configure, execute
from tests.helpers import BUDGET, MEASURE, ROOT, call
from tests.records.test_merge import WITHOUT_TORCH

SUITE = f"""
seeds = 2
variants = ["linear"]
datasets = [{{ name = "linear_gaussian", options = {{ n = 1000 }} }}]
budget = {{ {", ".join(f"{key} = {json.dumps(value)}" for key, value in BUDGET.items())} }}
measure = {{ {", ".join(f"{key} = {value}" for key, value in MEASURE.items())} }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite `mine.toml` with committed results of it, which were run here."""
    folder = tmp_path_factory.mktemp("committed")
    path = folder / "mine.toml"
    path.write_text(SUITE, encoding="utf-8")
    out = folder / "reference" / "mine"
    chosen = suite.load(str(path))
    done = execute.execute(
        configure.configure(chosen, {"blocks": 0}), out, device="cpu", page=lambda out: Report(out, (), (), "")
    )
    assert not done.failed
    return folder


def again(folder: Path, out: Path, **how: Any) -> Any:
    return committed.reproduce(str(folder / "mine.toml"), out, reference=folder / "reference", device="cpu", **how)


def test_the_same_code_on_the_same_machine_does_not_drift(folder: Path, tmp_path: Path) -> None:
    outcome, found = again(folder, tmp_path)
    assert outcome.ran == 2
    assert [finding.ours for finding in found] == [
        *("elbo_nats", "nll_is5_nats", "recon_nats", "kl_nats", "mse_per_pixel")
    ]
    assert {(finding.verdict, finding.difference) for finding in found} == {("agrees", 0.0)}
    assert "5 figures: 5 agree" in (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")


def test_a_figure_that_moved_is_drift_and_one_seed_is_held_against_that_seed(folder: Path, tmp_path: Path) -> None:
    again(folder, tmp_path)
    seeds = {}
    for path in (tmp_path / "mine" / "runs").glob("*.json"):
        found = schema.read(path)
        seeds[found.cell["seed"]] = found.metrics["elbo_nats"]
        found.metrics["elbo_nats"] -= 100
        store.write(tmp_path / "mine", found)
    _, found = again(folder, tmp_path)
    verdicts = {finding.ours: finding.verdict for finding in found}
    assert verdicts.pop("elbo_nats") == "differs"
    assert set(verdicts.values()) == {"agrees"}
    _, (elbo, *_) = again(folder, tmp_path, seeds=1)
    assert (elbo.published, elbo.difference) == (pytest.approx(seeds[0]), pytest.approx(-100))


def test_a_finished_run_stands_before_a_later_one_that_failed(folder: Path) -> None:
    theirs, _ = committed.read_all(folder / "reference" / "mine")
    cells = [record.cell for record in theirs]
    failed = copy.deepcopy(theirs)
    for record in failed:
        record.status = "error"
        record.reason = "it broke"
        record.metrics = {}
        record.cell["device"] = "cuda"
        record.provenance.started = "2999-01-01"
    for records in ([*theirs, *failed], [*failed, *theirs]):
        for ours, reference in ((records, theirs), (theirs, records)):
            found = committed.findings(cells, ours, reference)
            assert {(finding.verdict, finding.difference) for finding in found} == {("agrees", 0.0)}


def test_one_committed_seed_is_held_against_its_own_standard_error(folder: Path) -> None:
    theirs, _ = committed.read_all(folder / "reference" / "mine")
    cells, alone = [theirs[0].cell], copy.deepcopy(theirs[:1])
    alone[0].errors = {"elbo_nats": {"mc": 0.3, "test": 0.4}, "nll_is5_nats": {"mc": 0.3, "test": None}}
    alone[0].errors["kl_nats"] = {"mc": 1e-9, "test": 0.0}
    for moved, verdict in ((1.49, "agrees"), (-1.51, "differs")):
        again = copy.deepcopy(alone)
        again[0].metrics = {name: (value or 0) + moved for name, value in again[0].metrics.items()}
        found = {finding.ours: finding for finding in committed.findings(cells, again, alone)}
        assert found["elbo_nats"].verdict == verdict
        assert found["elbo_nats"].tolerance == Tolerance(pytest.approx(1.5), pytest.approx(1.5))
        assert found["kl_nats"].tolerance == Tolerance(0.01, 0.01)
        for name in ("nll_is5_nats", "recon_nats", "mse_per_pixel"):
            assert (found[name].verdict, found[name].tolerance) == ("not comparable", None)
            assert found[name].reason == "one committed seed, whose record states no standard error of it"


def test_the_evidence_suite_is_checked_by_its_sandwich_and_its_gaps() -> None:
    theirs, _ = committed.read_all(committed.builder.REFERENCE / "evidence")
    cells = suite.load("evidence").cells("cpu")
    own = {*committed.FIGURES[4:], "elbo_nats", "nll_is5000_nats"}
    for moved, verdict in ((0.0, "agrees"), (4.0, "differs")):
        again = copy.deepcopy(theirs)
        for record in again:
            record.metrics |= {name: record.metrics[name] + moved for name in own}
        found = [finding for finding in committed.findings(cells, again, theirs) if finding.ours in own]
        assert len(found) == len(own) * len(cells)
        assert {finding.verdict for finding in found} == {verdict}
    for record in again:
        del record.metrics["nll_ais_nats"]
    found = [finding for finding in committed.findings(cells, again, theirs) if finding.ours == "nll_ais_nats"]
    assert {(each.verdict, each.reason) for each in found} == {("failed", "the runs have no figure nll_ais_nats")}


def test_what_rounding_was_seen_to_do_is_what_the_tolerance_says() -> None:
    """Of single runs, in the standard errors that they stated of themselves."""
    moved = []
    with (committed.builder.REFERENCE / "rerun_of_quick.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            for name in (column.removesuffix("_error") for column in line if column.endswith("_error")):
                if error := line[f"{name}_error"]:
                    moved.append(abs(float(line[f"{name}_rerun"]) - float(line[f"{name}_then"])) / float(error))
    assert len(moved) == 48
    assert 0.7 < max(moved) < 0.75
    assert "up to three quarters of that error" in committed.REASON
    assert 4 * max(moved) <= committed.ERRORS


def test_where_no_figure_is_judged_nothing_was_checked_and_the_run_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "reference", tmp_path / "reference")
    monkeypatch.setattr(committed.builder, "REFERENCE", tmp_path / "reference")
    for path in (tmp_path / "reference" / "mine" / "runs").glob("*.json"):
        found = schema.read(path)
        store.write(path.parents[1], replace(found, errors={}))
        if found.cell["seed"] == 1:
            path.unlink()
    monkeypatch.setattr(committed.reproduce, "__kwdefaults__", {"seeds": None, "reference": tmp_path / "reference"})
    words = ["reproduce", "results", "--rows", str(folder / "mine.toml"), "--out", str(tmp_path / "out")]
    code, _, err = call(capsys, *words, "--device", "cpu")
    assert code == app.FAILED_CELLS
    assert err.splitlines()[-1] == (
        "vaebench: failed: suite mine: nothing was checked (5 figures: 5 not comparable); its page says why"
    )


def test_a_record_of_another_protocol_is_no_committed_run(folder: Path, tmp_path: Path) -> None:
    """On the page too, where there are no findings of it."""
    chosen = suite.load(str(folder / "mine.toml"))
    theirs, _ = committed.read_all(folder / "reference" / "mine")
    old = [replace(record, protocol="0.9") for record in theirs]
    made = committed._write(tmp_path, {"suite": "mine"}, chosen, old)
    assert made.warnings == ("no committed run of linear",)


def test_report_writes_the_same_page_again_without_torch(folder: Path, tmp_path: Path) -> None:
    again(folder, tmp_path)
    out = tmp_path / "mine"
    digest = hashlib.sha256(SUITE.encode()).hexdigest()
    note = {"suite": "mine.toml", "sha256": digest, "path": str((folder / "mine.toml").resolve())}
    assert json.loads((out / "reproduced.json").read_text(encoding="utf-8")) == note
    names = ("README.md", "tables/figures.csv", "plots/figures.svg", "reproduced.json")
    before = [(out / name).read_bytes() for name in names]
    (out / "README.md").unlink()
    program = (
        f"from pathlib import Path; from bench.pages import page; page.REFERENCE = Path({str(folder)!r}, 'reference')"
    )
    command = [
        sys.executable,
        "-c",
        WITHOUT_TORCH.replace("from bench.cli", f"{program}\nfrom bench.cli"),
        "report",
        out,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "5 figures: 5 agree." in done.stdout
    assert [(out / name).read_bytes() for name in names] == before


def test_report_of_a_suite_that_is_gone_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suite_name, words in (("gone", "unknown suite 'gone'"), ("oracle", "it checks the judge")):
        (tmp_path / "reproduced.json").write_text(json.dumps({"suite": suite_name}), encoding="utf-8")
        code, _, err = call(capsys, "report", tmp_path)
        assert (code, err.count("\n")) == (app.USAGE, 1)
        assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["reproduced.json"]


def test_what_was_never_committed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results of suite quick are committed: choose from none"):
        committed.reproduce("quick", tmp_path, reference=tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text(SUITE.replace('"linear"', '"vanilla"'), encoding="utf-8")
    with pytest.raises(UsageError, match="the committed results of suite mine hold none of its runs"):
        committed.reproduce(str(path), tmp_path, reference=folder / "reference")


def test_every_committed_suite_still_has_its_runs() -> None:
    """The shipped suite files are those that the committed records were made with."""
    for name in ("quick", "standard", "rate_distortion", "evidence"):
        chosen = suite.load(name)
        keys = {committed.cell_key(cell) for cell in chosen.cells("cpu")}
        records, _ = committed.read_all(committed.builder.REFERENCE / name)
        assert keys <= {committed.cell_key(record.cell) for record in records if record.kind == "quality"}, name
