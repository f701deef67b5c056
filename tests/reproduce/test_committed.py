"""The suites' own tables, run again: no drift on one machine, and drift that is put there is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import execute, suite
from bench.errors import UsageError
from bench.report import Report
from bench.reproduce import committed
from tests.helpers import BUDGET, MEASURE

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
