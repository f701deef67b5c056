"""Reproducibility: one seed, one model; what is saved is all there is; evaluation changes nothing."""

import io

import torch
from torch import Tensor

from variants.core.vae import VAE
from variants.testing.case import Case, hold, numbers


def _equal(a: dict[str, Tensor], b: dict[str, Tensor], when: str) -> None:
    hold(a.keys() == b.keys(), f"{', '.join(sorted(a.keys() ^ b.keys()))} appears or disappears {when}")
    for name in a:
        hold(torch.equal(a[name], b[name]), f"{name} differs {when}")


def _tensors(model: VAE) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in (*model.named_parameters(), *model.named_buffers())}


def same_seed(case: Case) -> None:
    """One seed gives one model and one pass."""
    first, second = case.model(seed=23), case.model(seed=23)
    _equal(_tensors(first), _tensors(second), "between two models built with one seed")
    _equal(numbers(first, case.batch()), numbers(second, case.batch()), "between two passes with one seed")


def save_and_load(case: Case) -> None:
    """The saved state is all that a fresh model needs."""
    model, fresh, file = case.model(seed=1).train(), case.model(seed=2), io.BytesIO()
    numbers(model, case.batch(1))  # a training pass, so that running statistics move
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    _equal(
        numbers(model.eval(), case.batch()),
        numbers(fresh.eval(), case.batch()),
        "after saving and loading into a fresh model",
    )


def evaluation_mode(case: Case) -> None:
    """A pass in evaluation mode changes neither parameters nor buffers nor the mode."""
    model = case.model().eval()
    before = _tensors(model)
    numbers(model, case.batch())
    _equal(before, _tensors(model), "after a pass in evaluation mode")
    hold(not any(module.training for module in model.modules()), "a pass in evaluation mode leaves it")
