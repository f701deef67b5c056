"""The only optimiser loop. What it minimises is a variant's own objective, and nothing that it computes is reported as
a result: the learning curve below is scored by the judge in `measure`."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from bench import measure, seeds
from bench.data.batches import Data
from bench.suite import Budget
from variants.core import VAE


class Diverged(Exception):
    """Training or evaluation produced a number that is not finite."""


def optimiser(model: VAE, lr: float) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with torch's defaults, one fused update for all parameters."""
    return torch.optim.Adam(model.parameters(), lr=lr, fused=True)


def step(model: VAE, optim: torch.optim.Optimizer, x: Tensor, epoch: float) -> Tensor:
    """One update on a batch `[B, *shape]`; returns the summed loss, detached, on the device."""
    loss = model.loss(x, epoch)
    optim.zero_grad(set_to_none=True)
    loss.mean().backward()  # type: ignore[no-untyped-call]
    optim.step()
    return loss.detach().sum()


def _learning_rate(budget: Budget, progress: float) -> float:
    return budget.lr * (0.5 * (1 + math.cos(math.pi * progress)) if budget.schedule == "cosine" else 1.0)


def train(
    model: VAE,
    data: Data,
    budget: Budget,
    *,
    seed: int,
    device: str,
    on_epoch: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Train `model` in place.

    Args:
        model: on `device`, with its initial weights.
        data: on `device`.
        budget: epochs, batch size, step size.
        seed: the run's seed; data order, binarisation and sampling noise come from streams derived from it.
        device: device type.
        on_epoch: told the number of finished epochs after each.

    Returns:
        The learning curve, one row per epoch: `epoch`, `train_loss` (mean objective, nats per example) and the judge's
        `valid_elbo_nats`, `valid_recon_nats`, `valid_kl_nats` (one posterior sample per validation example).

    Raises:
        Diverged: the loss or a validation figure is no longer finite.
    """
    order = seeds.generator(seed, "order")
    binarise = seeds.generator(seed, "binarise", device)
    optim = optimiser(model, budget.lr)
    size = data.splits["train"]
    steps = math.ceil(size / budget.batch_size)
    curve: list[dict[str, Any]] = []
    with seeds.stream(seed, "noise", device):
        for epoch in range(budget.epochs):
            model.train()
            losses: list[Tensor] = []
            for i, x in enumerate(data.train_batches(budget.batch_size, order=order, noise=binarise)):
                done = epoch + i / steps
                for group in optim.param_groups:
                    group["lr"] = _learning_rate(budget, done / budget.epochs)
                losses.append(step(model, optim, x, done))
            # One look per pass, so that no step waits for the device; in double precision, which not every device has.
            loss = sum(torch.stack(losses).tolist()) / size
            if not math.isfinite(loss):
                raise Diverged(f"training loss is {loss} in epoch {epoch + 1}")
            valid = measure.scores(model, data.eval_batches("valid", measure.EVAL_BATCH), samples=1, seed=seeds.JUDGE)
            row = {f"valid_{name}": value for name, value in valid.means().items()}
            for name, value in row.items():
                if value is not None and not math.isfinite(value):
                    raise Diverged(f"{name} is {value} after epoch {epoch + 1}")
            curve.append({"epoch": epoch + 1, "train_loss": loss} | row)
            on_epoch(epoch + 1)
    return curve


def endless(batches: Callable[[], Iterator[Tensor]]) -> Iterator[Tensor]:
    """Training batches without end, pass after pass."""
    while True:
        yield from batches()
