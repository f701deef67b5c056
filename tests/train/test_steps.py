"""A part that names a stepper of its own is trained by it, wherever steps are made, and stopped trainings go on."""

from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from bench import data
from bench.cells import clock
from bench.data.batches import Data
from bench.reproduce import cost
from bench.resume import checkpoint
from bench.settings import Budget, Clock
from bench.train.steps import Stepper, stepper_for
from tests.helpers import cell, fit
from tests.resume.test_checkpoint import Copying
from tests.train.critic import Critic, CriticStepper
from variants import registry
from variants.core import VAE

BUDGET = Budget(epochs=2, batch_size=64, lr=0.01, train_size=200)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", train_size=200)


def with_critic(seed: int = 0) -> VAE:
    model = registry.seeded("vanilla", data.spec("digits"), seed, latent=2, hidden=[8])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.objective = Critic()
    return model


def test_each_parameter_has_one_optimiser_and_each_optimiser_its_own_pace() -> None:
    model = with_critic()
    stepper = stepper_for(model, BUDGET)
    assert isinstance(stepper, CriticStepper)
    numbers = [id(p) for o in stepper.optimisers.values() for group in o.param_groups for p in group["params"]]
    assert sorted(numbers) == sorted(map(id, model.parameters()))
    stepper(torch.rand(16, 1, 8, 8).round(), 1.0)  # half-way on the cosine
    paces = {name: optim.param_groups[0]["lr"] for name, optim in stepper.optimisers.items()}
    assert paces == pytest.approx({"adam": 0.005, "critic": 0.005})


def test_adam_sees_the_gradient_of_the_mean_over_the_batch() -> None:
    """For that its epsilon is stated: of a sum, every batch size would have another."""
    model = registry.seeded("vanilla", data.spec("digits"), 0, latent=2, hidden=[8])
    stepper, x = stepper_for(model, BUDGET), torch.rand(24, 1, 8, 8).round()
    torch.manual_seed(1)
    parameters = [p for p in model.parameters() if p.requires_grad]
    expected = torch.autograd.grad(model.loss(x).mean(), parameters)
    torch.manual_seed(1)
    stepper.update("adam", model.loss(x))
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_the_critic_learns_by_its_own_loss_alone() -> None:
    model = with_critic()
    stepper, x = stepper_for(model, BUDGET), torch.rand(64, 1, 8, 8).round()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    Stepper.__call__(stepper, x, 0.0)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "critic" not in name}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = stepper.update("critic", model.objective.critic_loss())
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "critic" in name}
    for _ in range(50):
        last = stepper.update("critic", model.objective.critic_loss())
    assert last < first


def test_all_of_a_steppers_state_is_kept(tmp_path: Any, digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))

    def train(keep: checkpoint.Checkpoint | None) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        model = with_critic()
        return fit(model, digits, BUDGET, seed=5, device="cpu", checkpoint=keep), model.state_dict()

    curve, weights = train(None)
    assert train(Copying(tmp_path / "kept"))[0] == curve
    for steps in (1, 4, 6):
        again, same = train(checkpoint.Checkpoint(tmp_path / f"kept{steps}"))
        assert again == curve, steps
        assert all(torch.equal(weights[name], same[name]) for name in weights), steps


def test_a_stopped_training_goes_on_with_its_count_of_skipped_steps(
    digits: Data, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    # The norms of this training are from 4 to 8.
    budget = replace(BUDGET, grad_skip=7.0)

    def train(keep: checkpoint.Checkpoint | None) -> list[dict[str, Any]]:
        model = registry.seeded("vanilla", data.spec("digits"), 0, latent=2, hidden=[8])
        return fit(model, digits, budget, seed=5, device="cpu", checkpoint=keep)

    curve = train(None)
    assert 0 < sum(row["skipped_steps"] for row in curve) < 8
    assert train(Copying(tmp_path / "kept")) == curve
    for steps in (1, 3, 6):
        assert train(checkpoint.Checkpoint(tmp_path / f"kept{steps}")) == curve


def test_whoever_makes_steps_makes_those_of_the_model(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    step = CriticStepper.__call__

    def spy(stepper: CriticStepper, x: Tensor, epoch: float) -> Tensor:
        made.append(len(x))
        return step(stepper, x, epoch)

    monkeypatch.setattr(CriticStepper, "__call__", spy)
    clock.throughput(with_critic(), digits, Clock(blocks=3, block_s=0.001, batch_size=90), seed=0, device="cpu")
    assert set(made) == {90}
    made.clear()
    model = with_critic()
    monkeypatch.setattr(registry, "seeded", lambda *_, **__: model)
    assert cost.estimate(cell(budget={"batch_size": 50})).train_s > 0
    assert set(made) == {50}


def test_two_parts_cannot_both_choose() -> None:
    model = with_critic()
    model.prior.stepper = "elsewhere:Other"
    with pytest.raises(ValueError, match=r"one stepper, and its parts name elsewhere:Other and tests\.train\.critic"):
        stepper_for(model, BUDGET)
    model.prior.stepper = Critic.stepper
    assert isinstance(stepper_for(model, BUDGET), CriticStepper)
