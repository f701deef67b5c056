"""The same cells on a Ray cluster of several nodes, each with processes of its own on this machine."""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench.cells.events import Done, Event, Note
from bench.disk.files import write_bytes
from bench.engines import Job
from bench.engines.local import Local
from bench.engines.ray import Ray, _scratch, _stems, _unlike, connect, sources
from bench.errors import MachineError, UsageError
from bench.pages import page, report
from bench.records import provenance, record, store
from bench.suites import suite
from bench.sweeps import configure, execute
from tests.helpers import (
    BUDGET,
    MEASURE,
    SIMULATED,
    call,
    forget_plugins,
    install,
    is_alive,
    refused,
    simulated,
    wait_for,
    work_off,
)

ray = pytest.importorskip("ray")
# Ray leaves sockets and files to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)

# Recipes that note when and where they were at work, in a folder that the environment names.
NOTING = """
import json, os, time
from pathlib import Path
from variants.parts import assemble

def write(path, note):
    # In one step: a test that reads it never sees half of it.
    half = path.parent.parent / path.name
    half.write_text(json.dumps(note))
    half.replace(path)

def noted(data, *, seconds=0.0, beside=1, latent=2):
    # At work for so many seconds once so many are.
    if not os.environ.get("NOTES"):
        return assemble(data, latent=latent, hidden=[8])
    path = Path(os.environ["NOTES"]) / f"{os.getpid()}-{time.time_ns()}.json"
    note = {"began": time.time(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "node": os.environ.get("NODE")}
    write(path, note)
    until = time.monotonic() + 100
    while sum("ended" not in p.read_text() for p in path.parent.iterdir()) < beside and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(seconds)
    write(path, note | {"ended": time.time()})
    return assemble(data, latent=latent, hidden=[8])

def leaves(data):
    noted(data)
    os._exit(7)
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ray")
    install(folder / "plugin", "vae-noting", NOTING, {"noted": "vae_noting:noted", "leaves": "vae_noting:leaves"})
    (folder / "notes").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "plugin"))
        forget_plugins(folder)
        patch.setenv("NOTES", str(folder / "notes"))
        # What the nodes are started with: they are other machines, as it were.
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else they would wait for every other test
        yield folder / "notes"
    forget_plugins(folder)


@pytest.fixture(autouse=True)
def _no_old_notes(notes: Path) -> None:
    for path in notes.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def nodes(notes: Path) -> Iterator[Any]:
    """A head that runs no cells, one node with two CPUs, and one with two and a GPU that it only pretends to have."""
    from ray.cluster_utils import Cluster as Nodes

    assert notes.is_dir()  # what the nodes inherit is set by then
    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=2, env_vars={"NODE": "a"})
    made.add_node(num_cpus=2, num_gpus=1, env_vars={"NODE": "b"})
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes: Any) -> Iterator[Ray]:
    with connect(nodes.address) as connected:
        yield connected


def run_cells(cluster: Ray, cells: list[Any], out: Path, **how: Any) -> dict[tuple[str, int], Any]:
    """Records by variant and seed."""
    how = {"side_by_side": None, "timeout_s": 300, "provenance": provenance.provenance()} | how
    records = work_off(cluster, cells, out, **how)
    return {(made.cell["variant"], made.cell["seed"]): made for made in records}


def noting(lines: list[str]) -> Callable[[Event], None]:
    """Keeps what cells have to say."""

    def note(event: Event) -> None:
        if isinstance(event, Note):
            lines.append(event.line)

    return note


def read(notes: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in notes.iterdir()]


@pytest.mark.parametrize(("gpus", "cells"), [(1.0, 2), (0.5, 4), (0.6, 2), (2.0, 1)])
def test_fractions_that_are_left_of_two_gpus_are_not_put_together(gpus: float, cells: int) -> None:
    assert Ray(None, gpus)._fits(simulated("noted"), {"CPU": 9.0, "GPU": 2.0}) == cells


def test_both_engines_give_the_same_numbers(
    cluster: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "write", lambda out, reference: page.Report(out, (), (), "a table"))  # noqa: ARG005
    table = {"variants": ["full_covariance", "noted"], "datasets": [SIMULATED], "seeds": 1}
    made = suite.parse("mine", table | {"budget": BUDGET, "measure": MEASURE})
    here = execute.execute(configure.configure(made, {"blocks": 0}), tmp_path / "here", device="cpu")
    # One is trained there; of the other, weights that were trained here are measured there.
    (kept,) = (tmp_path / "here" / "weights").glob("*_noted_*")
    write_bytes(tmp_path / "there" / "weights" / kept.name, kept.read_bytes())
    capsys.readouterr()
    there = execute.execute(made, tmp_path / "there", device="cpu", engine=cluster)
    assert (
        "vaebench: throughput is left out, for on a cluster no cell has a machine to itself" in capsys.readouterr().err
    )
    assert there.failed == here.failed == []
    for mine, yours in zip(here.records, there.records, strict=True):
        for key in ("id", "metrics", "errors", "latent", "curve", "model", "cell", "status"):
            assert getattr(mine, key) == getattr(yours, key), key
        assert record.plain(mine)["provenance"].keys() == record.plain(yours)["provenance"].keys()
        same = mine.provenance.trained == yours.provenance.trained
        assert same == (mine.cell["variant"] == "noted")
    files = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*")}
    assert {path.relative_to(tmp_path / "there") for path in (tmp_path / "there").rglob("*")} == files
    for path in (tmp_path / "here" / "runs").glob("*.npz"):
        assert path.read_bytes() == (tmp_path / "there" / "runs" / path.name).read_bytes()
    again = execute.execute(made, tmp_path / "there", device="cpu", engine=cluster)
    assert (again.ran, again.skipped) == (0, 2)


def test_a_cell_that_ends_itself_or_hangs_is_no_lost_worker(cluster: Ray, tmp_path: Path, notes: Path) -> None:
    cells = [simulated("leaves"), simulated("noted", overrides={"seconds": 600.0})]
    found = run_cells(cluster, cells, tmp_path, timeout_s=6)
    assert {key: (made.status, made.reason) for key, made in found.items()} == {
        ("leaves", 0): ("error", "the cell's process exited with code 7 without a result"),
        ("noted", 0): ("timeout", "not finished after 0.1 minutes"),
    }
    assert len(read(notes)) == 2  # neither was begun twice


def test_cells_share_a_gpu_by_the_fraction_that_they_ask_for(cluster: Ray, tmp_path: Path, notes: Path) -> None:
    """The GPU is pretended, and the cells compute on the CPU; what is placed where, and beside what, is real."""
    # They wait for each other, and a third would have to wait for one of them.
    cells = [simulated("noted", seed=seed, overrides={"beside": 2, "seconds": 1.0}) for seed in range(2)]
    halves = Ray(cluster.ray, gpus=0.5)
    assert [halves._fits(cells[0], node) for _, node in halves._nodes() if node.get("GPU")] == [2]
    found = run_cells(halves, cells, tmp_path)
    assert [made.status for made in found.values()] == ["ok"] * 2
    seen = read(notes)
    assert {(note["node"], note["gpu"]) for note in seen} == {("b", "0")}
    assert max(note["began"] for note in seen) < min(note["ended"] for note in seen)


def test_what_no_node_has_is_refused_at_once(cluster: Ray, tmp_path: Path) -> None:
    before = time.monotonic()
    for cell, gpus, words in (
        (
            simulated("noted", threads=3),
            None,
            "which needs 3 CPU .the most that a node has: 2 CPU, 1 GPU.: ask for less",
        ),
        (simulated("noted"), 2, "which needs 1 CPU and 2 GPU"),
    ):
        with pytest.raises(MachineError, match=f"no node of the cluster can run a cell, {words}"):
            run_cells(Ray(cluster.ray, gpus=gpus), [cell], tmp_path)
    assert time.monotonic() - before < 5
    assert cluster.device("auto") == "cuda"
    assert cluster.device("cpu") == "cpu"


def test_a_node_with_other_code_is_refused(cluster: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = sources.sums("noted")
    monkeypatch.setattr(sources, "sums", lambda _: ours | {"code_sha256": "f" * 64})
    with pytest.raises(
        MachineError,
        match=rf"node \S+ has the code of noted {ours['code_sha256'][:12]} where \S+ has f{{12}}: install the same on",
    ):
        run_cells(cluster, [simulated("noted")], tmp_path)


def test_a_commit_is_compared_where_there_is_one() -> None:
    ours = {"node": "a", "torch": "2.9", "commit": "1234"}
    assert _unlike(ours, ours | {"node": "b"}) is None
    line = "node b has commit 5678 where a has 1234"
    assert _unlike(ours, ours | {"node": "b", "commit": "5678"}) == line
    for one, other in ((ours, ours | {"commit": None}), (ours | {"commit": None}, ours)):
        assert _unlike(one, other) is None  # installed from a wheel


class Stub:
    """In the place of Ray's module: its workers are generators of this process, and begin only where a node is left
    with the CPUs that they ask for; they speak one at a time, the first or the last that was sent."""

    exceptions = ray.exceptions

    def __init__(self, *cpus: int, last_first: bool = False) -> None:
        self.cpus, self.last_first = list(cpus), last_first  # CPUs of each node
        self.cancelled: list[Worker] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": f"{i:056x}", "Resources": {"CPU": n}, "Alive": True} for i, n in enumerate(self.cpus, 1)]

    def remote(self, *, num_cpus: int, **_: Any) -> Callable[..., Any]:
        class Task:
            def __init__(self, function: Callable[..., Any]) -> None:
                self.function = function

            def options(self, **_: Any) -> "Task":
                return self

            def remote(self, *arguments: Any) -> Any:
                found = self.function(*arguments)
                return Worker(found, num_cpus) if isinstance(found, Iterator) else found

        return Task

    def get(self, found: Any, timeout: float | None = None) -> Any:  # noqa: ARG002
        return found

    def wait(self, workers: list["Worker"], **_: Any) -> tuple[list["Worker"], list["Worker"]]:
        workers = [worker for worker in workers if worker.begun or worker.cpus <= max(self.cpus)]
        return workers[-1:] if self.last_first else workers[:1], []

    def cancel(self, worker: "Worker", *, force: bool) -> None:
        assert force
        self.cancelled.append(worker)


class Worker:
    def __init__(self, messages: Any, cpus: int) -> None:
        self.messages, self.cpus, self.begun = messages, cpus, False

    def __next__(self) -> Any:
        if not self.begun:
            self.begun = True
            self.messages = iter([*self.messages])  # it waits for nobody to read them
        return next(self.messages)


Supervised = Callable[[Callable[[Any, Path], None]], None]


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervised:
    """Cells that do no more than what is given; their nodes have one temporary folder."""

    def do(act: Callable[[Any, Path], None]) -> None:
        def events(_: Local, job: Job) -> Iterator[Event]:
            (cell,) = job.cells
            act(cell, job.out)
            made = record.new(job.kind, cell, job.provenance | {"trained": {"started": None}})
            yield Done(replace(made, status="ok", metrics={"elbo_nats": None, "mse_per_pixel": 0.0}))

        monkeypatch.setattr(Local, "events", events)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return do


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("joins", [True, False])
def test_the_other_cells_do_not_wait_for_one_whose_only_node_is_lost(
    tmp_path: Path, supervised: Supervised, begun: bool, joins: bool
) -> None:
    """Whether it is at work there, or no more than sent; and if a node joins that has what it asks for, it runs."""
    stub, seen, told = Stub(1, 3, last_first=not begun), list[int](), list[str]()

    def act(cell: Any, _: Path) -> None:
        seen.append(cell["seed"])
        if len(seen) == 1:
            stub.cpus.remove(3)
            if cell["seed"] == 0:
                raise ray.exceptions.WorkerCrashedError
        if joins and len(seen) == 6 + begun:
            stub.cpus.append(3)

    supervised(act)
    # There is room for four of them at first, and for one once the node with three CPUs is lost.
    cells = [simulated("noted", seed=seed, threads=1 if seed else 3) for seed in range(7)]
    if joins:
        run_cells(Ray(stub), cells, tmp_path, on_event=noting(told))
    else:
        with pytest.raises(MachineError, match=r"which needs 3 CPU \(the most that a node has: 1 CPU, 0 GPU\)"):
            run_cells(Ray(stub), cells, tmp_path, on_event=noting(told))
    found = {made.cell["seed"]: made.status for made in store.read_all(tmp_path)[0]}
    assert found == dict.fromkeys(range(0 if joins else 1, 7), "ok")
    assert told == ["its worker was lost, and it is begun anew"] * begun
    assert [worker.begun for worker in stub.cancelled] == [False] * (not begun)


@pytest.mark.parametrize(
    ("losses", "end"), [(3, ("ok", None)), (4, ("error", "its worker was lost 4 times (WorkerCrashedError)"))]
)
def test_a_cell_whose_worker_is_lost_is_begun_anew_three_times_at_the_most(
    tmp_path: Path, supervised: Supervised, losses: int, end: tuple[str, str | None]
) -> None:
    begun, told = list[int](), list[str]()

    def act(cell: Any, _: Path) -> None:
        begun.append(cell["seed"])
        if cell["seed"] == 0 and begun.count(0) <= losses:
            raise ray.exceptions.WorkerCrashedError

    supervised(act)
    cells = [simulated("noted", seed=seed) for seed in range(2)]
    found = run_cells(Ray(Stub(1)), cells, tmp_path, on_event=noting(told))
    assert [(found["noted", seed].status, found["noted", seed].reason) for seed in range(2)] == [
        end,
        ("ok", None),
    ]
    assert (begun.count(0), begun.count(1)) == (4, 1)
    assert told == ["its worker was lost, and it is begun anew"] * 3


def test_a_worker_that_fails_is_an_error_of_its_cell_and_of_no_other(tmp_path: Path, supervised: Supervised) -> None:
    def act(cell: Any, _: Path) -> None:
        if cell["seed"] == 0:
            raise ray.exceptions.RayTaskError("work", "", ValueError("where it was\n\n  what it was \n"), ip="here")

    supervised(act)
    found = run_cells(Ray(Stub(1)), [simulated("noted", seed=seed) for seed in range(2)], tmp_path)
    assert [(found["noted", seed].status, found["noted", seed].reason) for seed in range(2)] == [
        ("error", "its worker failed: what it was"),
        ("ok", None),
    ]


def test_cells_on_an_accelerator_ask_for_one_and_others_for_none() -> None:
    few, many = Ray(Stub(2)), Ray(Stub(2), 0.25)
    here, there = simulated("noted"), simulated("noted", device="cuda")
    assert [few._share(here), few._share(there), many._share(here), many._share(there)] == [0.0, 1.0, 0.25, 0.25]
    few._require([here])
    words = r"needs 1 CPU and 1 GPU \(the most that a node has: 2 CPU, 0 GPU\): use --device cpu"
    with pytest.raises(MachineError, match=words):
        few._require([here, there])
    with pytest.raises(MachineError, match=r"needs 3 CPU \(the most that a node has: 2 CPU, 0 GPU\): ask for less"):
        few._require([here, simulated("noted", threads=3)])
    assert (few.device("auto"), few.device("cuda")) == ("cpu", "cuda")
    with pytest.raises(UsageError, match="unknown device 'tpu': choose one of auto, cpu"):
        few.device("tpu")


@pytest.mark.parametrize("what", ["a commit", "a library", "code"])
def test_what_changes_on_a_node_during_a_run_is_at_most_an_error_of_its_cells(
    tmp_path: Path, supervised: Supervised, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    here = provenance.provenance() | {"commit": "1234"}
    sums = sources.sums

    def act(cell: Any, _: Path) -> None:
        if cell["seed"]:
            return
        if what == "a commit":
            monkeypatch.setitem(here, "commit", "5678")
        elif what == "a library":
            monkeypatch.setitem(here, "versions", here["versions"] | {"torch": "9.9"})
        else:
            changed = {"noted": {"code_sha256": "f" * 64}}
            monkeypatch.setattr(sources, "sums", lambda variant: sums(variant) | changed.get(variant, {}))

    monkeypatch.setattr(provenance, "provenance", lambda: dict(here))
    supervised(act)
    cells = [simulated("noted"), simulated("noted", seed=1), simulated("vanilla", seed=2)]
    found = run_cells(Ray(Stub(3)), cells, tmp_path)
    failed = {seed: made.reason for (_, seed), made in found.items() if made.status == "error"}
    assert len(found) == 3
    assert [*failed] == {"a commit": [], "a library": [1, 2], "code": [1]}[what]
    for line in failed.values():
        assert line.startswith("node ")
        assert line.endswith(", unlike when the run began: run the same command again")


def test_again_takes_nothing_that_nodes_keep_of_earlier_runs(
    tmp_path: Path, supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what a lost worker of the same run leaves there. Once a cell is through, nothing of it stays."""
    monkeypatch.setattr(report, "write", lambda out, reference: page.Report(out, (), (), ""))  # noqa: ARG005
    table = {"variants": ["noted"], "datasets": [SIMULATED], "seeds": 1, "budget": BUDGET, "measure": MEASURE}
    made = suite.parse("mine", table)
    found: list[list[str]] = []

    def act(cell: Any, scratch: Path) -> None:
        """Leave a checkpoint that says which worker's it is, having looked for those that are there."""
        stem, _ = _stems("quality", cell)
        found.append([path.read_text() for path in (scratch / "weights").glob(f"{stem}*")])
        write_bytes(scratch / "weights" / f"{stem}checkpoint", f"{len(found)}".encode())
        if len(found) < 3:
            raise KeyboardInterrupt
        if len(found) == 3:
            raise ray.exceptions.WorkerCrashedError

    def run(out: Path, *, again: bool) -> None:
        execute.execute(made, out, device="cpu", engine=Ray(Stub(1)), again=again)

    supervised(act)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", again=False)
    (home,) = (tmp_path / "tmp").iterdir()
    (scratch,) = home.iterdir()
    write_bytes(scratch / "weights" / "anothers", b"")
    run(tmp_path / "out", again=True)
    assert found == [[], ["1"], [], ["3"]]
    assert [path.relative_to(scratch).as_posix() for path in sorted(scratch.rglob("*"))] == [
        "weights",
        "weights/anothers",
    ]
    run(tmp_path / "elsewhere", again=True)
    assert found[4:] == [[]]
    assert [*home.iterdir()] == [scratch]


def test_a_users_file_that_no_other_node_has(cluster: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")  # where no worker is
    np.savez("mine.npz", train=np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8))
    cell = simulated("noted", dataset="mine.npz", data_options={}, budget={"train_size": None})
    (there,) = run_cells(cluster, [cell], tmp_path / "there").values()
    assert (there.status, there.reason) == ("ok", None)
    scratch = Path(tempfile.gettempdir()) / f"vaebench-{os.getuid()}" / _scratch(tmp_path / "there")
    wait_for(lambda: not scratch.exists(), 20)  # neither a copy of the file nor the weights stay there
    (here,) = work_off(Local(), [cell], tmp_path / "here", provenance=provenance.provenance())
    assert here.metrics == there.metrics
    assert here.provenance.data_sha256 == there.provenance.data_sha256


def test_a_node_killed_in_the_middle_of_a_sweep(nodes: Any, cluster: Ray, tmp_path: Path, notes: Path) -> None:
    """Its cells are begun anew elsewhere, finished ones stay, and every cell has one record; but for one that no other
    node can run, which ends the sweep once the others are through."""
    doomed = nodes.add_node(num_cpus=3, num_gpus=1, env_vars={"NODE": "doomed"})

    def kill() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and not any(n["node"] == "doomed" and "ended" not in n for n in read(notes)):
            time.sleep(0.05)
        nodes.remove_node(doomed, allow_graceful=False)

    told: list[str] = []
    killer = threading.Thread(target=kill)
    killer.start()
    # One of the two GPUs that they ask for is on another node; only the lost one has three CPUs.
    cells = [simulated("noted", seed=seed, overrides={"seconds": 2.0}) for seed in range(2)]
    cells.append(simulated("noted", seed=2, threads=3))
    with pytest.raises(MachineError, match="no node of the cluster can run a cell, which needs 3 CPU and 1 GPU"):
        run_cells(Ray(cluster.ray, gpus=1), cells, tmp_path, on_event=noting(told))
    killer.join()
    assert told == ["its worker was lost, and it is begun anew"]
    seen = read(notes)
    assert [note["node"] for note in seen if "ended" not in note] == ["doomed"]
    first, second = sorted((note for note in seen if "ended" in note), key=lambda note: note["began"])
    assert first["node"] == second["node"] == "b"
    assert first["ended"] < second["began"]  # they have the GPU each to itself
    assert [(made.cell["seed"], made.status) for made in store.read_all(tmp_path)[0]] == [(0, "ok"), (1, "ok")]


def test_ctrl_c_ends_the_cells_and_keeps_what_is_finished(cluster: Ray, tmp_path: Path, notes: Path) -> None:
    before = {path.name for path in notes.iterdir()}
    # The first ends once the second is at work.
    cells = [simulated("noted", overrides={"beside": 2}), simulated("noted", seed=1, overrides={"seconds": 600.0})]

    def interrupt(event: Event) -> None:
        if isinstance(event, Done):
            assert event.record.status == "ok"
            os.kill(os.getpid(), signal.SIGINT)

    # What is started in the background of a shell script ignores it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_cells(cluster, cells, tmp_path, on_event=interrupt)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert [made.cell["seed"] for made in store.read_all(tmp_path)[0]] == [0]
    (sleeping,) = [
        int(p.name.split("-")[0]) for p in notes.iterdir() if p.name not in before and "ended" not in p.read_text()
    ]
    wait_for(lambda: not is_alive(sleeping), timeout_s=20)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("--address 127.0.0.1:1", 2, "engine local has no option 'address'"),
        ("--engine-option gpus=1.5 --engine ray", 2, "--gpus must be a fraction of 1 or a whole number, got 1.5"),
        ("--engine ray --gpus -1", 2, "--gpus must be a fraction of 1 or a whole number, got -1.0"),
        ("--engine ray --address ray://host:1", 2, "run on a node of the cluster"),
    ],
)
def test_wrong_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert line in refused(capsys, code, "run", "quick", *words.split())


@pytest.mark.parametrize(
    ("address", "environment", "where"),
    [(None, None, "local"), (None, "", "local"), (None, "head:1", "head:1"), ("auto", None, "auto")],
)
def test_without_an_address_no_cluster_is_joined_that_happens_to_run_here(
    monkeypatch: pytest.MonkeyPatch, address: str | None, environment: str | None, where: str
) -> None:
    asked: list[str | None] = []

    def init(address: str | None = None, **_: Any) -> None:
        asked.append(address)
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    place = "this machine" if where == "local" else where
    with pytest.raises(MachineError, match=f"no Ray cluster at {place}: nobody is there"), connect(address):
        pass
    assert asked == [where]


def test_without_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    found = call(capsys, "run", "quick", "--engine", "ray")
    assert found == (4, "", "vaebench: --engine ray needs Ray: pip install 'vaebench[ray]'\n")
