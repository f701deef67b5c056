"""The benchmark of an accelerator, but for what needs one: `tests/device/test_device.py` runs that."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.device import accelerator
from bench.errors import UsageError
from tests.performance import device, device_page

SOURCE = {
    "commit": "0123456789abcdef",
    "dirty": False,
    "kind": "cuda",
    "cores": 2,
    "device": "Example GPU",
    "processor": "Example CPU",
    "torch": "2.9.0",
}


def point(part: str, where: str, batch: int, **figures: Any) -> dict[str, Any]:
    known = {"per_s": [1000.0, 900.0, 1100.0], "peak_memory_mb": 20.0, "mfu": 0.25}
    return {"part": part, "variant": "conv", "device": where, "batch": batch, "how": "fp32"} | (figures or known)


def test_all_parts_together_take_less_than_nine_minutes() -> None:
    assert sum(seconds + device.GRACE_S for seconds in device.PARTS.values()) <= 9 * 60 + 30
    assert sum(device.PARTS.values()) <= 9 * 60 - 10


@pytest.mark.skipif(accelerator() is not None, reason="there is an accelerator")
def test_without_an_accelerator_it_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert device.main(["--out", str(tmp_path / "out")]) == 4
    error = capsys.readouterr().err
    assert error == "device: there is no accelerator here, and nothing is said of one that was not seen\n"
    assert not (tmp_path / "out" / "README.md").exists()


def test_every_variant_is_timed_there_and_on_the_cpu_row_by_row() -> None:
    points = [(each["variant"], each["device"], each["batch"]) for each in device.wanted("speed", ["a", "b"], "cuda")]
    one = [(where, batch) for where in ("cuda", "cpu") for batch in (128, 4096)]
    assert points == [(name, *each) for name in ("a", "b") for each in one]
    compiled = [*device.wanted("compile", ["a", "conv"], "cuda")]
    assert {each["variant"] for each in compiled} == {"conv"}
    assert [each["how"] for each in compiled[::2]] == list(device.HOWS)


@pytest.mark.parametrize("variant", ["vanilla", "beta_binomial", "negative_binomial", "conditional", "ada_gvae"])
def test_a_variant_of_any_data_has_a_batch(variant: str) -> None:
    model, batch = device._model(variant, 4, "cpu")
    assert model.loss(batch).isfinite().all()


def test_a_part_is_ended_at_its_time() -> None:
    code, seconds, _ = device.ran([sys.executable, "-c", "import time; time.sleep(600)"], 0.5)
    assert code is None
    assert 0.5 <= seconds < 60
    assert device.ran([sys.executable, "-c", "print('two'); raise SystemExit(3)"], 60)[::2] == (3, "two")


def test_the_page_says_what_ended_and_what_is_faster(tmp_path: Path) -> None:
    points = [
        point("speed", "cuda", 128),
        point("speed", "cpu", 128, per_s=[400.0, 400.0, 400.0]),
        point("speed", "cuda", 4096),
        point("speed", "cpu", 4096, error="MemoryError: no room"),
        point("compile", "cuda", 128),
    ]
    parts = {
        "tests": {"code": 0, "seconds": 12.0, "last": "9 passed"},
        "quick": {"code": None, "seconds": 170.0, "last": "x"},
    }
    device_page.write(tmp_path, points, parts, SOURCE)
    page = (tmp_path / "README.md").read_text()
    assert "Example GPU beside 2 cores of Example CPU; torch 2.9.0, commit 0123456789ab." in page
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert ["tests", "12", "well", "9 passed"] in cells
    assert ["quick", "170", "at its time", "x"] in cells
    assert ["conv", "400", "1,000", "2.50", "MemoryError: no room", "1,000", "\u2013", "20", "25.0%"] in cells
    assert ["conv", "fp32", "1,000"] in cells


def test_points_of_another_machine_are_no_points_of_this_one(tmp_path: Path) -> None:
    (tmp_path / device.POINTS).write_text(json.dumps(point("speed", "cuda", 128) | {"source": SOURCE}) + "\n")
    assert len(device.read(tmp_path, SOURCE)) == 1
    with pytest.raises(UsageError, match="another torch: choose another folder"):
        device.read(tmp_path, SOURCE | {"torch": "2.10.0"})
    (tmp_path / device.POINTS).write_text("[]\n")
    with pytest.raises(UsageError, match="does not hold points"):
        device.read(tmp_path, SOURCE)
