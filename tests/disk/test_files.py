"""Files that are whole: what is on the disk when, and how much is read."""

import os
from pathlib import Path
from typing import Any

import pytest

from bench.disk import files


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What reaches the disk, and when names change, in order."""
    seen: list[tuple[str, Path]] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        seen.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    def noting(name: str) -> None:
        do = getattr(Path, name)

        def step(self: Path, *words: Any, **how: Any) -> Any:
            if name != "unlink" or self.exists():
                seen.append((name, self))
            return do(self, *words, **how)

        monkeypatch.setattr(Path, name, step)

    monkeypatch.setattr(files.os, "fsync", noted)
    for name in ("replace", "mkdir", "unlink"):
        noting(name)
    return seen


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_anything_else(
    tmp_path: Path, done: list[tuple[str, Path]]
) -> None:
    """A power cut leaves the old file or the new one, in folders that are there."""
    path = tmp_path / "a" / "b" / "c.json"
    files.write_bytes(path, b"content")
    folders = [("mkdir", path.parent.parent), ("sync", tmp_path), ("mkdir", path.parent), ("sync", path.parent.parent)]
    assert done[:4] == folders
    (sync, partial), (replace, moved), *rest = done[4:]
    assert (sync, replace, moved) == ("sync", "replace", partial)
    assert (partial.parent, partial.name.startswith(files.PARTIAL)) == (path.parent, True)
    assert rest == [("sync", path.parent)]
    done.clear()
    files.remove(path)
    assert done == [("unlink", path), ("sync", path.parent)]
    files.remove(path)  # which is not there
    assert len(done) == 2


def test_a_file_of_just_the_size_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        files.read_bytes(path, 4)
