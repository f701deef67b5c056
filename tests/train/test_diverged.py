"""What is said of a training that diverged: which quantity, in which step, how large before, and what to try."""

import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from bench import data
from bench.data.batches import Data
from bench.resume.checkpoint import Checkpoint
from bench.settings import Budget
from bench.train import diverged
from bench.train.diverged import Diverged
from tests.helpers import fit
from tests.resume.test_checkpoint import Stopped, StoppedAfter
from variants import registry
from variants.core import VAE

# Three passes of four steps.
BUDGET = Budget(epochs=3, batch_size=64, lr=0.01, train_size=200)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", train_size=200)


class Breaks(nn.Module):
    """Passes on what it is given, and from its `step`-th call in training, counted in a buffer, makes it NaN.

    Args:
        inner: what it stands behind.
        step: from 1.
        backward: the gradient alone breaks.
    """

    calls: Tensor

    def __init__(self, inner: nn.Module, step: int, *, backward: bool = False) -> None:
        super().__init__()
        self.inner, self.step, self.backward = inner, step, backward
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.inner(x)
        if self.training:
            self.calls += 1
        if self.calls < self.step:
            return h
        if self.backward and self.training:
            h.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
            return h
        return h if self.backward else h * math.nan


def reason(model: VAE, loaded: Any, budget: Budget = BUDGET, **how: Any) -> str:
    with pytest.raises(Diverged) as raised:
        fit(model, loaded, budget, seed=0, device="cpu", **how)
    return str(raised.value)


def model_of(**parts: Any) -> VAE:
    model = registry.seeded("vanilla", data.spec("digits"), 0, latent=2, hidden=[8])
    for name, (step, backward) in parts.items():
        setattr(model, name, Breaks(getattr(model, name), step, backward=backward))
    return model


def break_loss(model: VAE) -> None:
    """Its loss is NaN in the second step of the second pass, and again where that is repeated."""
    calls, forward = [0], model.objective.forward

    def broken(*args: Any) -> Tensor:
        calls[0] += 1
        loss: Tensor = forward(*args)
        return loss * (math.nan if calls[0] % 4 == 2 and calls[0] > 4 else 1)

    model.objective.forward = broken


NUMBER = r"[\d.]+(e[+-]\d+)?"


@pytest.mark.parametrize(
    ("part", "backward", "quantity"),
    [
        ("encoder", False, r"log q\(z\|x\) is nan"),
        ("decoder", False, r"log p\(x\|z\) is nan"),
        ("objective", False, "the loss is nan"),
        ("decoder", True, r"the gradient of decoder\.inner\.\S+ is (inf|nan)"),
    ],
)
def test_the_first_quantity_and_its_step_are_named(digits: Data, part: str, backward: bool, quantity: str) -> None:
    model = model_of()
    if part == "objective":
        break_loss(model)
    else:
        model = model_of(**{part: (6, backward)})
    found = reason(model, digits)
    pattern = (
        rf"training loss is nan in epoch 2: {quantity} in step 2 of 4 \(at most {NUMBER} in size the step before\)"
    )
    assert re.fullmatch(rf"{pattern}; try a smaller step size, for example --set lr=0\.003", found), found


def test_how_large_it_was_is_what_it_was(digits: Data) -> None:
    """The step before is that of a run with the same seed that does not break."""
    sizes: list[float] = []
    losses: list[float] = []
    sound = model_of()
    sound.objective.register_forward_hook(
        lambda _m, inputs, _o: sizes.append(float(inputs[0].log_qz_x.detach().abs().max()))
    )
    sound.objective.register_forward_hook(lambda _m, _inputs, loss: losses.append(abs(float(loss.detach().mean()))))
    fit(sound, digits, BUDGET, seed=0, device="cpu")
    found = reason(model_of(encoder=(6, False)), digits)
    assert f"(at most {sizes[4]:.3g} in size" in found
    model = model_of()
    break_loss(model)
    assert f"the loss is nan in step 2 of 4 (at most {losses[4]:.3g} in size" in reason(model, digits)


def test_a_first_step_that_breaks_is_no_matter_of_the_step_size(digits: Data) -> None:
    found = reason(model_of(decoder=(1, False)), digits)
    assert found == (
        "training loss is nan in epoch 1: log p(x|z) is nan in step 1 of 4; "
        "no update came before it, so look at the data and the variant's parts"
    )


def test_a_first_step_that_leaves_the_numbers_is_a_matter_of_the_step_size(digits: Data) -> None:
    """The loss of that step is still a number: what overflows is the update."""
    found = reason(model_of(), digits, replace(BUDGET, lr=1e39))
    assert re.fullmatch(
        r"training loss is (nan|inf) in epoch 1: the parameter \S+ is (nan|inf) in step 1 of 4; "
        r"try a smaller step size, for example --set lr=3e\+38",
        found,
    ), found


def test_before_the_first_step_of_a_later_pass_there_were_updates(digits: Data) -> None:
    found = reason(model_of(decoder=(5, False)), digits)
    assert found == (
        "training loss is nan in epoch 2: log p(x|z) is nan in step 1 of 4; "
        "try a smaller step size, for example --set lr=0.003"
    )


def test_a_figure_of_the_look_that_breaks_is_traced_to_the_last_step(digits: Data) -> None:
    found = reason(model_of(encoder=(8, True)), digits)
    assert re.match(r"valid_\w+ is nan after epoch 2: the gradient of encoder\.\S+ is (inf|nan) in step 4 of 4", found)


def test_a_training_that_went_on_in_the_middle_of_a_pass(digits: Data, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("bench.resume.checkpoint.EVERY_S", 0.0)
    monkeypatch.setattr("bench.resume.checkpoint.SHARE", math.inf)
    with pytest.raises(Stopped):
        fit(
            model_of(encoder=(8, False)),
            digits,
            BUDGET,
            seed=0,
            device="cpu",
            checkpoint=StoppedAfter(6, tmp_path / "kept"),
        )
    whole = reason(model_of(encoder=(8, False)), digits)
    assert reason(model_of(encoder=(8, False)), digits, checkpoint=Checkpoint(tmp_path / "kept")) == whole
    assert "log q(z|x) is nan in step 4 of 4" in whole


def test_without_a_replay_the_losses_tell(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise RuntimeError("not twice")

    monkeypatch.setattr(diverged, "_replay", refuses)
    losses: list[float] = []
    sound = model_of()
    sound.objective.register_forward_hook(lambda _m, _inputs, loss: losses.append(abs(float(loss.detach().mean()))))
    fit(sound, digits, BUDGET, seed=0, device="cpu")
    found = reason(model_of(encoder=(6, False)), digits)
    size = re.escape(f"{losses[4]:.3g}")
    pattern = rf"training loss is nan in epoch 2: the loss is nan in step 2 of 4 \(at most {size} in size the step"
    assert re.match(pattern, found)


def test_each_quantity_has_its_own_name_and_they_come_as_they_are_computed() -> None:
    first, last = (nn.Parameter(torch.tensor([value])) for value in (7.0, -8.0))
    first.grad, last.grad = torch.tensor([-9.0]), torch.tensor([10.0])
    model = SimpleNamespace(has_bound=True, named_parameters=lambda: [("a", first), ("b", last)])
    terms: Any = SimpleNamespace(
        log_qz_x=torch.tensor([1.0, -2.0]), log_pz=torch.tensor([-3.0]), kl=torch.tensor([4.0]), log_px_z=-torch.ones(1)
    )
    now: Any = SimpleNamespace(model=model, losses=[torch.tensor(60.0)])
    assert list(diverged._quantities(now, list(diverged._of_terms(terms, has_bound=True)), 10)) == [
        ("log q(z|x)", 2),
        ("log p(z)", 3),
        ("the KL", 4),
        ("log p(x|z)", 1),
        ("the loss", 6),
        ("the gradient of b", 10),
        ("the gradient of a", 9),
        ("the parameter a", 7),
        ("the parameter b", 8),
    ]


def test_before_a_first_loss_there_was_none(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diverged, "_replay", lambda *_: None)
    assert reason(model_of(encoder=(1, False)), digits) == (
        "training loss is nan in epoch 1: the loss is nan in step 1 of 4; "
        "no update came before it, so look at the data and the variant's parts"
    )


@pytest.mark.parametrize(("size", "steps"), [(64, 4), (200, 1)], ids=["in a step", "in the look"])
def test_what_refuses_to_draw_from_nan_has_diverged(digits: Data, size: int, steps: int) -> None:
    """The first update leaves the numbers; the next draw of bits, in training or in the look, raises an error."""
    model = registry.seeded("bernoulli_vimco", data.spec("digits"), 0, latent=2, hidden=[8])
    found = reason(model, digits, replace(BUDGET, batch_size=size, lr=1e39))
    pattern = (
        rf"RuntimeError: .+ in epoch 1: the parameter \S+ is (nan|inf) in step 1 of {steps}; try a smaller step size"
    )
    assert re.match(pattern, found), found


def test_an_error_among_finite_numbers_is_no_divergence(digits: Data) -> None:
    model = model_of()
    model.decoder.forward = lambda _z: torch.zeros(1, 2) @ torch.zeros(1, 2)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(model, digits, BUDGET, seed=0, device="cpu")
