"""Code books: finite sets of vectors in place of R^d. Distributions over their points are in `code_points`.

A latent point is S vectors of d numbers, one for each site, each of them one of K codes: z = (e_1, ..., e_S). The prior
owns the book, for to draw from the model is to draw S indices, look them up, and decode.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from variants.parts.checks import share

# Nearest codes are looked for among so many pairs of a site and a code at once.
PAIRS = 2**22


def parted(h: Tensor, parts: int) -> Tensor:
    """The last axis as so many parts of equal size, `[..., parts * n]` -> `[..., parts, n]`."""
    return h.reshape(*h.shape[:-1], parts, -1)


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
        return nearest(parted(h, self.sites), self.weight)

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
        self.decay = share("code_decay", decay)
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
        left, found = parted(h.detach(), self.sites), []
        for codes in self.weight.detach():
            found.append(nearest(left, codes))
            left = left - functional.embedding(found[-1], codes)
        return torch.cat(found, dim=-1)

    def _sums(self, indices: Tensor) -> Tensor:
        """The sum of the first codes, then of one more, and so on, `[..., L, S d]`."""
        chosen = parted(indices, self.depth)
        e = [functional.embedding(chosen[..., i, :], self.weight[i]).flatten(-2) for i in range(self.depth)]
        return torch.stack(e, dim=-2).cumsum(-2)

    def write(self, indices: Tensor) -> Tensor:
        """`[..., L S]` -> `[..., L S d]`, the whole sum first."""
        return self._sums(indices).flip(-2).flatten(-2)

    def read(self, z: Tensor) -> Tensor:
        """`[..., L S d]` -> `[..., L S]`."""
        sums = parted(z, self.depth).flip(-2)
        e = torch.diff(sums, dim=-2, prepend=torch.zeros_like(sums[..., :1, :]))
        sites = parted(e, self.sites)
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
        h = parted(h, self.sites)
        bounded = torch.tanh(h + self.shift) * self.reach - self.offset
        return (bounded / self.width).flatten(-2)

    def quantise(self, h: Tensor) -> Tensor:
        """Bounded `[..., S d]` -> indices `[..., S]`."""
        steps = (parted(h.detach(), self.sites) * self.width).round() + self.width
        indices: Tensor = (steps.long() * self.basis).sum(-1)
        return indices

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
    unit: Tensor

    def __init__(self, sites: int, size: int) -> None:
        super().__init__(sites, size, 2**size)
        self.register_buffer("basis", 2 ** torch.arange(size), persistent=False)
        self.register_buffer("unit", torch.ones(()), persistent=False)  # tells the dtype of the model

    def quantise(self, h: Tensor) -> Tensor:
        """`[..., S d]` -> `[..., S]`; zero counts as positive."""
        indices: Tensor = ((parted(h.detach(), self.sites) >= 0).long() * self.basis).sum(-1)
        return indices

    def write(self, indices: Tensor) -> Tensor:
        """`[..., S]` -> `[..., S d]` of 1 and -1."""
        bits = indices.unsqueeze(-1) // self.basis % 2
        return ((2 * bits - 1) * self.unit).flatten(-2)
