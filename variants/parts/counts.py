"""Likelihoods of counts 0, 1, 2, ...

The size of a library, the total of an example's counts, is no part of what is given: p(x|z) is a distribution of all of
x. Single-cell work often states log p(x | z, total) instead, which is another quantity, and does not compare.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions import Poisson as PoissonDistribution
from torch.nn import functional

from variants.core.wide import wide
from variants.data_spec import DataSpec, Kind
from variants.parts.likelihoods import OfValues, refuse_unless

# Of a value whose training counts are all zero the mean is taken for this.
LEAST_MEAN = 1e-3
LEAST_LOG_RATE = -60.0


def log_softplus(h: Tensor) -> Tensor:
    """log log(1 + exp(h)), which for small h is h."""
    small = h < -15
    return torch.where(small, h, functional.softplus(torch.where(small, torch.zeros_like(h), h)).log())


class OfCounts(OfValues):
    """Abstract: independent counts of rate m_i softplus(h_i) / log 2, m the mean of the training data if it is known.

    So h = 0 is that mean, the rate cannot be negative, and large counts need no large h.

    Args:
        data: of the kind `"counts"`.

    Raises:
        ValueError: the data are no counts.
    """

    support: Kind = "counts"
    log_mean: Tensor

    def __init__(self, data: DataSpec) -> None:
        super().__init__(data)
        refuse_unless(data, "counts", "a data set of counts")
        mean = torch.as_tensor(data.mean(), dtype=torch.float32) if data.mean else torch.ones(data.shape)
        unit = functional.softplus(torch.zeros(())).log()
        self.register_buffer("log_mean", mean.clamp(min=LEAST_MEAN).log() - unit)

    def log_rate(self, h: Tensor) -> Tensor:
        """Decoder output `[..., *shape]` -> log of the rate, `[..., *shape]`."""
        # A lower rate is zero in single precision, and then says that no count can be.
        return (self.log_mean + log_softplus(h)).clamp(min=LEAST_LOG_RATE)


class LogRatePoisson(PoissonDistribution):
    """P(x) = exp(x log m - m) / x!, which for large counts is a small difference of large numbers.

    Args:
        log_rate: log m, `[...]`.
    """

    def __init__(self, log_rate: Tensor) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.exp(), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """At counts `[...]`, `[...]` in nats."""
        x, log_m = wide(value, self.log_rate)
        return (x * log_m - log_m.exp() - torch.lgamma(x + 1)).to(value.dtype)


class Poisson(OfCounts):
    """x_i ~ Poisson(rate_i(z)): variance and mean are equal.

    Args:
        data: of the kind `"counts"`.
    """

    def value(self, h: Tensor) -> LogRatePoisson:
        """Decoder output `[..., *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        return LogRatePoisson(self.log_rate(h))


class NegativeBinomialDistribution(Distribution):
    """P(x) = C(x + t - 1, x) (t / (t + m))^t (m / (t + m))^x: mean m, variance m + m^2 / t.

    Args:
        log_rate: log m, `[...]`.
        log_dispersion: log t, broadcast to `[...]`.
        log_odds: of a zero that is none of these, `[...]`; None for none.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.nonnegative_integer

    def __init__(self, log_rate: Tensor, log_dispersion: Tensor, log_odds: Tensor | None = None) -> None:
        self.log_rate = log_rate
        self.log_dispersion = log_dispersion.expand_as(log_rate)
        self.log_odds = log_odds
        super().__init__(log_rate.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """At counts `[...]`, `[...]` in nats."""
        x, log_t, log_m = wide(value, self.log_dispersion, self.log_rate)
        t = log_t.exp()
        over = functional.softplus(log_m - log_t)  # log[(t + m) / t]
        chosen = torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1)
        log_p = (chosen - t * over + x * (log_m - log_t - over)).to(value.dtype)
        if self.log_odds is None:
            return log_p
        kept = functional.logsigmoid(-self.log_odds) + log_p
        return torch.where(value == 0, torch.logaddexp(functional.logsigmoid(self.log_odds), kept), kept)

    @property
    def mean(self) -> Tensor:
        """`[...]`."""
        mean = self.log_rate.exp()
        return mean if self.log_odds is None else mean * torch.sigmoid(-self.log_odds)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, ...]`: a Poisson count whose rate is Gamma(t, t / m)."""
        t = self.log_dispersion.exp()
        gamma = torch.distributions.Gamma(t, t * (-self.log_rate).exp(), validate_args=False)
        x = torch.poisson(gamma.sample(torch.Size(sample_shape)))
        if self.log_odds is None:
            return x
        return torch.where(torch.rand_like(x) < torch.sigmoid(self.log_odds), torch.zeros_like(x), x)


class NegativeBinomial(OfCounts):
    """x_i ~ NB(rate_i(z), t_i): a Poisson whose rate varies, with a dispersion t_i learnt for each value of the data.

    Source: Lopez, Regier, Cole, Jordan and Yosef 2018, Nature Methods 15:1053 (scVI), without its library size.

    Args:
        data: of the kind `"counts"`.
    """

    def __init__(self, data: DataSpec) -> None:
        super().__init__(data)
        self.log_dispersion = nn.Parameter(torch.zeros(data.shape))

    def value(self, h: Tensor) -> NegativeBinomialDistribution:
        """Decoder output `[..., *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        return NegativeBinomialDistribution(self.log_rate(h), self.log_dispersion)


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """`NegativeBinomial`, or with the probability pi_i(z) a zero that is none of its own.

    Source: Lopez, Regier, Cole, Jordan and Yosef 2018, Nature Methods 15:1053 (scVI), without its library size.

    Args:
        data: of the kind `"counts"`.
    """

    numbers = 2

    def value(self, h: Tensor) -> NegativeBinomialDistribution:
        """Decoder output `[..., 2, *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""
        rate, log_odds = h.unbind(-self.dims - 1)
        return NegativeBinomialDistribution(self.log_rate(rate), self.log_dispersion, log_odds)
