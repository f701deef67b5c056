"""Throughput: how many examples a second a device trains, evaluates and samples, measured with the device to itself.

Every figure is a median over repeated blocks with its quartiles, after a warm-up, and the device is synchronised at the
ends of each block. Blocks that do not agree are taken again."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench import device as devices
from bench import seeds
from bench.data.batches import Data
from bench.device import peak_resident_mb
from bench.judge.bounds import parameter_count
from bench.records.record import Timed
from bench.settings import Budget, Clock
from bench.train.steps import endless, stepper_for
from variants.core import VAE, Batch, elbo

# Of the yardstick's matrices on an accelerator, which a smaller product would not fill.
ROWS = 8192
# Blocks agree where the middle half of them lies within this share of their median; until then they are taken again,
# so many times at most. Then those that agree best count, unless they lie further apart than the median is large.
AGREE, TRIES = 0.3, 8


def time_blocks(call: Callable[[], object], clock: Clock, device: str) -> list[float]:
    """Seconds per call in each block, after a warm-up of at least one block's length.

    Returns:
        `clock.blocks` figures.
    """

    def block(calls: int) -> float:
        devices.synchronise(device)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        devices.synchronise(device)
        return time.perf_counter() - start

    block(2)  # a first call compiles, loads and allocates, and says nothing of the others
    calls = 1
    while (seconds := min(block(calls), block(calls))) < clock.block_s:
        calls = max(calls + 1, min(10 * calls, round(1.2 * calls * clock.block_s / seconds)))
    return [block(calls) / calls for _ in range(clock.blocks)]


def matrix_flops(call: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in one call, forward and backward: two for a
    multiplication and its addition, and nothing for elementwise operations."""
    with FlopCounterMode(display=False) as counter:
        call()
    flops: int = counter.get_total_flops()
    return flops


def training_flops(model: VAE, x: Tensor | Batch) -> int:
    """`matrix_flops` of one training step on a batch x. Nobody needs the gradient with respect to x; it is not made."""
    flops = matrix_flops(lambda: model.loss(x).mean().backward())  # type: ignore[no-untyped-call]
    model.zero_grad()
    return flops


def matrix_peak(clock: Clock, device: str, dtype: torch.dtype = torch.float32) -> Timed:
    """GFLOP/s of a large square matrix product, the yardstick of what the device can do."""
    n = 1024 if device == "cpu" else ROWS
    a, b = (torch.rand(n, n, device=device).to(dtype) for _ in range(2))
    return _figure(lambda: a @ b, lambda seconds: 2 * n**3 / seconds / 1e9, clock, device)


def _figure(call: Callable[[], object], of: Callable[[float], float], clock: Clock, device: str) -> Timed:
    """What `of` makes of the seconds of a call, over blocks that agree; without a median where none came near it."""
    best, apart = Timed(None), math.inf
    for _ in range(TRIES):
        values = [of(seconds) for seconds in time_blocks(call, clock, device)]
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        if (spread := (q3 - q1) / median) < apart:
            best, apart = Timed(median, q1, q3, values), spread
        if apart <= AGREE:
            break
    return best if apart <= 1 else Timed(None, blocks=best.blocks)


def throughput(
    model: VAE,
    data: Data,
    clock: Clock,
    *,
    seed: int,
    device: str,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Time a model's training step, evaluation (encode + decode, one ELBO sample), prior sampling and batch-1 latency.

    Args:
        model: on `device`; it is trained on, so its weights change.
        data: on `device`. Training includes fetching and binarising the batch.
        clock: blocks and batch size.
        seed: for the order of the data.
        device: device type.
        precision: of training alone; see `bench.train.steps.loss_function`.

    Returns:
        `train_samples_per_s`, `eval_samples_per_s`, `sample_samples_per_s`, `latency_b1_ms` (encode + decode of one
        example), each with `median`, `q1`, `q3` and `blocks`, without the first three where the blocks never
        agreed; `peak_memory_mb` (allocated on an accelerator, resident in the process on the CPU); `parameters`;
        `train_mflop` a training example, `matrix_peak_gflops` of the device in the precision of training, and
        `train_mfu`, the share of that peak that training reaches.
    """
    size = clock.batch_size
    order, noise = seeds.generator(seed, "order"), seeds.generator(seed, "binarise", device)
    # The smaller batch at the end of a pass would count as a full one.
    full = min(size, data.splits["train"])
    passes = endless(lambda: data.train_batches(size, order=order, noise=noise, labels=model.uses_labels))
    batches = (x for x in passes if len(x) == full)
    step = stepper_for(model, Budget(), precision=precision, device=device)
    x = next(batches)
    one = x[:1]

    def per_second(call: Callable[[], object], examples: int) -> Timed:
        return _figure(call, lambda seconds: examples / seconds, clock, device)

    def evaluate() -> None:
        if model.has_bound:
            elbo(model.terms(x))
        else:
            model.reconstruct(x)

    def latency() -> None:
        model.reconstruct(one)
        devices.synchronise(device)  # the answer counts, not the queueing of the question

    model.train()
    figures: dict[str, Any] = {"train_samples_per_s": per_second(lambda: step(next(batches), 0.0), full)}
    figures["peak_memory_mb"] = peak_memory_mb(device)
    mflop = training_flops(model, x) / full / 1e6
    model.eval()
    with torch.no_grad():
        figures["eval_samples_per_s"] = per_second(evaluate, full)
        figures["sample_samples_per_s"] = per_second(lambda: model.sample(size), size)
        figures["latency_b1_ms"] = _figure(latency, lambda seconds: 1e3 * seconds, clock, device)
    figures["parameters"] = parameter_count(model)
    peak = matrix_peak(clock, device, torch.bfloat16 if precision.startswith("bf16") else torch.float32)
    speed = figures["train_samples_per_s"].median
    share = speed * mflop / 1e3 / peak.median if speed and peak.median else None
    return figures | {"train_mflop": mflop, "matrix_peak_gflops": peak, "train_mfu": share}


def peak_memory_mb(device: str = "cpu") -> float | None:
    """MiB of the largest memory held so far: allocated on an accelerator, resident in this process on the CPU."""
    if device != "cpu":
        try:
            return torch.accelerator.max_memory_allocated() / 2**20
        except (AttributeError, RuntimeError):
            return None  # not every accelerator's allocator counts
    return peak_resident_mb()
