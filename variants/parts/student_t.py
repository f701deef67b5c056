"""A likelihood with heavy tails: outliers cost a logarithm of their distance, not its square."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import StudentT as TorchStudentT
from torch.nn import functional

from variants.data_spec import DataSpec, Kind
from variants.parts.checks import flag, positive
from variants.parts.likelihoods import Likelihood, refuse_countable

# log Gamma(a + 1/2) - log Gamma(a) is taken from its series at a + SHIFT, whose next term is below 1e-11.
SHIFT = 8


def log_constant(df: Tensor) -> Tensor:
    """log of Gamma((df + 1) / 2) / (Gamma(df / 2) sqrt(df pi)), the density of Student's t at zero.

    The difference of two `lgamma` loses all digits of single precision where df is large; this loses none.
    """
    a = df / 2
    shifted = a + SHIFT
    steps = sum((0.5 / (a + j)).log1p() for j in range(SHIFT))
    series = -1 / (8 * shifted) + 1 / (192 * shifted**3) - 1 / (640 * shifted**5) + 17 / (14336 * shifted**7)
    constant: Tensor = 0.5 * (SHIFT / a).log1p() - 0.5 * math.log(2 * math.pi) + series - steps
    return constant


def log_density(x: Tensor, df: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log t(x; df, loc, scale), of the shape that the four have together."""
    t = (x - loc) / scale
    return log_constant(df) - scale.log() - 0.5 * (df + 1) * (t.square() / df).log1p()


class StudentTDistribution(TorchStudentT):
    """Student's t with a density that is exact in single precision for every df."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log density, of the shape that `value` and the parameters have together."""
        return log_density(value, self.df, self.loc, self.scale)


class StudentT(Likelihood):
    """p(x|z) = prod_i t(x_i; df, m_i(z), sigma): one sigma and one df for all pixels; df -> infinity is `Gaussian`.

    sigma is the scale, not the standard deviation, which is sigma sqrt(df / (df - 2)).

    Source: Takahashi, Iwata, Yamanaka, Yamada and Yagi 2018, IJCAI, doi:10.24963/ijcai.2018/374 (there sigma and df
    are functions of z).

    Args:
        data: any kind that is no set of levels or counts.
        df: degrees of freedom, a number above 2 (fixed), or `"learned"` (2 + softplus of a parameter, starting at 5).
        sigma: a number above 0 (fixed), or `"learned"` (one parameter, starting at 1).
        squash: pass the mean through a sigmoid; by default wherever the data lie in [0, 1].
    """

    support: Kind = "real"
    # The variance of fewer degrees of freedom is infinite.
    LOWEST, START = 2.0, 5.0

    fixed_df: Tensor
    fixed_sigma: Tensor

    def __init__(
        self,
        data: DataSpec,
        *,
        df: float | Literal["learned"] = "learned",
        sigma: float | Literal["learned"] = "learned",
        squash: bool | None = None,
    ) -> None:
        super().__init__()
        refuse_countable(data)
        self.dims = len(data.shape)
        self.squash = data.kind != "real" if squash is None else flag("squash", squash)
        self.learned_df, self.learned_sigma = df == "learned", sigma == "learned"
        if self.learned_df:
            self.excess = nn.Parameter(torch.tensor(math.log(math.expm1(self.START - self.LOWEST))))
        elif isinstance(df, str) or positive("df", df) <= self.LOWEST:
            raise ValueError(f"df must be a number above 2 or 'learned', got {df!r}")
        else:
            self.register_buffer("fixed_df", torch.tensor(float(df)))
        if self.learned_sigma:
            self.log_sigma = nn.Parameter(torch.zeros(()))
        elif isinstance(sigma, str):
            raise ValueError(f"sigma must be a number above 0 or 'learned', got {sigma!r}")
        else:
            self.register_buffer("fixed_sigma", torch.tensor(positive("sigma", sigma)))

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, a scalar."""
        return self.LOWEST + functional.softplus(self.excess) if self.learned_df else self.fixed_df

    @property
    def sigma(self) -> Tensor:
        """Scale of every pixel, a scalar."""
        return self.log_sigma.exp() if self.learned_sigma else self.fixed_sigma

    def _mean(self, h: Tensor) -> Tensor:
        return torch.sigmoid(h) if self.squash else h

    def forward(self, h: Tensor) -> Distribution:
        """Decoder output `[..., *shape]` -> p(x|z), batch shape `[...]`, event shape `shape`."""
        density = StudentTDistribution(self.df, self._mean(h), self.sigma, validate_args=False)
        return Independent(density, self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        # The distribution is not used: it checks df at every step and so parts a compiled graph.
        return log_density(x, self.df, self._mean(h), self.sigma).flatten(-self.dims).sum(-1)
