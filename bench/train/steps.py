"""One step of training: the optimisers, the loss in the arithmetic asked for, the update."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn

from bench.settings import Budget
from bench.train.schedules import SCHEDULES
from variants.core import VAE, Batch
from variants.parts import part_name


class Stepper:
    """Trains one model, a step a call. By default one Adam updates all parameters by the model's loss.

    A subclass extends `make_optimisers` and `__call__`, and `state` with `restore` where it keeps more than its
    optimisers do. A part of a model names its subclass, see `stepper_for`.

    Args:
        model: on `device`; its parts are trained in place.
        budget: step size, schedule, epochs, Adam's epsilon, weight decay, and what is done to gradients.
        precision: see `loss_function`.
        device: device type.

    Attributes:
        loss: (a batch, x `[B, *shape]` or a `Batch`, passes over the data so far) -> `[B]`, see `loss_function`.
        optimisers: Adams by name. Each parameter belongs to one of them.
        skipped: updates that were not made, for `Budget.grad_skip`.

    Raises:
        ValueError: an objective that cannot be compiled is to be.
    """

    def __init__(self, model: VAE, budget: Budget, *, precision: str = "fp32", device: str = "cpu") -> None:
        self.model, self.budget = model, budget
        self.loss = loss_function(model, precision=precision, device=device)
        self.optimisers = self.make_optimisers()
        self.skipped = 0
        for group in self._groups():
            group["initial_lr"] = group["lr"]

    def make_optimisers(self) -> dict[str, torch.optim.Adam]:
        """The optimisers by name; called once. The objective says for which roles Adam's options are others."""
        groups: dict[str, dict[str, Any]] = {}
        for role, part in self.model.named_children():
            options = dict(getattr(self.model.objective, "adam", {}).get(role, {}))
            if "pace" in options:
                options["lr"] = self.budget.lr * options.pop("pace")
            group = groups.setdefault(repr(options), {"params": [], **options})
            group["params"] += part.parameters()
        return {"adam": self.adam([group for group in groups.values() if group["params"]])}

    def adam(self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], **options: Any) -> torch.optim.Adam:
        """Adam (Kingma and Ba 2015, arXiv:1412.6980) with the budget's step size and epsilon, and one fused update.

        Args:
            parameters: those that it updates, or groups of them with options of their own.
            options: `torch.optim.Adam`'s, in place of the budget's.
        """
        known: dict[str, Any] = {"lr": self.budget.lr, "eps": self.budget.epsilon, "fused": True}
        if self.budget.weight_decay:
            # Loshchilov and Hutter 2019, arXiv:1711.05101.
            known |= {"weight_decay": self.budget.weight_decay, "decoupled_weight_decay": True}
        return torch.optim.Adam(parameters, **known | options)

    def __call__(self, x: Tensor | Batch, epoch: float) -> Tensor:
        """One step on a batch.

        Args:
            x: `[B, *shape]`, on the model's device; of a model that uses labels a `Batch`.
            epoch: passes over the data so far.

        Returns:
            The summed loss, detached, on the device.
        """
        self.follow_schedule(epoch)
        return self.update("adam", self.loss(x, epoch))

    def follow_schedule(self, epoch: float) -> None:
        """Set the step size of each optimiser to its place in the budget's schedule."""
        factor = SCHEDULES[self.budget.schedule](epoch / self.budget.epochs)
        for group in self._groups():
            group["lr"] = group["initial_lr"] * factor

    def update(self, name: str, values: Tensor) -> Tensor:
        """One update by one of the optimisers.

        Args:
            name: of the optimiser.
            values: the loss that it lowers, `[B]`.

        Returns:
            The summed loss, detached, on the device.
        """
        optim = self.optimisers[name]
        optim.zero_grad(set_to_none=True)
        values.mean().backward()  # type: ignore[no-untyped-call]
        if self.budget.grad_skip is not None and not _norm(optim) <= self.budget.grad_skip:
            self.skipped += 1
            return values.detach().sum()
        if self.budget.normalise_gradients:
            gradients = _gradients(optim)
            norms = torch._foreach_norm(gradients)
            torch._foreach_add_(norms, 1e-7)
            torch._foreach_div_(gradients, norms)
        if self.budget.grad_clip is not None:
            parameters = [p for group in optim.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.budget.grad_clip)
        optim.step()
        return values.detach().sum()

    def state(self) -> dict[str, Tensor]:
        """All that decides the next steps beside the model's own state, by names that may hold dots."""
        moments = {
            f"{name}.{i}.{key}": tensor
            for name, optim in self.optimisers.items()
            for i, values in optim.state_dict()["state"].items()
            for key, tensor in values.items()
        }
        return moments | ({} if self.budget.grad_skip is None else {"skipped": torch.tensor(self.skipped)})

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave. ValueError, and nothing changed, if it is that of another training."""
        left = dict(kept)
        skipped = None if self.budget.grad_skip is None else left.pop("skipped", torch.zeros(1))
        if skipped is not None and (skipped.shape, skipped.dtype) != (torch.Size(), torch.int64):
            raise ValueError(ANOTHER)
        moments = {name: _moments(name, optim, left) for name, optim in self.optimisers.items()}
        if left:
            raise ValueError(ANOTHER)
        self.skipped = 0 if skipped is None else int(skipped)
        for name, optim in self.optimisers.items():
            optim.load_state_dict(optim.state_dict() | {"state": moments[name]})

    def _groups(self) -> Iterator[dict[str, Any]]:
        return (group for optim in self.optimisers.values() for group in optim.param_groups)


ANOTHER = "is of another training"


def _gradients(optim: torch.optim.Adam) -> list[Tensor]:
    return [p.grad for group in optim.param_groups for p in group["params"] if p.grad is not None]


def _norm(optim: torch.optim.Adam) -> float:
    """Of the gradient of all its parameters together."""
    return torch.nn.utils.get_total_norm(_gradients(optim)).item()


def form(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each tensor."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _moments(name: str, optim: torch.optim.Adam, left: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Adam's state by the parameters' numbers, taken out of `left`. Parameters that never had a gradient have none."""
    moments: dict[int, dict[str, Tensor]] = {}
    for i, parameter in enumerate(p for group in optim.param_groups for p in group["params"]):
        wanted = {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
        kept = {key: left.pop(f"{name}.{i}.{key}") for key in wanted if f"{name}.{i}.{key}" in left}
        if kept and form(kept) != form(wanted):
            raise ValueError(ANOTHER)
        # Moments take their parameter's layout in memory: the fused update goes through all of them in one order.
        moments |= {i: {key: torch.empty_like(wanted[key]).copy_(kept[key]) for key in wanted}} if kept else {}
    return moments


def stepper_for(model: VAE, budget: Budget, *, precision: str = "fp32", device: str = "cpu") -> Stepper:
    """The `Stepper` of a model, or the subclass that one of its parts names in its attribute `stepper`.

    The name is `"module:Class"`, because parts import nothing of `bench`.

    Raises:
        ValueError: parts name several, or an objective that cannot be compiled is to be.
    """
    names = sorted({part.stepper for part in model.children() if getattr(part, "stepper", None)})  # type: ignore[type-var]
    if len(names) > 1:
        raise ValueError(f"a model has one stepper, and its parts name {' and '.join(map(str, names))}")
    kind: type[Stepper] = resolve_name(str(names[0])) if names else Stepper
    return kind(model, budget, precision=precision, device=device)


Loss = Callable[[Tensor | Batch, float], Tensor]


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
        (x `[B, *shape]` or a `Batch`, passes over the data so far) -> loss `[B]`.

    Raises:
        ValueError: an objective that cannot be compiled is to be.
    """
    number, _, compiled = precision.partition("+")
    for role in ("posterior", "prior", "likelihood", "objective"):
        part = getattr(model, role)
        if compiled and getattr(part, "eager", False):
            raise ValueError(f"the {role} {part_name(part)} cannot be compiled: train it without --compile")
    lowered = _bf16_networks(model, device) if number == "bf16" else nullcontext
    function: Loss = torch.compile(model.loss) if compiled else model.loss
    size: int | None = None

    def loss(x: Tensor | Batch, epoch: float) -> Tensor:
        nonlocal size
        with lowered():
            # The smaller batch at the end of a pass is not worth a compilation of its own. Nor is the very first batch
            # compiled: what torch looks up once, such as the formula of a KL, is then known and need not be traced.
            known, size = size, size or len(x)
            return function(x, epoch) if len(x) == known else model.loss(x, epoch)

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


def endless(batches: Callable[[], Iterator[Tensor | Batch]]) -> Iterator[Tensor | Batch]:
    """Training batches without end, pass after pass."""
    while True:
        yield from batches()
