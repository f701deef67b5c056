"""A training as far as it is: what decides how it goes on, for a checkpoint."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench import seeds
from bench.data.batches import Data
from bench.train.steps import ANOTHER, Stepper, form
from variants.core import VAE, Batch


class _Best:
    """Early stopping: the weights of the epoch with the best validation ELBO since the warm-up ended."""

    def __init__(self, patience: int, warmup: float) -> None:
        self.patience, self.warmup = patience, warmup
        self.elbo, self.epoch, self.weights = -math.inf, 0, dict[str, Tensor]()

    def is_better(self, epoch: int, elbo: float | None) -> bool:
        """Told the validation ELBO after each epoch; says whether that epoch is the best so far."""
        if epoch <= self.warmup or elbo is None or elbo <= self.elbo:
            return False
        self.elbo, self.epoch = elbo, epoch
        return True

    def is_over(self, model: VAE, epoch: int, elbo: float | None) -> bool:
        """The same, keeping the weights; says whether training ends."""
        if self.is_better(epoch, elbo):
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return self.epoch > 0 and epoch - self.epoch >= self.patience


class Training:
    """A training as far as it is: everything that decides how it goes on, and nothing else.

    Args:
        stepper: of the model and its budget.
        steps: of a pass.
        seed: the run's.
        device: device type.
    """

    def __init__(self, stepper: Stepper, *, steps: int, seed: int, device: str) -> None:
        self.stepper, self.model, self.budget = stepper, stepper.model, stepper.budget
        self.steps, self.device = steps, torch.device(device)
        self.order = seeds.generator(seed, "order")
        self.binarise = seeds.generator(seed, "binarise", device)
        self.curve: list[dict[str, Any]] = []
        self.best = self._new_best()
        self.begin_pass()

    def _new_best(self) -> _Best | None:
        patience = self.budget.patience
        return _Best(patience, self.model.objective.warmup_epochs) if patience else None

    @property
    def epoch(self) -> int:
        """Finished passes over the data."""
        return len(self.curve)

    def begin_pass(self) -> None:
        """A stopped pass goes on in the order that was drawn at its start."""
        self.losses: list[Tensor] = []
        self.order_at_start = self.order.get_state()

    def finish_pass(self, data: Data) -> Iterator[Tensor | Batch]:
        """Make the steps that are left of a pass over `data`, and yield the batch of each after it."""
        size, labels = self.budget.batch_size, self.model.uses_labels
        first = len(self.losses)
        for x in data.train_batches(size, order=self.order, noise=self.binarise, first=first, labels=labels):
            self.losses.append(self.stepper(x, self.epoch + len(self.losses) / self.steps))
            yield x

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """For a checkpoint, at the end of any step. The tensors are those that training goes on to change."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"stepper.{name}": tensor for name, tensor in self.stepper.state().items()}
        tensors |= {f"random.{name}": state for name, state in self._random_states().items()}
        if self.best:
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.weights.items()}
        tensors["losses"] = torch.stack(self.losses) if self.losses else torch.zeros(0)
        return tensors, {"curve": self.curve}

    def _random_states(self) -> dict[str, Tensor]:
        states = {
            "order": self.order_at_start,
            "binarise": self.binarise.get_state(),
            "noise": torch.get_rng_state(),
        }
        if self.device.type != "cpu":
            states["noise_on_device"] = torch.get_device_module(self.device).get_rng_state()
        return states

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from there. ValueError, and nothing changed, if that is no state of this training."""
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "stepper": {}, "random": {}}
        losses = tensors.get("losses", torch.zeros(()))
        for name, tensor in tensors.items():
            group, dot, rest = name.partition(".")
            if dot and group in groups:
                groups[group][rest] = tensor
            elif name != "losses":
                raise ValueError(ANOTHER)
        if (
            form(groups["model"]) != form(self.model.state_dict())
            or form(groups["random"]) != form(self._random_states())
            or losses.ndim != 1
            or not losses.is_floating_point()
            or not len(losses) <= self.steps
            or not len(facts["curve"]) < self.budget.epochs
        ):
            raise ValueError(ANOTHER)
        best = self._new_best()
        counted = [best.is_better(row["epoch"], row.get("valid_elbo_nats")) for row in facts["curve"]] if best else []
        if form(groups["best"]) != (form(groups["model"]) if any(counted) else {}):
            raise ValueError(ANOTHER)
        try:
            for name, state in groups["random"].items():
                torch.Generator("cpu" if name in ("order", "noise") else self.device).set_state(state)
        except RuntimeError as error:
            raise ValueError("holds no state of a random generator") from error
        self.stepper.restore(groups["stepper"])
        self.model.load_state_dict(groups["model"])
        self.curve = list(facts["curve"])
        self.best = best
        if best:
            best.weights = groups["best"]
        self.order.set_state(groups["random"]["order"])
        self.begin_pass()
        self.losses = list(losses.to(self.device).unbind())
        self.binarise.set_state(groups["random"]["binarise"])
        torch.set_rng_state(groups["random"]["noise"])
        if self.device.type != "cpu":
            torch.get_device_module(self.device).set_rng_state(groups["random"]["noise_on_device"])
