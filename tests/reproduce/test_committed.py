"""The suites' own tables, run again: no drift on one machine, and drift that is put there is found."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import cli, execute, suite
from bench.errors import UsageError
from bench.report import Report
from bench.reproduce import committed
from tests.helpers import BUDGET, MEASURE, ROOT, call
from tests.test_merge import WITHOUT_TORCH

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
        execute.configure(chosen, {"blocks": 0}), out, device="cpu", page=lambda out: Report(out, (), (), "")
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
        found = json.loads(path.read_text(encoding="utf-8"))
        seeds[found["cell"]["seed"]] = found["metrics"]["elbo_nats"]
        found["metrics"]["elbo_nats"] -= 100
        path.write_text(json.dumps(found), encoding="utf-8")
    _, found = again(folder, tmp_path)
    verdicts = {finding.ours: finding.verdict for finding in found}
    assert verdicts.pop("elbo_nats") == "differs"
    assert set(verdicts.values()) == {"agrees"}
    _, (elbo, *_) = again(folder, tmp_path, seeds=1)
    assert (elbo.published, elbo.difference) == (pytest.approx(seeds[0]), pytest.approx(-100))


def test_a_finished_run_stands_before_a_later_one_that_failed(folder: Path) -> None:
    theirs, _ = committed.read_all(folder / "reference" / "mine")
    cells = [record["cell"] for record in theirs]
    failed = copy.deepcopy(theirs)
    for record in failed:
        record |= {"status": "error", "reason": "it broke", "metrics": {}}
        record["cell"]["device"] = "cuda"
        record["provenance"]["started"] = "2999-01-01"
    for records in ([*theirs, *failed], [*failed, *theirs]):
        for ours, reference in ((records, theirs), (theirs, records)):
            found = committed.findings(cells, ours, reference)
            assert {(finding.verdict, finding.difference) for finding in found} == {("agrees", 0.0)}


def test_one_committed_seed_is_compared_with_nothing_and_the_page_says_so(folder: Path) -> None:
    theirs, _ = committed.read_all(folder / "reference" / "mine")
    found = committed.findings([theirs[0]["cell"]], theirs, theirs[:1])
    assert {(finding.verdict, finding.reason) for finding in found} == {
        ("not comparable", "one committed seed tells no spread")
    }
    assert "One committed seed tells no spread" in committed.REASON


def test_report_writes_the_same_page_again_without_torch(folder: Path, tmp_path: Path) -> None:
    again(folder, tmp_path)
    out = tmp_path / "mine"
    note = {"suite": str((folder / "mine.toml").resolve())}
    assert json.loads((out / "reproduced.json").read_text(encoding="utf-8")) == note
    names = ("README.md", "tables/figures.csv", "plots/figures.svg", "reproduced.json")
    before = [(out / name).read_bytes() for name in names]
    (out / "README.md").unlink()
    program = (
        f"from pathlib import Path; from bench import report; report.REFERENCE = Path({str(folder)!r}, 'reference')"
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
        assert (code, err.count("\n")) == (cli.USAGE, 1)
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
        records, _ = committed.read_all(committed.report.REFERENCE / name)
        assert keys <= {committed.cell_key(record["cell"]) for record in records if record["kind"] == "quality"}, name
