"""The only optimiser loop. What it minimises is a variant's own objective, and nothing that it computes is reported as
a result: the learning curve below is scored by the judge in `measure`."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bench import measure, seeds
from bench.data.batches import Data
from bench.suite import Budget
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

    def is_over(self, model: VAE, epoch: int, elbo: float | None) -> bool:
        """Told the validation ELBO after each epoch; says whether training ends."""
        if epoch <= self.warmup or elbo is None:
            return False
        if elbo > self.elbo:
            self.elbo, self.epoch = elbo, epoch
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return epoch - self.epoch >= self.patience


def train(
    model: VAE,
    data: Data,
    budget: Budget,
    *,
    seed: int,
    device: str,
    precision: str = "fp32",
    on_epoch: Callable[[int], None] = lambda _: None,
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

    Returns:
        The learning curve, one row per epoch: `epoch`, `train_loss` (mean objective, nats per example) and the judge's
        `valid_elbo_nats`, `valid_recon_nats`, `valid_kl_nats` (one posterior sample per validation example).

    Raises:
        Diverged: the loss or a validation figure is no longer finite.
    """
    order = seeds.generator(seed, "order")
    binarise = seeds.generator(seed, "binarise", device)
    optim = optimiser(model, budget.lr, budget.epsilon)
    schedule = SCHEDULES[budget.schedule]
    best = _Best(budget.patience, model.objective.warmup_epochs) if budget.patience else None
    function = loss_function(model, precision=precision, device=device)
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
                    group["lr"] = budget.lr * schedule(done / budget.epochs)
                losses.append(step(function, optim, x, done, normalise=budget.normalise_gradients))
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
            if best and best.is_over(model, epoch + 1, row["valid_elbo_nats"]):
                break
    if best and best.weights:
        model.load_state_dict(best.weights)
    return curve


def endless(batches: Callable[[], Iterator[Tensor]]) -> Iterator[Tensor]:
    """Training batches without end, pass after pass."""
    while True:
        yield from batches()
