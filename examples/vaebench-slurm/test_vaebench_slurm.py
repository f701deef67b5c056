"""Real cells, as jobs of submitit's local executor: processes of this machine in place of Slurm's."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from bench.cli import main
from bench.engines import Job, opened
from bench.suites import suite

SUITE = """
seeds = 2
variants = [{ name = "vanilla", set = { latent = 2, hidden = [8] } }]
datasets = [{ name = "linear_gaussian", options = { n = 500 } }]
budget = { epochs = 1, batch_size = 100, train_size = 200 }
measure = { elbo_samples = 2, nll_samples = 0 }
throughput = { blocks = 3 }
"""
OPTIONS = ("cluster=local", "poll_s=0.1")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """Exit code, standard output and standard error of `vaebench`."""
    with pytest.raises(SystemExit) as left:
        main(words)
    return (left.value.code, *capsys.readouterr())


def test_the_numbers_are_those_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cells through the command line, and the same two in this process."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(SUITE)
    figures = []
    for name, *options in (("slurm", "--engine-option", *OPTIONS), ("debug", "--set", "blocks=0")):
        code, out, err = run(
            capsys, "run", "tiny.toml", "--device", "cpu", "--out", name, "--json", "--engine", name, *options
        )
        assert code == 0, err
        assert json.loads(out)["ran"] == 2
        assert ("throughput is left out" in err) == (name == "slurm")
        records = [json.loads(path.read_text()) for path in sorted(Path(name, "runs").glob("*.json"))]
        figures.append([(record["id"], record["metrics"], record["curve"]) for record in records])
    assert figures[0] == figures[1]


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Checked against the keywords of the class, and their types."""
    for option, line in (
        ("partitoin=gpu", "engine slurm has no option 'partitoin' (it has partition, account, gpus, "),
        ("gpus=many", "option gpus of engine slurm"),
        ("cluster=moon", "option cluster of engine slurm"),
    ):
        code, _, err = run(capsys, "run", "quick", "--engine", "slurm", "--engine-option", option)
        assert (code, err.count("\n")) == (2, 1)
        assert line in err


def test_to_close_it_ends_its_jobs(tmp_path: Path) -> None:
    """As Ctrl-C does, with the first of two cells done and the other at work."""
    (tmp_path / "tiny.toml").write_text(SUITE.replace("epochs = 1", "epochs = 1000000"))
    cells = suite.load(str(tmp_path / "tiny.toml")).cells("cpu")
    cells[0]["budget"] = cells[0]["budget"] | {"epochs": 1}
    with opened("slurm", OPTIONS) as engine:
        events = engine.events(Job("quality", cells, tmp_path / "out", {"commit": None}, timeout_s=600))
        with contextlib.closing(events):
            first = next(events)
        assert first.record.cell == cells[0]  # type: ignore[union-attr]
    until = time.monotonic() + 30
    while any("submitit" in line and str(tmp_path) in line for line in processes()):
        assert time.monotonic() < until
        time.sleep(0.1)


def processes() -> list[str]:
    """The command lines of what runs here. Linux."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_text().replace("\0", " "))
    return lines
