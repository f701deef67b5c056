"""Output that nobody reads or that cannot be written: the run goes on, and its exit code is the truth."""

import json
import shlex
from pathlib import Path

import pytest

from bench.records import store
from tests import fake_records as fake
from tests.helpers import install_misbehaving
from tests.reliability.faults import PROGRAM, SUITE, ended


def test_a_run_whose_reader_leaves_goes_on_and_says_the_truth(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    install_misbehaving(plugins)
    names = ["dies", "prints", "vanilla"]
    (tmp_path / "mine.toml").write_text(SUITE.replace('["vanilla"]', json.dumps(names)), encoding="utf-8")
    words = shlex.join([*PROGRAM, "run", "mine.toml", "--device", "cpu", "--jobs", "1", "--out", "out"])
    done = ended(["bash", "-c", f"({words}; echo $? > code) 2>&1 | true"], cwd=tmp_path, plugins=[plugins])
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "code").read_text(encoding="utf-8") == "1\n"
    found, warnings = store.read_all(tmp_path / "out")
    assert {made.cell["variant"]: made.status for made in found} == {
        "dies": "error",
        "prints": "ok",
        "vanilla": "ok",
    }
    assert warnings == []
    assert (tmp_path / "out" / "README.md").exists()


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        (">/dev/full", 4, "vaebench: the output could not be written (No space left on device); all files are\n"),
        (">&-", 4, "vaebench: the output could not be written (it is closed); all files are\n"),
        ("| cat", 0, ""),
    ],
    ids=["full", "closed", "ascii"],
)
def test_output_that_cannot_be_written_loses_no_file(tmp_path: Path, how: str, code: int, said: str) -> None:
    fake.write(tmp_path / "out", [fake.quality(seed=seed) for seed in range(2)], images=False)
    script = f"set -o pipefail; {shlex.join([*PROGRAM, 'report', 'out'])} {how}"
    names = " ".join(f"{key}={value}" for key, value in ASCII.items())
    done = ended(["bash", "-c", f"export {names}; {script}"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, said)
    assert (tmp_path / "out" / "README.md").exists()
    assert done.stdout == "" or "\\u2013" in done.stdout


@pytest.mark.parametrize("how", ["2>/dev/full", pytest.param("2>&-", marks=pytest.mark.slow)], ids=["full", "closed"])
def test_a_run_whose_progress_cannot_be_written_goes_on(tmp_path: Path, how: str) -> None:
    (tmp_path / "mine.toml").write_text(SUITE, encoding="utf-8")
    done = ended(
        ["bash", "-c", f"{shlex.join([*PROGRAM, 'run', 'mine.toml', '--device', 'cpu', '--out', 'out'])} {how}"],
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("out/report.html\n")
    assert [made.status for made in store.read_all(tmp_path / "out")[0]] == ["ok"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("README.md", "report.html", "plots", "runs", "tables", "weights")
    }
