"""Where a training broke: the pass that went wrong is made again from its start, with a look at every quantity."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from bench.data.batches import Data
from bench.text import said
from bench.train.state import Training
from variants.core.terms import Terms

State = tuple[dict[str, Tensor], dict[str, Any]]


class Diverged(Exception):
    """Training or evaluation produced a number that is not finite."""


def start_of_pass(now: Training) -> State:
    """A copy of all that decides how a training goes on, for `explain`."""
    tensors, facts = now.state()
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}, {"curve": list(facts["curve"])}


@contextlib.contextmanager
def noticed(now: Training, data: Data, start: State) -> Iterator[None]:
    """What is raised while a loss or a weight is not finite, as by a draw with NaN for a chance, is `Diverged`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if all(bool(tensor.isfinite().all()) for tensor in (*now.losses, *now.model.parameters())):
            raise
        raise Diverged(f"{said(error)} in epoch {now.epoch + 1}{explain(now, data, start)}") from error


def explain(now: Training, data: Data, start: State) -> str:
    """Which quantity was not finite first, in which step, how large it was the step before, and what to try.

    The losses of the pass are asked first. The tensors behind them are known only by making the pass once more.

    Args:
        now: a training that diverged in its latest pass; it is of no use afterwards.
        data: what it trains on.
        start: of `start_of_pass`, before that pass.

    Returns:
        The end of a sentence: `"; log q(z|x) is nan in step 7 of 94 (at most 1.2e+05 the step before); try ..."`.
    """
    losses = [value.item() for value in now.losses]
    broken = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    where = None
    # A variant's parts may raise anything when they are asked once more; the reason stands without them.
    with contextlib.suppress(Exception):
        where = _replay(now, data, start)
    if where is None and broken is not None:
        # Only the last batch of a pass may be smaller.
        before = abs(losses[broken - 1]) / now.budget.batch_size if broken else None
        where = "the loss", losses[broken], broken + 1, before
    first = now.epoch == 0 and where is not None and where[2] == 1 and not where[0].startswith("the parameter")
    advice = (
        "no update came before it, so look at the data and the variant's parts"
        if first
        else f"try a smaller step size, for example --set lr={float(f'{now.budget.lr / 3:.1g}'):g}"
    )
    if where is None:
        return f"; {advice}"
    name, value, step, before = where
    size = "" if before is None else f" (at most {before:.3g} in size the step before)"
    return f": {name} is {value} in step {step} of {now.steps}{size}; {advice}"


def _replay(now: Training, data: Data, start: State) -> tuple[str, float, int, float | None] | None:
    """The first quantity that is not finite, its value, its step (from 1), and how large it was before."""
    now.restore(*start)
    now.model.train()
    before: dict[str, float] = {}
    seen: list[tuple[str, float]] = []  # of terms before the update, which would change what is not yet computed
    hook = now.model.objective.register_forward_hook(
        lambda _module, inputs, _output: seen.extend(_of_terms(inputs[0], now.model.has_bound))
    )
    try:
        for x in now.finish_pass(data):
            for name, value in _quantities(now, seen, len(x)):
                if not math.isfinite(value):
                    return name, value, len(now.losses), before.get(name)
                before[name] = value
            seen.clear()
    finally:
        hook.remove()
    return None


def _of_terms(terms: Terms, has_bound: bool) -> Iterator[tuple[str, float]]:
    if has_bound:
        yield "log q(z|x)", _largest(terms.log_qz_x)
        yield "log p(z)", _largest(terms.log_pz)
        yield "the KL", _largest(terms.kl)
    yield "log p(x|z)", _largest(terms.log_px_z)


def _quantities(now: Training, seen: list[tuple[str, float]], size: int) -> Iterator[tuple[str, float]]:
    """The quantities of a step in the order in which they were computed, each by its largest absolute value."""
    yield from seen  # nothing where the loss is compiled
    yield "the loss", _largest(now.losses[-1] / size)
    for name, parameter in reversed(list(now.model.named_parameters())):  # as backward comes by them
        if parameter.grad is not None:
            yield f"the gradient of {name}", _largest(parameter.grad)
    for name, parameter in now.model.named_parameters():
        yield f"the parameter {name}", _largest(parameter)


def _largest(tensor: Tensor) -> float:
    return float(tensor.detach().abs().max()) if tensor.numel() else 0.0
