"""Learning: which parameters the loss and the samples reach."""

from collections.abc import Callable

import torch
from torch import Tensor

from variants.core.support import is_discrete, is_real
from variants.core.terms import Terms
from variants.testing.case import LATE, Case, hold, seeded


def gradients(case: Case) -> None:
    """The loss gives every parameter a finite gradient that is not zero on every batch."""
    model = case.model().train()
    with seeded(17):
        for seed in range(3):
            model.loss(case.batch(seed), LATE).mean().backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.numel() == 0:
            continue
        hold(parameter.grad is not None, f"the loss does not reach the parameter {name}")
        assert parameter.grad is not None
        hold(bool(parameter.grad.isfinite().all()), f"the gradient of the parameter {name} is not finite")
        hold(bool(parameter.grad.any()), f"the gradient of the parameter {name} is zero on every batch")


def players(case: Case) -> None:
    """In a game each side moves its own parameters: without its weight only the loss that is left moves the model."""
    model = case.model(dtype=torch.float64).train()
    objective, x = model.objective, case.batch(dtype=torch.float64)
    if not hasattr(objective, "players"):
        return
    critic = {id(p) for p in objective.parameters()}

    def gradients(objective_of: Callable[[Terms], Tensor], mine: bool) -> list[Tensor | None]:
        """Of a loss of the same draws, in the critic's parameters or in all others."""
        with seeded(37):
            loss = objective_of(model.terms(x, objective.samples)).mean()
        wanted = [p for p in model.parameters() if p.requires_grad and (id(p) in critic) == mine]
        return (
            list(torch.autograd.grad(loss, wanted, allow_unused=True)) if loss.requires_grad else [None] * len(wanted)
        )

    for side, mine in ((0, True), (1, False)):
        name, other = (("model", "critic"), ("critic", "model"))[side]
        reached = [g for g in gradients(lambda terms, s=side: objective.players(terms)[s], mine) if g is not None]  # type: ignore[misc]
        hold(
            not reached, f"what the {name} is to lower has a gradient in the {other}'s parameters: freeze or detach it"
        )
    alone = gradients(lambda terms: objective.alone(terms, LATE), False)
    weight, objective.weight = objective.weight, 0.0
    try:
        without = gradients(lambda terms: objective(terms, LATE), False)
    finally:
        objective.weight = weight
    for a, b in zip(alone, without, strict=True):
        same = b is None or not b.any() if a is None else b is not None and torch.equal(a, b)
        hold(same, "with a game of weight 0 the model's gradients are not those of the loss without the game")
    both, theirs = (
        gradients(lambda terms: objective(terms, LATE), True),
        gradients(lambda terms: objective.players(terms)[1], True),
    )
    for a, b in zip(both, theirs, strict=True):
        hold(a is not None and b is not None and torch.equal(a, b), "the critic is not moved by its own loss alone")


def reparameterised_samples(case: Case) -> None:
    """z of training carries gradients to the posterior, and p(x|z) to the encoder; without a path log q(z|x) does."""
    model = case.model().train()
    with seeded(19):
        terms = model.terms(case.batch(), 2)
        path = getattr(model.posterior, "has_path", True)
        hold(path or not terms.z.requires_grad, "z carries gradients, and posterior.has_path is false")
        hold(
            not (path and is_discrete(terms.q) and model.covers),
            "q(z|x) lives on a countable set, where a draw's gradient is biased: set posterior.has_path to false, or "
            "relax q in training",
        )
        # The sum takes every latent: a decoder need not see all of them.
        z = (terms.z * torch.randn_like(terms.z)).sum()
    log_px_z = terms.log_px_z.sum()

    def missed(value: Tensor, module: torch.nn.Module) -> tuple[list[str], bool]:
        """The parameters to which a value gives no gradient, and whether that is all of them."""
        named = {name: p for name, p in module.named_parameters() if p.requires_grad and p.numel()}
        gradients: list[Tensor | None] = [None] * len(named)
        if named and value.requires_grad:
            gradients = list(torch.autograd.grad(value, list(named.values()), retain_graph=True, allow_unused=True))
        names = [name for name, g in zip(named, gradients, strict=True) if g is None or not g.any()]
        return names, bool(named) and len(names) == len(named)

    if not path:
        names, _ = missed(terms.log_qz_x.sum(), model.posterior)
        hold(not names, f"log q(z|x) gives no gradient to posterior.{', posterior.'.join(names)}: is it detached?")
        return
    names, none_hit = missed(z, model.posterior)
    # Without a density the posterior may hold parameters that z does not move, such as a code book's.
    if model.has_bound or none_hit:
        hold(not names, f"z gives no gradient to posterior.{', posterior.'.join(names)}: is it detached?")
    for name in ("posterior", "encoder"):
        hold(
            not missed(log_px_z, getattr(model, name))[1], f"log p(x|z) gives no gradient to the {name}: is z detached?"
        )


def path_derivative(case: Case) -> None:
    """Sticking the landing and IWAE-DReG hold for any posterior whose log-density is a smooth function of the point."""
    model, x = case.model(dtype=torch.float64).train(), case.batch(dtype=torch.float64)
    if not model.has_bound:
        return
    with seeded(29):
        terms = model.terms(x, 3)
        if not is_real(terms.q):
            return
        step = 1e-5 * torch.randn_like(terms.z)
    off = (terms.log_qz_x_stopped - terms.log_qz_x).abs().max().item()
    hold(off < 1e-6, f"log q(z|x) of its own sample and of an equal point differ by {off:.4g} nats")
    (slope,) = torch.autograd.grad(terms.log_qz_x_stopped.sum(), terms.z)
    with torch.no_grad():
        seen = (terms.q.log_prob(terms.z + step) - terms.q.log_prob(terms.z - step)) / 2e-5
        expected = (slope * step).sum(-1) / 1e-5
    off = ((seen - expected).abs() / (1 + seen.abs())).max().item()
    hold(off < 1e-4, f"the derivative of log q(z|x) in z is off by {off:.2g} of itself: is z detached in log_prob?")
