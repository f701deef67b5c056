"""One writer in a results folder: whoever comes second is told of the first, and a dead one is no obstacle."""

import errno
import os
import platform
import re
import signal
from pathlib import Path

import pytest

from bench.disk import files, lock
from bench.errors import MachineError
from tests.helpers import call, finish, start, wait_for

# A run that waits in the middle of its work.
HOLDER = """
import sys, time
from pathlib import Path
from bench.disk import lock
sys.argv = ["/somewhere/vaebench", "run", "quick", "--out", "a b"]
with lock.lock(Path("out")):
    Path("out/.partial-abc").write_text("half")
    Path("out/runs").mkdir(exist_ok=True)
    Path("out/runs/.partial-def").write_text("half")
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    "command", [("run", "tiny.toml"), ("run", "oracle"), ("compare", "vanilla", "beta", "--suite", "tiny.toml")]
)
def test_a_second_run_is_refused_and_told_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text('variants = ["vanilla"]\ndatasets = ["linear_gaussian"]\n')
    holder = start(tmp_path, "-c", HOLDER)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, out, err = call(capsys, *command, "--device", "cpu", "--out", "out")
        assert (code, out) == (4, "")
        assert re.fullmatch(
            rf"vaebench: out is in use by another run \(process {holder.pid} on {re.escape(platform.node())}, since "
            r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00: vaebench run quick --out 'a b'\): wait until it has ended, or "
            r"choose another folder with --out\n",
            err,
        ), err
        assert not list(Path("out/runs").glob("*.json"))
        assert Path("out/.partial-abc").exists()
    finally:
        holder.kill()
        finish(holder)


def test_a_lock_whose_holder_was_killed_is_no_obstacle_and_its_unfinished_files_go(tmp_path: Path) -> None:
    holder = start(tmp_path, "-c", HOLDER)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    finish(holder)
    out = tmp_path / "out"
    files.write_bytes(out / "runs" / "a.json", b"{}")
    assert {path.name for path in out.rglob("*")} == {".lock", ".partial-abc", "runs", ".partial-def", "a.json"}
    with lock.lock(out):
        assert {path.name for path in out.rglob("*")} == {".lock", "runs", "a.json"}
    assert {path.name for path in out.rglob("*")} == {"runs", "a.json"}


def test_what_a_killed_holder_said_of_itself_is_not_what_the_next_one_says(tmp_path: Path) -> None:
    """However long it was."""
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "' + "x" * 5000 + '"}')
    with (
        lock.lock(tmp_path),
        pytest.raises(MachineError, match=f"in use by another run .process {os.getpid()} on "),
    ):
        lock.lock(tmp_path).__enter__()


def test_it_is_let_go_after_an_error_and_held_anew(tmp_path: Path) -> None:
    def refused_and_broken() -> None:
        with lock.lock(tmp_path / "out"):
            with pytest.raises(MachineError, match=f"in use by another run .process {os.getpid()} on "):
                lock.lock(tmp_path / "out").__enter__()
            raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            refused_and_broken()
    assert not list((tmp_path / "out").iterdir())


def test_of_many_that_come_at_once_one_writes_at_a_time(tmp_path: Path) -> None:
    """Also where each holder removes the lock's file as it leaves."""
    code = """
import time
from pathlib import Path
from bench.disk import lock
from bench.errors import MachineError
done, until = 0, time.monotonic() + 60
while done < 40 and time.monotonic() < until:
    try:
        with lock.lock(Path("out")):
            count = int(Path("count").read_text())
            time.sleep(0.001)
            Path("count").write_text(str(count + 1))
            done += 1
    except MachineError:
        time.sleep(0.001)
print(done)
"""
    (tmp_path / "count").write_text("0")
    runs = [start(tmp_path, "-c", code) for _ in range(3)]
    found = [finish(run) for run in runs]
    assert [(status, out) for status, out, _ in found] == [(0, "40\n")] * 3, found
    assert (tmp_path / "count").read_text() == "120"


def test_a_file_that_its_holder_removes_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether its name is another's, or nobody's, once it is locked, or it cannot be locked any more, as on NFS."""
    kernels, stat, path = lock.fcntl.flock, Path.stat, tmp_path / "out" / ".lock"
    locked, asked = list[int](), list[int]()

    def flock(handle: int, how: int) -> None:
        locked.append(handle)
        if len(locked) == 1:
            path.unlink()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if len(locked) == 2:
            path.rename(tmp_path / "old")
            path.touch()
        kernels(handle, how)

    def ask(self: Path, **how: bool) -> os.stat_result:
        if self == path:
            asked.append(1)
            if len(asked) == 2:
                path.unlink()
        return stat(self, **how)

    with monkeypatch.context() as patch:
        patch.setattr(lock.fcntl, "flock", flock)
        patch.setattr(Path, "stat", ask)
        held = lock.lock(tmp_path / "out")
        held.__enter__()
    with pytest.raises(MachineError, match="in use by another run"):
        lock.lock(tmp_path / "out").__enter__()
    held.__exit__(None, None, None)
    assert capsys.readouterr().err == ""
    assert not list((tmp_path / "out").iterdir())


def test_a_lock_that_another_has_made_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out" / ".lock"
    with lock.lock(tmp_path / "out"):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_whoever_waits_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each holder removes the file as it leaves, and another is quicker."""
    kernels, path, told, tried = lock.fcntl.flock, tmp_path / ".lock", list[str](), list[int]()

    def flock(handle: int, how: int) -> None:
        tried.append(how)
        if how & lock.fcntl.LOCK_NB and len(tried) < 6:
            raise BlockingIOError
        kernels(handle, how)
        if len(tried) < 6:
            path.unlink()

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with lock.held(path, lambda: told.append("waiting")):
        assert (len(tried), told) == (6, ["waiting"])


def test_where_there_are_no_locks_a_line_says_so_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with lock.lock(tmp_path / "out"):
        pass
    assert capsys.readouterr().err == (
        f"vaebench: {tmp_path / 'out'} cannot be locked (No locks available): let no other run write there\n"
    )


def test_a_report_is_whole_although_a_run_begins_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports hold no lock, so that one may look at a run that goes on."""
    sync, page = os.fsync, tmp_path / "out" / "README.md"

    def begin(handle: int) -> None:
        sync(handle)
        if list(page.parent.glob(".partial-*")):
            monkeypatch.setattr(files.os, "fsync", sync)
            with lock.lock(page.parent):
                assert not list(page.parent.glob(".partial-*"))

    monkeypatch.setattr(files.os, "fsync", begin)
    files.write_bytes(page, b"a page")
    assert page.read_bytes() == b"a page"
    assert [path.name for path in page.parent.iterdir()] == ["README.md"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with (
        pytest.raises(MachineError, match=r"cannot write .*out/\.lock: .*; choose another folder with --out"),
        lock.lock(tmp_path / "out"),
    ):
        pass


def test_killed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """Whenever a writer is killed, a file is the old one or the new one."""
    code = """
import itertools
from pathlib import Path
from bench.disk import files
for i in itertools.count():
    files.write_bytes(Path("out/runs/a.json"), bytes([65 + i % 26]) * 3_000_000)
    if i == 0: print("begun", flush=True)
"""
    for _ in range(5):
        writer = start(tmp_path, "-c", code)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        wait_for(lambda: list((tmp_path / "out" / "runs").glob(".partial-*")))
        writer.kill()
        finish(writer)
        content = (tmp_path / "out" / "runs" / "a.json").read_bytes()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1
    with lock.lock(tmp_path / "out"):
        assert [path.name for path in (tmp_path / "out" / "runs").iterdir()] == ["a.json"]
