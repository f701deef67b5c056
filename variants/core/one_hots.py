"""Categorical variables side by side, each written as a one-hot vector."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical, constraints


class _OneHotsConstraint(constraints.Constraint):
    """N one-hot vectors of K entries, end to end."""

    is_discrete = True
    event_dim = 1

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def check(self, value: Tensor) -> Tensor:
        """Which of `value` `[..., N K]` are such points, `[...]`."""
        z = value.reshape(*value.shape[:-1], -1, self.classes)
        whole: Tensor = (((z == 0) | (z == 1)).all(-1) & (z.sum(-1) == 1)).all(-1)
        return whole


class OneHots(Distribution):
    """N independent categorical variables of K classes; a point is N one-hot vectors end to end, `[N K]`.

    Args:
        logits: of the classes, up to a constant each, `[*batch, N, K]`. Event shape `[N K]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    has_enumerate_support = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(-1)
        variables, classes = logits.shape[-2:]
        super().__init__(logits.shape[:-2], torch.Size([variables * classes]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """N one-hot vectors."""
        return _OneHotsConstraint(self.logits.shape[-1])

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "OneHots":
        """The same with a larger batch shape."""
        return type(self)(self.logits.expand(*batch_shape, *self.logits.shape[-2:]))

    @property
    def mean(self) -> Tensor:
        """The probabilities, `[*batch, N K]`."""
        return self.logits.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        """Of each entry, `[*batch, N K]`."""
        return self.mean * (1 - self.mean)

    @property
    def state_count(self) -> int:
        """K^N."""
        variables, classes = self.logits.shape[-2:]
        return int(classes**variables)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All points, `[K^N, *batch, N K]`, or with ones for the batch."""
        variables, classes = self.logits.shape[-2:]
        one_hot = torch.eye(classes, dtype=self.logits.dtype, device=self.logits.device)
        chosen = torch.cartesian_prod(*[torch.arange(classes, device=one_hot.device)] * variables)
        points = one_hot[chosen.reshape(-1, variables)].flatten(-2)
        shape = (len(points), *([1] * len(self.batch_shape)), *self.event_shape)
        points = points.reshape(shape)
        return points.expand(-1, *self.batch_shape, -1) if expand else points

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, *batch, N K]`."""
        variables = OneHotCategorical(logits=self.logits, validate_args=False)
        z: Tensor = variables.sample(torch.Size(sample_shape))  # type: ignore[no-untyped-call]
        return z.flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p at one-hot points `[..., N K]`, `[...]`: linear in the point, and so only there a log-probability."""
        z = value.reshape(*value.shape[:-1], *self.logits.shape[-2:])
        log_p: Tensor = (z * self.logits).sum((-2, -1))
        return log_p

    def entropy(self) -> Tensor:
        """`[*batch]`."""
        return -(self.logits.exp() * self.logits).sum((-2, -1))

    def kl_by_variable(self, p: "OneHots") -> Tensor:
        """KL of each variable to that of p, `[*batch, N]`."""
        return (self.logits.exp() * (self.logits - p.logits)).sum(-1)

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:  # noqa: ARG002 - a closed form needs no draws
        """One group a variable, `[B, N]`."""
        return self.kl_by_variable(p) if isinstance(p, OneHots) else None


class RelaxedOneHots(OneHots):
    """Draws softmax((logits + Gumbel noise) / temperature) between the one-hot points; its KL is that of the points.

    So a loss made of both is no bound, and there is no log-density that would go with the draws.

    Source: Jang, Gu and Poole 2017, arXiv:1611.01144.

    Args:
        logits: as in `OneHots`.
        temperature: above 0; towards 0 the draws become one-hot.
        hard: round draws to one-hot vectors, whose gradient is that of the unrounded ones (straight through).
    """

    has_rsample = True
    has_density = False

    def __init__(self, logits: Tensor, temperature: float, *, hard: bool = False) -> None:
        super().__init__(logits)
        self.temperature = temperature
        self.hard = hard

    @property
    def support(self) -> constraints.Constraint:
        """N points of the simplex."""
        return constraints.independent(constraints.unit_interval, 1)  # type: ignore[no-untyped-call, no-any-return]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, *batch, N K]`."""
        shape = torch.Size(sample_shape) + self.logits.shape
        # -log of an exponential is exactly Gumbel: no constant keeps its logarithm finite.
        gumbel = -torch.empty(shape, dtype=self.logits.dtype, device=self.logits.device).exponential_().log()
        soft = ((self.logits + gumbel) / self.temperature).softmax(-1)
        if self.hard:
            rounded = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
            soft = rounded + (soft - soft.detach())
        return soft.flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises NotImplementedError: what the one-hot points have is no density of the draws between them."""
        raise NotImplementedError(
            "relaxed one-hot draws have no density here, only a KL: train on elbo, beta or free_bits, or choose "
            "posterior concrete"
        )
