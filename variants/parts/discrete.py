"""Posteriors of discrete latents, bits and one-hot vectors, as they are or relaxed in training.

What is relaxed in training is discrete in evaluation mode, so that the judge speaks of the discrete model.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Distribution, Independent, constraints, register_kl
from torch.nn.functional import softplus

from variants.core.blocks import Blocks
from variants.core.one_hots import OneHots as OneHotsDistribution
from variants.core.one_hots import RelaxedOneHots
from variants.parts.checks import at_least, flag, not_negative, positive
from variants.parts.posteriors import Diagonal, Posterior


class Bit(BernoulliDistribution):
    """A bit whose KL is finite for all logits: torch's is infinite where sigmoid(logit) rounds to one, from 17 on."""


@register_kl(Bit, Bit)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_bits(q: Bit, p: Bit) -> Tensor:
    a, b = q.logits, p.logits
    return a.sigmoid() * (softplus(-b) - softplus(-a)) + (-a).sigmoid() * (softplus(b) - softplus(a))


def bits(logits: Tensor) -> Independent[Bit]:
    """Independent bits of logits `[..., D]`, event shape `[D]`."""
    return Independent(Bit(logits=logits, validate_args=False), 1, validate_args=False)


class RelaxedBits(Independent["RelaxedBit"]):
    """z = sigmoid((logits + logistic noise) / temperature) in (0, 1)^D: above 1/2 as often as the bit is 1.

    Source: Maddison, Mnih and Teh 2017, arXiv:1611.00712, appendix B (binary Concrete).

    Args:
        logits: `[..., D]`; event shape `[D]`.
        temperature: above 0.
    """

    def __init__(self, logits: Tensor, temperature: float) -> None:
        super().__init__(RelaxedBit(logits, temperature), 1, validate_args=False)


class RelaxedBit(Distribution):
    """Of each logit `[...]` one z, event shape `[]`.

    Logits of any size have a finite density and gradient: torch's own relaxation takes exp(logits) on the way to log p,
    which overflows at 88. A draw within half a unit of rounding of 0 or 1 is held there, and is no point but all that
    lies beyond: what is known of it is its probability, so no logit is worth more for being further out.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits
        self.temperature = temperature
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """That of the bit, `[...]`: the relaxation's own has no closed form."""
        return self.logits.sigmoid()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, ...]`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        low, high = _ends(self.logits)
        noise = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device).clamp(low, high).logit()
        return ((self.logits + noise) / self.temperature).sigmoid().clamp(low, high)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at `value` `[...]`; at the ends the log of the probability of what lies beyond."""
        low, high = _ends(value)
        logit = value.clamp(low, high).logit()
        away = self.logits - self.temperature * logit
        # the last two terms are -log z - log(1 - z), the slope of the logit
        density = math.log(self.temperature) + away - 2 * softplus(away) + softplus(logit) + softplus(-logit)
        return torch.where(value <= low, -softplus(away), torch.where(value >= high, -softplus(-away), density))


def _ends(x: Tensor) -> tuple[float, float]:
    """Where draws of the type of `x` are held: half a unit of rounding from 0 and from 1."""
    least = torch.finfo(x.dtype).eps / 2
    return least, 1 - least


def classes_of(latent: int, classes: int | None) -> tuple[int, int]:
    """(N, K) of N variables of K classes in `latent` = N K numbers; by default the largest K up to ten."""
    if classes is None:
        classes = max((k for k in range(2, 11) if latent % k == 0), default=0)
        if not classes:
            raise ValueError(f"one-hot latents need a latent size of N times K classes: {latent} has no K up to 10")
    elif latent % at_least("classes", classes, 2):
        raise ValueError(f"one-hot latents need a latent size of N times K classes: {latent} is not N times {classes}")
    return latent // classes, classes


class Bernoulli(Posterior):
    """q(z|x) of independent bits with logits linear in the features. Its draws carry no gradient.

    Source: Mnih and Rezende 2016, arXiv:1602.06725, section 4.

    Args:
        features: H, width of the encoder's output.
        latent: D.
    """

    has_path = False
    latents = "binary"

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return bits(self.logits(h))


class Concrete(Bernoulli):
    """`Bernoulli` in evaluation mode, and its relaxation in training.

    Source: Maddison, Mnih and Teh 2017, arXiv:1611.00712.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        temperature: of the relaxation.
    """

    has_path = True
    latents = "relaxed binary"

    def __init__(self, features: int, latent: int, *, temperature: float = 2 / 3) -> None:
        super().__init__(features, latent)
        self.temperature = positive("temperature", temperature)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        logits = self.logits(h)
        return RelaxedBits(logits, self.temperature) if self.training else bits(logits)


class OneHots(Posterior):
    """q(z|x) of N categorical variables of K classes, D = N K. Its draws carry no gradient.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        classes: K; None for the largest divisor of D up to ten.
    """

    has_path = False
    latents = "one-hot"
    has_marginals = False

    def __init__(self, features: int, latent: int, *, classes: int | None = None) -> None:
        super().__init__()
        self.variables, self.classes = classes_of(latent, classes)
        self.logits = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return OneHotsDistribution(self.logits(h).unflatten(-1, (self.variables, self.classes)))


def annealed(temperature: float, floor: float, decay: float, epoch: float) -> float:
    """max(floor, temperature exp(-decay epoch)): of the passes so far alone, so that no call moves it."""
    return max(floor, temperature * math.exp(-decay * epoch))


class GumbelSoftmax(OneHots):
    """`OneHots` in evaluation mode, and relaxed draws in training; the KL is that of the categorical variables.

    Source: Jang, Gu and Poole 2017, arXiv:1611.01144.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        classes: K; None for the largest divisor of D up to ten.
        temperature: of the relaxation at the start.
        temperature_decay: by which its logarithm falls with each pass over the data; 0 holds it.
        temperature_floor: below which it does not fall.
        hard: whether draws are rounded to one-hot vectors (straight through).
    """

    has_path = True

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        classes: int | None = None,
        temperature: float = 1.0,
        temperature_decay: float = 0.05,
        temperature_floor: float = 0.5,
        hard: bool = False,
    ) -> None:
        super().__init__(features, latent, classes=classes)
        self.start = self.temperature = positive("temperature", temperature)
        self.decay = not_negative("temperature_decay", temperature_decay)
        self.floor = positive("temperature_floor", temperature_floor)
        self.hard = flag("hard", hard)
        self.eager = self.decay > 0  # a graph is compiled for one temperature

    def anneal(self, epoch: float) -> None:
        """Told the passes over the data so far."""
        self.temperature = annealed(self.start, self.floor, self.decay, epoch)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        logits = self.logits(h).unflatten(-1, (self.variables, self.classes))
        if self.training:
            return RelaxedOneHots(logits, self.temperature, hard=self.hard)
        return OneHotsDistribution(logits)


def joint_sizes(latent: int, classes: int | None) -> tuple[int, int]:
    """(D - K, K): Gaussian latents, and classes of one categorical variable, by default half of D up to ten."""
    classes = min(10, latent // 2) if classes is None else at_least("classes", classes, 2)
    if not 2 <= classes < latent:
        raise ValueError(f"joint latents need 2 classes or more and a Gaussian latent beside them, in {latent}")
    return latent - classes, classes


class Joint(Posterior):
    """q(z|x) = N(mu(x), diag(sigma(x)^2)) Cat(pi(x)): D - K Gaussian latents, then one variable of K classes.

    Source: Dupont 2018, arXiv:1804.00104, eq. 5.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        classes: K; None for half of D, at most ten.
        temperature: at which training draws the variable, see `GumbelSoftmax`.
    """

    latents = "joint"
    has_marginals = False

    def __init__(self, features: int, latent: int, *, classes: int | None = None, temperature: float = 0.67) -> None:
        super().__init__()
        size, classes = joint_sizes(latent, classes)
        self.continuous = Diagonal(features, size)
        self.discrete = GumbelSoftmax(
            features, classes, classes=classes, temperature=temperature, temperature_decay=0.0
        )

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return Blocks([self.continuous(h), self.discrete(h)])
