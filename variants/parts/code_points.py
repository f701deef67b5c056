"""Distributions over the points of a code book: one point, points by their nearness, and a prior of indices."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from variants.parts.code_books import Book, Vectors, parted

# Of a code point all numbers are so near to those of its code: rounding, and no other point.
NEAR = 1e-3


class _CodesConstraint(constraints.Constraint):
    """Points that a code book has."""

    is_discrete = True
    event_dim = 1

    def __init__(self, book: Book) -> None:
        self.book = book

    def check(self, value: Tensor) -> Tensor:
        """Which of `value` `[..., D]` are such points, `[...]`."""
        near: Tensor = ((self.book.write(self.book.read(value)) - value).abs() < NEAR).all(-1)
        return near


class _BetweenConstraint(constraints.Constraint):
    """Points between codes, a part of R^D."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Which of `value` `[..., D]` are numbers, `[...]`."""
        finite: Tensor = value.isfinite().all(-1)
        return finite


class OnCodes(Distribution, ABC):
    """Abstract: over the points of a book.

    Args:
        book: of codes.
        batch_shape: of the distribution.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute

    def __init__(self, book: Book, batch_shape: torch.Size) -> None:
        self.book = book
        size = book.inputs * book.variables // book.sites
        super().__init__(batch_shape, torch.Size([size]), validate_args=False)

    @property
    def codes(self) -> int:
        """K."""
        return self.book.count

    @property
    def books(self) -> int:
        """How many codes there are for each site, those of the first coming first among the indices."""
        return self.book.variables // self.book.sites

    @property
    def support(self) -> constraints.Constraint:
        """The points of the book."""
        return _CodesConstraint(self.book)

    @property
    def state_count(self) -> int:
        """K^V."""
        return int(self.book.count**self.book.variables)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All points, `[K^V, *batch, D]`, or with ones for the batch."""
        every = torch.cartesian_prod(*[torch.arange(self.book.count)] * self.book.variables)
        device = next(iter([*self.book.parameters(), *self.book.buffers()])).device
        points = self.book.write(every.reshape(-1, self.book.variables).to(device))
        points = points.reshape(len(points), *[1] * len(self.batch_shape), -1)
        return points.expand(-1, *self.batch_shape, -1) if expand else points

    def log_prob(self, value: Tensor) -> Tensor:
        """log p at `value` `[..., D]`, `[...]` in nats; minus infinity where it is no point of the book."""
        indices = self.book.read(value)
        near = ((self.book.write(indices) - value).abs() < NEAR).all(-1)
        return torch.where(near, self.log_mass(indices), -math.inf)

    @abstractmethod
    def log_mass(self, indices: Tensor) -> Tensor:
        """log p of indices `[..., V]`, `[...]`."""


class Chosen(OnCodes):
    """q(z|x) = 1 at one point: the codes of h.

    On a set that can be counted this is a probability, with the entropy zero, so that log p(x|z) + log p(z) is a bound.

    Args:
        h: what is quantised, within the book's bounds, `[B, S d]`; batch shape `[B]`.
        book: of codes.
    """

    has_rsample = True

    def __init__(self, h: Tensor, book: Book) -> None:
        self.h = h
        self.indices = book.quantise(h)
        self._drawn: Tensor | None = None
        super().__init__(book, h.shape[:-1])

    @property
    def mean(self) -> Tensor:
        """The point itself, `[B, D]`."""
        return self.book.write(self.indices)

    @property
    def variance(self) -> Tensor:
        """Zero, `[B, D]`."""
        return torch.zeros_like(self.mean)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Copies of the point, `[*sample_shape, B, D]`, straight through."""
        self._drawn = self.book.through(self.h, self.indices).expand(self._extended_shape(torch.Size(sample_shape)))
        return self._drawn

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at its own point, minus infinity elsewhere, `[...]`."""
        if value is self._drawn:
            return value.new_zeros(value.shape[:-1])
        return super().log_prob(value)

    def log_mass(self, indices: Tensor) -> Tensor:
        """Of indices `[..., B, V]`, `[..., B]`."""
        same = (indices == self.indices).all(-1)
        return torch.where(same, 0.0, -math.inf).to(self.h.dtype)

    def entropy(self) -> Tensor:
        """Zero, `[B]`."""
        return self.h.new_zeros(self.batch_shape)

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:  # noqa: ARG002 - a closed form needs no draws
        """-log p of each index given those before it, `[B, V]`."""
        return -p.log_each(self.indices) if isinstance(p, CodePrior) else None


class Softly(OnCodes):
    """q(z|x) = prod_s Cat(k; exp(-|h_s - e_k|^2 / 2 s^2)): nearer codes are likelier.

    Args:
        h: `[B, S d]`; batch shape `[B]`.
        book: of vectors, one index a site.
        precision: 1 / s^2, a scalar.
    """

    def __init__(self, h: Tensor, book: Vectors, precision: Tensor) -> None:
        self.h = h
        self.weight = codes = book.weight
        sites = parted(h, book.sites)
        distance = sites.square().sum(-1, keepdim=True) - 2 * sites @ codes.mT + codes.square().sum(-1)
        self.logits = (-0.5 * precision * distance).log_softmax(-1)
        super().__init__(book, h.shape[:-1])

    @property
    def indices(self) -> Tensor:
        """The likeliest codes, `[B, S]`."""
        likeliest: Tensor = self.logits.argmax(-1)
        return likeliest

    @property
    def mean(self) -> Tensor:
        """The mean of the codes, `[B, D]`."""
        mean: Tensor = (self.logits.exp() @ self.weight).flatten(-2)
        return mean

    @property
    def variance(self) -> Tensor:
        """Of each number, `[B, D]`."""
        square = (self.logits.exp() @ self.weight.square()).flatten(-2)
        variance: Tensor = square - self.mean.square()
        return variance

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        categorical = torch.distributions.Categorical(logits=self.logits, validate_args=False)
        return self.book.write(categorical.sample(torch.Size(sample_shape)))  # type: ignore[no-untyped-call]

    def log_mass(self, indices: Tensor) -> Tensor:
        """Of indices `[..., B, S]`, `[..., B]`."""
        shape = torch.broadcast_shapes(indices.shape, self.logits.shape[:-1])  # type: ignore[no-untyped-call]
        logits, indices = self.logits.expand(*shape, -1), indices.expand(shape)
        log_p: Tensor = logits.gather(-1, indices.unsqueeze(-1)).squeeze(-1).sum(-1)
        return log_p

    def entropy(self) -> Tensor:
        """`[B]`."""
        entropy: Tensor = -(self.logits.exp() * self.logits).sum((-2, -1))
        return entropy

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:  # noqa: ARG002 - a closed form needs no draws
        """One group a site, `[B, S]`; None unless the prior's sites are independent."""
        if not isinstance(p, CodePrior) or p.logits is None:
            return None
        parts: Tensor = (self.logits.exp() * (self.logits - p.logits)).sum(-1)
        return parts


class Relaxed(Softly):
    """Draws sum_k w_k e_k, w = softmax((log q(k|x) + Gumbel noise) / temperature): between the codes, with gradients to
    h and to the book. Its KL is that of the codes, so that a loss made of both is no bound.

    Args:
        h: as in `Softly`.
        book: as in `Softly`.
        precision: as in `Softly`.
        temperature: above 0.
    """

    has_rsample = True
    has_density = False

    def __init__(self, h: Tensor, book: Vectors, precision: Tensor, temperature: float) -> None:
        super().__init__(h, book, precision)
        self.temperature = temperature

    @property
    def support(self) -> constraints.Constraint:
        """Anywhere between the codes."""
        return _BetweenConstraint()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        shape = torch.Size(sample_shape) + self.logits.shape
        gumbel = -torch.empty(shape, dtype=self.h.dtype, device=self.h.device).exponential_().log()
        weights = ((self.logits + gumbel) / self.temperature).softmax(-1)
        z: Tensor = (weights @ self.weight).flatten(-2)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises NotImplementedError: what the codes have is no density of the draws between them."""
        raise NotImplementedError(
            "relaxed draws of codes have no density here, only a KL: train on elbo, beta or free_bits"
        )


class CodePrior(OnCodes):
    """p(z) = prod_v p(k_v), or prod_v p(k_v | k_1, ..., k_(v-1)) where an `order` is given.

    Args:
        book: of codes.
        logits: `[V, K]` of independent indices; None with an order.
        order: gives the logits of each index given those before it.
    """

    def __init__(self, book: Book, logits: Tensor | None, order: Callable[[Tensor], Tensor] | None = None) -> None:
        self.logits = None if logits is None else logits.log_softmax(-1)
        self.order = order
        super().__init__(book, torch.Size())

    def _conditionals(self, indices: Tensor) -> Tensor:
        """Log-probabilities of every index given those before it, `[..., V]` -> `[..., V, K]`."""
        if self.logits is not None:
            return self.logits
        assert self.order is not None
        flat = indices.reshape(-1, indices.shape[-1])
        return self.order(flat).log_softmax(-1).reshape(*indices.shape, -1)

    def log_each(self, indices: Tensor) -> Tensor:
        """log p of each index given those before it, `[..., V]` -> `[..., V]`."""
        conditionals = self._conditionals(indices).expand(*indices.shape, -1)
        return conditionals.gather(-1, indices.unsqueeze(-1)).squeeze(-1)

    def log_mass(self, indices: Tensor) -> Tensor:
        """Of indices `[..., V]`, `[...]`."""
        return self.log_each(indices).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, D]`: all indices at once, or with an order V passes, one for each."""
        shape = torch.Size(sample_shape)
        device = next(iter([*self.book.parameters(), *self.book.buffers()])).device
        indices = torch.zeros(shape.numel(), self.book.variables, dtype=torch.long, device=device)
        for v in range(self.book.variables):
            p = self._conditionals(indices)[..., v, :].exp()
            indices[:, v] = torch.multinomial(p.expand(shape.numel(), -1), 1).squeeze(-1)
        return self.book.write(indices).reshape(*shape, -1)


@register_kl(Chosen, CodePrior)  # type: ignore[no-untyped-call, untyped-decorator]
@register_kl(Softly, CodePrior)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_codes(q: Chosen | Softly, p: CodePrior) -> Tensor:
    parts = q.kl_parts(p, q.h)
    if parts is None:
        raise NotImplementedError
    return parts.sum(-1)
