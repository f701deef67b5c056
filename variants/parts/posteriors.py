"""Approximate posteriors q(z|x): modules from features `[B, H]` to a distribution with batch `[B]`, event `[D]`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    constraints,
)
from torch.distributions import Laplace as LaplaceDistribution

from variants.core.chain import Chain
from variants.parts.checks import at_least, flag, not_negative, positive, sizes
from variants.parts.heads import PACE, Constant, Head
from variants.parts.layers import Conditional, split


class Posterior(nn.Module, ABC):
    """Abstract. A subclass takes `(features, latent)` and its own keyword options, and implements `forward`.

    Attributes:
        has_density: whether q(z|x) has one, without which there is no bound.
        covers: whether q(z|x) > 0 wherever p(z|x) > 0, without which log p(x) cannot be estimated from its draws.
        has_path: whether draws in training carry gradients to its parameters.
        moves_codes: whether z carries gradients to the code book of its prior.
        latents: the kind of its latents, which must be that of the prior's.
        batch_statistics: whether in training q of an example depends on the others of its batch.
        bottom_up: whether it is q(z1|x) q(z2|z1).
        has_marginals: whether the distribution of each single latent, q(z_j|x), is known.
        refines: whether it has a method `refine`, which knows the prior.
    """

    has_density: bool = True
    covers: bool = True
    has_path: bool = True
    moves_codes: bool = False
    latents: str = "real"
    batch_statistics: bool = False
    bottom_up: bool = False
    has_marginals: bool = True
    refines: bool = False

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""


def shape_head(features: int, size: int, shared: bool, pace: float) -> nn.Module:
    """A head for what describes the covariance: a function of the features, or one vector for every x."""
    return Constant(size) if shared or size == 0 else Head(features, size, pace=pace)


class Diagonal(Posterior):
    """q(z|x) = N(mu(x), diag(sigma(x)^2)), with a log-sigma head.

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix C.2.

    Args:
        features: H, width of the encoder's output.
        latent: D.
        shared_covariance: one sigma for all x instead of sigma(x), as in the exact posterior of a linear model.
        pace: of log sigma, see `Head`.
    """

    def __init__(self, features: int, latent: int, *, shared_covariance: bool = False, pace: float = PACE) -> None:
        super().__init__()
        self.shared_covariance = flag("shared_covariance", shared_covariance)
        self.loc = nn.Linear(features, latent)
        self.log_scale = shape_head(features, latent, shared_covariance, positive("pace", pace))

    def forward(self, h: Tensor) -> Independent[Normal]:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return Independent(Normal(self.loc(h), self.log_scale(h).exp(), validate_args=False), 1, validate_args=False)


class Laplace(Posterior):
    """q(z|x) = prod_j Laplace(mu_j(x), b_j(x)), with a log-b head.

    Its KL is known in closed form to the `laplace` prior and to the standard normal one.

    Source: Kingma and Welling 2014, arXiv:1312.6114, section 2.4 (families of location and scale).

    Args:
        features: H, width of the encoder's output.
        latent: D.
        pace: of log b, see `Head`.
    """

    def __init__(self, features: int, latent: int, *, pace: float = PACE) -> None:
        super().__init__()
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent, pace=positive("pace", pace))

    def forward(self, h: Tensor) -> Independent[LaplaceDistribution]:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        density = LaplaceDistribution(self.loc(h), self.log_scale(h).exp(), validate_args=False)
        return Independent(density, 1, validate_args=False)


class BatchNorm(Posterior):
    """q(z|x) = N(mu(x), diag(sigma(x)^2)) with mu normalised over the batch to mean b and standard deviation g.

    The KL to N(0, I) of a training batch is then at least D g^2 / 2 + |b|^2 / 2 on average, so q cannot collapse to the
    prior; g is fixed, b is learnt. (Where the variance of the means is near `EPS` the bound is less.) In evaluation
    mode mu is normalised by running moments, so that q of an example is its own affair.

    Source: Zhu et al. 2020, arXiv:2004.12585, section 4 (BN-VAE).

    Args:
        features: H, width of the encoder's output.
        latent: D.
        bn_scale: g, at least 0.
        pace: of log sigma, see `Head`.
    """

    batch_statistics = True
    # EPS is added to the variance of the means. It is small: means that shrink, not spread, would evade the bound.
    EPS = 1e-10
    # Least weight of the newest batch in the running moments, after a plain mean of the first batches.
    MOMENTUM = 0.05

    running_mean: Tensor
    running_variance: Tensor
    batches: Tensor

    def __init__(self, features: int, latent: int, *, bn_scale: float = 0.6, pace: float = PACE) -> None:
        super().__init__()
        self.bn_scale = not_negative("bn_scale", bn_scale)
        # Normalising takes away what a bias would add.
        self.loc = nn.Linear(features, latent, bias=False)
        self.shift = nn.Parameter(torch.zeros(latent))
        self.log_scale = Head(features, latent, pace=positive("pace", pace))
        self.register_buffer("running_mean", torch.zeros(latent))
        self.register_buffer("running_variance", torch.ones(latent))
        self.register_buffer("batches", torch.tensor(0.0))

    def _moments(self, loc: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance `[D]` by which to normalise `[B, D]`; one example has no variance of its own."""
        if not self.training or len(loc) == 1:
            return self.running_mean, self.running_variance
        mean, variance = loc.mean(0), loc.var(0, correction=0)
        with torch.no_grad():
            self.batches += 1
            weight = self.batches.reciprocal().clamp(min=self.MOMENTUM)
            self.running_mean.lerp_(mean, weight)
            self.running_variance.lerp_(variance, weight)
        return mean, variance

    def forward(self, h: Tensor) -> Independent[Normal]:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        loc = self.loc(h)
        mean, variance = self._moments(loc)
        loc = self.bn_scale * (loc - mean) * (variance + self.EPS).rsqrt() + self.shift
        return Independent(Normal(loc, self.log_scale(h).exp(), validate_args=False), 1, validate_args=False)


class Full(Posterior):
    """q(z|x) = N(mu(x), L(x) L(x)^T): every entry of the d x d covariance, by its Cholesky factor.

    L = diag(sigma) (I + N) with N strictly lower triangular, which is every Cholesky factor once. Scaling the rows by
    sigma lets the correlated noise shrink with the posterior; docs/decisions/cholesky.md has what that buys. N starts
    at zero: with one seed this posterior starts at exactly the same q as `Diagonal`.

    Source: Kingma and Welling 2019, arXiv:1906.02691, section 2.5.1 (there L = diag(sigma) + N).

    Args:
        features: H, width of the encoder's output.
        latent: D; the head has D (D + 3) / 2 outputs.
        shared_covariance: one L for all x instead of L(x).
        pace: of log sigma and of a row of N, see `Head`.
    """

    below: Tensor

    def __init__(self, features: int, latent: int, *, shared_covariance: bool = False, pace: float = PACE) -> None:
        super().__init__()
        self.shared_covariance = flag("shared_covariance", shared_covariance)
        self.loc = nn.Linear(features, latent)
        self.log_scale = shape_head(features, latent, shared_covariance, positive("pace", pace))
        self.register_buffer("below", torch.tril_indices(latent, latent, offset=-1), persistent=False)
        # A row has up to D - 1 entries, which together move z as far as its log sigma does.
        self.off_diagonal = shape_head(features, latent * (latent - 1) // 2, shared_covariance, pace / latent)

    def forward(self, h: Tensor) -> MultivariateNormal:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        scale = self.log_scale(h).exp()
        unit = torch.ones_like(scale).diag_embed()
        unit[:, self.below[0], self.below[1]] = self.off_diagonal(h)
        return MultivariateNormal(self.loc(h), scale_tril=scale.unsqueeze(-1) * unit, validate_args=False)


class LowRank(Posterior):
    """q(z|x) = N(mu(x), diag(sigma) (I + V V^T) diag(sigma)), V of `rank` columns: between diagonal and full.

    That is W W^T + diag(sigma^2) with W = diag(sigma) V. The small matrix to factorise is then I + V^T V, which single
    precision can hold; with a free W it is I + W^T diag(sigma^-2) W, which fails once some sigma is small.

    Source: Rezende, Mohamed and Wierstra 2014, arXiv:1401.4082, section 4.3 (rank one).

    Args:
        features: H, width of the encoder's output.
        latent: D.
        rank: columns of V, at most D; None takes two, or the one that D = 1 allows.
        pace: of log sigma and of V, see `Head`.
    """

    def __init__(self, features: int, latent: int, *, rank: int | None = None, pace: float = PACE) -> None:
        super().__init__()
        rank = min(2, latent) if rank is None else at_least("rank", rank, 1)
        if rank > latent:
            raise ValueError(f"rank must be at most the latent size {latent}, got {rank}")
        self.rank = rank
        self.loc = nn.Linear(features, latent)
        self.log_scale = Head(features, latent, pace=positive("pace", pace))
        # At zero V has no gradient.
        self.factor = Head(features, latent * rank, pace=pace, zero=False)

    def forward(self, h: Tensor) -> LowRankMultivariateNormal:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        scale = self.log_scale(h).exp()
        factor = scale.unsqueeze(-1) * self.factor(h).unflatten(-1, (-1, self.rank))
        return LowRankMultivariateNormal(self.loc(h), factor, scale.square(), validate_args=False)


class Delta(Distribution):
    """All mass at one point. It can be sampled but has no density, so `log_prob` refuses.

    Args:
        loc: the point, `[B, D]`; batch shape `[B]`, event shape `[D]`.
    """

    arg_constraints = {"loc": constraints.real_vector}  # noqa: RUF012 - torch reads this class attribute
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point itself, `[B, D]`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zero, `[B, D]`."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`sample_shape` copies of the point, `[*sample_shape, B, D]`."""
        return self.loc.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises NotImplementedError: a point mass has no density."""
        raise NotImplementedError("a deterministic encoder has no density q(z|x), hence no ELBO")


class Deterministic(Posterior):
    """z = mu(x), the plain autoencoder's map: no distribution, hence no bound."""

    has_density = False
    has_marginals = False

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.loc = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Delta:
        """Features `[B, H]` -> a point mass, batch shape `[B]`, event shape `[D]`."""
        return Delta(self.loc(h))


class BottomUp(Posterior):
    """q(z1|x) q(z2|z1), diagonal Gaussians: of the upper layer z2 x is known through z1 alone.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5 (two stochastic layers).

    Args:
        features: H, width of the encoder's output.
        latent: D = D1 + D2, all latents, z = (z1, z2).
        top: D2, those of the upper layer; None for a third of D.
        top_hidden: widths between z1 and z2.
        activation: of these layers, one of `ACTIVATIONS`.
    """

    bottom_up = True
    has_marginals = False

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        top: int | None = None,
        top_hidden: tuple[int, ...] = (100,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.layers = split(latent, top)
        self.first = Diagonal(features, self.layers[0])
        self.second = Conditional(self.layers[0], self.layers[1], sizes("top_hidden", top_hidden), activation)

    def forward(self, h: Tensor) -> Chain:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return Chain(self.first(h), self.second, self.layers, upward=True)


class TopDown(Posterior):
    """q(z2|x) q(z1|x, z2), diagonal Gaussians: from the upper layer down, as the prior goes.

    Source: Tomczak and Welling 2018, arXiv:1705.07120, section 4 (there q(z1|x, z2) has a first layer of x of its own,
    which here is the encoder's).

    Args:
        features: H, width of the encoder's output.
        latent: D = D1 + D2, all latents, z = (z1, z2).
        top: D2, those of the upper layer; None for a third of D.
        top_hidden: widths between the features and z2 on the one side, and z1 on the other.
        activation: of these layers, one of `ACTIVATIONS`.
    """

    has_marginals = False

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        top: int | None = None,
        top_hidden: tuple[int, ...] = (100,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.layers = split(latent, top)
        self.second = Diagonal(features, self.layers[1])
        hidden = sizes("top_hidden", top_hidden)
        self.first = Conditional(self.layers[1], self.layers[0], hidden, activation, context=features)

    def forward(self, h: Tensor) -> Chain:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return Chain(self.second(h), self.first.given(h), self.layers, upward=False)
