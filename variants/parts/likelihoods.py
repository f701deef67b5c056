"""Likelihoods p(x|z): modules from the decoder's output `[..., *shape]`, or `[..., numbers, *shape]` where one asks for
several numbers for each value of the data, to a distribution with event `shape`. Others are in `levels` and `counts`.

Each names the support it is a density on. Nats on different supports are different quantities, so rows with different
supports are never ranked together, and a likelihood refuses data that it is no density for.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn import functional

from variants.data_spec import DataSpec, Kind
from variants.parts.checks import flag, positive


class Likelihood(nn.Module, ABC):
    """Abstract. A subclass takes `(data)` and its own keyword options.

    Attributes:
        support: the kind of data that its density is on.
        numbers: how many numbers of the decoder it takes for each value of the data.
    """

    support: Kind
    numbers: int = 1

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Decoder output `[..., *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""

    @abstractmethod
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats, summed over all dimensions: h `[K, B, *shape]`, x `[B, *shape]` -> `[K, B]`."""


class OfValues(Likelihood):
    """Abstract: independent values, each of a distribution on countably many points.

    Args:
        data: any.
    """

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.dims = len(data.shape)

    @abstractmethod
    def value(self, h: Tensor) -> Distribution:
        """Decoder output `[..., *shape]`, or `[..., numbers, *shape]` -> p(x_i|z), batch shape `[..., *shape]`."""

    def forward(self, h: Tensor) -> Distribution:
        """The same -> p(x|z), batch shape `[...]`, event shape `shape`."""
        return Independent(self.value(h), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        p = self.forward(h)
        return p.log_prob(x)


def refuse_unless(data: DataSpec, kind: Kind, how: str) -> None:
    """ValueError for data of another kind; `how` such data are had."""
    if data.kind != kind:
        raise ValueError(f"this likelihood is for data of the kind {kind!r}, not {data.kind!r}: choose {how}")


def refuse_countable(data: DataSpec) -> None:
    """ValueError for data of which a density says nothing: there are probabilities of levels and of counts."""
    if data.kind in ("levels", "counts"):
        raise ValueError(
            f"a density gives no probability to {data.kind}: choose likelihood=auto"
            + (", or binarise=dequantise" if data.kind == "levels" else "")
        )


# Numbers at once of a thread without gradients: 2^18 float32 are 1 MiB, which the passes over them find in its cache.
_CACHED = 2**18


def sum_logsigmoid(m: Tensor) -> Tensor:
    """sum_i log sigmoid(m_i) = sum_i min(m_i, 0) + log prod_i sigmoid(|m_i|), float32 `[..., D]` -> `[...]`.

    A factor sigmoid(|m|) lies in [1/2, 1], so that of 64 there is one logarithm, and no underflow. To round it, or a
    product, is an error of at most 6e-8 nats. There is no gradient, and m is overwritten.
    """
    below = m.clamp(max=0).sum(-1)
    factors = m.abs_().sigmoid_()
    for _ in range(6):
        size = factors.shape[-1]
        half = (size + 1) // 2
        factors[..., : size - half].mul_(factors[..., half:])
        factors = factors[..., :half]
    return below + factors.log().sum(-1)


class Bernoulli(Likelihood):
    """Independent Bernoulli pixels with logits h. For binary data only: on grey pixels it is not a density.

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix C.1.

    Args:
        data: binary.
        output_bias: add the logit of the mean training image, held within [0.001, 0.999], to h, so that training starts
            from the mean. To start the bias of the decoder's last layer there is the same thing. Source: Burda, Grosse
            and Salakhutdinov 2016, arXiv:1509.00519, the authors' code.

    Raises:
        ValueError: the data are not binary, or their mean is asked for and not known.
    """

    support: Kind = "binary"
    bias: Tensor | None

    def __init__(self, data: DataSpec, *, output_bias: bool = False) -> None:
        super().__init__()
        if data.kind != "binary":
            raise ValueError(
                f"a Bernoulli likelihood needs binary data, not {data.kind!r}: binarise, or choose continuous_bernoulli"
            )
        self.dims = len(data.shape)
        bias = None
        if flag("output_bias", output_bias):
            if data.mean is None:
                raise ValueError("output_bias needs the mean of the data: leave it out, or give a DataSpec with mean")
            bias = torch.as_tensor(data.mean(), dtype=torch.float32).clamp(0.001, 0.999).logit()
        self.register_buffer("bias", bias)

    def _logits(self, h: Tensor) -> Tensor:
        return h if self.bias is None else h + self.bias

    def forward(self, h: Tensor) -> Distribution:
        """Decoder output `[..., *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""
        h = self._logits(h)
        return Independent(BernoulliDistribution(logits=h, validate_args=False), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`: a pixel x in {0, 1} has the probability sigmoid(+-h), with the sign of 2 x - 1."""
        h, sign = self._logits(h).flatten(-self.dims), (2 * x - 1).flatten(-self.dims)
        if torch.is_grad_enabled() or h.device.type != "cpu" or h.dtype != torch.float32:
            return functional.logsigmoid(h * sign).sum(-1)
        pieces = torch.split(h, max(1, _CACHED * torch.get_num_threads() // sign.numel()))
        return torch.cat([sum_logsigmoid(piece * sign) for piece in pieces])


class ContinuousBernoulliDistribution(Distribution):
    """Density C(l) l^x (1 - l)^(1 - x) on [0, 1] with l = sigmoid(logits), exact for all logits: nothing is clamped.

    Source: Loaiza-Ganem and Cunningham 2019, arXiv:1907.06845.

    Args:
        logits: `[...]`; batch shape `[...]`, event shape `[]`.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.unit_interval
    has_rsample = True
    # Below this |logit| the closed forms are near 0/0 and their series, whose next term is under 1e-12, take over.
    _series_below = 0.1

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def _split(self) -> tuple[Tensor, Tensor]:
        near_zero = self.logits.abs() < self._series_below
        # The unused branch must stay finite as well, or its gradient turns the used one into NaN.
        return near_zero, torch.where(near_zero, torch.ones_like(self.logits), self.logits)

    @property
    def log_normaliser(self) -> Tensor:
        """log C, `[...]`: log(a / tanh(a / 2)) in terms of the logit a."""
        near_zero, a = self._split()
        series = math.log(2) + self.logits**2 / 12 - 7 * self.logits**4 / 1440 + 31 * self.logits**6 / 90720
        return torch.where(near_zero, series, (a / torch.tanh(a / 2)).log())

    @property
    def mean(self) -> Tensor:
        """Expected value, `[...]`: 1 / (1 - exp(-a)) - 1 / a = (1 + 1 / tanh(a / 2)) / 2 - 1 / a."""
        near_zero, a = self._split()
        series = 0.5 + self.logits / 12 - self.logits**3 / 720 + self.logits**5 / 30240
        return torch.where(near_zero, series, 0.5 + 0.5 / torch.tanh(a / 2) - 1 / a)

    def log_prob(self, value: Tensor) -> Tensor:
        """log density at `value` in [0, 1], `[...]`."""
        return value * self.logits - functional.softplus(self.logits) + self.log_normaliser

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples by the inverse distribution function, `[*sample_shape, ...]`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        near_zero, a = self._split()
        # For a > 0 x = 1 + log(u + (1 - u) exp(-a)) / a; for a < 0 its mirror image. Neither needs exp(|a|).
        size, v = a.abs(), torch.where(a > 0, u, 1 - u)
        x = 1 + torch.logaddexp(v.log(), torch.log1p(-v) - size) / size
        # a x = log(1 - u + u exp(a)) is the cumulant function of a coin that shows 1 with probability u.
        w, b = u * (1 - u), self.logits
        series = u + b * w / 2 + b**2 * w * (1 - 2 * u) / 6 + b**3 * w * (1 - 6 * w) / 24
        return torch.where(near_zero, series, torch.where(a > 0, x, 1 - x))


class ContinuousBernoulli(Likelihood):
    """Independent continuous-Bernoulli pixels: the density that makes grey pixels in [0, 1] right.

    Source: Loaiza-Ganem and Cunningham 2019, arXiv:1907.06845.
    """

    support: Kind = "unit"

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        if data.kind != "unit":
            raise ValueError(f"a continuous-Bernoulli likelihood needs data in [0, 1], not {data.kind!r}")
        self.dims = len(data.shape)

    def forward(self, h: Tensor) -> Distribution:
        """Logits `[..., *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""
        return Independent(ContinuousBernoulliDistribution(h), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        return self.forward(h).log_prob(x)


class Gaussian(Likelihood):
    """p(x|z) = N(m(z), sigma^2 I) with its variance and its constant, one sigma for all pixels.

    With `sigma="optimal"` a training batch is scored at the sigma that maximises its likelihood, sigma^2 = mean squared
    error, at least 1e-10, and a running average of that variance is kept; in evaluation mode the kept variance is used,
    because a sigma fitted to the data that it scores would be no density.

    Source: Rybkin, Daniilidis and Levine 2021, arXiv:2006.13202 (learned and optimal sigma).

    Args:
        data: any kind that is no set of levels or counts.
        sigma: a number above 0 (fixed), `"learned"` (one parameter, starting at 1) or `"optimal"`.
        squash: pass the mean through a sigmoid; by default wherever the data lie in [0, 1].
    """

    support: Kind = "real"
    # Least weight of the newest batch in the running variance: after a plain mean of the first hundred batches it is an
    # average over about the last hundred.
    _momentum = 0.01
    # Of images that are all alike there may be no error at all.
    _least_variance = 1e-10

    variance: Tensor
    batches: Tensor

    def __init__(
        self,
        data: DataSpec,
        *,
        sigma: float | Literal["learned", "optimal"] = "learned",
        squash: bool | None = None,
    ) -> None:
        super().__init__()
        refuse_countable(data)
        self.dims = len(data.shape)
        self.squash = data.kind != "real" if squash is None else flag("squash", squash)
        self.optimal = sigma == "optimal"
        if sigma == "learned":
            self.log_sigma = nn.Parameter(torch.zeros(()))
        else:
            if isinstance(sigma, str) and not self.optimal:
                raise ValueError(f"sigma must be a number above 0, 'learned' or 'optimal', got {sigma!r}")
            value = 1.0 if self.optimal else positive("sigma", sigma)
            self.register_parameter("log_sigma", None)
            self.register_buffer("variance", torch.tensor(value**2))
            self.register_buffer("batches", torch.tensor(0.0))

    @property
    def sigma(self) -> Tensor:
        """Standard deviation of every pixel, a scalar."""
        return self.variance.sqrt() if self.log_sigma is None else self.log_sigma.exp()

    def _mean(self, h: Tensor) -> Tensor:
        return torch.sigmoid(h) if self.squash else h

    def _density(self, mean: Tensor, sigma: Tensor) -> Distribution:
        return Independent(Normal(mean, sigma, validate_args=False), self.dims, validate_args=False)

    def forward(self, h: Tensor) -> Distribution:
        """Decoder output `[..., *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""
        return self._density(self._mean(h), self.sigma)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        if not (self.optimal and self.training):
            return self.forward(h).log_prob(x)
        mean = self._mean(h)
        variance = (x - mean).square().mean().clamp(min=self._least_variance)
        with torch.no_grad():
            good = variance.isfinite()
            self.batches += good
            average = self.variance.lerp(variance, self.batches.reciprocal().clamp(min=self._momentum))
            self.variance.copy_(torch.where(good, average, self.variance))
        return self._density(mean, variance.sqrt()).log_prob(x)


class Heteroscedastic(Likelihood):
    """p(x|z) = N(m(z), diag(s(z)^2)), with an s for each value and each z.

    Where a value is the same in all data its s would shrink without end and the density grow without bound, hence s is
    at least `floor`. It belongs to the density: figures of two floors do not compare.

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix C.2 (a Gaussian decoder).

    Args:
        data: any kind that is no set of levels or counts.
        floor: least s, above 0.
        squash: pass the mean through a sigmoid; by default wherever the data lie in [0, 1].
    """

    support: Kind = "real"
    numbers = 2

    def __init__(self, data: DataSpec, *, floor: float = 0.01, squash: bool | None = None) -> None:
        super().__init__()
        refuse_countable(data)
        self.dims = len(data.shape)
        self.squash = data.kind != "real" if squash is None else flag("squash", squash)
        self.floor = positive("floor", floor)

    def forward(self, h: Tensor) -> Distribution:
        """Decoder output `[..., 2, *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""
        mean, scale = h.unbind(-self.dims - 1)
        mean = torch.sigmoid(mean) if self.squash else mean
        normal = Normal(mean, self.floor + functional.softplus(scale), validate_args=False)
        return Independent(normal, self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        return self.forward(h).log_prob(x)
