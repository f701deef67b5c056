"""The engines by their names: options, plugins, and what the one for breakpoints does."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bench import engines
from bench.cells.events import Done, Epochs, Event, Measured, Note, decode, encode, failed
from bench.engines import GROUP, Engine
from bench.engines.debug import Debug
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.records import sources
from tests import fake_records as fake
from tests.helpers import ROOT, call, forget_plugins, install, refused, simulated, work_off

# Engines as plugins bring them: one that works, and one for each way in which one may not.
PLUGIN = """
from bench.cells.events import failed
from bench.engines import Engine
from bench.errors import DataError


class Refuses(Engine):
    measures_speed = False

    def __init__(self, queue: str = "short", nodes: int = 1, deep: bool = False):
        self.queue, self.nodes, self.deep = queue, nodes, deep

    def device(self, asked):
        return "cpu"

    def events(self, job):
        for cell in job.cells:
            yield failed(job.kind, cell, job.provenance, f"no room in {self.queue}")


class Breaks(Refuses):
    def events(self, job):
        yield from ()
        raise ValueError("the queue\\nis gone")


class Forgets(Refuses):
    def events(self, job):
        yield from ()


class Quits:
    def __init__(self):
        raise SystemExit("not today")


class Lacks:
    measures_speed = True


class Picky:
    def __init__(self):
        raise DataError("it wants other data")


class Stops(Refuses):
    def events(self, job):
        yield from ()
        raise DataError("its data are gone")
"""
NAMES = ("refuses", "breaks", "forgets", "quits", "lacks", "picky", "stops")
TARGETS = {name: f"vae_engines:{name.title()}" for name in NAMES}
BROKEN = {"absent": "vae_engines:Absent", "torn": "vae_torn:Torn"}


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("engines")
    install(folder, "vae-engines", PLUGIN, TARGETS | {"absent": BROKEN["absent"]}, GROUP)
    install(folder, "vae-torn", "import no_such_package", {"torn": BROKEN["torn"]}, GROUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    forget_plugins(folder)


def test_options_are_those_of_the_engine_and_have_its_types() -> None:
    with engines.opened("refuses", ["queue=1", "nodes=3", "deep=true"]) as engine:
        assert vars(engine) == {"queue": "1", "nodes": 3, "deep": True}
    for name, kind in (("local", Local), ("debug", Debug)):
        with engines.opened(name) as engine:
            assert type(engine) is kind
            assert isinstance(engine, Engine)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("--engine slrm", 2, "unknown engine 'slrm': choose from absent, breaks, debug, forgets, lacks, local"),
        ("--engine refuse", 2, "unknown engine 'refuse': did you mean 'refuses'?"),
        ("--engine-option nodes=3", 2, "engine local has no option 'nodes' (it has none): leave it out"),
        (
            "--engine refuses --engine-option node=3",
            2,
            "engine refuses has no option 'node' (it has queue, nodes, deep): did you mean 'nodes'?",
        ),
        ("--engine refuses --engine-option nodes=many", 2, "option nodes of engine refuses, 'many': Expected `int`"),
        ("--engine refuses --engine-option nodes", 2, "engine options have the form key=value, got 'nodes'"),
        ("--engine quits", 4, "engine quits (vae_engines:Quits) cannot be had: SystemExit: not today"),
        ("--engine lacks", 4, "engine lacks (vae_engines:Lacks) cannot be had: TypeError: Lacks lacks"),
        ("--engine absent", 4, "engine absent (vae_engines:Absent) cannot be had: AttributeError"),
        ("--engine torn", 4, "engine torn (vae_torn:Torn) cannot be had: ModuleNotFoundError: No module named"),
        ("--engine picky", 3, "it wants other data"),
        ("--engine stops", 3, "its data are gone"),
        ("--engine breaks", 4, "engine Breaks failed: ValueError: the queue is gone"),
        ("--engine forgets", 4, "the engine ended with 0 of 1 runs done"),
    ],
)
def test_what_is_wrong_with_an_engine_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--set", "blocks=0", "--variants", "vanilla", "--seeds", "1"]
    assert refused(capsys, code, "run", "quick", *few, *words.split()).startswith(f"vaebench: {line}")


def test_a_plugins_engine_runs_cells_and_none_harms_other_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--variants", "vanilla", "--seeds", "1", "--engine", "refuses", "--engine-option", "queue=long"]
    code, _, err = call(capsys, "run", "quick", *words)
    assert code == 1
    assert "throughput is left out" in err
    assert err.splitlines()[-1].endswith(": error, no room in long")
    for other in (["list"], ["run", "--help"]):
        assert call(capsys, *other)[::2] == (0, "")


def test_two_engines_of_one_name_are_refused(plugin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "vae-second", "", {"refuses": "vae_second:Refuses"}, GROUP)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert plugin != tmp_path
    with pytest.raises(MachineError, match="engine refuses is there more than once"), engines.opened("refuses"):
        pass


@pytest.mark.parametrize(
    "event",
    [
        Epochs(simulated("vanilla"), 3),
        Measured(simulated("vanilla"), "nll", 3, 7),
        Note(simulated("vanilla"), "an odd \udc80 file"),
        Done(replace(fake.quality(), metrics={"elbo_nats": 0.1 + 0.2, "none": None}), b"\0\xff", 1.5),
    ],
)
def test_events_are_the_same_beyond_a_pipe(event: Event) -> None:
    assert decode(encode(event)) == event


def test_numbers_of_numpy_are_numbers_and_what_is_not_finite_is_refused() -> None:
    sent, received = (
        Done(replace(fake.quality(), metrics=metrics))
        for metrics in ({"elbo_nats": np.float64(0.1), "units": np.int64(3)}, {"elbo_nats": 0.1, "units": 3})
    )
    assert decode(encode(sent)) == received
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(Done(replace(fake.quality(), metrics={"elbo_nats": float("nan")})))
    # A plugin may call its parts by anything.
    with pytest.raises(UsageError, match="unknown key figure"):
        decode(encode(Done(fake.quality())).replace(b'"metrics"', b'"figure"', 1))


def test_debug_runs_in_this_process_and_gives_the_numbers_of_local(tmp_path: Path) -> None:
    cells = [simulated("vanilla", budget={"epochs": 2}, seed=seed) for seed in (0, 1)]
    seen: list[Any] = []
    records = work_off(Debug(), cells, tmp_path / "here", on_event=seen.append)
    assert [event.done for event in seen if isinstance(event, Epochs)] == [1, 2, 1, 2]
    assert [type(event) for event in seen if event.__class__ is not Measured][2::3] == [Done, Done]
    assert min(event.seconds for event in seen if isinstance(event, Done)) > 0
    others = work_off(Local(), cells, tmp_path / "there", side_by_side=1)
    keys = ("id", "status", "metrics", "errors", "latent", "curve", "model")
    assert [[getattr(made, key) for key in keys] for made in records] == [
        [getattr(made, key) for key in keys] for made in others
    ]
    names = [{path.name for path in (tmp_path / name).rglob("*.*")} for name in ("here", "there")]
    assert names[0] == names[1]


def test_a_worker_of_a_cluster_imports_no_torch_to_supervise() -> None:
    code = "import sys, bench.engines.ray, bench.engines.debug; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_could_not_make_its_record_has_one_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "sums", lambda variant: {"code_sha256": "now", "training_sha256": variant})
    known = {"commit": "abc", "code_sha256": "known"}
    done = failed("quality", simulated("vanilla"), known, "it hung", status="timeout", seconds=3.5)
    assert (done.record.status, done.record.reason, done.seconds) == ("timeout", "it hung", 3.5)
    made = done.record.provenance
    assert (made.commit, made.code_sha256, made.training_sha256) == ("abc", "known", "vanilla")
    assert done.record.cell == simulated("vanilla")
