"""One step of training: the optimiser, the loss in the arithmetic asked for, the update."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from variants.core import VAE
from variants.parts import part_name


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


def endless(batches: Callable[[], Iterator[Tensor]]) -> Iterator[Tensor]:
    """Training batches without end, pass after pass."""
    while True:
        yield from batches()
