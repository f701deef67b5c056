"""Walking through a data set: nothing lost, everything reproducible, binarised as stated."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bench.data as data
from bench.data import batches, binarise, readers
from bench.data.batches import Data
from bench.errors import UsageError


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mnist() -> Data:
    return data.load("mnist")


@pytest.fixture(scope="module")
def grey(mnist: Data) -> Data:
    """MNIST without binarisation, sharing what was read."""
    return Data("mnist", "none", {}, data.spec("mnist", "none"), mnist.raw, train_size=None, device="cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_x(loaded: Data, split: str = "test", batch_size: int = 1000, limit: int | None = None) -> Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, batch_size, limit)])


def all_y(loaded: Data, split: str, limit: int | None = None) -> Tensor:
    return torch.cat([y for _, y in loaded.eval_batches(split, 1000, limit)])


def train_x(loaded: Data, batch_size: int = 1000, order: int = 0, noise: int = 0) -> list[Tensor]:
    return list(loaded.train_batches(batch_size, order=seeded(order), noise=seeded(noise)))


def test_splits_are_as_stated(grey: Data) -> None:
    assert grey.splits == {"train": 50_000, "valid": 10_000, "test": 10_000}
    assert (grey.spec.shape, grey.spec.kind, grey.streamed, grey.truth) == ((1, 28, 28), "unit", False, None)
    # The known first labels of MNIST's two files, and the 50,001st of the training file.
    assert all_y(grey, "train", limit=50_000)[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert all_y(grey, "valid")[:5].tolist() == [3, 8, 6, 9, 6]
    assert all_y(grey, "test")[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]


def test_splits_share_no_image(grey: Data) -> None:
    rows = {split: {x.numpy().tobytes() for x in all_x(grey, split)} for split in grey.splits}
    assert all(len(rows[split]) == grey.splits[split] for split in rows)
    assert all(not rows[a] & rows[b] for a, b in itertools.combinations(rows, 2))


def test_a_batch_is_float_on_the_device_with_integer_labels(mnist: Data) -> None:
    x, y = next(mnist.eval_batches("test", 7))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((7, 1, 28, 28), torch.float32, (7,), torch.int64)
    x = next(mnist.train_batches(7, order=seeded(), noise=seeded()))
    assert (x.shape, x.dtype) == ((7, 1, 28, 28), torch.float32)


@pytest.mark.parametrize("batch_size", [7, 250, 10_000])
def test_no_example_is_dropped_or_repeated(batch_size: int) -> None:
    digits = data.load("digits", binarise="none")
    for split, n in digits.splits.items():
        sizes = [len(x) for x, _ in digits.eval_batches(split, batch_size)]
        assert sum(sizes) == n
        assert set(sizes[:-1]) <= {batch_size}
    passed = torch.cat(train_x(digits, batch_size))
    assert sorted(x.numpy().tobytes() for x in passed) == sorted(x.numpy().tobytes() for x in all_x(digits, "train"))


def test_limit_is_evenly_spaced_over_the_full_pass(mnist: Data) -> None:
    x, y = all_x(mnist), all_y(mnist, "test")
    for limit in (1, 7, 333, 10_000, 99_999):
        count = min(limit, 10_000)
        places = [i * 10_000 // count for i in range(count)]
        assert torch.equal(all_x(mnist, batch_size=50, limit=limit), x[places])
        assert torch.equal(all_y(mnist, "test", limit=limit), y[places])


def test_evaluation_draws_once_whatever_the_batch_size(mnist: Data) -> None:
    first = all_x(mnist)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(first, all_x(mnist, batch_size=77))
    loads = [data.load("digits", binarise="dynamic") for _ in range(2)]
    assert torch.equal(all_x(loads[0]), all_x(loads[1], batch_size=11))


def test_the_evaluation_images_are_these_for_everybody(mnist: Data) -> None:
    """A change of this checksum (here or in numpy's generator) makes old ELBOs incomparable: raise the protocol."""
    binary = all_x(mnist, limit=100).byte().numpy().tobytes()
    assert hashlib.sha256(binary).hexdigest() == "ef1d0701593e45e16cc01e7c05b75f254a1b214cf19f955a184ab9aea8078f37"


def test_evaluation_keeps_to_the_grey_values(mnist: Data, grey: Data) -> None:
    binary, value = all_x(mnist), all_x(grey)
    assert binary[value == 0].max() == 0
    assert binary[value == 1].min() == 1
    # 7.8 million pixels: the sum of independent draws is within five standard deviations of its mean.
    off = (binary.double() - value.double()).sum()
    assert off.abs() < 5 * (value * (1 - value)).double().sum().sqrt()
    # Different examples and splits get different noise.
    images = np.full((2, 1, 28, 28), 128, dtype=np.uint8)
    drawn = {split: binarise.fixed(images, 255, split) for split in ("train", "test")}
    assert (drawn["train"][0] != drawn["train"][1]).any()
    assert (drawn["train"] != drawn["test"]).any()


def test_noise_that_is_drawn_once_is_the_same_in_parts() -> None:
    """Of data that are streamed one example at a time, as of those that are held as a whole."""
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 5, 5), dtype=np.uint8)
    for draw in (binarise.fixed, binarise.dequantised):
        whole = draw(images, 255, "valid")
        for start, end in ((0, 3), (2, 3), (3, 7)):
            np.testing.assert_array_equal(draw(images[start:end], 255, "valid", start), whole[start:end])


@pytest.mark.parametrize("levels", [16, 255])
def test_dynamic_draws_with_probability_value_over_levels(levels: int) -> None:
    counts = torch.arange(levels + 1, dtype=torch.uint8)
    draws = 20_000
    mean = binarise.dynamic(counts.expand(draws, -1), levels, seeded()).double().mean(0)
    p = counts.double() / levels
    assert (mean[0], mean[-1]) == (0, 1)
    assert ((mean - p).abs() <= 5 * (p * (1 - p) / draws).sqrt()).all()


def test_dynamic_draws_floats_too() -> None:
    p = torch.tensor([0.0, 0.003, 0.5, 0.997, 1.0])
    mean = binarise.dynamic(p.expand(20_000, -1), 1, seeded()).mean(0)
    assert ((mean - p).abs() <= 5 * (p * (1 - p) / 20_000).sqrt()).all()


def test_dynamic_training_draws_afresh() -> None:
    small = data.load("digits", train_size=500)
    first, second = train_x(small, noise=1), train_x(small, noise=2)
    assert set(first[0].unique().tolist()) == {0.0, 1.0}
    assert (first[0] != second[0]).any()
    noise = seeded()
    passes = [torch.cat(list(small.train_batches(500, order=seeded(), noise=noise))) for _ in range(2)]
    assert (passes[0] != passes[1]).any()


def test_generators_alone_decide() -> None:
    small = data.load("digits", train_size=500)
    torch.manual_seed(1)
    first = train_x(small, 64)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, train_x(small, 64), strict=True))
    still = data.load("digits", binarise="threshold", train_size=500)
    assert not torch.equal(train_x(still, 500, order=1)[0], train_x(still, 500, order=2)[0])
    state = torch.get_rng_state()
    train_x(small)
    all_x(small)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("draw", [binarise.dynamic, binarise.dequantise])
@pytest.mark.parametrize("images", [torch.arange(250, dtype=torch.uint8), torch.linspace(0, 1, 250)])
def test_noise_comes_from_the_generator_that_is_given(draw: Any, images: Tensor) -> None:
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        drawn.append(draw(images, 255 if images.dtype == torch.uint8 else 1, seeded()))
        assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(*drawn)


def test_fixed_is_the_same_in_every_load_and_every_pass() -> None:
    loads = [data.load("digits", binarise="fixed") for _ in range(2)]
    for split in loads[0].splits:
        assert torch.equal(all_x(loads[0], split), all_x(loads[1], split, batch_size=13))
    assert torch.equal(train_x(loads[0], noise=1)[0], train_x(loads[1], noise=2)[0])
    # The evaluation images of "dynamic" are those of "fixed".
    assert torch.equal(all_x(loads[0]), all_x(data.load("digits", binarise="dynamic")))


def test_fixed_does_not_depend_on_train_size() -> None:
    whole = data.load("digits", binarise="fixed")
    part = data.load("digits", binarise="fixed", train_size=100)
    assert torch.equal(all_x(whole, "train")[:100], all_x(part, "train"))


def test_threshold_is_exact() -> None:
    binary, value = (all_x(data.load("digits", binarise=how)) for how in ("threshold", "none"))
    assert torch.equal(binary, (value >= 0.5).float())
    edge = np.array([[0, 127, 128, 255]], dtype=np.uint8)
    assert binarise.threshold(edge, 255).tolist() == [[0, 0, 1, 1]]
    assert binarise.threshold(np.array([[7, 8]], dtype=np.uint8), 16).tolist() == [[0, 1]]


def test_none_keeps_grey_values() -> None:
    digits = data.load("digits", binarise="none")
    x = all_x(digits)
    assert digits.spec.kind == "unit"
    assert torch.equal(x * 16, (x * 16).round())
    assert (x.min(), x.max()) == (0, 1)


def test_train_size_takes_the_first() -> None:
    part, whole = data.load("digits", binarise="none", train_size=40), data.load("digits", binarise="none")
    assert part.splits == {"train": 40, "valid": 250, "test": 250}
    assert torch.equal(all_x(part, "train"), all_x(whole, "train")[:40])
    assert sum(len(x) for x in train_x(part, 16)) == 40
    assert part.checksum == whole.checksum


@pytest.mark.parametrize("train_size", [0, -1, 1_298, True, 2.0])
def test_train_size_must_fit(train_size: int) -> None:
    with pytest.raises(UsageError, match="train_size"):
        data.load("digits", train_size=train_size)


def test_bad_arguments_are_refused_when_asked_not_later() -> None:
    digits = data.load("digits")
    with pytest.raises(UsageError, match="did you mean 'valid'"):
        digits.eval_batches("validation", 10)
    with pytest.raises(UsageError, match="limit"):
        digits.eval_batches("test", 10, limit=0)
    for batch_size in (0, True, 2.5):
        with pytest.raises(UsageError, match="batch_size"):
            digits.eval_batches("test", batch_size)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="batch_size"):
            digits.train_batches(batch_size, order=seeded(), noise=seeded())  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_evaluates_on_the_same_images(mnist: Data) -> None:
    there = data.load("mnist", device="cuda")
    x, _ = next(there.eval_batches("test", 100))
    assert x.is_cuda
    assert torch.equal(x.cpu(), all_x(mnist)[:100])
    noise = torch.Generator("cuda").manual_seed(0)
    x = next(there.train_batches(100, order=seeded(), noise=noise))
    assert x.is_cuda
    assert set(x.unique().tolist()) == {0.0, 1.0}


def test_fashion_mnist_of_debian(tmp_path: Path) -> None:
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    fashion = data.load("fashion_mnist", binarise="none", root=tmp_path)
    assert fashion.splits == {"train": 50_000, "valid": 10_000, "test": 10_000}
    # The test file is balanced, and the training file as a whole is: 6,000 of each class.
    assert all_y(fashion, "test").bincount().tolist() == [1000] * 10
    both = torch.cat([all_y(fashion, "train"), all_y(fashion, "valid")])
    assert both.bincount().tolist() == [6000] * 10


def test_what_is_kept_is_what_would_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_kept", {})
    read = data.load("digits", train_size=100)
    data.keep("digits", "dynamic")
    monkeypatch.setattr(readers, "read", None)  # nothing is read again
    kept = data.load("digits", train_size=100)
    assert (kept.checksum, kept.splits, kept.spec) == (read.checksum, read.splits, read.spec)
    for split in ("train", "valid", "test"):
        for (x, y), (other_x, other_y) in zip(
            kept.eval_batches(split, 3000), read.eval_batches(split, 3000), strict=True
        ):
            assert torch.equal(x, other_x)
            assert torch.equal(y, other_y)


def test_the_process_that_cells_are_forked_from_keeps_their_data() -> None:
    code = "import bench.engines.preload; from bench import data; print(sorted(data._kept))"
    wanted = '[["digits", "dynamic"], ["no/such/file.npz", "none"], ["svhn", "none"]]'  # svhn is not to be had here
    nowhere = {"VAEBENCH_KEEP": wanted, "VAEBENCH_DATA": "/dev/null/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | nowhere, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("['digits']", 0), done.stderr


def test_made_data_and_a_users_file_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_kept", {})
    data.keep("linear_gaussian", "none")
    data.keep("no/such/file.npz", "none")
    assert data._kept == {}


@pytest.mark.parametrize("how", ["none", "dynamic", "threshold", "fixed"])
def test_the_mean_is_that_of_the_training_examples_in_use(how: str) -> None:
    loaded = data.load("digits", binarise=how, train_size=1001)
    x = torch.from_numpy(loaded.raw.images["train"][:1001]).double() / loaded.raw.levels
    if how in ("threshold", "fixed"):
        x = torch.cat([x.double() for x, _ in loaded.eval_batches("train", 100)])
    torch.testing.assert_close(torch.from_numpy(loaded.mean()), x.mean(0))
    assert loaded.spec.mean is not None
    assert (loaded.spec.mean() == loaded.mean()).all()


def test_the_mean_of_streamed_data_is_that_of_evenly_spaced_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MEAN_OF_STREAMED", 7)
    loaded = data.load("digits", binarise="none", train_size=100)
    loaded.streamed = True
    expected = all_x(loaded, "train", limit=7).double().mean(0)
    torch.testing.assert_close(torch.from_numpy(loaded.mean()), expected)


def test_a_spec_reads_the_mean_when_it_is_asked() -> None:
    mean = data.spec("digits").mean
    assert mean is not None
    assert (mean() == data.load("digits").mean()).all()
    mean = data.spec("linear_gaussian", n=50, d=3, k=2).mean
    assert mean is not None
    assert (mean() == data.load("linear_gaussian", n=50, d=3, k=2).mean()).all()
