"""The optimiser loop: what it feeds, what it reports, and that nothing but its seed decides what it gives."""

import copy
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from bench import data, device, seeds
from bench import judge as judging
from bench.cells import prepare, run
from bench.data.batches import Data
from bench.errors import MachineError
from bench.judge import bounds, evidence
from bench.settings import Budget
from bench.train import schedules, steps
from bench.train.diverged import Diverged
from bench.train.loop import train
from bench.train.state import _Best
from tests.helpers import cell, fit
from variants import registry
from variants.core import VAE

BUDGET = Budget(epochs=2, batch_size=64, lr=0.01, train_size=200)


@pytest.fixture(scope="module")
def digits() -> Any:
    return data.load("digits", train_size=200)


def model_of(variant: str = "vanilla", seed: int = 0, **options: Any) -> VAE:
    return registry.seeded(variant, data.spec("digits"), seeds.derive(seed, "init"), latent=2, hidden=[8], **options)


class Recorder:
    """Data that notes every training batch. The places of the examples are drawn as `Data` draws them."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.splits, self.spec = inner, inner.splits, inner.spec
        self.passes: list[list[Tensor]] = []
        self.asked: list[str] = []

    def train_batches(self, batch_size: int, **generators: torch.Generator) -> Iterator[Tensor]:
        self.passes.append([])
        for x in self.inner.train_batches(batch_size, **generators):
            self.passes[-1].append(x)
            yield x

    def eval_batches(self, split: str, *args: Any, **kwargs: Any) -> Iterator[tuple[Tensor, Tensor]]:
        self.asked.append(split)
        result: Iterator[tuple[Tensor, Tensor]] = self.inner.eval_batches(split, *args, **kwargs)
        return result


def rows(x: Tensor) -> list[bytes]:
    return sorted(row.numpy().tobytes() for row in x)


def test_every_schedule_that_a_budget_may_name_is_there() -> None:
    assert set(schedules.SCHEDULES) == set(get_args(get_type_hints(Budget)["schedule"]))
    assert all(schedule(0.0) == 1 for name, schedule in schedules.SCHEDULES.items() if name != "warmup_cosine")
    assert all(0 <= schedule(i / 999) <= 1 for schedule in schedules.SCHEDULES.values() for i in range(1000))


def test_linear_and_warm_up_schedules() -> None:
    assert [schedules.SCHEDULES["linear"](p) for p in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]
    warm = schedules.SCHEDULES["warmup_cosine"]
    assert [warm(p) for p in (0.0, 0.025, 0.05, 0.525, 1.0)] == pytest.approx([0.01, 0.505, 1.0, 0.5, 0.0])


def test_cosine_schedule() -> None:
    factors = [schedules.SCHEDULES["cosine"](p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert factors == pytest.approx([1, 0.5 * (1 + math.sqrt(0.5)), 0.5, 0.5 * (1 - math.sqrt(0.5)), 0], abs=1e-15)
    assert schedules.SCHEDULES["constant"](0.7) == 1


def test_burda_schedule_lasts_three_to_the_i_epochs_at_each_stage() -> None:
    factors = [schedules.SCHEDULES["burda2015"](epoch / 3280) for epoch in range(3280)]
    stages = [(10 ** (-i / 7), 3**i) for i in range(8)]
    assert sorted(Counter(factors).items(), reverse=True) == [(pytest.approx(f), n) for f, n in stages]
    assert factors == sorted(factors, reverse=True)


def test_geometric_schedule_falls_to_a_tenth_in_seven_steps_after_a_quarter() -> None:
    factors = [schedules.SCHEDULES["geometric"](step / 2800) for step in range(2800)]
    wanted = [(1.0, 700)] + [(10 ** (-i / 7), 300) for i in range(1, 8)]
    assert sorted(Counter(factors).items(), reverse=True) == [(pytest.approx(f), n) for f, n in wanted]


def test_epsilon_is_adams() -> None:
    model = model_of()
    for epsilon in (3e-4, Budget().epsilon):
        stepper = steps.stepper_for(model, Budget(lr=0.1, epsilon=epsilon))
        assert stepper.optimisers["adam"].defaults["eps"] == epsilon
    assert Budget().epsilon == 1e-8


def test_normalised_gradients_have_unit_norm_tensor_by_tensor() -> None:
    model, x = model_of(), torch.rand(16, 1, 8, 8).round()
    plain, normalised = copy.deepcopy(model), copy.deepcopy(model)
    for each, normalise in ((plain, False), (normalised, True)):
        torch.manual_seed(0)
        steps.stepper_for(each, Budget(normalise_gradients=normalise))(x, 0.0)
    for (name, p), q in zip(plain.named_parameters(), normalised.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(q.grad, p.grad / (p.grad.norm() + 1e-7), msg=name)


def test_a_gradient_is_clipped_as_a_whole_and_only_if_it_is_longer() -> None:
    model, x = model_of(), torch.rand(16, 1, 8, 8).round()
    gradients = []
    for clip in (None, 0.01, 1e6):
        each = copy.deepcopy(model)
        torch.manual_seed(0)
        steps.stepper_for(each, Budget(grad_clip=clip))(x, 0.0)
        gradients.append(torch.cat([p.grad.flatten() for p in each.parameters() if p.grad is not None]))
    free, clipped, loose = gradients
    torch.testing.assert_close(clipped, free * 0.01 / free.norm(), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(loose, free)


def test_a_step_whose_gradient_is_too_long_or_no_number_is_not_made_and_is_counted() -> None:
    model = model_of()
    stepper = steps.stepper_for(model, Budget(grad_skip=1.0))
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]

    def along(factor: float) -> Tensor:
        """A loss whose gradient has this norm, that in each of two parameters being smaller."""
        return sum((factor * p / (2 * p.numel()) ** 0.5).sum() for p in parameters[:2]).expand(16)  # type: ignore[union-attr]

    for skipped, factor in enumerate((1.01, math.nan, math.inf), start=1):
        stepper.update("adam", along(factor))
        assert stepper.skipped == skipped
        assert all(torch.equal(p, before) for p, before in zip(parameters, start, strict=True))
    assert stepper.optimisers["adam"].state_dict()["state"] == {}
    stepper.update("adam", along(0.99))
    assert stepper.skipped == 3
    assert not torch.equal(parameters[0], start[0])


def test_no_step_is_skipped_where_none_is_too_long_and_each_pass_tells_of_its_own(digits: Data) -> None:
    ends = []
    for skip in (None, 1e6):
        model = model_of()
        curve = fit(model, digits, replace(BUDGET, grad_skip=skip), seed=1, device="cpu")
        ends.append((model.state_dict(), [row.get("skipped_steps") for row in curve]))
    (plain, none), (same, counts) = ends
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    assert (none, counts) == ([None, None], [0, 0])
    model = model_of()
    before = copy.deepcopy(model.state_dict())
    curve = fit(model, digits, replace(BUDGET, grad_skip=1e-9), seed=1, device="cpu")
    assert [row["skipped_steps"] for row in curve] == [4, 4]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_decay_apart_from_the_gradient() -> None:
    model, x = model_of(), torch.rand(16, 1, 8, 8).round()
    ends = []
    for decay in (0.0, 0.5):
        each = copy.deepcopy(model)
        torch.manual_seed(0)
        steps.stepper_for(each, Budget(lr=0.1, schedule="constant", weight_decay=decay))(x, 0.0)
        ends.append(each)
    for before, free, decayed in zip(model.parameters(), *(each.parameters() for each in ends), strict=True):
        torch.testing.assert_close(decayed, free - 0.1 * 0.5 * before, rtol=1e-4, atol=1e-6)


def test_patience_keeps_the_best_epoch_since_the_warm_up(digits: Data) -> None:
    # A step size that ruins the model again: the best epoch is not the last.
    budget = replace(BUDGET, epochs=40, lr=0.3, schedule="constant", patience=2)
    for warmup in (0, 4):
        model = model_of(warmup_epochs=warmup)
        curve = fit(model, digits, budget, seed=0, device="cpu")
        elbos = [row["valid_elbo_nats"] for row in curve]
        best = max(range(warmup, len(elbos)), key=elbos.__getitem__)
        assert len(curve) == best + 1 + 2 < 40
        valid = bounds.scores(model, digits.eval_batches("valid", bounds.EVAL_BATCH), samples=1, seed=seeds.JUDGE)
        assert valid.means()["elbo_nats"] == elbos[best] > elbos[-1]


def test_an_epoch_that_is_only_as_good_is_no_better() -> None:
    """Patience is counted from the first of equals, and of a look without a bound nothing is better."""
    best = _Best(patience=2, warmup=1)
    assert [best.is_better(epoch + 1, elbo) for epoch, elbo in enumerate([-1.0, -5.0, -5.0, None, -4.0, -4.0])] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert (best.epoch, best.elbo) == (5, -4.0)


def test_without_patience_the_last_weights_are_the_result(digits: Data) -> None:
    budget = replace(BUDGET, epochs=6, lr=0.3, schedule="constant")
    model = model_of()
    curve = fit(model, digits, budget, seed=0, device="cpu")
    valid = bounds.scores(model, digits.eval_batches("valid", bounds.EVAL_BATCH), samples=1, seed=seeds.JUDGE)
    assert len(curve) == 6
    assert valid.means()["elbo_nats"] == curve[-1]["valid_elbo_nats"]


def test_every_step_uses_the_rate_of_its_place_in_the_whole_run(monkeypatch: pytest.MonkeyPatch, digits: Any) -> None:
    used: list[tuple[float, float]] = []
    step = steps.Stepper.__call__

    def spy(stepper: steps.Stepper, x: Tensor, epoch: float) -> Tensor:
        loss = step(stepper, x, epoch)
        used.append((epoch, stepper.optimisers["adam"].param_groups[0]["lr"]))
        return loss

    monkeypatch.setattr(steps.Stepper, "__call__", spy)
    fit(model_of(), digits, BUDGET, seed=0, device="cpu")
    epochs = [i / 4 for i in range(8)]
    assert [epoch for epoch, _ in used] == epochs
    assert [rate for _, rate in used] == pytest.approx([0.005 * (1 + math.cos(math.pi * e / 2)) for e in epochs])


def test_every_example_is_seen_once_a_pass_and_the_smaller_last_batch_is_kept() -> None:
    loaded = data.load("digits", binarise="fixed", train_size=200)
    recorder = Recorder(loaded)
    fit(model_of(), recorder, BUDGET, seed=0, device="cpu")  # type: ignore[arg-type]
    assert [[len(x) for x in batches] for batches in recorder.passes] == [[64, 64, 64, 8]] * 2
    expected = rows(torch.cat([x for x, _ in loaded.eval_batches("train", 100)]))
    first, second = (torch.cat(batches) for batches in recorder.passes)
    assert rows(first) == rows(second) == expected
    assert not torch.equal(first, second)


def test_the_loss_reported_is_the_mean_over_examples_not_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[Tensor] = []
    model = model_of()
    forward = model.objective.forward

    def spy(*args: Any) -> Tensor:
        loss: Tensor = forward(*args)
        losses.append(loss.detach())
        return loss

    monkeypatch.setattr(model.objective, "forward", spy)
    curve = fit(model, data.load("digits", train_size=200), BUDGET, seed=0, device="cpu")
    assert [len(loss) for loss in losses] == [64, 64, 64, 8] * 2
    for row, first in zip(curve, (0, 4), strict=True):
        own = losses[first : first + 4]
        assert row["train_loss"] == pytest.approx(torch.cat(own).double().mean().item(), rel=1e-6)
        assert row["train_loss"] != pytest.approx(torch.stack([loss.mean() for loss in own]).mean().item(), rel=1e-6)


def test_the_curve_is_the_judges_and_comes_from_the_validation_split(digits: Any) -> None:
    recorder, model, told = Recorder(digits), model_of("beta", beta=50.0), list[int]()
    budget = Budget(epochs=2, batch_size=64, train_size=200)
    curve = fit(model, recorder, budget, seed=4, device="cpu", on_epoch=lambda rows: told.append(len(rows)))  # type: ignore[arg-type]
    assert recorder.asked == ["valid", "valid"]
    assert told == [row["epoch"] for row in curve] == [1, 2]
    scores = bounds.scores(model, digits.eval_batches("valid", bounds.EVAL_BATCH), samples=1, seed=seeds.JUDGE)
    assert {f"valid_{key}": value for key, value in scores.means().items()}.items() <= curve[-1].items()
    assert curve[-1]["valid_elbo_nats"] == pytest.approx(
        curve[-1]["valid_recon_nats"] - curve[-1]["valid_kl_nats"], rel=1e-6
    )


def test_nothing_reads_the_test_split_before_the_last_weights_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []
    phase = "before training"
    weights: dict[str, Tensor] = {}
    batches, original, judge = Data.eval_batches, prepare.train, judging.evaluate

    def spy(self: Data, split: str, *args: Any, **kwargs: Any) -> Iterator[tuple[Tensor, Tensor]]:
        read.append((phase, split))
        return batches(self, split, *args, **kwargs)

    def training(model: VAE, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        nonlocal phase
        phase = "training"
        curve = original(model, *args, **kwargs)
        weights.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
        phase = "after training"
        return curve

    def evaluate(model: VAE, *args: Any, **kwargs: Any) -> Any:
        nonlocal phase
        # No earlier weights were picked for what they scored on the validation split.
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
        phase = "judging"
        judgement = judge(model, *args, **kwargs)
        phase = "pictures"
        return judgement

    monkeypatch.setattr(Data, "eval_batches", spy)
    monkeypatch.setattr(prepare, "train", training)
    monkeypatch.setattr(judging, "evaluate", evaluate)
    result, _ = run.run_cell("quality", cell(overrides={"latent": 2, "hidden": [8]}, budget={"epochs": 2}), {})
    assert result.status == "ok"
    assert {split for phase, split in read if phase in ("before training", "training", "after training")} == {"valid"}
    assert [split for phase, split in read if phase == "training"] == ["valid", "valid"]
    assert {split for phase, split in read if phase == "judging"} == {"test"}
    assert {split for phase, split in read if phase == "pictures"} == {"test"}


def test_a_model_without_a_bound_has_nulls_on_its_curve(digits: Any) -> None:
    curve = fit(model_of("autoencoder"), digits, Budget(epochs=1, train_size=200), seed=0, device="cpu")
    assert (curve[0]["valid_elbo_nats"], curve[0]["valid_kl_nats"]) == (None, None)
    assert math.isfinite(curve[0]["valid_recon_nats"])


def trained(digits: Any, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    model = model_of(seed=seed)
    return fit(model, digits, BUDGET, seed=seed, device="cpu"), model.state_dict()


def test_one_seed_gives_one_curve_and_one_model(digits: Any) -> None:
    curve, weights = trained(digits)
    torch.rand(7)
    again, same = trained(digits)
    assert again == curve
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert trained(digits, seed=1)[0] != curve


def test_evaluating_in_between_changes_nothing(monkeypatch: pytest.MonkeyPatch, digits: Any) -> None:
    curve, weights = trained(digits)
    scores = bounds.scores

    def nosy(model: VAE, *args: Any, **kwargs: Any) -> bounds.Scores:
        scores(model, digits.eval_batches("test", 99), samples=3, seed=8)
        with torch.random.fork_rng():
            evidence.importance_weights(model, next(digits.eval_batches("test", 9))[0], 2)
        return scores(model, *args, **kwargs)

    monkeypatch.setattr(bounds, "scores", nosy)
    again, same = trained(digits)
    assert again == curve
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_variants_of_one_seed_see_the_same_batches(digits: Any) -> None:
    seen = []
    for variant in ("vanilla", "iwae", "full_covariance", "autoencoder"):
        recorder = Recorder(digits)
        fit(model_of(variant), recorder, BUDGET, seed=5, device="cpu")  # type: ignore[arg-type]
        seen.append(torch.cat([x for batches in recorder.passes for x in batches]))
    assert all(torch.equal(x, seen[0]) for x in seen)


class NanWhen(nn.Module):
    """The encoder it is given, whose features turn into NaN in training or in evaluation mode."""

    def __init__(self, inner: nn.Module, training: bool) -> None:
        super().__init__()
        self.inner, self.when = inner, training

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.inner(x)
        return h * math.nan if self.training == self.when else h


@pytest.mark.parametrize(
    ("training", "message"),
    [(True, r"training loss is nan in epoch 1"), (False, r"valid_elbo_nats is nan after epoch 1")],
)
def test_a_number_that_is_not_finite_ends_training(digits: Any, training: bool, message: str) -> None:
    model = model_of()
    model.encoder = NanWhen(model.encoder, training)
    with pytest.raises(Diverged, match=message):
        fit(model, digits, BUDGET, seed=0, device="cpu")


def test_endless_batches_go_on_after_the_last_pass() -> None:
    source = steps.endless(lambda: iter([torch.tensor(1), torch.tensor(2)]))
    assert [next(source).item() for _ in range(5)] == [1, 2, 1, 2, 1]


# Other arithmetic.


def gradients(model: VAE, x: Tensor, precision: str) -> dict[str, Tensor]:
    model.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        steps.loss_function(model, precision=precision)(x, 0.0).mean().backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_bf16_is_in_the_networks_alone_and_only_while_training() -> None:
    model = model_of()
    x = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    seen: dict[str, torch.dtype] = {}

    def spy(name: str) -> Any:
        return lambda _module, _inputs, output: seen.setdefault(name, output.dtype) and None

    model.encoder.body[2].register_forward_hook(spy("inside"))
    model.posterior.loc.register_forward_hook(spy("posterior"))
    exact = gradients(model, x, "fp32")
    assert seen == {"inside": torch.float32, "posterior": torch.float32}
    seen.clear()
    model.decoder.body[2].register_forward_hook(spy("inside the decoder"))
    close, again = gradients(model, x, "bf16"), gradients(model, x, "bf16")
    assert seen == dict.fromkeys(("inside", "inside the decoder"), torch.bfloat16) | {"posterior": torch.float32}
    assert "forward" not in vars(model.encoder)
    assert model.encoder(x).dtype == model.decoder(torch.zeros(3, 2)).dtype == torch.float32
    for name, gradient in exact.items():
        assert gradient.dtype == close[name].dtype == torch.float32
        assert torch.equal(close[name], again[name])
        error = (close[name] - gradient).norm() / gradient.norm()
        # bfloat16 has eight bits: a relative error of 1 / 256 a rounding.
        assert 1e-5 < error < 0.1, name


def test_a_device_without_bf16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *_: Any) -> None: ...

    monkeypatch.setattr(torch, "autocast", Nothing)
    with pytest.raises(MachineError, match="device 'cpu' has no bf16: use --precision fp32"):
        device.require_bf16("cpu")


def test_training_in_bf16_repeats_itself_and_is_judged_in_fp32(digits: Any) -> None:
    curves = [
        fit(model_of(), digits, BUDGET, seed=0, device="cpu", precision=precision)
        for precision in ("fp32", "bf16", "bf16")
    ]
    assert curves[1] == curves[2] != curves[0]
    assert curves[1][-1]["valid_elbo_nats"] == pytest.approx(curves[0][-1]["valid_elbo_nats"], rel=0.05)


def test_an_objective_that_compiling_would_change_is_refused() -> None:
    with pytest.raises(ValueError, match="objective iwae_dreg cannot be compiled: train it without --compile"):
        steps.loss_function(model_of("iwae_dreg"), precision="fp32+compile")


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_what_is_compiled_computes_the_same() -> None:
    # The deterministic encoder draws nothing, so the gradients must agree; the smaller batch goes another way.
    model = model_of("autoencoder")
    x = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    loss = steps.loss_function(model, precision="fp32+compile")
    for batch in (x, x[:7]):
        exact = gradients(model, batch, "fp32")
        model.zero_grad()
        loss(batch, 0.5).mean().backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, exact[name], rtol=1e-4, atol=1e-6)


def test_a_new_epoch_at_every_step_is_not_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled.append(1)
        return graph.forward

    torch._dynamo.reset()
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=backend))
    loss = steps.loss_function(model_of(warmup_epochs=1), precision="fp32+compile")
    for step in range(15):
        loss(torch.ones(5, 1, 8, 8), step / 10)
    assert len(compiled) == 2  # for the first epoch that was seen, then for any


def test_bf16_networks_are_compiled_in_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=backend, fullgraph=True))
    model = model_of("autoencoder")  # which draws nothing
    x = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    loss = steps.loss_function(model, precision="bf16+compile")
    first, second, third = (loss(x, 0.0) for _ in range(3))
    assert len(graphs) == 1
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert not torch.equal(first, model.loss(x))


@pytest.mark.parametrize("schedule", sorted(schedules.SCHEDULES))
def test_a_step_is_as_long_as_the_schedule_of_its_budget_says(schedule: Any) -> None:
    stepper = steps.stepper_for(model_of(), Budget(epochs=10, lr=0.1, schedule=schedule))
    stepper.follow_schedule(3.0)
    assert stepper.optimisers["adam"].param_groups[0]["lr"] == pytest.approx(0.1 * schedules.SCHEDULES[schedule](0.3))


def test_gradients_are_normalised_and_then_clipped_as_a_whole() -> None:
    model, x = model_of(), torch.rand(16, 1, 8, 8).round()
    norms = []
    for clip in (None, 0.5):
        each = copy.deepcopy(model)
        torch.manual_seed(0)
        steps.stepper_for(each, Budget(normalise_gradients=True, grad_clip=clip))(x, 0.0)
        norms.append([p.grad.norm().item() for p in each.parameters() if p.grad is not None])
    assert norms[0] == pytest.approx([1.0] * len(norms[0]), rel=1e-3)
    assert norms[1] == pytest.approx([0.5 / math.sqrt(len(norms[0]))] * len(norms[0]), rel=1e-3)


@pytest.mark.parametrize("role", ["posterior", "prior", "likelihood", "objective"])
def test_any_part_that_compiling_would_change_is_refused(role: str) -> None:
    model = model_of()
    getattr(model, role).eager = True
    with pytest.raises(ValueError, match=f"the {role} .* cannot be compiled"):
        steps.loss_function(model, precision="fp32+compile")


@pytest.mark.parametrize("broken", ["valid_elbo_nats", "valid_recon_nats", "valid_kl_nats"])
def test_any_figure_of_a_look_that_is_not_finite_ends_training(digits: Any, broken: str) -> None:
    look = {"valid_elbo_nats": None, "valid_recon_nats": -1.0, "valid_kl_nats": None} | {broken: math.inf}
    with pytest.raises(Diverged, match=f"^{broken} is inf after epoch 1; "):
        train(model_of(), digits, BUDGET, look=lambda _: look, seed=0, device="cpu")
