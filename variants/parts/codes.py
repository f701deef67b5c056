"""Posteriors that choose points of a code book, which the prior owns; see `code_books`."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variants.core.ways import Ways
from variants.parts.checks import at_least, flag, not_negative, positive
from variants.parts.code_books import Book
from variants.parts.code_points import Chosen, Relaxed, Softly
from variants.parts.discrete import annealed
from variants.parts.posteriors import Posterior


class Codes(Posterior):
    """q(z|x) = 1 at the codes nearest to h, which is linear in the features: no other z has a probability.

    z carries the gradient of h, straight through: a biased one, for codes do not move with h.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, section 3.1.

    Args:
        features: H, width of the encoder's output.
        latent: D, all numbers of a point.
        code_depth: how many codes are added up at each site, see `Residuals`.
        spatial: whether the features are themselves a map of codes, of a network that was built with `spatial` too.
    """

    covers = False
    latents = "codes"
    has_marginals = False
    _ways: Ways

    def __init__(self, features: int, latent: int, *, code_depth: int = 1, spatial: bool = False) -> None:
        super().__init__()
        inputs = latent // at_least("code_depth", code_depth, 1)
        if flag("spatial", spatial) and features != inputs:
            raise ValueError(
                f"spatial codes need a network with a map of {inputs} numbers, and this one has {features} features: "
                "choose network=residual_conv with spatial=true"
            )
        self.project: nn.Module = nn.Identity() if spatial else nn.Linear(features, inputs)

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it takes the prior's code book."""
        self._ways = ways

    def _bounded(self, h: Tensor) -> tuple[Tensor, Book]:
        book: Book = self._ways.prior.book
        return book.bound(self.project(h)), book

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return Chosen(*self._bounded(h))


class GridCodes(Codes):
    """q(z|x) = 1 at the point of a grid that h is rounded to.

    Source: Mentzer, Minnen, Agustsson and Tschannen 2024, arXiv:2309.15505 (finite scalar quantisation).

    Args:
        features: H, width of the encoder's output.
        latent: D, all numbers of a point.
        spatial: see `Codes`.
    """

    latents = "grid codes"

    def __init__(self, features: int, latent: int, *, spatial: bool = False) -> None:
        super().__init__(features, latent, spatial=spatial)


class SignCodes(GridCodes):
    """q(z|x) = 1 at the signs of h.

    Source: Yu et al. 2024, arXiv:2310.05737, section 3.1 (lookup-free quantisation).

    Args:
        features: H, width of the encoder's output.
        latent: D, all numbers of a point.
        spatial: see `Codes`.
    """

    latents = "sign codes"


class StochasticCodes(Codes):
    """q(z|x) = prod_s Cat(k; exp(-|h_s - e_k|^2 / 2 s^2)) with s learnt; in training relaxed draws between the codes.

    Every code has a probability, so that log p(x) can be estimated; for small s it is `Codes`.

    Source: Takahashi et al. 2022, arXiv:2205.07547, section 3 (SQ-VAE, Gaussian, one variance for all).

    Args:
        features: H, width of the encoder's output.
        latent: D, all numbers of a point.
        temperature: of the relaxation at the start.
        temperature_decay: by which its logarithm falls with each pass over the data; 0 holds it.
        temperature_floor: below which it does not fall.
        spatial: see `Codes`.
    """

    covers = True
    moves_codes = True

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        temperature: float = 1.0,
        temperature_decay: float = 0.05,
        temperature_floor: float = 0.5,
        spatial: bool = False,
    ) -> None:
        super().__init__(features, latent, spatial=spatial)
        self.log_precision = nn.Parameter(torch.zeros(()))
        self.start = self.temperature = positive("temperature", temperature)
        self.decay = not_negative("temperature_decay", temperature_decay)
        self.floor = positive("temperature_floor", temperature_floor)
        self.eager = self.decay > 0  # a graph is compiled for one temperature

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it takes the prior's code book.

        Raises:
            ValueError: no gradient moves the book, or its indices depend on each other.
        """
        super().bind(ways)
        if not getattr(ways.prior, "codes_to_move", False) or ways.prior.order is not None:
            raise ValueError(
                "posterior stochastic_codes needs a prior of independent codes that gradients move: choose prior=codes "
                "without autoregressive"
            )

    def anneal(self, epoch: float) -> None:
        """Told the passes over the data so far."""
        self.temperature = annealed(self.start, self.floor, self.decay, epoch)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        bounded, book = self._bounded(h)
        precision = self.log_precision.exp()
        if self.training:
            return Relaxed(bounded, book, precision, self.temperature)  # type: ignore[arg-type]
        return Softly(bounded, book, precision)  # type: ignore[arg-type]
