"""Throughput figures: their structure and what they count. Nothing is asserted about time itself."""

import statistics
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import data, device
from bench.cells import clock
from bench.records.record import Timed
from bench.settings import Clock
from bench.train.steps import Stepper
from variants import build
from variants.core import VAE

FIGURES = ("train_samples_per_s", "eval_samples_per_s", "sample_samples_per_s", "latency_b1_ms")
SHORT = Clock(blocks=3, block_s=0.001, batch_size=90)


def timed(variant: str, how: Clock = SHORT, train_size: int | None = 200) -> dict[str, Any]:
    torch.manual_seed(0)
    model = build(variant, data.spec("digits"), latent=2, hidden=[8])
    return clock.throughput(model, data.load("digits", train_size=train_size), how, seed=0, device="cpu")


@pytest.mark.parametrize("variant", ["vanilla", "autoencoder"])
def test_structure(variant: str) -> None:
    figures = timed(variant)
    counted = {"parameters", "train_mflop", "train_mfu"}
    assert set(figures) == {*FIGURES, *counted, "peak_memory_mb", "matrix_peak_gflops"}
    for name in (*FIGURES, "matrix_peak_gflops"):
        figure = figures[name]
        assert len(figure.blocks) == 3
        assert figure.median == statistics.median(figure.blocks)
        assert 0 < min(figure.blocks) <= figure.q1 <= figure.median <= figure.q3 <= max(figure.blocks)
    assert figures["peak_memory_mb"] > 0
    assert figures["parameters"] == sum(
        p.numel() for p in build(variant, data.spec("digits"), latent=2, hidden=[8]).parameters()
    )


@pytest.mark.parametrize("blocks", [2, 3, 5, 10])
def test_quartiles_lie_within_the_blocks(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    values = np.random.default_rng(blocks).lognormal(sigma=0.1, size=blocks).tolist()
    monkeypatch.setattr(clock, "time_blocks", lambda *_: values)
    found = clock._figure(print, float, SHORT, "cpu")
    assert (found.q1, found.median, found.q3) == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))


@pytest.mark.parametrize(("batch_size", "counted"), [(90, 90), (4000, 200)])
def test_only_examples_that_were_trained_on_are_counted(
    monkeypatch: pytest.MonkeyPatch, batch_size: int, counted: int
) -> None:
    trained: list[int] = []
    step = Stepper.__call__

    def spy(stepper: Stepper, x: torch.Tensor, epoch: float) -> torch.Tensor:
        trained.append(len(x))
        return step(stepper, x, epoch)

    def one_second_a_call(call: Any, how: Clock, _device: str) -> list[float]:
        for _ in range(7):
            call()
        return [1.0] * how.blocks

    monkeypatch.setattr(Stepper, "__call__", spy)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(clock, "time_blocks", one_second_a_call)
    monkeypatch.setattr(VAE, "sample", lambda _, n: asked.append(("sample", n)))
    monkeypatch.setattr(VAE, "reconstruct", lambda _, x: asked.append(("reconstruct", len(x))))
    figures = timed("vanilla", Clock(3, 0.001, batch_size))
    assert trained == [counted] * 7  # 200 examples end in a smaller batch, which would count as a full one
    assert set(asked) == {("sample", batch_size), ("reconstruct", 1)}  # as many as are counted
    assert figures["train_samples_per_s"].median == figures["eval_samples_per_s"].median == counted
    assert figures["sample_samples_per_s"].median == batch_size
    assert figures["latency_b1_ms"].median == 1000
    assert figures["matrix_peak_gflops"].median == pytest.approx(2 * 1024**3 / 1e9)
    # Of an example, whatever the batch: see the products below.
    assert figures["train_mflop"] == pytest.approx(2 * (2 * 64 * 8 + 3 * (8 * 4 + 2 * 8 + 8 * 64)) / 1e6)
    assert figures["train_mfu"] == pytest.approx(counted * figures["train_mflop"] / 1e3 / (2 * 1.024**3))


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_yardstick_computes_as_training_does(
    monkeypatch: pytest.MonkeyPatch, precision: str, dtype: torch.dtype
) -> None:
    asked: list[torch.dtype] = []
    monkeypatch.setattr(clock, "time_blocks", lambda _call, how, _device: [1.0] * how.blocks)
    monkeypatch.setattr(clock, "matrix_peak", lambda *given: (asked.append(given[2]), Timed(1.0, 1.0, 1.0))[1])
    loaded = data.load("digits", train_size=200)
    model = build("vanilla", loaded.spec, latent=2, hidden=[8])
    clock.throughput(model, loaded, SHORT, seed=0, device="cpu", precision=precision)
    assert asked == [dtype]


@pytest.mark.parametrize("disturbed", [0, 1, clock.TRIES - 1, clock.TRIES])
def test_blocks_are_taken_again_until_they_agree(monkeypatch: pytest.MonkeyPatch, disturbed: int) -> None:
    tries: list[object] = []
    apart, agreeing = [1 / 326, 1 / 323, 1 / 20_645, 1 / 10_770, 1 / 12_238], [0.9, 1.0, 1.1, 1.0, 5.0]

    def blocks(call: object, _clock: Clock, _device: str) -> list[float]:
        tries.append(call)
        return apart if len(tries) <= disturbed or disturbed == clock.TRIES else agreeing

    monkeypatch.setattr(clock, "time_blocks", blocks)
    found = clock.matrix_peak(SHORT, "cpu")
    assert len(tries) == min(disturbed + 1, clock.TRIES)
    if disturbed < clock.TRIES:
        assert found.median == pytest.approx(2 * 1024**3 / 1e9)
    else:
        assert (found.median, found.q1, found.q3) == (None, None, None)
        assert found.blocks == pytest.approx([2 * 1024**3 / seconds / 1e9 for seconds in apart])
        figures = timed("vanilla")
        assert [figures[name].median for name in FIGURES] == [None] * 4
        assert figures["train_mfu"] is None


def test_of_blocks_that_never_quite_agree_the_best_count(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([[1.0, 2.0, 1.0, 2.0, 9.0], [1.0, 1.5, 1.0, 1.5, 9.0], *[[1.0, 2.5, 1.0, 2.5, 9.0]] * clock.TRIES])
    monkeypatch.setattr(clock, "time_blocks", lambda *_: next(tries))
    assert clock._figure(print, float, SHORT, "cpu").blocks == [1.0, 1.5, 1.0, 1.5, 9.0]


@pytest.mark.parametrize(("posterior", "heads"), [("diagonal", 2 + 2), ("full", 2 + 2 + 1)])
def test_the_work_of_a_step_is_that_of_its_matrix_products(posterior: str, heads: int) -> None:
    model = build("vanilla", data.spec("digits"), latent=2, hidden=[8], posterior=posterior)
    x = torch.ones(10, 1, 8, 8)
    # Forward, gradient of the weights and of the input, which the first layer does not need.
    products = 2 * 64 * 8 + 3 * (8 * heads + 2 * 8 + 8 * 64)
    # z = mu + L eps of a full covariance is a product as well.
    draw = 0 if posterior == "diagonal" else 2 * 2 * 2
    assert clock.training_flops(model, x) == 2 * 10 * (products + draw)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_variant_is_timed_from_its_own_weights_and_changes_them() -> None:
    model = build("vanilla", data.spec("digits"), latent=2, hidden=[8])
    before = [p.detach().clone() for p in model.parameters()]
    clock.throughput(model, data.load("digits", train_size=200), SHORT, seed=0, device="cpu")
    assert any(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    assert not model.training


@pytest.mark.parametrize("first", [0.001, 5.0])
def test_blocks_are_long_enough_after_calibration_and_a_slow_first_call_does_not_count(
    monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    now, calls = 0.0, 0

    def call() -> None:
        nonlocal now, calls
        calls += 1
        now += first if calls == 1 else 0.001

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now)
    seconds = clock.time_blocks(call, Clock(blocks=4, block_s=0.05, batch_size=1), "cpu")
    assert seconds == pytest.approx([0.001] * 4)
    assert calls > 5 * 50  # four blocks of at least fifty calls, and the last of the calibration


@pytest.mark.parametrize(("platform", "peak"), [("linux", 2048), ("darwin", 3 * 2**20), ("freebsd", 3 * 2**10)])
def test_resident_memory_is_in_mebibytes_whatever_the_system_counts_in(
    monkeypatch: pytest.MonkeyPatch, platform: str, peak: int
) -> None:
    monkeypatch.setattr(device.sys, "platform", platform)
    status = f"VmPeak:\t 999999 kB\nVmHWM:\t {peak} kB\nVmRSS:\t 1 kB\n"
    monkeypatch.setattr(device.Path, "read_text", lambda *_, **__: status)
    monkeypatch.setattr(device.resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=peak))
    assert device.peak_resident_mb() == (2 if platform == "linux" else 3)
    assert clock.peak_memory_mb("cpu") == device.peak_resident_mb()


def test_memory_of_an_accelerator_is_what_was_allocated_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", lambda: 5 * 2**20, raising=False)
    assert clock.peak_memory_mb("cuda") == 5

    def refuses() -> int:
        raise RuntimeError("it does not count")

    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", refuses, raising=False)
    assert clock.peak_memory_mb("cuda") is None


def test_only_processors_run_cells_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cores", lambda: 6)
    assert (device.default_jobs("cpu"), device.default_jobs("cuda")) == (6, 1)


def test_a_speed_is_that_of_training_with_the_labels_that_a_model_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(clock, "time_blocks", lambda call, how, _device: (call(), [1.0] * how.blocks)[1])
    loaded = data.load("digits", train_size=200)
    inner = loaded.train_batches
    loaded.train_batches = lambda *a, labels=False, **how: (asked.append(labels), inner(*a, labels=labels, **how))[1]  # type: ignore[method-assign]
    for variant in ("vanilla", "conditional"):
        model = build(variant, loaded.spec, latent=12, hidden=[8])
        clock.throughput(model, loaded, Clock(3, 0.001, 100), seed=0, device="cpu")
    assert asked == [False, True]


def test_a_speed_is_that_of_training_in_the_precision_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    one = Timed(1.0, 1.0, 1.0)
    monkeypatch.setattr(clock, "time_blocks", lambda _call, how, _device: [1.0] * how.blocks)
    monkeypatch.setattr(clock, "stepper_for", lambda *_, precision, **__: asked.append(precision))
    monkeypatch.setattr(clock, "training_flops", lambda *_: 1)
    monkeypatch.setattr(clock, "matrix_peak", lambda *_: one)
    loaded = data.load("digits", train_size=200)
    for precision in ("fp32", "bf16"):
        model = build("vanilla", loaded.spec, latent=2, hidden=[8])
        clock.throughput(model, loaded, SHORT, seed=0, device="cpu", precision=precision)
    assert asked == ["fp32", "bf16"]
