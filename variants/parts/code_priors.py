"""Priors over the points of a code book, which they own: each for the posterior of such codes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from variants.parts.checks import at_least, flag, sizes
from variants.parts.code_books import Averages, Book, Grid, Residuals, Signs, Vectors
from variants.parts.code_points import CodePrior
from variants.parts.priors import Prior

# Probabilities of all codes of a site are summed, so that there must not be too many.
MOST_CODES = 2**14


def sites_of(latent: int, size: int | None, depth: int = 1) -> tuple[int, int]:
    """(S, d) of `latent` = depth S d numbers; by default the largest d up to eight. ValueError where there is none."""
    if latent % depth:
        raise ValueError(f"codes that are added up need a latent size of code_depth times others: {latent} is none")
    if size is None:
        size = max(d for d in range(1, 9) if (latent // depth) % d == 0)
    elif (latent // depth) % at_least("code_size", size, 1):
        raise ValueError(f"codes need a latent size of sites times code_size: {latent // depth} is no such of {size}")
    return latent // depth // size, size


class Order(nn.Module):
    """Logits of each index given those before it, by a recurrent network (GRU) over embedded indices.

    Args:
        variables: V.
        count: K.
        width: of the embedding and of the state.
    """

    def __init__(self, variables: int, count: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width)
        self.place = nn.Parameter(torch.randn(variables, width))
        self.state = nn.GRU(width, width, batch_first=True)
        self.logits = nn.Linear(width, count)

    def forward(self, indices: Tensor) -> Tensor:
        """Indices `[N, V]` -> `[N, V, K]`."""
        before = functional.pad(self.embedding(indices[:, :-1]), (0, 0, 1, 0))
        states, _ = self.state(before + self.place)
        logits: Tensor = self.logits(states)
        return logits


class OfCodes(Prior):
    """Abstract: p(z) over the points of a book, its indices independent, or each given those before it.

    Args:
        book: of codes.
        autoregressive: whether an index depends on those before it.
        order_width: units of the network of an autoregressive prior, see `Order`.

    Attributes:
        book: the prior's alone; a posterior is handed it by `Ways.prior`.
        order: the network of an autoregressive prior; None of independent indices.
        codes_to_move: whether the book learns, and needs an objective or a posterior that moves it.
    """

    codes_to_move: bool = False
    logits: Tensor | None

    def __init__(self, book: Book, autoregressive: bool, order_width: int) -> None:
        super().__init__()
        if book.count > MOST_CODES:
            raise ValueError(f"a site has at most {MOST_CODES} codes, not {book.count}: choose fewer, and more sites")
        self.book = book
        self.order: Order | None = None
        width = at_least("order_width", order_width, 1)
        if flag("autoregressive", autoregressive):
            self.order = Order(book.variables, book.count, width)
            self.register_parameter("logits", None)
        else:
            self.logits = nn.Parameter(torch.zeros(book.variables, book.count))

    def forward(self) -> CodePrior:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return CodePrior(self.book, self.logits, self.order)


class Codes(OfCodes):
    """p(z) = prod_s p(k_s) of S sites, each with one of K learnt vectors e_k of d numbers; D = S d.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, section 3 (there the prior is fitted later).

    Args:
        latent: D.
        codes: K.
        code_size: d; None for the largest divisor of D up to eight.
        autoregressive: whether p(k_s) depends on the indices before it.
        order_width: units of the network of an autoregressive prior, see `Order`.
    """

    latents = "codes"
    codes_to_move = True

    def __init__(
        self,
        latent: int,
        *,
        codes: int = 64,
        code_size: int | None = None,
        autoregressive: bool = False,
        order_width: int = 128,
    ) -> None:
        book = Vectors(*sites_of(latent, code_size), at_least("codes", codes, 2))
        super().__init__(book, autoregressive, order_width)


class AverageCodes(OfCodes):
    """`Codes` whose vectors are running means of what they stood for, instead of moved by a gradient.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, appendix A.1.

    Args:
        latent: D.
        codes: K.
        code_size: d; None for the largest divisor of D up to eight.
        code_decay: of the running means, from 0 up to below 1.
        autoregressive: whether p(k_s) depends on the indices before it.
        order_width: units of the network of an autoregressive prior, see `Order`.
    """

    latents = "codes"

    def __init__(
        self,
        latent: int,
        *,
        codes: int = 64,
        code_size: int | None = None,
        code_decay: float = 0.99,
        autoregressive: bool = False,
        order_width: int = 128,
    ) -> None:
        book = Averages(*sites_of(latent, code_size), at_least("codes", codes, 2), code_decay)
        super().__init__(book, autoregressive, order_width)


class ResidualCodes(OfCodes):
    """p(z) = prod_s prod_l p(k_sl): at each site a sum of L codes, of L books; D = L S d.

    Source: Zeghidour, Luebs, Omran, Skoglund and Tagliasacchi 2021, arXiv:2107.03312, section III-C.

    Args:
        latent: D.
        codes: K, of each book.
        code_size: d; None for the largest divisor of D / L up to eight.
        code_depth: L.
        autoregressive: whether an index depends on those before it, those of the first book coming first.
        order_width: units of the network of an autoregressive prior, see `Order`.
    """

    latents = "codes"
    codes_to_move = True

    def __init__(
        self,
        latent: int,
        *,
        codes: int = 64,
        code_size: int | None = None,
        code_depth: int = 2,
        autoregressive: bool = False,
        order_width: int = 128,
    ) -> None:
        sites, size = sites_of(latent, code_size, at_least("code_depth", code_depth, 1))
        super().__init__(Residuals(sites, size, at_least("codes", codes, 2), code_depth), autoregressive, order_width)
        # The decoder sees the sums alone, which come first.
        self.seen = sites * size


class GridCodes(OfCodes):
    """p(z) = prod_s p(k_s) of S sites, each with a point of the grid with L_1 x ... x L_d points; D = S d.

    Source: Mentzer, Minnen, Agustsson and Tschannen 2024, arXiv:2309.15505 (finite scalar quantisation).

    Args:
        latent: D.
        quant_levels: L_1 to L_d, each at least 3.
        autoregressive: whether p(k_s) depends on the indices before it.
        order_width: units of the network of an autoregressive prior, see `Order`.
    """

    latents = "grid codes"

    def __init__(
        self,
        latent: int,
        *,
        quant_levels: tuple[int, ...] = (8, 5, 5, 5),
        autoregressive: bool = False,
        order_width: int = 128,
    ) -> None:
        levels = sizes("quant_levels", quant_levels)
        if min(levels) < 3:
            raise ValueError(f"quant_levels must be 3 or more each, got {min(levels)}: of two the objective is lfq")
        if latent % len(levels):
            raise ValueError(f"grid codes need a latent size of sites times {len(levels)} levels: {latent} is none")
        super().__init__(Grid(latent // len(levels), levels), autoregressive, order_width)


class SignCodes(OfCodes):
    """p(z) = prod_s p(k_s) of S sites, each with one of the 2^d corners of a cube; D = S d.

    Source: Yu et al. 2024, arXiv:2310.05737, section 3.1 (lookup-free quantisation).

    Args:
        latent: D.
        code_size: d; None for the largest divisor of D up to eight.
        autoregressive: whether p(k_s) depends on the indices before it.
        order_width: units of the network of an autoregressive prior, see `Order`.
    """

    latents = "sign codes"

    def __init__(
        self, latent: int, *, code_size: int | None = None, autoregressive: bool = False, order_width: int = 128
    ) -> None:
        super().__init__(Signs(*sites_of(latent, code_size)), autoregressive, order_width)
