"""Likelihoods of data on L levels k / (L - 1), k = 0, ..., L - 1: probabilities, whose bits per dimension compare.

Each takes several numbers of the decoder for one value of the data, `[..., numbers, *shape]`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional

from variants.core.wide import wide
from variants.data_spec import DataSpec, Kind
from variants.parts.checks import at_least
from variants.parts.likelihoods import OfValues, refuse_unless

# Below this log-scale, in units of half the range of the data, a logistic is narrower than any level.
LEAST_LOG_SCALE = -7.0


class _LevelsConstraint(constraints.Constraint):
    """The L values k / (L - 1)."""

    is_discrete = True

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def check(self, value: Tensor) -> Tensor:
        """Which of `value` are such values, of the same shape."""
        k = value * (self.levels - 1)
        inside: Tensor = (k >= -1e-3) & (k <= self.levels - 1 + 1e-3) & ((k - k.round()).abs() < 1e-3)
        return inside


class OnLevels(Distribution, ABC):
    """Abstract: of one value on L levels, batch shape `[...]`, event shape `[]`.

    Args:
        batch_shape: of its parameters.
        levels: L.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute

    def __init__(self, batch_shape: torch.Size, levels: int) -> None:
        self.levels = levels
        super().__init__(batch_shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The levels."""
        return _LevelsConstraint(self.levels)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(k) at the level nearest to `value` `[...]`, `[...]` in nats."""
        return self.log_mass((value * (self.levels - 1)).round())

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, ...]`."""
        with torch.no_grad():
            return self.draw(torch.Size(sample_shape)) / (self.levels - 1)

    @abstractmethod
    def log_mass(self, k: Tensor) -> Tensor:
        """log P(k) for whole k `[...]`, `[...]`."""

    @abstractmethod
    def draw(self, sample_shape: torch.Size) -> Tensor:
        """Whole k, `[*sample_shape, ...]`."""


def _beside(parameter: Tensor, k: Tensor) -> Tensor:
    """A parameter `[M, ...]` with an axis for each of those that k has more than it: M stays first, `[M, 1, ...]`."""
    more = max(0, k.dim() - (parameter.dim() - 1))
    return parameter.reshape(len(parameter), *[1] * more, *parameter.shape[1:])


class OfLevels(OfValues):
    """Abstract: independent values, each on L levels.

    Args:
        data: of the kind `"levels"`.

    Raises:
        ValueError: the data have no levels.
    """

    support: Kind = "levels"

    def __init__(self, data: DataSpec) -> None:
        super().__init__(data)
        refuse_unless(data, "levels", "binarise=levels")
        assert data.levels is not None
        self.levels = data.levels


class LogisticLevels(OnLevels):
    """P(k) = sum_m pi_m [F((c_k + w - mu_m) / s_m) - F((c_k - w - mu_m) / s_m)], F the logistic distribution function.

    c_k = 2 k / (L - 1) - 1 is the level in [-1, 1] and w = 1 / (L - 1) half the distance to the next; the lowest level
    has all that is below it, the highest all above.

    Args:
        logits: of pi, `[M, ...]`.
        loc: mu, `[M, ...]`, in units of half the range of the data.
        log_scale: log s, `[M, ...]`.
        levels: L.
    """

    def __init__(self, logits: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.log_pi = logits.log_softmax(0)
        self.loc = loc
        self.inverse = torch.exp(-log_scale)
        super().__init__(loc.shape[1:], levels)

    def _edges(self, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(c_k + w - mu) / s, (c_k - w - mu) / s and their difference, `[M, ...]`."""
        half = 1 / (self.levels - 1)
        loc, inverse = _beside(self.loc, k), _beside(self.inverse, k)
        centred = 2 * half * k - 1 - loc
        return (centred + half) * inverse, (centred - half) * inverse, 2 * half * inverse

    def log_mass(self, k: Tensor) -> Tensor:
        """log P(k), exact at any scale: F(b) - F(a) = F(b) F(-a) (1 - exp(a - b))."""
        above, below, width = self._edges(k)
        left, right = functional.logsigmoid(above), functional.logsigmoid(-below)
        inner = left + right + torch.log(-torch.expm1(-width))
        log_mass = torch.where(k == 0, left, torch.where(k == self.levels - 1, right, inner))
        return (_beside(self.log_pi, k) + log_mass).logsumexp(0)

    @property
    def mean(self) -> Tensor:
        """Expected value in [0, 1], `[...]`: the mean over k = 1, ..., L - 1 of the chance to be at k or above."""
        total = torch.zeros_like(self.loc[0])
        for k in range(1, self.levels):
            _, below, _ = self._edges(torch.full((), float(k), dtype=total.dtype, device=total.device))
            total = total + (self.log_pi.exp() * torch.sigmoid(-below)).sum(0)
        return total / (self.levels - 1)

    def draw(self, sample_shape: torch.Size) -> Tensor:
        """Whole k, `[*sample_shape, ...]`: of a component the level nearest to a draw of its logistic."""
        shape = sample_shape + self.log_pi.shape
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        x = self.loc + (u.log() - torch.log1p(-u)) / self.inverse
        k = ((x + 1) / 2 * (self.levels - 1)).nan_to_num(0.0).round().clamp(0, self.levels - 1)
        pi = self.log_pi.exp().movedim(0, -1).expand(*shape[: len(sample_shape)], *self.log_pi.shape[1:], -1)
        chosen = torch.multinomial(pi.reshape(-1, pi.shape[-1]), 1).reshape(1, *pi.shape[:-1])
        return k.movedim(len(sample_shape), 0).gather(0, chosen)[0]


class DiscretisedLogistic(OfLevels):
    """Values of a mixture of M logistic densities, rounded to the levels.

    Source: Kingma et al. 2016, arXiv:1606.04934 (one logistic); Salimans, Karpathy, Chen and Kingma 2017,
    arXiv:1701.05517, section 2.1 (the mixture, and log s of at least -7; here without its dependence between colours).

    Args:
        data: of the kind `"levels"`.
        mixtures: M.
    """

    def __init__(self, data: DataSpec, *, mixtures: int = 1) -> None:
        super().__init__(data)
        self.mixtures = at_least("mixtures", mixtures, 1)
        self.numbers = 2 * mixtures if mixtures == 1 else 3 * mixtures

    def value(self, h: Tensor) -> LogisticLevels:
        """Decoder output `[..., numbers, *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        h = h.movedim(-self.dims - 1, 0)
        loc, log_scale, *logits = torch.split(h, self.mixtures)
        # Means start spread over the range, else equal components would stay equal.
        spread = torch.linspace(-1, 1, self.mixtures + 2, dtype=h.dtype, device=h.device)[1:-1]
        loc = loc + spread.reshape(-1, *[1] * (h.dim() - 1))
        # Of about the size of the number itself, and never below the least.
        log_scale = LEAST_LOG_SCALE + functional.softplus(log_scale - LEAST_LOG_SCALE)
        return LogisticLevels(logits[0] if logits else torch.zeros_like(loc), loc, log_scale, self.levels)


class CategoricalLevels(OnLevels):
    """P(k) = softmax(logits)_k.

    Args:
        logits: `[L, ...]`.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(0)
        super().__init__(logits.shape[1:], len(logits))

    def log_mass(self, k: Tensor) -> Tensor:
        """log P(k)."""
        shape = torch.broadcast_shapes(k.shape, self.batch_shape)  # type: ignore[no-untyped-call]
        chosen = k.long().clamp(0, self.levels - 1).expand(shape).unsqueeze(0)
        return _beside(self.logits, k).expand(self.levels, *shape).gather(0, chosen)[0]

    @property
    def mean(self) -> Tensor:
        """Expected value in [0, 1], `[...]`."""
        values = torch.linspace(0, 1, self.levels, dtype=self.logits.dtype, device=self.logits.device)
        mean: Tensor = torch.tensordot(values, self.logits.exp(), dims=([0], [0]))
        return mean

    def draw(self, sample_shape: torch.Size) -> Tensor:
        """Whole k, `[*sample_shape, ...]`."""
        p = self.logits.exp().movedim(0, -1).reshape(-1, self.levels)
        k = torch.multinomial(p, max(1, sample_shape.numel()), replacement=True).mT
        return k.to(self.logits.dtype).reshape(*sample_shape, *self.batch_shape)


class CategoricalPixels(OfLevels):
    """Each value is one of L classes, in no order: the most that a pixel's distribution can say.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv:1601.06759, section 3.3.

    Args:
        data: of the kind `"levels"`.
    """

    def __init__(self, data: DataSpec) -> None:
        super().__init__(data)
        self.numbers = self.levels

    def value(self, h: Tensor) -> CategoricalLevels:
        """Decoder output `[..., L, *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        return CategoricalLevels(h.movedim(-self.dims - 1, 0))


class BetaBinomialLevels(OnLevels):
    """P(k) = C(n, k) B(k + a, n - k + b) / B(a, b), n = L - 1: a binomial count whose chance is Beta(a, b).

    Args:
        a: above 0, `[...]`.
        b: above 0, `[...]`.
        levels: L.
    """

    def __init__(self, a: Tensor, b: Tensor, levels: int) -> None:
        self.a, self.b = a, b
        super().__init__(a.shape, levels)

    def log_mass(self, k: Tensor) -> Tensor:
        """log P(k)."""
        at, a, b = wide(k, self.a, self.b)
        n = torch.full_like(at, self.levels - 1)
        chosen = torch.lgamma(n + 1) - torch.lgamma(at + 1) - torch.lgamma(n - at + 1)
        above = torch.lgamma(at + a) + torch.lgamma(n - at + b) - torch.lgamma(n + a + b)
        return (chosen + above - torch.lgamma(a) - torch.lgamma(b) + torch.lgamma(a + b)).to(k.dtype)

    @property
    def mean(self) -> Tensor:
        """Expected value in [0, 1], `[...]`."""
        return self.a / (self.a + self.b)

    def draw(self, sample_shape: torch.Size) -> Tensor:
        """Whole k, `[*sample_shape, ...]`."""
        chance = torch.distributions.Beta(self.a, self.b, validate_args=False).sample(sample_shape)
        return torch.distributions.Binomial(self.levels - 1, chance, validate_args=False).sample()  # type: ignore[no-untyped-call, no-any-return]


class BetaBinomial(OfLevels):
    """Independent beta-binomial values of L - 1 trials: one hump, flat, or both ends, by two numbers.

    Args:
        data: of the kind `"levels"`.
    """

    numbers = 2
    # Both are above it, so that no number of the decoder gives a Beta that single precision cannot hold.
    _least = 1e-3

    def value(self, h: Tensor) -> BetaBinomialLevels:
        """Decoder output `[..., 2, *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        a, b = (functional.softplus(part) + self._least for part in h.unbind(-self.dims - 1))
        return BetaBinomialLevels(a, b, self.levels)
