"""What a run will take on this machine: read from such a run that was made here, or timed, a few steps of it.

On the CPU a step is timed by the processor time of its one thread, so that whatever else the machine does is left out.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from bench import data
from bench import device as devices
from bench.judge import evidence, gaps
from bench.judge.bounds import EVAL_BATCH, given, scores
from bench.records.record import Cell, Record, machine
from bench.reproduce.verdict import same_run
from bench.settings import Budget, Measure
from bench.train.steps import stepper_for
from variants import registry
from variants.core import VAE, Batch, is_real

# Training steps that are timed, after one that is not; and examples whose log p(x) and gaps are.
STEPS, NLL_EXAMPLES, GAP_EXAMPLES = 3, 2, 8


@dataclass(frozen=True)
class Cost:
    """Seconds of one run.

    Attributes:
        train_s: of training.
        measure_s: of log p(x) and the inference gaps, beside which other measurements are short.
        measured: whether this is what such a run took here, and no estimate.
    """

    train_s: float
    measure_s: float
    measured: bool = False

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.train_s + self.measure_s


def known(cell: Cell, records: Iterable[Record]) -> Cost | None:
    """What a run of this configuration took on this processor; None without one."""
    here = devices.describe(cell["device"])
    for record in records:
        timing = record.timing
        train, measure = timing.get("train_s"), timing.get("measure_s")
        if train is not None and measure is not None and same_run(record, cell) and machine(record) == here:
            return Cost(train, measure, measured=True)
    return None


def estimate(cell: Cell) -> Cost:
    """Seconds of a run, from a few steps of it with one thread on random data of the same shape."""
    budget, measure = Budget(**cell["budget"]), Measure(**cell["measure"])
    spec = data.unread(data.spec(cell["dataset"], cell["binarise"], **cell["data_options"]))
    train_size = budget.train_size or spec.size or 0
    # Of simulated data and of a user's file, a tenth each.
    sizes = {row["name"]: row["splits"] for row in data.describe() if not row["options"]}
    held = sizes.get(cell["dataset"], dict.fromkeys(("valid", "test"), (spec.size or 0) // 8))
    threads = torch.get_num_threads()
    torch.set_num_threads(cell["threads"])
    try:
        model = registry.seeded(cell["variant"], spec, 0, **cell["overrides"]).to(cell["device"])
        x = torch.rand(max(budget.batch_size, EVAL_BATCH), *spec.shape, device=cell["device"])
        x = (x < 0.13).float() if spec.kind == "binary" else x
        labels = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        train = _train_seconds(model, x, labels, budget, train_size, held["valid"], cell)
        return Cost(train, _measure_seconds(model, x, labels, measure, held["test"], cell["device"]))
    finally:
        torch.set_num_threads(threads)


def _seconds(call: Callable[[], object], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    devices.synchronise(device)
    started = clock()
    call()
    devices.synchronise(device)
    return clock() - started


def _train_seconds(
    model: VAE, x: torch.Tensor, labels: torch.Tensor, budget: Budget, train: int, valid: int, cell: Cell
) -> float:
    step = stepper_for(model, budget, precision=cell["precision"], device=cell["device"])
    batch = Batch(x, labels, labels)[: budget.batch_size] if model.uses_labels else x[: budget.batch_size]
    step(batch, 0.0)
    per_step = _seconds(lambda: [step(batch, 0.0) for _ in range(STEPS)], cell["device"]) / STEPS
    look = _seconds(lambda: scores(model, [(x[:EVAL_BATCH], labels[:EVAL_BATCH])], samples=1, seed=0), cell["device"])
    model.train()
    return budget.epochs * (per_step * train / budget.batch_size + look * valid / EVAL_BATCH)


def _measure_seconds(
    model: VAE, x: torch.Tensor, labels: torch.Tensor, measure: Measure, test: int, device: str
) -> float:
    if not model.has_bound:
        return 0.0
    total = 0.0
    if measure.nll_samples:
        some = given(model, x[:NLL_EXAMPLES], labels[:NLL_EXAMPLES])
        seconds = _seconds(lambda: evidence.importance_weights(model, some, measure.nll_samples), device)
        total += seconds * min(measure.nll_points or test, test) / len(some)
    # Gaps are of latents on R^D alone.
    if measure.gap_points and is_real(model.prior()):
        some = x[:GAP_EXAMPLES]
        one, six = (_seconds(lambda n=n: gaps.gaps(model, some, steps=n), device) for n in (1, 6))  # type: ignore[misc]
        per_step = max(0.0, six - one) / 5
        total += (one + per_step * (measure.gap_steps - 1)) * measure.gap_points / len(some)
    return total
