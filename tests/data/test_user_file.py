"""Users' own .npz files: the good ones are used as they are, the others refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch

import bench.data as data
from bench.errors import DataError, UsageError
from variants.data_spec import DataSpec

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 256, (50, 9, 7), dtype=np.uint8)
GREYS = RNG.random((50, 3, 8, 8)).astype(np.float32)


def save(folder: Path, **arrays: np.ndarray) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def rows(loaded: "data.Data", split: str) -> torch.Tensor:  # type: ignore[name-defined]
    return torch.cat([x for x, _ in loaded.eval_batches(split, 16)])


def test_counts_without_splits_are_held_out_from_the_end(tmp_path: Path) -> None:
    name = save(tmp_path, train=COUNTS, train_labels=np.arange(50))
    loaded = data.load(name)
    assert (loaded.name, loaded.binarise, loaded.spec) == (name, "none", DataSpec((1, 9, 7), "unit", 40))
    assert loaded.splits == {"train": 40, "valid": 5, "test": 5}
    assert torch.equal(rows(loaded, "valid"), torch.from_numpy(COUNTS[40:45, None]).float() / 255)
    assert [y.tolist() for _, y in loaded.eval_batches("test", 5)] == [[45, 46, 47, 48, 49]]
    assert data.spec(name) == loaded.spec
    assert data.verify(name) == loaded.checksum


def test_given_splits_are_kept(tmp_path: Path) -> None:
    loaded = data.load(save(tmp_path, train=GREYS, valid=GREYS[:4], test=GREYS[:3], test_labels=np.array([2, 1, 0])))
    assert loaded.splits == {"train": 50, "valid": 4, "test": 3}
    assert torch.equal(rows(loaded, "train"), torch.from_numpy(GREYS))
    assert next(loaded.eval_batches("test", 5))[1].tolist() == [2, 1, 0]
    assert next(loaded.eval_batches("valid", 5))[1].tolist() == [0] * 4


def test_one_missing_split_is_held_out(tmp_path: Path) -> None:
    loaded = data.load(save(tmp_path, train=COUNTS, test=COUNTS[:7]))
    assert loaded.splits == {"train": 45, "valid": 5, "test": 7}
    assert torch.equal(rows(loaded, "valid"), torch.from_numpy(COUNTS[45:, None]).float() / 255)


@pytest.mark.parametrize("images", [COUNTS, GREYS])
def test_they_can_be_binarised(tmp_path: Path, images: np.ndarray) -> None:
    name = save(tmp_path, train=images, test=images, valid=images)
    grey = rows(data.load(name), "test")
    assert torch.equal(rows(data.load(name, binarise="threshold"), "test"), (grey >= 0.5).float())
    dynamic = data.load(name, binarise="dynamic")
    assert dynamic.spec.kind == "binary"
    drawn = rows(dynamic, "test").double()
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn - grey).sum().abs() < 5 * (grey * (1 - grey)).sum().sqrt()
    generator = torch.Generator().manual_seed(0)
    mean = sum(next(dynamic.train_batches(50, order=generator, noise=generator)).sum() for _ in range(20)) / 20
    assert abs(mean - grey.sum()) < 5 * ((grey * (1 - grey)).sum() / 20).sqrt()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"valid": COUNTS}, "no array 'train'"),
        ({}, "no array 'train'"),
        ({"train": COUNTS, "tests": COUNTS}, "did you mean 'test'"),
        ({"train": COUNTS, "valid_labels": np.arange(5)}, "no array 'valid'"),
        ({"train": COUNTS.astype(np.int64)}, "make it uint8"),
        ({"train": COUNTS.astype(np.float32)}, "outside"),
        ({"train": GREYS - 0.5}, "outside"),
        ({"train": np.where(GREYS > 0.99, np.nan, GREYS)}, "NaN"),
        ({"train": COUNTS.reshape(50, 63)}, "must be of shape"),
        ({"train": COUNTS[:0]}, "must be of shape"),
        ({"train": GREYS.transpose(0, 2, 3, 1)}, "channels last"),
        ({"train": COUNTS, "test": COUNTS[:, 1:]}, "test and train differ"),
        ({"train": COUNTS, "test": COUNTS / 255}, "test and train differ"),
        ({"train": COUNTS, "train_labels": np.arange(49)}, "50 images but 49 labels"),
        ({"train": COUNTS, "train_labels": np.linspace(0, 1, 50)}, "whole numbers"),
        ({"train": COUNTS[:9]}, "too few"),
        ({"train": np.array([COUNTS[0], None], dtype=object)}, "plain arrays"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    name = save(tmp_path, **arrays)
    with pytest.raises(DataError, match=says) as refusal:
        data.load(name)
    assert "\n" not in str(refusal.value)
    assert name in str(refusal.value)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match="no such file"):
        data.load(str(path))
    for content in (b"", b"words", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot read it"):
            data.load(str(path))
    with path.open("wb") as stream:
        np.save(stream, COUNTS)
    with pytest.raises(DataError, match="cannot read it"):
        data.load(str(path))


def test_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it takes none"):
        data.load(save(tmp_path, train=COUNTS), d=3)
