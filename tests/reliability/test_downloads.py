"""Mirrors that cut off, lie, stall and drip, and processes that share one data cache. Every mirror is a real server."""

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench.data as data
from bench.data import files
from bench.errors import DataError
from tests.data.test_files import idx_contents, put, redirect
from tests.helpers import ROOT
from tests.reliability.faults import environment

PAGE = b"<!DOCTYPE html><html><body>Please log in to the network.</body></html>"
CONTENTS = idx_contents()
FIRST = "train-images-idx3-ubyte.gz"


@contextlib.contextmanager
def mirror(answer: Callable[[socket.socket, str], None]) -> Iterator[str]:
    """A server on this machine that lets `answer` write what it likes to each connection; gives its address."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            asked = connection.recv(4096).split()
            answer(connection, asked[1].decode().lstrip("/"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def head(length: int, kind: str = "application/gzip") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def whole(connection: socket.socket, name: str) -> None:
    connection.sendall(head(len(CONTENTS[name])) + CONTENTS[name])


def cut_off(connection: socket.socket, name: str) -> None:
    connection.sendall(head(len(CONTENTS[name])) + CONTENTS[name][:2000])


def web_page(connection: socket.socket, _: str) -> None:
    connection.sendall(head(len(PAGE), "text/html") + PAGE)


def other_bytes(connection: socket.socket, name: str) -> None:
    content = bytearray(CONTENTS[name])
    content[-100] ^= 1
    connection.sendall(head(len(content)) + content)


def not_there(connection: socket.socket, _: str) -> None:
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def no_http(connection: socket.socket, _: str) -> None:
    connection.sendall(b"220 ready for mail\r\n")


def silent(connection: socket.socket, _: str) -> None:
    connection.recv(1)  # until the other side gives up


def stalled(connection: socket.socket, name: str) -> None:
    connection.sendall(head(len(CONTENTS[name])) + CONTENTS[name][:2000])
    connection.recv(1)


def dripping(connection: socket.socket, name: str) -> None:
    connection.sendall(head(len(CONTENTS[name])))
    for byte in CONTENTS[name]:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


@pytest.fixture
def kmnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, "kmnist", tmp_path / "published", CONTENTS)
    monkeypatch.setattr(files, "TIMEOUT_S", 0.4)


@pytest.mark.usefixtures("kmnist")
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (cut_off, r"the connection ended after [\d,]+ of [\d,]+ bytes"),
        (web_page, "a web page came instead, of md5"),
        (other_bytes, "other bytes came, of md5"),
        (not_there, "HTTP Error 404: Not Found"),
        (no_http, "220 ready for mail"),
        (silent, "timed out"),
        (stalled, "timed out"),
        (dripping, r"only \d+ bytes came in 0.4 seconds"),
    ],
)
def test_a_mirror_that_fails_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Any, says: str
) -> None:
    started = time.monotonic()
    with mirror(answer) as base:
        redirect(monkeypatch, "kmnist", base)
        with pytest.raises(DataError, match=says) as refusal:
            data.fetch("kmnist", tmp_path)
    assert time.monotonic() - started < 10
    said = str(refusal.value)
    assert "\n" not in said
    assert said.startswith(f"kmnist: could not fetch {base}{FIRST} (")
    assert f"put {FIRST} in {tmp_path / 'kmnist'}" in said
    assert list((tmp_path / "kmnist").iterdir()) == []


@pytest.mark.usefixtures("kmnist")
def test_what_came_whole_stays_and_the_rest_is_fetched_next_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def all_but_one(connection: socket.socket, name: str) -> None:
        (stalled if name == "t10k-images-idx3-ubyte.gz" else whole)(connection, name)

    with mirror(all_but_one) as base:
        redirect(monkeypatch, "kmnist", base)
        with pytest.raises(DataError, match="t10k-images"):
            data.fetch("kmnist", tmp_path)
    assert sorted(path.name for path in (tmp_path / "kmnist").iterdir()) == sorted(CONTENTS)[2:]
    asked: list[str] = []

    def counted(connection: socket.socket, name: str) -> None:
        asked.append(name)
        whole(connection, name)

    (tmp_path / "kmnist" / ".partial-of-a-killed-one").mkdir()
    with mirror(counted) as base:
        redirect(monkeypatch, "kmnist", base)
        data.fetch("kmnist", tmp_path)
    assert asked == sorted(CONTENTS)[:2]
    assert sorted(path.name for path in (tmp_path / "kmnist").iterdir()) == sorted(CONTENTS)


# Without torch: it is there at once.
FETCH = """
import dataclasses, hashlib, sys
from pathlib import Path
from bench.data import files, sets
published, base, folder = sys.argv[1:]
own = tuple(
    sets.File(path.name, md5=hashlib.md5(path.read_bytes()).hexdigest(), url=base + path.name)
    for path in sorted(Path(published).iterdir())
)
files.fetch(dataclasses.replace(sets.find("kmnist"), files=own), Path(folder))
"""


def fetching(tmp_path: Path, base: str) -> subprocess.Popen[str]:
    """Another process that fetches into the cache."""
    words = [sys.executable, "-c", FETCH, str(tmp_path / "published"), base, str(tmp_path / "kmnist")]
    return subprocess.Popen(words, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("kmnist")
def test_of_two_processes_on_one_cache_one_downloads_and_one_waits(tmp_path: Path) -> None:
    asked: list[str] = []
    waiting = threading.Event()

    def slow(connection: socket.socket, name: str) -> None:
        asked.append(name)
        waiting.wait(60)
        whole(connection, name)

    def listen(process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                if line == "vaebench: waiting for another process that fetches kmnist\n":
                    waiting.set()

    with mirror(slow) as base:
        processes = [fetching(tmp_path, base) for _ in range(2)]
        listeners = [threading.Thread(target=listen, args=(process,), daemon=True) for process in processes]
        for listener in listeners:
            listener.start()
        assert [process.wait(100) for process in processes] == [0, 0]
        for listener in listeners:
            listener.join(10)
    assert waiting.is_set()
    assert sorted(asked) == sorted(CONTENTS)  # each once
    assert sorted(path.name for path in (tmp_path / "kmnist").iterdir()) == sorted(CONTENTS)


@pytest.mark.usefixtures("kmnist")
def test_a_process_killed_while_it_downloads_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reached = threading.Event()

    def never(connection: socket.socket, _: str) -> None:
        reached.set()
        connection.recv(1)

    with mirror(never) as base:
        process = fetching(tmp_path, base)
        assert reached.wait(60)
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    assert sorted(path.name[:9] for path in (tmp_path / "kmnist").iterdir()) == [".lock", ".partial-"]
    with mirror(whole) as base:
        redirect(monkeypatch, "kmnist", base)
        data.fetch("kmnist", tmp_path)
    assert sorted(path.name for path in (tmp_path / "kmnist").iterdir()) == sorted(CONTENTS)


@pytest.mark.usefixtures("kmnist")
@pytest.mark.parametrize("system", ["nfs", "none"])
def test_a_cache_on_a_file_system_with_few_locks_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], system: str
) -> None:
    """NFS locks no folder, and no file that is not open for writing."""
    kernels = fcntl.flock

    def flock(handle: int, how: int) -> None:
        if system == "none":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        kernels(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with mirror(whole) as base:
        redirect(monkeypatch, "kmnist", base)
        data.fetch("kmnist", tmp_path)
    assert sorted(path.name for path in (tmp_path / "kmnist").iterdir()) == sorted(CONTENTS)
    said = f"vaebench: {tmp_path / 'kmnist'} cannot be locked (No locks available): let no other run write there\n"
    assert [line for line in capsys.readouterr().err.splitlines(True) if "lock" in line] == [said] * (system == "none")
