"""The tests of `test_device.py` on the pretend device: what mixes devices there is an error, as it is on a real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.device import accelerator
from tests.device import pretend
from tests.helpers import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(accelerator() is not None, reason="a real device is tested here"),
]


@pytest.mark.parametrize(("float64", "chosen"), [(False, "not oracle_runs"), (True, "oracle_runs")])
def test_everything_that_runs_on_a_device(tmp_path: Path, float64: bool, chosen: str) -> None:
    environment = os.environ | pretend.installed(tmp_path / "site", float64=float64)
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/device/test_device.py"]
    done = subprocess.run(
        [*words, "-k", chosen], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout
