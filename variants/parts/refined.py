"""Posteriors that are refined for each example: the encoder's q(z|x) is where a search for a better one starts.

A model calls `refine` with what `forward` gave. Each example is searched for by itself, with noise that is the same
for every x, so that q stays a function of x.
"""

from abc import abstractmethod
from functools import cache

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from variants.core.kl import closed_form_kl
from variants.core.ways import Ways
from variants.parts.checks import at_least, positive
from variants.parts.heads import PACE, Head, squash
from variants.parts.posteriors import Diagonal


@cache
def orthogonal_noise(pairs: int, latent: int) -> Tensor:
    """Noise eps and -eps, `[2 pairs, 1, D]`, of length sqrt(D), orthogonal in groups of D.

    With a multiple of D pairs its second moment is I, so that means of quadratic functions are those of N(0, I).
    """
    generator = torch.Generator().manual_seed(0)
    groups = [torch.randn(latent, latent, generator=generator, dtype=torch.float64) for _ in range(-(-pairs // latent))]
    eps = torch.cat([torch.linalg.qr(group).Q for group in groups])[:pairs] * latent**0.5
    return torch.cat([eps, -eps]).unsqueeze(1)


class Refined(Diagonal):
    """Abstract: a diagonal Gaussian whose mu and log sigma are moved in a few steps by what the ELBO of x says of them.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        refinements: steps, at least 0.
        refine_pairs: pairs of draws by which an ELBO is estimated in a step.
        pace: of log sigma, see `Head`.
    """

    # It differentiates within the model.
    eager = True
    refines = True
    _ways: Ways

    def __init__(
        self, features: int, latent: int, *, refinements: int = 3, refine_pairs: int = 2, pace: float = PACE
    ) -> None:
        super().__init__(features, latent, pace=pace)
        self.refinements = at_least("refinements", refinements, 0)
        self.refine_pairs = at_least("refine_pairs", refine_pairs, 1)

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it goes those of the ELBO."""
        self._ways = ways

    def elbo(self, loc: Tensor, log_scale: Tensor, x: Tensor) -> Tensor:
        """Of N(mu, sigma^2) for each example by the fixed noise: `[B, D]`, `[B, D]`, `[B, *shape]` -> `[B]`."""
        z = loc + log_scale.exp() * orthogonal_noise(self.refine_pairs, loc.shape[-1]).to(loc)
        q = Independent(Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False)
        p = self._ways.prior()
        kl = closed_form_kl(q, p)
        if kl is None:
            kl = (q.log_prob(z) - p.log_prob(z)).mean(0)  # type: ignore[no-untyped-call]
        return self._ways.log_px(z, x).mean(0) - kl

    @abstractmethod
    def search(self, loc: Tensor, log_scale: Tensor, x: Tensor, *, learning: bool) -> tuple[Tensor, Tensor]:
        """From mu and log sigma `[B, D]` to better ones. With gradients enabled, which are wanted if `learning`."""

    def refine(self, q: Independent[Normal], x: Tensor) -> Independent[Normal]:
        """q(z|x) of the encoder, and the x `[B, *shape]` that it is of -> the refined q(z|x)."""
        if not self.refinements:
            return q
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            start = (q.mean, q.stddev.log())
            loc, log_scale = (t if t.requires_grad else t.detach().requires_grad_() for t in start)
            loc, log_scale = self.search(loc, log_scale, x, learning=learning)
        if not learning:
            loc, log_scale = loc.detach(), log_scale.detach()
        return Independent(Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False)


class SemiAmortised(Refined):
    """q(z|x): the encoder's diagonal Gaussian, after a few steps up the ELBO of x, through which training goes too.

    Steps follow the natural gradient, sigma^2 dL/dmu and 1/2 dL/dlog sigma, and are at most one sigma long on average;
    the paper's follow the plain gradient. One that would lower an example's ELBO is not made, and the next is half as
    long.

    Source: Kim, Wiseman, Miller, Sontag and Rush 2018, arXiv:1802.02550, algorithm 1 (there 20 plain steps).

    Args:
        features: H, width of the encoder's output.
        latent: D.
        refinements: steps; 0 leaves the encoder's q(z|x).
        refine_rate: length of a step, 1 for the whole natural gradient.
        refine_pairs: pairs of draws by which an ELBO is estimated in a step.
        pace: of log sigma, see `Head`.
    """

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        refinements: int = 3,
        refine_rate: float = 0.5,
        refine_pairs: int = 2,
        pace: float = PACE,
    ) -> None:
        super().__init__(features, latent, refinements=refinements, refine_pairs=refine_pairs, pace=pace)
        self.refine_rate = positive("refine_rate", refine_rate)

    def search(self, loc: Tensor, log_scale: Tensor, x: Tensor, *, learning: bool) -> tuple[Tensor, Tensor]:
        """See `Refined`."""
        value = self.elbo(loc, log_scale, x)
        rate = torch.full_like(value, self.refine_rate).unsqueeze(-1)
        slopes = torch.autograd.grad(value.sum(), (loc, log_scale), create_graph=learning)
        for step in range(self.refinements):
            scale = log_scale.exp()
            # Of mu in units of sigma, and of log sigma.
            moves = [rate * scale * slopes[0], rate * 0.5 * slopes[1]]
            length = torch.cat(moves, dim=-1).square().mean(-1, keepdim=True)
            moves = [move * length.clamp(min=1).rsqrt() for move in moves]
            new = (loc + scale * moves[0], log_scale + moves[1])
            new_value = self.elbo(*new, x)
            better = (new_value >= value).unsqueeze(-1)
            if step + 1 < self.refinements:
                new_slopes = torch.autograd.grad(new_value.sum(), new, create_graph=learning, retain_graph=True)
                slopes = tuple(torch.where(better, b, a) for a, b in zip(slopes, new_slopes, strict=True))
            loc, log_scale = (torch.where(better, b, a) for a, b in zip((loc, log_scale), new, strict=True))
            value, rate = torch.where(better.squeeze(-1), new_value, value), torch.where(better, rate, 0.5 * rate)
        return loc, log_scale


class Iterative(Refined):
    """q(z|x): the encoder's diagonal Gaussian, moved by a network that is shown mu, log sigma and the ELBO's gradient.

    mu <- mu + sigma a, log sigma <- log sigma + b with (a, b) from the network; the gradient is shown as a number and
    not differentiated itself. Training lowers the loss at the last step, the paper's the sum over all steps.

    Source: Marino, Yue and Mandt 2018, arXiv:1807.09356, eq. 5 and 6.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        refinements: steps; 0 leaves the encoder's q(z|x).
        refine_width: hidden units of the network.
        refine_pairs: pairs of draws by which an ELBO is estimated in a step.
        pace: of log sigma, see `Head`.
    """

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        refinements: int = 3,
        refine_width: int = 128,
        refine_pairs: int = 2,
        pace: float = PACE,
    ) -> None:
        super().__init__(features, latent, refinements=refinements, refine_pairs=refine_pairs, pace=pace)
        at_least("refine_width", refine_width, 1)
        self.seen = nn.Linear(4 * latent, refine_width) if refinements else None
        self.move = Head(refine_width, 2 * latent, zero=False) if refinements else None

    def search(self, loc: Tensor, log_scale: Tensor, x: Tensor, *, learning: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `Refined`."""
        assert self.seen is not None
        assert self.move is not None
        for _ in range(self.refinements):
            here = (loc.detach().requires_grad_(), log_scale.detach().requires_grad_())
            slopes = torch.autograd.grad(self.elbo(*here, x).sum(), here)
            scale = log_scale.exp()
            # What is shown is of a size of one, whatever the data are.
            shown = [squash(loc), squash(log_scale), squash(scale.detach() * slopes[0]), squash(slopes[1])]
            a, b = self.move(torch.tanh(self.seen(torch.cat(shown, dim=-1)))).chunk(2, dim=-1)
            loc, log_scale = loc + scale * a, log_scale + b
        return loc, log_scale
