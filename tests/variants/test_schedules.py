"""Objectives that change with the epoch: what they are at which one, and that nothing but the epoch moves them."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from variants.core import Terms
from variants.parts.objectives import Beta, Capacity, Cyclical, Elbo, Objective

LATE = 1e9


def with_kl(*kl: float) -> tuple[Terms, Tensor]:
    """Terms of examples with these KLs, and the means of q that make them so: KL = mean^2 / 2."""
    mean = (2 * torch.tensor(kl, dtype=torch.float64)).sqrt().unsqueeze(-1).requires_grad_()
    q, p = (Independent(Normal(loc, torch.ones_like(loc)), 1) for loc in (mean, torch.zeros(1, dtype=torch.float64)))
    z = q.rsample(torch.Size([2]))
    return Terms(x=mean, z=z, q=q, p=p, log_px_z=-z.square().sum(-1)), mean


def penalty(objective: Objective, epoch: float, *kl: float) -> list[float]:
    terms, _ = with_kl(*kl)
    found: list[float] = (objective(terms, epoch) + terms.log_px_z.mean(0)).tolist()
    return found


# Capacity


def test_no_capacity_is_a_large_beta() -> None:
    terms, _ = with_kl(1.0, 4.0, 9.0)
    ours, beta = Capacity(gamma=7.0, capacity=0.0)(terms, 3.0), Beta(beta=7.0)(terms, 3.0)
    torch.testing.assert_close(ours.mean(), beta.mean())


@pytest.mark.parametrize(("epoch", "capacity"), [(0.0, 0.0), (1.0, 5.0), (2.5, 12.5), (4.0, 20.0), (9.0, 20.0)])
def test_the_capacity_rises_in_epochs(epoch: float, capacity: float) -> None:
    objective = Capacity(gamma=2.0, capacity=20.0, capacity_epochs=4)
    assert objective.warmup_epochs == 4
    for kl in (capacity + 3, max(capacity - 3, 0)):
        assert penalty(objective, epoch, kl) == pytest.approx([2 * abs(kl - capacity)])


def test_the_capacity_is_the_batchs_and_not_each_examples() -> None:
    """KLs of C - 1 and C + 1 are C on average: no penalty, where one for each example would be gamma."""
    assert penalty(Capacity(gamma=1000.0, capacity=5.0), LATE, 4.0, 6.0) == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(("kl", "sign"), [(4.9, -1.0), (5.1, 1.0)])
def test_the_pull_turns_round_at_the_capacity(kl: float, sign: float) -> None:
    terms, mean = with_kl(kl)
    (pull,) = torch.autograd.grad(Capacity(gamma=3.0, capacity=5.0)(terms, LATE).mean(), mean, retain_graph=True)
    (of_kl,) = torch.autograd.grad(terms.kl.mean(), mean, retain_graph=True)
    (of_rest,) = torch.autograd.grad(-terms.log_px_z.mean(), mean)
    torch.testing.assert_close(pull, of_rest + sign * 3 * of_kl)


# Cycles


@pytest.mark.parametrize(
    ("epoch", "beta"),
    [(0, 0), (1, 0.25), (4, 1), (9.9, 1), (10, 0), (12, 0.5), (19, 1), (20, 0), (23, 0.75), (24, 1), (30, 1), (31, 1)],
)
def test_beta_rises_in_the_first_part_of_each_cycle(epoch: float, beta: float) -> None:
    objective = Cyclical(cycles=3, cycle_epochs=10, rise=0.4)
    assert penalty(objective, epoch, 2.0) == pytest.approx([2 * beta])


def test_it_is_the_elbo_from_the_last_rise_on() -> None:
    objective = Cyclical(cycles=4, cycle_epochs=3, rise=0.5)
    assert objective.warmup_epochs == 10.5
    terms, _ = with_kl(1.0, 4.0)
    for epoch in (10.5, 11.0, 12.0, 12.1, 13.6, LATE):
        assert torch.equal(objective(terms, epoch), Elbo()(terms, epoch))
    assert not torch.allclose(objective(terms, 10.4), Elbo()(terms, 10.4))


@pytest.mark.parametrize("options", [{"cycles": 0}, {"cycle_epochs": 0}, {"rise": 0}, {"rise": 1.1}])
def test_a_schedule_that_is_none_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Cyclical(**options)  # type: ignore[arg-type]


# Both


@pytest.mark.parametrize("objective", [Capacity(capacity_epochs=4), Cyclical(cycle_epochs=4)])
def test_only_the_epoch_moves_the_schedule(objective: Objective) -> None:
    """Not the calls, of which validation makes some too; and a resumed training begins at its epoch."""
    expected = [penalty(objective, epoch, 3.0) for epoch in (1.0, 5.0)]
    for training in (True, False, True):
        objective.train(training)
        for epoch in (0.3, 7.0, 2.0):
            penalty(objective, epoch, 1.0)
    assert [penalty(objective, epoch, 3.0) for epoch in (1.0, 5.0)] == expected
    assert not objective.state_dict()
