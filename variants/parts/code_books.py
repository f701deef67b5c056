"""Code books: finite sets of vectors in place of R^d, and the distributions over the codes that they allow.

A latent point is S vectors of d numbers, one for each site, each of them one of K codes: z = (e_1, ..., e_S). The prior
owns the book, for to draw from the model is to draw S indices, look them up, and decode.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints, register_kl
from torch.nn import functional

from variants.parts.checks import share

# Of a code point all numbers are so near to those of its code: rounding, and no other point.
NEAR = 1e-3
# Nearest codes are looked for among so many pairs of a site and a code at once.
PAIRS = 2**22


class Book(nn.Module, ABC):
    """Abstract.

    Args:
        sites: S.
        size: d.
        count: K.
    """

    def __init__(self, sites: int, size: int, count: int) -> None:
        super().__init__()
        self.sites, self.size, self.count = sites, size, count
        # How many indices a point has, and how many numbers q(z|x) is made from.
        self.variables, self.inputs = sites, sites * size

    def bound(self, h: Tensor) -> Tensor:
        """What of the encoder is rounded to codes, `[..., S d]` -> the same shape."""
        return h

    @abstractmethod
    def quantise(self, h: Tensor) -> Tensor:
        """The codes that stand for `h` `[..., S d]`, by index, `[..., S]`."""

    @abstractmethod
    def write(self, indices: Tensor) -> Tensor:
        """The point z of indices `[..., S]`, `[..., D]`."""

    def read(self, z: Tensor) -> Tensor:
        """The indices of a point z `[..., D]`, `[..., S]`: `write` the other way round."""
        return self.quantise(z)

    def through(self, h: Tensor, indices: Tensor) -> Tensor:
        """The point z of indices, exactly, with a gradient as if it were `h`: straight through."""
        return self.write(indices).detach() + (h - h.detach())

    def misfit(self, h: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """|e - sg(h)|^2, which moves the book, and |sg(e) - h|^2, which moves the encoder: `[B]` each."""
        e = self.write(indices)
        return (e - h.detach()).square().sum(-1), (e.detach() - h).square().sum(-1)

    def learn(self, h: Tensor, indices: Tensor) -> None:
        """Told a batch of training, for books that no gradient moves."""


def nearest(h: Tensor, codes: Tensor) -> Tensor:
    """The nearest of `codes` `[K, d]` by Euclidean distance to each of `h` `[..., d]`, `[...]`."""
    flat = h.detach().reshape(-1, h.shape[-1])
    codes = codes.detach()
    half = 0.5 * codes.square().sum(-1)
    rows = torch.split(flat, max(1, PAIRS // len(codes)))
    return torch.cat([(half - row @ codes.mT).argmin(-1) for row in rows]).reshape(h.shape[:-1])


class Vectors(Book):
    """K vectors in R^d, learnt: each is drawn towards what it stands for. h is given its nearest (Euclidean).

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, eq. 1 to 3.
    """

    weight: Tensor

    def __init__(self, sites: int, size: int, count: int) -> None:
        super().__init__(sites, size, count)
        self.weight = nn.Parameter(torch.randn(count, size) / math.sqrt(size))

    def quantise(self, h: Tensor) -> Tensor:
        """Indices of the nearest codes, `[..., S d]` -> `[..., S]`."""
        return nearest(h.unflatten(-1, (self.sites, self.size)), self.weight)

    def write(self, indices: Tensor) -> Tensor:
        """`[..., S]` -> `[..., S d]`."""
        return functional.embedding(indices, self.weight).flatten(-2)


class Averages(Vectors):
    """K vectors, each the running mean of what it stood for in training. No gradient moves them.

    After t batches a code is sum_i g^(t-i) s_i / sum_i g^(t-i) n_i, n_i being how often it was used in batch i and s_i
    the sum of what it stood for. Both sums start at nothing, so their quotient needs no correction, and a code that is
    not used stays where it is.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, appendix A.1.

    Args:
        sites: S.
        size: d.
        count: K.
        decay: g, from 0 up to below 1.
    """

    used: Tensor
    total: Tensor

    def __init__(self, sites: int, size: int, count: int, decay: float) -> None:
        super().__init__(sites, size, count)
        self.decay = share("decay", decay)
        weight = self.weight.detach()
        del self.weight
        self.register_buffer("weight", weight)
        self.register_buffer("used", torch.zeros(count))
        self.register_buffer("total", torch.zeros(count, size))

    def misfit(self, h: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Zero, for no gradient moves the book, and |sg(e) - h|^2: `[B]` each."""
        book, encoder = super().misfit(h, indices)
        return torch.zeros_like(book), encoder

    @torch.no_grad()
    def learn(self, h: Tensor, indices: Tensor) -> None:
        """Told a batch of training: `h` `[B, S d]`, `indices` `[B, S]`."""
        one_hot = functional.one_hot(indices.flatten(), self.count).to(h.dtype)
        here = one_hot.sum(0)
        self.used.mul_(self.decay).add_((1 - self.decay) * here)
        self.total.mul_(self.decay).add_((1 - self.decay) * (one_hot.mT @ h.reshape(-1, self.size)))
        mean = self.total / self.used.clamp(min=torch.finfo(h.dtype).tiny).unsqueeze(-1)
        self.weight.copy_(torch.where(here.unsqueeze(-1) > 0, mean, self.weight))


class Residuals(Book):
    """Codes of codes: the first book's nearest to h, the second's nearest to what is left, and so on for L books.

    The decoder sees the sum. A point z = (e_1 + ... + e_L, e_1 + ... + e_(L-1), ..., e_1) has the sums of the first
    codes behind it, so that its indices can be read.

    Source: Zeghidour, Luebs, Omran, Skoglund and Tagliasacchi 2021, arXiv:2107.03312, section III-C.

    Args:
        sites: S.
        size: d.
        count: K, of each book.
        depth: L.
    """

    def __init__(self, sites: int, size: int, count: int, depth: int) -> None:
        super().__init__(sites, size, count)
        self.depth = depth
        self.variables = sites * depth
        # A later book has less to say.
        scale = 0.5 ** torch.arange(depth).reshape(-1, 1, 1)
        self.weight = nn.Parameter(scale * torch.randn(depth, count, size) / math.sqrt(size))

    def quantise(self, h: Tensor) -> Tensor:
        """`[..., S d]` -> `[..., L S]`, the first book's indices first."""
        left, found = h.detach().unflatten(-1, (self.sites, self.size)), []
        for codes in self.weight.detach():
            found.append(nearest(left, codes))
            left = left - functional.embedding(found[-1], codes)
        return torch.cat(found, dim=-1)

    def _sums(self, indices: Tensor) -> Tensor:
        """The sum of the first codes, then of one more, and so on, `[..., L, S d]`."""
        chosen = indices.unflatten(-1, (self.depth, self.sites))
        e = [functional.embedding(chosen[..., i, :], self.weight[i]).flatten(-2) for i in range(self.depth)]
        return torch.stack(e, dim=-2).cumsum(-2)

    def write(self, indices: Tensor) -> Tensor:
        """`[..., L S]` -> `[..., L S d]`, the whole sum first."""
        return self._sums(indices).flip(-2).flatten(-2)

    def read(self, z: Tensor) -> Tensor:
        """`[..., L S d]` -> `[..., L S]`."""
        sums = z.unflatten(-1, (self.depth, -1)).flip(-2)
        e = torch.diff(sums, dim=-2, prepend=torch.zeros_like(sums[..., :1, :]))
        sites = e.unflatten(-1, (self.sites, self.size))
        return torch.cat([nearest(sites[..., i, :, :], self.weight[i]) for i in range(self.depth)], dim=-1)

    def through(self, h: Tensor, indices: Tensor) -> Tensor:
        """The point of indices, its whole sum with a gradient as if it were `h`."""
        path = h - h.detach()
        return self.write(indices).detach() + functional.pad(path, (0, (self.depth - 1) * self.inputs))

    def misfit(self, h: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Over the books, |e_1 + ... + e_i - sg(h)|^2 with all but e_i held, and |sg(e_1 + ... + e_L) - h|^2."""
        sums = self._sums(indices)
        # What the earlier books left is theirs to lower, not this one's.
        before = functional.pad(sums.detach()[..., :-1, :], (0, 0, 1, 0))
        own = sums - functional.pad(sums[..., :-1, :], (0, 0, 1, 0))
        book = (before + own - h.detach().unsqueeze(-2)).square().sum((-2, -1))
        return book, (sums[..., -1, :].detach() - h).square().sum(-1)


class Grid(Book):
    """The points of a grid: axis i has L_i values, and K = prod L_i. h is bounded, rounded, and that is all.

    An axis is bound(h) = tanh(h + s) (L - 1)(1 + 1e-3) / 2 - o, with o = 1/2 and s = atanh(o over that factor) for an
    even L, else zero, so that bound(0) = 0; then rounded, and divided by L // 2.

    Source: Mentzer, Minnen, Agustsson and Tschannen 2024, arXiv:2309.15505, section 3.1 (there tan stands for atanh).

    Args:
        sites: S.
        levels: L_1 to L_d, each at least 3: with 2 the shift leaves one of them hardly any room.
    """

    reach: Tensor
    offset: Tensor
    shift: Tensor
    width: Tensor
    basis: Tensor

    def __init__(self, sites: int, levels: Sequence[int]) -> None:
        super().__init__(sites, len(levels), math.prod(levels))
        number = torch.tensor(levels, dtype=torch.float32)
        reach = (number - 1) * (1 + 1e-3) / 2
        offset = torch.where(number % 2 == 0, 0.5, 0.0)
        basis = torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])
        width = torch.tensor([n // 2 for n in levels])
        facts = {"reach": reach, "offset": offset, "shift": (offset / reach).atanh(), "width": width, "basis": basis}
        for name, value in facts.items():
            self.register_buffer(name, value, persistent=False)

    def bound(self, h: Tensor) -> Tensor:
        """`[..., S d]` -> the same, from -1 to 1."""
        h = h.unflatten(-1, (self.sites, self.size))
        bounded = torch.tanh(h + self.shift) * self.reach - self.offset
        return (bounded / self.width).flatten(-2)

    def quantise(self, h: Tensor) -> Tensor:
        """Bounded `[..., S d]` -> indices `[..., S]`."""
        steps = (h.detach().unflatten(-1, (self.sites, self.size)) * self.width).round() + self.width
        return (steps.long() * self.basis).sum(-1)

    def write(self, indices: Tensor) -> Tensor:
        """`[..., S]` -> `[..., S d]`."""
        values = 2 * self.width + (self.offset == 0).long()
        steps = indices.unsqueeze(-1) // self.basis % values
        return ((steps - self.width) / self.width.to(self.reach.dtype)).flatten(-2)


class Signs(Book):
    """The corners of a cube: h is given the sign of each of its numbers, K = 2^d.

    Source: Yu et al. 2024, arXiv:2310.05737, section 3.1 (lookup-free quantisation).
    """

    basis: Tensor

    def __init__(self, sites: int, size: int) -> None:
        super().__init__(sites, size, 2**size)
        self.register_buffer("basis", 2 ** torch.arange(size), persistent=False)
        self.register_buffer("unit", torch.ones(()), persistent=False)  # tells the dtype of the model

    def quantise(self, h: Tensor) -> Tensor:
        """`[..., S d]` -> `[..., S]`; zero counts as positive."""
        return ((h.detach().unflatten(-1, (self.sites, self.size)) >= 0).long() * self.basis).sum(-1)

    def write(self, indices: Tensor) -> Tensor:
        """`[..., S]` -> `[..., S d]` of 1 and -1."""
        bits = indices.unsqueeze(-1) // self.basis % 2
        return ((2 * bits - 1) * self.unit).flatten(-2)


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
        sites = h.unflatten(-1, (book.sites, book.size))
        codes = book.weight
        distance = sites.square().sum(-1, keepdim=True) - 2 * sites @ codes.mT + codes.square().sum(-1)
        self.logits = (-0.5 * precision * distance).log_softmax(-1)
        super().__init__(book, h.shape[:-1])

    @property
    def indices(self) -> Tensor:
        """The likeliest codes, `[B, S]`."""
        return self.logits.argmax(-1)

    @property
    def mean(self) -> Tensor:
        """The mean of the codes, `[B, D]`."""
        return (self.logits.exp() @ self.book.weight).flatten(-2)

    @property
    def variance(self) -> Tensor:
        """Of each number, `[B, D]`."""
        square = (self.logits.exp() @ self.book.weight.square()).flatten(-2)
        return square - self.mean.square()

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        categorical = torch.distributions.Categorical(logits=self.logits, validate_args=False)
        return self.book.write(categorical.sample(torch.Size(sample_shape)))

    def log_mass(self, indices: Tensor) -> Tensor:
        """Of indices `[..., B, S]`, `[..., B]`."""
        shape = torch.broadcast_shapes(indices.shape, self.logits.shape[:-1])  # type: ignore[no-untyped-call]
        logits, indices = self.logits.expand(*shape, -1), indices.expand(shape)
        return logits.gather(-1, indices.unsqueeze(-1)).squeeze(-1).sum(-1)

    def entropy(self) -> Tensor:
        """`[B]`."""
        return -(self.logits.exp() * self.logits).sum((-2, -1))

    def kl_parts(self, p: Distribution, z: Tensor) -> Tensor | None:  # noqa: ARG002 - a closed form needs no draws
        """One group a site, `[B, S]`; None unless the prior's sites are independent."""
        if not isinstance(p, CodePrior) or p.logits is None:
            return None
        return (self.logits.exp() * (self.logits - p.logits)).sum(-1)


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
        return (weights @ self.book.weight).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises NotImplementedError: what the codes have is no density of the draws between them."""
        raise NotImplementedError(
            "relaxed draws of codes have no density here, only a KL: train on elbo, beta or free_bits"
        )


class Order(Protocol):
    """A conditional distribution of each index given those before it."""

    def __call__(self, indices: Tensor) -> Tensor:
        """Indices `[N, V]` -> logits of each given those before it, `[N, V, K]`."""


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

    @property
    def mean(self) -> Tensor:
        """The mean of draws, as far as it is asked for: of independent indices, `[D]`."""
        if self.logits is None or self.book.variables != self.book.sites:
            raise NotImplementedError("the mean of dependent codes has no closed form")
        every = torch.arange(self.book.count, device=self.logits.device)
        codes = self.book.write(every.unsqueeze(-1).expand(-1, self.book.variables)).unflatten(
            -1, (self.book.sites, -1)
        )
        return torch.einsum("sk,ksd->sd", self.logits.exp(), codes).flatten()


@register_kl(Chosen, CodePrior)  # type: ignore[no-untyped-call, untyped-decorator]
@register_kl(Softly, CodePrior)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_codes(q: Chosen | Softly, p: CodePrior) -> Tensor:
    parts = q.kl_parts(p, q.h)
    if parts is None:
        raise NotImplementedError
    return parts.sum(-1)
