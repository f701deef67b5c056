"""The only optimiser loop. What it minimises is a variant's own objective, and nothing that it computes is reported as
a result: the learning curve below is scored by the judge in `measure`."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bench import measure, seeds
from bench.data.batches import Data
from bench.resume.checkpoint import Checkpoint
from bench.resume.sealed import is_curve
from bench.settings import Budget
from variants.core import VAE
from variants.parts import part_name


class Diverged(Exception):
    """Training or evaluation produced a number that is not finite."""


def optimiser(model: VAE, lr: float, epsilon: float = 1e-8) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), otherwise with torch's defaults, one fused update of everything."""
    return torch.optim.Adam(model.parameters(), lr=lr, eps=epsilon, fused=True)


Loss = Callable[[Tensor, float], Tensor]


def loss_function(model: VAE, *, precision: str = "fp32", device: str = "cpu") -> Loss:
    """`model.loss` for training, in the arithmetic asked for. The judge never calls it: it measures in plain fp32.

    Args:
        model: on `device`.
        precision: `"fp32"`, or `"bf16"`: both networks compute in bfloat16, while weights, posterior, likelihood,
            objective and optimiser stay in fp32, for bfloat16 cannot hold a sum of hundreds of log-probabilities. With
            `"+compile"` behind it, by `torch.compile`, which takes seconds to minutes at the first call and draws other
            random numbers.
        device: device type.

    Returns:
        (x `[B, *shape]`, passes over the data so far) -> loss `[B]`.

    Raises:
        ValueError: an objective that cannot be compiled is to be.
    """
    number, _, compiled = precision.partition("+")
    if compiled and getattr(model.objective, "eager", False):
        raise ValueError(f"the objective {part_name(model.objective)} cannot be compiled: train it without --compile")
    lowered = _bf16_networks(model, device) if number == "bf16" else nullcontext
    function: Loss = torch.compile(model.loss) if compiled else model.loss
    shape: torch.Size | None = None

    def loss(x: Tensor, epoch: float) -> Tensor:
        nonlocal shape
        with lowered():
            # The smaller batch at the end of a pass is not worth a compilation of its own. Nor is the very first batch
            # compiled: what torch looks up once, such as the formula of a KL, is then known and need not be traced.
            known, shape = shape, shape or x.shape
            return function(x, epoch) if x.shape == known else model.loss(x, epoch)

    return loss


def _bf16_networks(model: VAE, device: str) -> Callable[[], AbstractContextManager[None]]:
    networks = (model.encoder, model.decoder)

    def lower(network: nn.Module) -> Callable[[Tensor], Tensor]:
        forward = network.forward

        def lowered(x: Tensor) -> Tensor:
            with torch.autocast(device, dtype=torch.bfloat16):
                h: Tensor = forward(x)
            return h.float()

        return lowered

    forwards = [lower(network) for network in networks]

    @contextmanager
    def context() -> Iterator[None]:
        for network, forward in zip(networks, forwards, strict=True):
            network.forward = forward
        try:
            yield
        finally:
            for network in networks:
                del network.forward

    return context


def step(loss: Loss, optim: torch.optim.Optimizer, x: Tensor, epoch: float, *, normalise: bool = False) -> Tensor:
    """One update on a batch `[B, *shape]`; returns the summed loss, detached, on the device.

    Args:
        loss: see `loss_function`.
        optim: of the parameters that the loss depends on.
        x: the batch.
        epoch: passes over the data so far.
        normalise: divide the gradient of each parameter tensor by its L2 norm plus 1e-7.
    """
    values = loss(x, epoch)
    optim.zero_grad(set_to_none=True)
    values.mean().backward()  # type: ignore[no-untyped-call]
    if normalise:
        gradients = [p.grad for group in optim.param_groups for p in group["params"] if p.grad is not None]
        norms = torch._foreach_norm(gradients)
        torch._foreach_add_(norms, 1e-7)
        torch._foreach_div_(gradients, norms)
    optim.step()
    return values.detach().sum()


def _burda2015(progress: float) -> float:
    # Stage i of eight lasts 3^i of 3,280 parts.
    stage = next(i for i in range(8) if i == 7 or progress < (3 ** (i + 1) - 1) / 2 / 3280)
    return float(10 ** (-stage / 7))


def _geometric(progress: float) -> float:
    return float(10 ** (-math.ceil((progress - 0.25) / 0.75 * 7 + 1e-9) / 7)) if progress >= 0.25 else 1.0


# Schedules of the step size: the share of training that is done, in [0, 1) -> factor.
SCHEDULES: dict[str, Callable[[float], float]] = {
    # Falls to zero over the whole run: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "constant": lambda _: 1.0,
    # Eight stages, each three times as long as the one before and 10^(1/7) times lower: Burda, Grosse and Salakhutdinov
    # 2016, arXiv:1509.00519, section 5; there 3,280 epochs.
    "burda2015": _burda2015,
    # For short runs: full size for a quarter, then seven equal stages down to a tenth.
    "geometric": _geometric,
}


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


class _Training:
    """A training as far as it is: everything that decides how it goes on, and nothing else."""

    def __init__(self, model: VAE, budget: Budget, *, steps: int, seed: int, device: str) -> None:
        self.model, self.budget, self.steps, self.device = model, budget, steps, torch.device(device)
        self.optim = optimiser(model, budget.lr, budget.epsilon)
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

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """For a checkpoint, at the end of any step."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for i, values in self.optim.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": tensor for name, tensor in values.items()}
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
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}, "random": {}}
        losses = tensors.get("losses", torch.zeros(()))
        for name, tensor in tensors.items():
            group, dot, rest = name.partition(".")
            if dot and group in groups:
                groups[group][rest] = tensor
            elif name != "losses":
                raise ValueError("is of another training")
        moments = self._moments(groups["adam"])
        if (
            _form(groups["model"]) != _form(self.model.state_dict())
            or _form(groups["random"]) != _form(self._random_states())
            or losses.ndim != 1
            or not losses.is_floating_point()
            or not len(losses) <= self.steps
            or not is_curve(facts.get("curve"))
            or not len(facts["curve"]) < self.budget.epochs
        ):
            raise ValueError("is of another training")
        best = self._new_best()
        counted = [best.is_better(row["epoch"], row.get("valid_elbo_nats")) for row in facts["curve"]] if best else []
        if _form(groups["best"]) != (_form(groups["model"]) if any(counted) else {}):
            raise ValueError("is of another training")
        try:
            for name, state in groups["random"].items():
                torch.Generator("cpu" if name in ("order", "noise") else self.device).set_state(state)
        except RuntimeError as error:
            raise ValueError("holds no state of a random generator") from error
        self.model.load_state_dict(groups["model"])
        self.optim.load_state_dict(self.optim.state_dict() | {"state": moments})
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

    def _moments(self, kept: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """Adam's state by the parameters' numbers; ones that never had a gradient have none."""
        moments: dict[int, dict[str, Tensor]] = {}
        for i, parameter in enumerate(self.model.parameters()):
            own = {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            found = {name: kept.pop(f"{i}.{name}") for name in own if f"{i}.{name}" in kept}
            if found and _form(found) != _form(own):
                raise ValueError("is of another training")
            # In the parameter's own layout in memory: the fused update goes through all of them in one order.
            moments |= {i: {name: torch.empty_like(own[name]).copy_(found[name]) for name in own}} if found else {}
        if kept:
            raise ValueError("is of another training")
        return moments


def _form(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def train(
    model: VAE,
    data: Data,
    budget: Budget,
    *,
    seed: int,
    device: str,
    precision: str = "fp32",
    on_epoch: Callable[[int], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place.

    Args:
        model: on `device`, with its initial weights.
        data: on `device`.
        budget: epochs, batch size, step size.
        seed: the run's seed; data order, binarisation and sampling noise come from streams derived from it.
        device: device type.
        precision: see `loss_function`.
        on_epoch: told the number of finished epochs after each.
        checkpoint: where this training, if it was stopped before, goes on, and is kept while it lasts.

    Returns:
        The learning curve, one row per epoch: `epoch`, `train_loss` (mean objective, nats per example) and the judge's
        `valid_elbo_nats`, `valid_recon_nats`, `valid_kl_nats` (one posterior sample per validation example).

    Raises:
        Diverged: the loss or a validation figure is no longer finite.
    """
    checkpoint = checkpoint or Checkpoint()
    schedule = SCHEDULES[budget.schedule]
    size = data.splits["train"]
    steps = math.ceil(size / budget.batch_size)
    now = _Training(model, budget, steps=steps, seed=seed, device=device)
    function = loss_function(model, precision=precision, device=device)
    with seeds.stream(seed, "noise", device):
        if checkpoint.resume(now):
            on_epoch(now.epoch)
            if precision.endswith("+compile"):
                _rehearse(now, function, data, seed)
        while now.epoch < budget.epochs:
            model.train()
            batches = data.train_batches(budget.batch_size, order=now.order, noise=now.binarise, first=len(now.losses))
            for x in batches:
                done = now.epoch + len(now.losses) / steps
                for group in now.optim.param_groups:
                    group["lr"] = budget.lr * schedule(done / budget.epochs)
                now.losses.append(step(function, now.optim, x, done, normalise=budget.normalise_gradients))
                checkpoint.tick(now)
            # One look per pass, so that no step waits for the device; in double precision, which not every device has.
            loss = sum(torch.stack(now.losses).tolist()) / size
            if not math.isfinite(loss):
                raise Diverged(f"training loss is {loss} in epoch {now.epoch + 1}")
            valid = measure.scores(model, data.eval_batches("valid", measure.EVAL_BATCH), samples=1, seed=seeds.JUDGE)
            row = {f"valid_{name}": value for name, value in valid.means().items()}
            for name, value in row.items():
                if value is not None and not math.isfinite(value):
                    raise Diverged(f"{name} is {value} after epoch {now.epoch + 1}")
            now.curve.append({"epoch": now.epoch + 1, "train_loss": loss} | row)
            now.begin_pass()
            on_epoch(now.epoch)
            if now.best and now.best.is_over(model, now.epoch, row["valid_elbo_nats"]):
                break
    if now.best and now.best.weights:
        model.load_state_dict(now.best.weights)
    return now.curve


def _rehearse(now: _Training, function: Loss, data: Data, seed: int) -> None:
    """What is compiled depends on the first calls, so that a training that goes on makes those again, for nothing."""
    state = copy.deepcopy(now.state())
    now.model.train()
    noise = seeds.generator(seed, "binarise", now.device.type)
    x = next(iter(data.train_batches(now.budget.batch_size, order=seeds.generator(seed, "order"), noise=noise)))
    for i in range(3):
        function(x, i / now.steps)
    now.restore(*state)


def endless(batches: Callable[[], Iterator[Tensor]]) -> Iterator[Tensor]:
    """Training batches without end, pass after pass."""
    while True:
        yield from batches()
