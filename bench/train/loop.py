"""The only optimiser loop. What it minimises is a variant's own objective, and nothing that it computes is reported as
a result: it is handed its look at the validation split, and does not know whose it is."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from bench import seeds
from bench.data.batches import Data
from bench.resume.checkpoint import Checkpoint
from bench.settings import Budget
from bench.train.diverged import Diverged, explain, noticed, start_of_pass
from bench.train.state import Training
from bench.train.steps import stepper_for
from variants.core import VAE

# A look judges a model after each pass: figures by name, or None where the model has no such figure.
Look = Callable[[VAE], Mapping[str, float | None]]


def train(
    model: VAE,
    data: Data,
    budget: Budget,
    *,
    look: Look,
    seed: int,
    device: str,
    precision: str = "fp32",
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place.

    Args:
        model: on `device`, with its initial weights.
        data: on `device`.
        budget: epochs, batch size, step size.
        look: of the model, after each pass; early stopping goes by its `valid_elbo_nats`. It draws no random numbers
            that training could miss.
        seed: the run's seed; data order, binarisation and sampling noise come from streams derived from it.
        device: device type.
        precision: see `bench.train.steps.loss_function`.
        on_epoch: told the learning curve so far after each epoch, and where a stopped training goes on. It draws no
            random numbers that training could miss.
        checkpoint: where this training, if it was stopped before, goes on, and is kept while it lasts.

    Returns:
        The learning curve, one row per epoch: `epoch`, `train_loss` (mean objective, nats per example), what the look
        has found, and with `Budget.grad_skip` `skipped_steps`, those of this epoch that were not made.

    Raises:
        Diverged: the loss or a figure of the look is no longer finite; it says where, see `explain`.
    """
    checkpoint = checkpoint or Checkpoint()
    size = data.splits["train"]
    steps = math.ceil(size / budget.batch_size)
    stepper = stepper_for(model, budget, precision=precision, device=device)
    now = Training(stepper, steps=steps, seed=seed, device=device)
    with seeds.stream(seed, "noise", device):
        if checkpoint.resume(now):
            on_epoch(now.curve)
            if precision.endswith("+compile"):
                _rehearse(now, data, seed)
        while now.epoch < budget.epochs:
            model.train()
            start = start_of_pass(now)
            with noticed(now, data, start):
                for _ in now.finish_pass(data):
                    checkpoint.tick(now)
            # The losses are read once per pass, so that no step waits for the device; Python adds in double precision.
            loss = sum(torch.stack(now.losses).tolist()) / size
            if not math.isfinite(loss):
                raise Diverged(f"training loss is {loss} in epoch {now.epoch + 1}{explain(now, data, start)}")
            with noticed(now, data, start):
                row = look(model)
            for name, value in row.items():
                if value is not None and not math.isfinite(value):
                    raise Diverged(f"{name} is {value} after epoch {now.epoch + 1}{explain(now, data, start)}")
            if budget.grad_skip is not None:
                row = {**row, "skipped_steps": stepper.skipped - sum(past["skipped_steps"] for past in now.curve)}
            now.curve.append({"epoch": now.epoch + 1, "train_loss": loss, **row})
            now.begin_pass()
            on_epoch(now.curve)
            if now.best and now.best.is_over(model, now.epoch, row.get("valid_elbo_nats")):
                break
    if now.best and now.best.weights:
        model.load_state_dict(now.best.weights)
    return now.curve


def _rehearse(now: Training, data: Data, seed: int) -> None:
    """What is compiled depends on the first calls, so that a training that goes on makes those again, for nothing."""
    state = copy.deepcopy(now.state())
    now.model.train()
    noise = seeds.generator(seed, "binarise", now.device.type)
    order, labels = seeds.generator(seed, "order"), now.model.uses_labels
    x = next(iter(data.train_batches(now.budget.batch_size, order=order, noise=noise, labels=labels)))
    for i in range(3):
        now.stepper.loss(x, i / now.steps)
    now.restore(*state)
