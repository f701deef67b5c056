"""Disks that are full, read-only or refuse a file, and memory that is not there. The faults are the kernel's."""

import os
import resource
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.data as data
from bench.data import files
from bench.engines.local import Local
from bench.errors import MachineError
from bench.records import record, store
from tests import fake_records as fake
from tests.data.test_files import put, redirect
from tests.helpers import forget_plugins, install, simulated, work_off
from tests.reliability.faults import PROGRAM, SUITE, ended, mounting, program
from tests.reliability.test_downloads import CONTENTS, mirror, whole

pytestmark = pytest.mark.slow

RUN = [*PROGRAM, "run", "mine.toml", "--device", "cpu", "--jobs", "1", "--out"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(SUITE.replace("seeds = 1", "seeds = 4"), encoding="utf-8")
    return tmp_path


def one_line(err: str) -> str:
    """The last line of what a failed command said, and its only complaint."""
    last = err.splitlines()[-1]
    assert last.startswith("vaebench: ")
    assert err.count("vaebench: ") == 1
    assert "Traceback" not in err
    return last


def records(out: Path) -> list[record.Record]:
    """All of a folder, and no file in it that is not whole."""
    found, warnings = store.read_all(out)
    assert warnings == []
    assert [path.name for path in out.rglob("*") if path.name.startswith(".")] == []
    return found


def test_a_full_disk_ends_the_run_in_one_line_and_loses_nothing(folder: Path) -> None:
    disk = folder / "disk"
    # Room for some records, and not for all.
    script = f"{shlex.join([*RUN, 'disk/out'])}; code=$?; cp -r disk/out kept; exit $code"
    done = ended(mounting(disk, "size=24k", script), cwd=folder)
    assert done.returncode == 4, done.stderr
    said = one_line(done.stderr)
    assert "cannot write disk/out/runs/" in said
    assert said.endswith(": No space left on device; choose another folder with --out")
    before = records(folder / "kept")
    assert 1 <= len(before) < 4
    assert all(made.status == "ok" for made in before)
    # Where there is room the same command goes on, and runs only what is missing.
    done = ended([*RUN, "kept"], cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} of 4 runs are finished in kept" in done.stderr
    after = {made.id: made for made in records(folder / "kept")}
    assert len(after) == 4
    assert all(after[made.id] == made for made in before)


def test_a_read_only_folder_is_refused_and_stays_as_it_is(folder: Path) -> None:
    script = f"""
cp -r results disk/out && mount -o remount,ro disk || exit 99
{shlex.join([*RUN, "disk/out"])} --set epochs=2; echo $? >> codes
{shlex.join([*PROGRAM, "report", "disk/out"])}; echo $? >> codes
diff -r results disk/out"""
    store.write(folder / "results", fake.quality())
    done = ended(mounting(folder / "disk", "size=20m", script), cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert (folder / "codes").read_text(encoding="utf-8").split() == ["4", "4"]
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith("vaebench: cannot write disk/out/")
        assert line.endswith(": Read-only file system; choose another folder with --out")


def test_a_file_that_may_not_grow_is_refused_and_none_is_half_written(folder: Path) -> None:
    """As a quota does it; needs no mount, so that it is tested everywhere."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = program(*RUN[3:], "out", cwd=folder, preexec_fn=limit)
    assert done.returncode == 4, done.stderr
    assert one_line(done.stderr).endswith(": File too large; choose another folder with --out")
    assert records(folder / "out") == []


def test_a_disk_that_is_full_while_data_are_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, "kmnist", tmp_path / "published", CONTENTS)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with mirror(whole) as base:
        redirect(monkeypatch, "kmnist", base)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            with pytest.raises(MachineError, match=r"cannot write in .*kmnist .*File too large.*set VAEBENCH_DATA"):
                data.fetch("kmnist", tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list((tmp_path / "kmnist").iterdir()) == []
        data.fetch("kmnist", tmp_path)
    assert files.missing(data.sets.find("kmnist"), tmp_path / "kmnist") == []  # type: ignore[attr-defined]


HUNGRY = """
import os
from pathlib import Path

import torch
from variants.parts import assemble


def asks_too_much(data):
    torch.empty(2**55, dtype=torch.uint8)


def is_killed(data):
    group = Path(__file__).with_name("group").read_text()
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    eaten = []
    while True:
        eaten.append(torch.ones(2**24))
"""


@pytest.fixture
def hungry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(tmp_path, "vae-hungry", HUNGRY, {name: f"vae_hungry:{name}" for name in ("asks_too_much", "is_killed")})
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_plugins(tmp_path)
    yield
    forget_plugins(tmp_path)


@pytest.fixture
def memory_of_a_cell(tmp_path: Path) -> Iterator[None]:
    """A control group that the kernel holds to 400 MB, and kills in."""
    root = Path("/sys/fs/cgroup")
    first, limit = (root / "memory", "memory.limit_in_bytes") if (root / "memory").is_dir() else (root, "memory.max")
    group = first / f"vaebench-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"this machine lets a test limit no memory ({error.strerror})")
    try:
        if not (group / limit).exists():
            pytest.skip("this machine's control groups limit no memory")
        (group / limit).write_text("400000000")
        (tmp_path / "group").write_text(str(group), encoding="utf-8")
        yield
    finally:
        group.rmdir()


def run_cells(names: list[str], out: Path) -> dict[str, tuple[str, str | None]]:
    records = work_off(Local(), [simulated(name) for name in names], out, side_by_side=1)
    return {made.cell["variant"]: (made.status, made.reason) for made in records}


@pytest.mark.usefixtures("hungry")
def test_memory_that_is_not_there_is_an_error_of_its_cell(tmp_path: Path) -> None:
    told = run_cells(["asks_too_much", "vanilla"], tmp_path / "out")
    assert told["asks_too_much"][0] == "error"
    assert "can't allocate memory" in str(told["asks_too_much"][1])
    assert told["vanilla"] == ("ok", None)


@pytest.mark.usefixtures("hungry", "memory_of_a_cell")
def test_a_cell_that_the_kernel_kills_for_its_memory(tmp_path: Path) -> None:
    told = run_cells(["is_killed", "vanilla"], tmp_path / "out")
    assert told == {
        "is_killed": ("error", "the cell's process was killed by signal 9 (perhaps out of memory: try fewer --jobs)"),
        "vanilla": ("ok", None),
    }
