"""Cells in processes of their own: whatever one does, its record says so and its neighbours do not notice."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.cells.events import Done, Epochs, Event
from bench.cells.run import run_cell
from bench.engines.local import Local
from bench.errors import MachineError
from bench.records import store
from bench.records.record import plain
from tests.helpers import ROOT, finish, processes, simulated, start, sums_now, wait_for, work_off

pytestmark = pytest.mark.usefixtures("misbehaving")


def run_cells(cells: list[Any], out: Path, **how: Any) -> list[Any]:
    """Records in the order in which they came."""
    made = work_off(Local(), cells, out, **how)
    assert multiprocessing.active_children() == []
    return made


def test_cells_that_die_leave_a_record_and_their_neighbours_alone(tmp_path: Path) -> None:
    names = ["good", "dies", "raises_at_build", "killed", "dies_without_a_code", "loads_in_workers", "nan_in_training"]
    cells = [simulated(name, budget={"epochs": 2}) for name in [*names, "good"]]
    cells[-1]["seed"] = 1
    events: list[Event] = []
    told = run_cells(cells, tmp_path, on_event=events.append)
    found = {(made.cell["variant"], made.cell["seed"]): made for made in told}
    broke = found["nan_in_training", 0]
    reason, broke.reason = broke.reason, broke.reason.partition(":")[0]
    assert {key: (made.status, made.reason) for key, made in found.items()} == {
        ("good", 0): ("ok", None),
        ("dies", 0): ("error", "the cell's process exited with code 7 without a result"),
        ("raises_at_build", 0): ("error", "RuntimeError: no way to build this"),
        ("killed", 0): ("error", "the cell's process was killed by signal 9 (perhaps out of memory: try fewer --jobs)"),
        ("dies_without_a_code", 0): ("error", "the cell's process exited with code 0 without a result"),
        ("loads_in_workers", 0): ("ok", None),
        ("nan_in_training", 0): ("diverged", "training loss is nan in epoch 1"),
        ("good", 1): ("ok", None),
    }
    broke.reason = reason
    # The first epoch of what diverged is not done, and the cells that died had none.
    assert [event.done for event in events if isinstance(event, Epochs)].count(2) == 3
    assert min(event.seconds for event in events if isinstance(event, Done)) > 0
    written, warnings = store.read_all(tmp_path)
    assert warnings == []
    for made in (*written, *told):
        made.traceback = None  # which is read as one line
    assert sorted(written, key=lambda r: r.id) == sorted(told, key=lambda r: r.id)
    # A process of its own changes no number, and a crashed neighbour none either.
    for seed in (0, 1):
        alone, artefacts = run_cell("quality", cells[0] | {"seed": seed}, {"commit": "abc"})
        beside = found["good", seed]
        assert (beside.metrics, beside.curve) == (alone.metrics, alone.curve)
        picture = tmp_path / "runs" / f"{beside.id}.npz"
        assert (picture.read_bytes() if picture.exists() else None) == artefacts


def test_throughput_cells(tmp_path: Path) -> None:
    told = run_cells([simulated("good", kind="throughput")], tmp_path, kind="throughput", side_by_side=None)
    assert [made.status for made in told] == ["ok"]
    assert told[0].metrics["train_samples_per_s"].median > 0


def test_a_cell_that_hangs_is_ended(tmp_path: Path) -> None:
    done: list[Done] = []
    told = run_cells(
        [simulated("hangs")],
        tmp_path,
        timeout_s=0.6,
        on_event=lambda event: done.append(event) if isinstance(event, Done) else None,
    )
    assert [(made.status, made.reason) for made in told] == [("timeout", "not finished after 0.01 minutes")]
    assert 0.6 < done[0].seconds < 30
    assert json.loads(next((tmp_path / "runs").glob("*.json")).read_text()) == plain(told[0])


def test_an_interrupt_ends_what_runs_and_keeps_what_finished(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Done):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([simulated("good"), simulated("hangs"), simulated("vanilla")], tmp_path, on_event=interrupt)
    assert multiprocessing.active_children() == []
    assert [made.cell["variant"] for made in store.read_all(tmp_path)[0]] == ["good"]


def test_a_folder_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(MachineError, match="cannot write"):
        run_cells([simulated("dies"), simulated("hangs")], tmp_path / "out")
    assert multiprocessing.active_children() == []


# In a copy of the sources: edits files before the fork server has imported them, or after the first cell has ended.
EDITS = """
import json, sys
from pathlib import Path
from bench.cells.events import Done
from bench.engines import Job
from bench.engines.local import Local
from bench.records import sources
from bench.settings import Budget, Measure
from bench.suites.suite import DataChoice, Suite, Variant

before, after = json.loads(sys.argv[1])

def edit(files):
    for name in files:
        with Path(name).open("a") as file:
            file.write("def changed(:" if name.startswith("variants/zoo/beta") else "changed = True\\n")

variants = tuple(Variant(name, {"latent": 2}) for name in ("vanilla", "linear", "beta", "low_rank"))
data = DataChoice("linear_gaussian", "none", {"n": 200})
budget, measure = Budget(epochs=1, batch_size=100, train_size=100), Measure(elbo_samples=2, nll_samples=0)
cells = Suite(name="s", variants=variants, datasets=(data,), seeds=1, budget=budget, measure=measure).cells("cpu")
told = []
for cell in cells:
    sources.sums(cell["variant"])
edit(before)
for event in Local().events(Job("quality", cells, Path("out"), {})):
    if isinstance(event, Done):
        told or edit(after)
        told.append(event.record)
print(json.dumps([[made.cell["variant"], made.reason, made.provenance.code_sha256] for made in told]))
"""
CHANGED = "its sources changed while the run went on: run the same command again"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every cell imports anew")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["bench/train/loop.py", "variants/parts/new.py", "variants/zoo/linear.py", "variants/zoo/beta.py"]),
        (["bench/train/loop.py"], []),
    ],
)
def test_a_record_names_the_code_that_made_it_whatever_is_edited(
    tmp_path: Path, before: list[str], after: list[str]
) -> None:
    for name in ("bench", "variants"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "mnist"))
    words = [sys.executable, "-c", EDITS, json.dumps([before, after])]
    how = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=os.environ | how, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert [code for _, _, code in told] == [sums_now(name)["code_sha256"] for name, _, _ in told]
    found = {name: reason for name, reason, _ in told}
    kept = list((tmp_path / "out").glob("weights/*.safetensors"))
    if before:
        # Into the fork server's memory it came with all else.
        assert found == dict.fromkeys(["vanilla", "linear", "beta", "low_rank"], CHANGED)
        assert not kept
    else:
        # What the fork server had imported is what it was. A recipe is imported by its cell.
        assert "SyntaxError" in found.pop("beta")
        assert found == {"vanilla": None, "linear": CHANGED, "low_rank": None}
        assert len(kept) == 2


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SUITE = """
seeds = 1
variants = ["hangs_in_training", "hogs"]
datasets = [{ name = "linear_gaussian", options = { n = 1000 } }]
budget = { epochs = 1, batch_size = 100, train_size = 200 }
throughput = { blocks = 0 }
"""


def begin(folder: Path) -> Any:
    """A run with two cells at work, one of which no Python code in it can end."""
    (folder / "endless.toml").write_text(SUITE)
    words = ["run", "endless.toml", "--device", "cpu", "--jobs", "2", "--out", "out"]
    run = start(folder, "-m", "bench", *words)
    # Beside the run itself: the fork server, its tracker of resources, and the cells.
    wait_for(lambda: len(processes(run.pid)) >= 5 or run.poll() is not None)
    time.sleep(1)
    assert run.poll() is None, finish(run)
    return run


@linux
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    run = begin(tmp_path)
    run.kill()
    finish(run)
    wait_for(lambda: not processes(run.pid), timeout_s=10)
    assert store.read_all(tmp_path / "out") == ([], [])


def test_a_cell_that_is_killed_from_outside_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_the_other(event: Event) -> None:
        if isinstance(event, Epochs) and not killed:
            first = min(multiprocessing.active_children(), key=lambda process: process.pid or 0)
            killed.append(first.pid or 0)
            first.kill()

    cells = [simulated("hangs_in_training"), simulated("good"), simulated("good", seed=1)]
    told = run_cells(cells, tmp_path, on_event=kill_the_other)
    found = {(made.cell["variant"], made.cell["seed"]): made.status for made in told}
    assert found == {("hangs_in_training", 0): "error", ("good", 0): "ok", ("good", 1): "ok"}
    assert killed


@linux
def test_a_cancelled_job_ends_its_cells_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = begin(tmp_path)
    os.kill(run.pid, signal.SIGTERM)
    code, _, err = finish(run)
    assert code == 130
    assert err.splitlines()[-1].startswith("vaebench: interrupted; finished runs are kept. Resume with: ")
    assert "Traceback" not in err
    wait_for(lambda: not processes(run.pid), timeout_s=10)


@linux
def test_the_second_signal_leaves_at_once(tmp_path: Path) -> None:
    run = begin(tmp_path)
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(0.3)  # less than a cell has to leave tidily
    os.killpg(run.pid, signal.SIGINT)
    code, _, err = finish(run)
    assert code == 130
    assert err.splitlines()[-1] == "vaebench: interrupted twice: left at once; finished runs are kept"
    assert "Traceback" not in err
    wait_for(lambda: not processes(run.pid), timeout_s=10)


@linux
def test_ctrl_c_while_everything_is_still_being_imported(tmp_path: Path) -> None:
    (tmp_path / "endless.toml").write_text(SUITE)
    run = start(tmp_path, "-m", "bench", "run", "endless.toml", "--device", "cpu", "--out", "out")
    wait_for(lambda: any("forkserver" in line for line in processes(run.pid).values()))
    os.killpg(run.pid, signal.SIGINT)
    code, _, err = finish(run)
    assert code == 130
    plan, _, line = err.splitlines()
    assert (plan[:5], line[:22]) == ("Plan:", "vaebench: interrupted;"), err
    wait_for(lambda: not processes(run.pid), timeout_s=30)


@linux
def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup: the terminal goes, the run stays."""
    code = f"""
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-c", {PROBE!r}])
"""
    assert finish(start(tmp_path, "-c", code))[:2] == (0, "still here\n")


PROBE = """
import os, signal
from bench import cli
with cli._signals():
    os.kill(os.getpid(), signal.SIGHUP)
    print("still here")
"""
