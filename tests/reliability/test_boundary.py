"""A results folder is a boundary: nothing in it leads out of it or is waited for; only what is ours is replaced."""

import json
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.disk import files
from bench.disk.lock import lock
from bench.engines.debug import Debug
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.pages import report
from bench.pages.page import Page, Report
from bench.records import merge, store
from bench.records.record import plain
from bench.reproduce import rewrite
from bench.sweeps import execute
from tests import fake_records as fake
from tests.helpers import call, forget_plugins, install, simulated, work_off
from tests.sweeps.test_execute import make

run = partial(execute.execute, device="cpu", engine=Debug())


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _hard_link(path: Path) -> None:
    (path.parent / "linked").write_text("precious")
    path.hardlink_to(path.parent / "linked")


STRANGE: dict[str, Callable[[Path], None]] = {
    "link": lambda path: path.symlink_to(path.parent.parent / "precious"),
    "dangling": lambda path: path.symlink_to(path.parent.parent / "nothing"),
    "fifo": os.mkfifo,
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder, beside a file that nobody may touch."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    return Path("out")


@pytest.mark.parametrize("kind", [*STRANGE, "hard link", "text"])
def test_a_lock_is_a_regular_file_of_ours(out: Path, kind: str) -> None:
    others = {"hard link": _hard_link, "text": lambda path: path.write_text('{"theirs": 1}')}
    (STRANGE | others)[kind](out / ".lock")
    before = sorted(path.name for path in out.parent.rglob("*"))
    with pytest.raises(MachineError, match=r"^out/\.lock is no lock of vaebench: move it, or choose another folder"):
        lock(out).__enter__()
    assert sorted(path.name for path in out.parent.rglob("*")) == before
    assert Path("precious").read_text() == "precious"
    assert kind != "hard link" or (out / "linked").read_text() == "precious"


def test_removing_the_lock_lets_nobody_in(out: Path) -> None:
    with lock(out):
        (out / ".lock").unlink()
        for _ in range(2):
            with pytest.raises(MachineError, match="out is in use by another run"):
                lock(out).__enter__()
        (out / ".lock").write_text("")  # another's, which stays
    assert (out / ".lock").exists()


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(out: Path, kind: str) -> None:
    (run_of, other) = fake.quality(seed=0), fake.quality(seed=1)
    fake.write(out, [run_of, other])
    for end in ("json", "npz"):
        path = out / "runs" / f"{run_of.id}.{end}"
        path.unlink()
        STRANGE[kind](path)
    STRANGE[kind](out / "reproduced.json")
    _, warnings = store.read_all(out)
    assert [line.partition(" (")[0] for line in warnings] == [f"{run_of.id}.json is unreadable"]
    done = merge.merge([out], Path("new"))
    assert done.copied == 1
    assert [path.name for path in Path("new/runs").iterdir()] == [f"{other.id}.json"]
    # Pictures of a record that is whole.
    (out / "runs" / f"{run_of.id}.json").unlink()
    fake.write(out, [run_of], images=False)
    assert any(f"{run_of.id}.npz" in line for line in merge.merge([out], Path("new")).lines)
    assert not Path(f"new/runs/{run_of.id}.npz").exists()
    written = report.write(out)
    assert any(line.startswith(f"cannot read {run_of.id}.npz") for line in written.warnings)
    with pytest.raises(UsageError, match=r"^out/reproduced\.json cannot be read: run `vaebench reproduce` again"):
        rewrite.rewritten(out)
    if kind == "link":  # a note would do, if it were followed
        Path("note").write_text('{"table": "ppca", "profile": "short"}')
        (out / "reproduced.json").unlink()
        (out / "reproduced.json").symlink_to("../note")
        with pytest.raises(UsageError, match=r"^out/reproduced\.json cannot be read"):
            rewrite.rewritten(out)
    assert Path("precious").read_text() == "precious"


@pytest.mark.parametrize("name", files.FOLDERS)
def test_a_folder_that_leads_out_is_refused(out: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fake.write(Path("theirs"), [fake.quality()])
    (out / name).symlink_to(Path("theirs").resolve() / ("runs" if name == "runs" else ""))
    Path("theirs/.partial-1").write_text("half")
    if name != "runs":
        fake.write(out, [fake.quality()])
    before = sorted(path.name for path in Path("theirs").rglob("*"))
    commands: list[Any] = [("report", out), ("merge", "theirs", "--out", out), ("run", "quick", "--out", out)]
    for words in commands:
        code, _, err = call(capsys, *words)
        assert (code, err.splitlines()[-1]) == (
            4,
            f"vaebench: out/{name} is a link, and nothing is written out of out: put a folder in its place",
        )
    assert sorted(path.name for path in Path("theirs").rglob("*")) == before


def test_only_pages_of_ours_are_replaced(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = out / "README.md"
    readme.write_text("# My project\n\nIt was generated by me.\n")
    refused = "vaebench: out/README.md was not written by vaebench: move it, or choose another folder with --out\n"
    assert call(capsys, "run", "quick", "--device", "cpu", "--out", out) == (4, "", refused)
    assert sorted(path.name for path in out.iterdir()) == ["README.md"]
    fake.write(out, [fake.quality()])
    assert call(capsys, "report", out) == (4, "", refused)
    assert readme.read_text().startswith("# My project")
    # As older versions wrote it, or removed.
    for line in ("Generated by `vaebench report` from", "Written by `vaebench reproduce` from"):
        readme.write_text(f"# Results\n\n{line} the records. Do not edit.\n")
        report.write(out)
        assert "How to read this" in readme.read_text()
    readme.unlink()
    report.write(out)
    assert readme.exists()


def test_a_page_of_another_tool_is_not_ours(out: Path) -> None:
    fake.write(out, [fake.quality()])
    (out / "README.md").write_text("# Notes\n\nGenerated by `another tool`.\n")
    with pytest.raises(MachineError, match=r"^out/README\.md was not written by vaebench"):
        report.write(out)


@pytest.mark.parametrize("other", ['{"theirs": 1}', "no JSON"])
def test_a_file_that_is_no_record_makes_nothing_ours(out: Path, other: str) -> None:
    (out / "runs").mkdir()
    (out / "runs" / "theirs.json").write_text(other)
    (out / "report.html").write_text("theirs")
    with pytest.raises(MachineError, match=r"^out/report\.html was not written by vaebench: move it"):
        run(make("vanilla"), out)
    assert (out / "report.html").read_text() == "theirs"


def test_tables_without_a_page_or_a_record_are_somebody_elses(out: Path) -> None:
    (out / "tables").mkdir()
    (out / "tables" / "mine.csv").write_text("a,b\n")
    page = Page(out, "Results", by="vaebench report")
    page.attach("tables/mine.csv", "c,d\n")
    with pytest.raises(MachineError, match=r"^out/tables/mine\.csv was not written by vaebench: move it"):
        page.write()
    with pytest.raises(MachineError, match=r"^out/tables was not written by vaebench: move it"):
        run(make("vanilla"), out)
    assert (out / "tables" / "mine.csv").read_text() == "a,b\n"


def test_pictures_too_large_for_a_page_are_named_and_not_copied(out: Path) -> None:
    made = fake.quality()
    fake.write(out, [made], images=False)
    with (out / "runs" / f"{made.id}.npz").open("wb") as file:
        file.truncate(20 * 2**30)  # a hole
    done = merge.merge([out], Path("new"))
    assert (done.copied, done.lines) == (
        1,
        (f"out/runs/{made.id}.npz is not copied: it is larger than 67,108,864 bytes",),
    )


@pytest.fixture
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda out, reference: Report(out, (), (), ""))  # noqa: ARG005


@pytest.mark.usefixtures("no_pages", "misbehaving")
def test_a_good_record_stays_until_something_as_good_is_there(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = make({"name": "good", "set": {"latent": 3}})
    first = run(suite, out)
    before = {path.name: path.read_bytes() for path in (out / "runs").iterdir()}
    assert len(before) == 2
    (weights,) = (out / "weights").iterdir()
    trained = weights.read_bytes()
    monkeypatch.setattr("bench.cells.prepare.train", lambda *_, **__: 1 / 0)
    again = run(suite, out, again=True)
    (made,) = first.records
    assert again.failed == [f"{made.id}: error, ZeroDivisionError: division by zero; its earlier record stays"]
    assert "ERROR, ZeroDivisionError" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (out / "runs").iterdir()} == before
    assert again.records == store.read_all(out)[0]
    assert [(path, path.read_bytes()) for path in (out / "weights").iterdir()] == [(weights, trained)]
    # Those that a killed run had set aside come back, and go where others have taken their place.
    aside = weights.with_name(execute.ASIDE + weights.name)
    weights.rename(aside)
    run(suite, out)
    assert (weights.read_bytes(), aside.exists()) == (trained, False)
    aside.write_bytes(b"older")
    run(suite, out)
    assert (weights.read_bytes(), aside.exists()) == (trained, False)
    # And what a later version wrote gives way to nothing.
    path = out / "runs" / f"{made.id}.json"
    path.write_text(json.dumps(plain(made) | {"schema": 99}))
    with pytest.raises(UsageError, match=r"has schema 99, this version reads 1: update vaebench"):
        execute.unfinished(out, {"quality": suite.cells("cpu")}, again=True)


@pytest.mark.usefixtures("misbehaving")
def test_a_record_that_is_removed_during_a_run_is_one_line(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folder: Path, reference: object) -> Report:  # noqa: ARG001
        next((folder / "runs").glob("*.json")).unlink()
        return Report(folder, (), (), "")

    monkeypatch.setattr(report, "write", write)
    done = run(make("good"), out)
    assert (done.records, [line.partition(": ")[2] for line in done.failed]) == (
        [],
        ["its record was removed or changed during the run: run the same again"],
    )


@pytest.mark.usefixtures("no_pages", "misbehaving")
def test_weights_that_are_a_file_are_no_obstacle(out: Path) -> None:
    (out / "weights").write_text("in the way")
    for again in (False, True):
        (made,) = run(make("good"), out, again=again).records
        assert made.status == "ok"
        assert made.no_weights is not None
    assert (out / "weights").read_text() == "in the way"


FORKS = """
import os, signal, sys, time
from variants.parts import assemble


class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no text")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def leaves_a_child(data):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os._exit(7)


def ends_in_a_message(data):
    from bench.engines import local

    def send(pipe, content):
        os.write(pipe.fileno(), content[: len(content) // 2])
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    local._send = send
    raise ValueError("which is the message")


def babbles(data):
    from bench.engines import local

    local._send = lambda pipe, content: os.write(pipe.fileno(), b"no event\\n")
    raise ValueError("not told")


def odd(data):
    raise Odd


def mute(data):
    raise Mute
"""


def test_a_cell_is_its_process_and_whatever_it_raises_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("leaves_a_child", "ends_in_a_message", "babbles", "odd", "mute")
    install(tmp_path / "plugins", "vae-odd", FORKS, {name: f"vae_odd:{name}" for name in names})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    forget_plugins(tmp_path / "plugins")
    try:
        made = work_off(Local(), [simulated(name) for name in names], tmp_path / "out", timeout_s=50)
    finally:
        forget_plugins(tmp_path / "plugins")
    assert {each.cell["variant"]: (each.status, each.reason) for each in made} == {
        "leaves_a_child": ("error", "the cell's process exited with code 7 without a result"),
        "ends_in_a_message": (
            "error",
            "the cell's process was killed by signal 9 (perhaps out of memory: try fewer --jobs)",
        ),
        "babbles": ("error", "its record would be none: Expecting value: line 1 column 1 (char 0)"),
        "odd": ("error", "Odd: its text cannot be had"),
        "mute": ("error", "Mute: its text cannot be had"),
    }
