"""The cost of many cells, on few: every step does its work, and many rows leave pages and plots that can be read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pages import report
from bench.records import store
from bench.stats import groups
from tests import fake_records as fake
from tests.helpers import ROOT
from tests.performance import scale


def test_the_made_up_records_are_those_of_the_cells_and_a_step_is_measured(tmp_path: Path) -> None:
    records = list(scale.made_up(scale.suite(12, 3).cells("cpu")))
    fake.write(tmp_path, records, images=False)
    assert store.read_all(tmp_path) == (sorted(records, key=lambda each: each.id), [])
    (group,) = groups.groups(records)
    assert [len(row.records) for row in group.rows] == [3] * 4
    assert len({each.metrics["kl_nats"] for each in records}) == 12
    scale._planned(tmp_path, scale.suite(12, 3))
    with pytest.raises(RuntimeError):
        scale._planned(tmp_path, scale.suite(15, 3))
    command = [sys.executable, "-m", "tests.performance.scale", "--step", "CSV", str(tmp_path), "12", "3"]
    figures = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert 0 < figures["seconds"] < 60
    assert 10 < figures["memory_mb"] < 2_000
    lines = scale.page({("CSV", "here", 12): figures, ("CSV", "here", 24): figures}).splitlines()
    assert lines[0] == "| step | records | 12 cells | 24 cells |"
    assert len(lines) == 3


def test_too_few_cells_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--sizes", "10"]) == 2
    assert capsys.readouterr().err == "scale: --sizes must be at least 200\n"


def test_many_rows_make_readable_plots_and_pages(tmp_path: Path) -> None:
    rows = [fake.quality("vanilla", 0, overrides={"latent": n + 2}, elbo=-100 - n / 100) for n in range(59)]
    # The baseline is the worst of all, and is shown nevertheless.
    records = [*rows, fake.quality("vanilla", 0, elbo=-200.0)]
    written = report.write(fake.write(tmp_path, records, images=False))
    page = (tmp_path / "README.md").read_text()
    assert "... and 10 more" in page
    assert len(page) < 60_000
    tables = (tmp_path / "tables" / "mnist-dynamic.md").read_text()
    assert all(f"latent={n + 2})" in tables for n in range(59))
    assert "... and 10 more rows, in the files" in written.terminal
    picture = (tmp_path / "plots" / "mnist-dynamic-binary_elbo_by_variant.svg").read_text()
    assert "(the best 30 of 60 rows)" in picture
    assert ">vanilla (latent=2)<" in picture
    assert ">vanilla (latent=60)<" not in picture
    assert ">vanilla<" in picture
