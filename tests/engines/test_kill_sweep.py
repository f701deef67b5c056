"""Two hundred cells, killed ten times at random moments: the same command again, and in the end the same tables."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, install

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the cells of a run in /proc"),
]

CELLS, KILLS, SEED = 200, 10, 9

# A checkpoint every few steps, so that kills in training meet one.
PLUGIN = """
from bench.resume import checkpoint
from variants.parts import assemble

checkpoint.EVERY_S, checkpoint.SHARE = 0.03, float("inf")


def small(data, *, posterior="diagonal"):
    return assemble(data, latent=2, hidden=[8], posterior=posterior)
"""
SUITE = f"""
description = "many cells of a moment each"
seeds = {CELLS // 4}
variants = [
    "small",
    {{ name = "small", set = {{ posterior = "full" }} }},
    {{ name = "vanilla", set = {{ latent = 2, hidden = [8] }} }},
    {{ name = "linear", set = {{ latent = 2 }} }},
]
datasets = [{{ name = "linear_gaussian", options = {{ n = 500 }} }}]
budget = {{ epochs = 2, batch_size = 100, train_size = 300 }}
measure = {{ elbo_samples = 2, nll_samples = 5, nll_points = 20 }}
throughput = {{ blocks = 0 }}
"""


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command, in a process of its own."""
    paths = os.pathsep.join([str(ROOT), str(folder / "plugin")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench", "run", str(folder / "many.toml"), "--out", str(out), "--device", "cpu"]
    with (folder / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([*command, "--jobs", "2"], env=environment, cwd=folder, stdout=log, stderr=log)


def parents() -> dict[int, int]:
    """Of every process its parent."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue  # it has just ended
            found[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def cells_of(supervisor: int) -> list[int]:
    """The processes of cells: children of the fork server, which is a child of the supervisor."""
    known = parents()
    return [pid for pid, parent in known.items() if known.get(parent) == supervisor]


def count(out: Path) -> int:
    return len(list((out / "runs").glob("[!.]*.json")))


def kill_once(process: subprocess.Popen[bytes], out: Path, chance: random.Random) -> bool:
    """Kill the run or one of its cells, some records on; says whether there still was something to kill."""
    supervisor = chance.random() < 1 / 3
    until, pause = count(out) + chance.randrange(1, 15), chance.uniform(0, 0.15)
    while count(out) < until:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    time.sleep(pause)
    while process.poll() is None:
        if supervisor:
            process.kill()
            process.wait()
            return True
        for pid in cells_of(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False


def records(out: Path) -> dict[str, Any]:
    """All that the records hold, but for when and how long."""
    found = {}
    for path in sorted((out / "runs").glob("[!.]*.json")):
        made = json.loads(path.read_text())
        assert made["status"] == "ok", made["reason"]
        keys = ("cell", "model", "metrics", "errors", "latent", "curve")
        found[made["id"]] = json.dumps([made[key] for key in keys])
    return found


TIMES = re.compile(r"(train_s|measure_s)(_|$)|started$")


def tables(out: Path) -> dict[str, Any]:
    """Every table as it is, but for the columns of times, which the CSV has."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in (out / "tables").iterdir()}
    for name in [name for name in found if name.endswith(".csv")]:
        rows = csv.reader(found[name].decode().splitlines())
        found[name] = [column for column in zip(*rows, strict=True) if not TIMES.match(column[0])]
    assert {Path(name).suffix for name in found} == {".csv", ".md", ".tex", ".bib"}
    return found


def test_killed_at_random_the_same_command_ends_with_the_same_tables(tmp_path: Path) -> None:
    install(tmp_path / "plugin", "vae-small", PLUGIN, {"small": "vae_small:small"})
    (tmp_path / "many.toml").write_text(SUITE)
    chance, out, calm = random.Random(SEED), tmp_path / "killed", tmp_path / "calm"
    undisturbed = start(tmp_path, calm)  # beside it: imports, and waiting for the disk, leave a core idle
    process = start(tmp_path, out)
    kills = 0
    while kills < KILLS:
        assert kill_once(process, out, chance), (tmp_path / "killed.log").read_text()
        kills += 1
        if process.poll() is not None:
            process = start(tmp_path, out)
    # What finished with a killed cell says so, and runs that cell alone again.
    if (code := process.wait()) == 1:
        process = start(tmp_path, out)
        code = process.wait()
    assert code == 0, (tmp_path / "killed.log").read_text()

    assert undisturbed.wait() == 0, (tmp_path / "calm.log").read_text()

    assert records(out) == records(calm)
    assert len(records(out)) == CELLS
    for path in (calm / "runs").glob("*.npz"):
        assert (out / "runs" / path.name).read_bytes() == path.read_bytes()
    assert tables(out) == tables(calm)
    # And nothing is left lying about: the same files, no checkpoint, no notes, no half-written one.
    files = [{str(path.relative_to(each)) for path in each.rglob("*") if path.is_file()} for each in (out, calm)]
    assert files[0] == files[1]
