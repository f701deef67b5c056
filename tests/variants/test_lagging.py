"""Whose turn it is to learn: the encoder alone until it helps no more, then the decoder once."""

import pytest
import torch
from torch import Tensor

from bench.settings import Budget
from bench.train.steps import stepper_for
from variants import DataSpec
from variants.core import VAE
from variants.parts.objectives.lagging import INFERENCE, MODEL
from variants.registry import seeded

REAL = DataSpec((5,), "real", 40)


def lagging(**options: object) -> VAE:
    return seeded("lagging", REAL, 0, latent=2, hidden=(6,), **options)


def batch(seed: int = 0) -> Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(seed))


def moved(vae: VAE, x: Tensor, epoch: float = 0.0) -> set[str]:
    """The roles to which one loss gives a gradient."""
    vae.zero_grad(set_to_none=True)
    vae.loss(x, epoch).mean().backward()
    return {name.split(".")[0] for name, p in vae.named_parameters() if p.grad is not None and p.grad.any()}


def turns(vae: VAE, losses: list[float]) -> list[bool]:
    """After losses of these values in a row, whether the decoder is next."""
    found = []
    for loss in losses:
        vae.objective._count(torch.tensor(loss))
        found.append(bool(vae.objective.turn))
    return found


@pytest.mark.parametrize("options", [{"inner": 0}, {"lagging_epochs": 0}])
def test_without_turns_it_is_vanilla_to_the_bit(options: dict[str, object]) -> None:
    models = [lagging(**options), seeded("vanilla", REAL, 0, latent=2, hidden=(6,))]
    steppers = [stepper_for(model, Budget(lr=0.01, epochs=4)) for model in models]
    for step in range(5):
        for stepper in steppers:
            torch.manual_seed(step)
            stepper(batch(step), 0.5)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


def test_the_encoder_moves_alone_and_the_decoder_once() -> None:
    vae = lagging(inner=3, window=10).train()
    seen = [moved(vae, batch(step)) for step in range(9)]
    assert [s == {"encoder", "posterior"} for s in seen] == [True, True, True, False] * 2 + [True]
    assert seen[3] == {"decoder", "likelihood"}
    assert moved(vae, batch(), epoch=3.0) == {"encoder", "posterior", "decoder", "likelihood"}
    assert all(p.requires_grad for p in vae.parameters())
    assert {*INFERENCE, *MODEL} == {role for role, _ in vae.named_children()}


def test_what_its_owner_froze_stays_frozen() -> None:
    vae = lagging(inner=1, window=10).train()
    frozen = next(vae.decoder.parameters()).requires_grad_(False)
    for step in range(4):
        vae.loss(batch(step), 0.0)
        assert [p for p in vae.parameters() if not p.requires_grad] == [frozen]


def test_a_step_that_fails_freezes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step too large for the memory is tried again in smaller ones."""
    vae = lagging().train()
    monkeypatch.setattr(vae.objective, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vae.loss(batch(), 0.0)
    assert all(p.requires_grad for p in vae.parameters())


def test_the_encoder_goes_on_for_as_long_as_its_windows_fall() -> None:
    vae = lagging(window=2)
    assert turns(vae, [9, 7, 6, 6, 5, 5, 5, 6]) == [False] * 7 + [True]
    # The decoder's step begins a new run, which knows nothing of the last.
    assert turns(vae, [99, 100, 98, 90, 91, 95, 96]) == [False, False, False, False, False, False, True]
    assert turns(lagging(window=2, inner=3), [3, 2, 1]) == [False, False, True]
    assert turns(lagging(window=1), [4, 4]) == [False, True]  # an equal mean is no help


def test_a_window_that_the_decoder_breaks_off_is_forgotten() -> None:
    vae = lagging(window=2, inner=5)
    assert turns(vae, [4, 4, 3, 3, 9]) == [False] * 4 + [True]
    assert turns(vae, [0, 1, 1, 2, 2]) == [False] * 4 + [True]


def test_weights_that_are_held_are_not_moved_by_adam() -> None:
    """Not by momentum either: a step without a gradient leaves weight and moments alone."""
    vae = lagging(inner=2, window=10)
    stepper = stepper_for(vae, Budget(lr=0.01, epochs=4))
    for step in range(3):
        stepper(batch(step), 0.0)
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    stepper(batch(9), 0.0)
    changed = {name.split(".")[0] for name, p in vae.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"encoder", "posterior"}


def test_looking_moves_no_turn() -> None:
    vae = lagging(inner=2, window=1).eval()
    with torch.no_grad():
        for _ in range(4):
            vae.loss(batch())
    assert int(vae.objective.run) == 0
    assert not vae.objective.turn


def test_a_training_that_goes_on_knows_whose_turn_it_is() -> None:
    vae, other = lagging(inner=2), lagging(inner=2)
    for step in range(2):
        vae.loss(batch(step))
    other.load_state_dict(vae.state_dict())
    assert moved(other, batch()) == {"decoder", "likelihood"}
