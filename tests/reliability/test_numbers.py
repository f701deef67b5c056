"""Figures that cannot be, and data at the edge of what there is: a status and one line, or honest figures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cells.run import run_cell
from bench.cli import app
from bench.records import record, schema
from tests.helpers import call, cell, simulated, throughput_cell


def run(kind: str, made: dict[str, Any]) -> record.Record:
    result, _ = run_cell(kind, made, {"commit": None})
    json.dumps(record.plain(result), allow_nan=False)
    assert not result.traceback, result.traceback
    return result


def test_a_log_variance_that_overflows_is_diverged() -> None:
    """A step so long that exp of the log-variance is infinite."""
    result = run("quality", simulated("vanilla", budget={"lr": 1e4, "epochs": 2}))
    assert result.status == "diverged"
    assert result.reason.startswith("training loss is ")
    assert "\n" not in result.reason
    assert result.metrics == {}


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    whole = run("quality", cell("vanilla", budget={"batch_size": 200}))
    larger = run("quality", cell("vanilla", budget={"batch_size": 10**9}))
    assert larger.status == "ok"
    assert (larger.metrics, larger.curve) == (whole.metrics, whole.curve)
    timed = run("throughput", throughput_cell("vanilla", batch_size=5000))
    assert timed.status == "ok"


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize(
    ("variant", "overrides"),
    [
        ("vanilla", {}),
        ("vanilla", {"likelihood": "gaussian"}),
        ("vanilla", {"likelihood": "gaussian", "sigma": "optimal"}),
        ("vanilla", {"likelihood": "continuous_bernoulli"}),
        ("linear", {}),
    ],
)
def test_pixels_that_are_all_the_same(tmp_path: Path, variant: str, overrides: dict[str, Any], value: int) -> None:
    """Every measurement meets them: variances of nothing, images without structure, classes without a difference."""
    path = tmp_path / "größe 1" / "flat images.npz"
    path.parent.mkdir()
    labels = np.arange(300) % 3
    np.savez(path, train=np.full((300, 8, 8), value, dtype=np.uint8), train_labels=labels)
    measure = {"mi_points": 20, "probe_points": 50, "ssim_points": 5, "gap_points": 2, "gap_steps": 3}
    made = cell(variant, dataset=str(path), binarise="none", overrides={"latent": 2} | overrides, measure=measure)
    result = run("quality", made)
    assert result.status in ("ok", "diverged"), result.reason
    if result.status == "ok":
        figures = [value for value in result.metrics.values() if value is not None]
        assert figures
        assert all(map(math.isfinite, figures))
    else:
        assert "\n" not in result.reason


def test_a_diverged_cell_is_exit_code_1_and_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])
    out = tmp_path / "Größe und Maß"
    words = ["run", "quick", "--variants", "vanilla", "--datasets", "linear_gaussian", "--seeds", "1"]
    words += ["--device", "cpu", "--out", str(out), "--set", "blocks=0", "lr=1e4", "epochs=1", "train_size=1000"]
    words += ["nll_samples=0", "elbo_samples=1"]
    code, _, err = call(capsys, *words)
    assert code == app.FAILED_CELLS
    assert ": diverged, training loss is " in err.splitlines()[-1]
    # It would diverge again, and is not run again.
    code, _, err = call(capsys, *words)
    assert code == app.FAILED_CELLS
    assert "1 of 1 runs are finished" in err


def test_a_torn_record_is_made_again_and_one_of_a_later_version_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])
    words = ["run", "quick", "--variants", "linear", "--datasets", "linear_gaussian", "--seeds", "2", "--device", "cpu"]
    words += ["--out", str(tmp_path), "--set", "blocks=0", "epochs=1", "train_size=1000", "nll_samples=0"]
    assert call(capsys, *words)[0] == 0
    first, second = sorted((tmp_path / "runs").glob("*.json"))
    sound = second.read_bytes()
    before = schema.read(first)
    first.write_bytes(first.read_bytes()[:1000])
    code, out, _ = call(capsys, "report", str(tmp_path))
    assert (code, f"warning: {first.name} is unreadable" in out) == (0, True)
    code, _, err = call(capsys, *words)
    assert (code, "1 of 2 runs are finished" in err) == (0, True)
    after = schema.read(first)
    assert (after.metrics, after.curve) == (before.metrics, before.curve)
    assert second.read_bytes() == sound

    later = json.dumps(record.plain(after) | {"schema": record.SCHEMA + 1}).encode()
    first.write_bytes(later)
    code, _, err = call(capsys, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"vaebench: {first.name} has schema 2, this version reads 1: update vaebench, or choose")
    assert first.read_bytes() == later
    assert second.read_bytes() == sound
