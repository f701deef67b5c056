"""A long measurement in pieces: the same columns whenever it was stopped, and whatever else was measured before."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.disk import files
from bench.resume.notebook import Columns, Notebook

X = torch.arange(7.0)[:, None]
TOTAL = 3


def batches() -> Iterator[Tensor]:
    return iter(X.split(3))


def noisy(x: Tensor) -> Columns:
    """A column that shows which examples it was given, and one that shows which draws."""
    return {"x": x[:, 0], "noise": torch.randn(len(x))}


class Stopped(BaseException):
    """The process is ended."""


def stopping_after(count: int) -> tuple[list[int], Callable[[Tensor], Columns]]:
    seen: list[int] = []

    def function(x: Tensor) -> Columns:
        if len(seen) == count:
            raise Stopped
        seen.append(len(x))
        return noisy(x)

    return seen, function


def same(a: Columns, b: Columns) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_columns_are_those_of_the_batches_in_order() -> None:
    found = Notebook().each("a", batches(), noisy, TOTAL)
    torch.testing.assert_close(found["x"], X[:, 0].double())
    assert all(column.dtype == torch.float64 and column.shape == (7,) for column in found.values())
    assert len(found["noise"].unique()) == 7  # no batch has the draws of another


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_stopped_measurement_goes_on_and_ends_the_same(tmp_path: Path, done: int) -> None:
    whole = Notebook().each("a", batches(), noisy, TOTAL)
    _, stops = stopping_after(done)
    with pytest.raises(Stopped):
        Notebook(tmp_path / "notes").each("a", batches(), stops, TOTAL)
    torch.rand(done + 1)
    seen, counts = stopping_after(TOTAL)
    resumed = Notebook(tmp_path / "notes").each("a", batches(), counts, TOTAL)
    assert same(resumed, whole)
    assert seen == [3, 3, 1][done:]


def test_draws_depend_on_nothing_but_the_name_and_the_batch() -> None:
    whole = Notebook().each("a", batches(), noisy, TOTAL)
    torch.manual_seed(99)
    torch.rand(5)
    notebook = Notebook()
    other = notebook.each("b", batches(), noisy, TOTAL)
    assert same(notebook.each("a", batches(), noisy, TOTAL), whole)
    assert not (other["noise"] == whole["noise"]).any()
    first = Notebook().each("a", [X[:3]], noisy, 1)
    torch.testing.assert_close(first["noise"], whole["noise"][:3], rtol=0, atol=0)


def test_the_surrounding_stream_goes_on_undisturbed(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Notebook(tmp_path / "notes").each("a", batches(), noisy, TOTAL)
    assert torch.equal(torch.rand(3), expected)


def test_numbers_are_kept_exactly(tmp_path: Path) -> None:
    awkward = torch.tensor([1 / 3, -0.0, 5e-324, 1e308, math.inf, -math.inf, math.nan], dtype=torch.float64)
    for _ in range(2):  # as computed, and as read back
        found = Notebook(tmp_path / "notes").each("a", [X], lambda _: {"value": awkward}, 1)
        assert found["value"].numpy().tobytes() == awkward.numpy().tobytes()


def test_what_was_kept_under_another_name_is_not_used(tmp_path: Path) -> None:
    Notebook(tmp_path / "notes").each("a 10 draws", batches(), noisy, TOTAL)
    found = Notebook(tmp_path / "notes").each("a 20 draws", batches(), lambda x: {"x": -x[:, 0]}, TOTAL)
    torch.testing.assert_close(found["x"], -X[:, 0].double())


def test_notes_are_read_however_long_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Notebook(tmp_path / "notes").each("a", batches(), noisy, TOTAL)
    monkeypatch.setattr(files, "LARGEST", 10)
    seen, counts = stopping_after(TOTAL)
    assert same(Notebook(tmp_path / "notes").each("a", batches(), counts, TOTAL), whole)
    assert seen == []


def test_progress_is_told_also_of_what_was_kept(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    for _ in range(2):
        notebook = Notebook(tmp_path / "notes", lambda *progress: told.append(progress))
        notebook.each("a", batches(), noisy, TOTAL)
    assert told == [("a", 1, 3), ("a", 2, 3), ("a", 3, 3)] * 2


def test_closing_forgets(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "notes")
    notebook.close()  # nothing was kept yet
    notebook.each("a", batches(), noisy, TOTAL)
    assert (tmp_path / "notes").exists()
    notebook.close()
    assert list(tmp_path.iterdir()) == []
    Notebook().close()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{", b'{"a 0": {"x": [1.0', b"[]", b"3", b'"a 0"', b"[" * 100_000]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content)
    assert same(
        Notebook(tmp_path / "notes").each("a", batches(), noisy, TOTAL), Notebook().each("a", batches(), noisy, TOTAL)
    )
    assert json.loads((tmp_path / "notes").read_bytes().splitlines()[1]).keys() == {"a 0", "a 1", "a 2"}


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    file, seen = tmp_path / "notes", list[int]()
    Notebook(file).each("a", batches(), noisy, TOTAL)
    content = bytearray(file.read_bytes())
    content[-5] ^= 1  # a digit is another digit
    file.write_bytes(content)
    assert same(
        Notebook(file).each("a", batches(), lambda x: (seen.append(len(x)), noisy(x))[1], TOTAL),
        Notebook().each("a", batches(), noisy, TOTAL),
    )
    assert seen == [3, 3, 1]
