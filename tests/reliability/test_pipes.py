"""A reader of the output that leaves: the run goes on to its end, and its exit code is the truth."""

import json
import shlex
from pathlib import Path

from bench.records import store
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
