"""Priors p(z): modules that return a distribution with event `[D]`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.distributions import Laplace as LaplaceDistribution
from torch.nn import functional

from variants.core.chain import Chain
from variants.core.mixture import Mixture
from variants.core.ways import Ways
from variants.data_spec import DataSpec
from variants.parts.checks import at_least, flag, share, sizes
from variants.parts.layers import Conditional, split


class Prior(nn.Module, ABC):
    """Abstract. A subclass takes `(latent)` and its own keyword options, and implements `forward`.

    Attributes:
        seen: how many of the latents, from the first on, the decoder sees; None for all.
        state_size: size of the state that the decoder sees in place of z, where the prior makes one; else None.
        latents: the kind of its latents, which must be that of the posterior's.
        of_posteriors: whether it is made of posteriors q(z|u) at inputs of its own.
    """

    seen: int | None = None
    state_size: int | None = None
    latents: str = "real"
    of_posteriors: bool = False

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), event shape `[D]`."""


class Standard(Prior):
    """Abstract: a product over axes of one density of location 0 and scale 1.

    Args:
        latent: D.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("scale", torch.ones(latent), persistent=False)


class _Unit(Normal):
    """N(0, 1): `torch.randn` draws the numbers of `torch.normal` in half of its time, for it has nothing to scale."""

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return torch.randn(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device)


class StandardNormal(Standard):
    """p(z) = N(0, I). Source: Kingma and Welling 2014, arXiv:1312.6114.

    Args:
        latent: D.
    """

    def forward(self) -> Independent[Normal]:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Independent(_Unit(self.loc, self.scale, validate_args=False), 1, validate_args=False)


class Laplace(Standard):
    """p(z) = prod_j Laplace(z_j; 0, 1), of variance 2: more mass at zero and in the tails than the normal one.

    Args:
        latent: D.
    """

    def forward(self) -> Independent[LaplaceDistribution]:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Independent(LaplaceDistribution(self.loc, self.scale, validate_args=False), 1, validate_args=False)


class GaussianMixture(Prior):
    """p(z) = sum_c pi_c N(z; m_c, diag(s_c^2)) with learnt weights, means and scales.

    Means start as draws of N(0, I/2) and variances at 1/2, so that the whole starts near N(0, I).

    Source: Tomczak and Welling 2018, arXiv:1705.07120, section 4 (the mixture of Gaussians there); Dilokthanakul et al.
    2016, arXiv:1611.02648.

    Args:
        latent: D.
        components: C.
    """

    def __init__(self, latent: int, *, components: int = 500) -> None:
        super().__init__()
        at_least("components", components, 1)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(math.sqrt(0.5) * torch.randn(components, latent))
        self.log_scale = nn.Parameter(torch.full((components, latent), 0.5 * math.log(0.5)))

    def forward(self) -> Mixture:
        """p(z), batch shape `[]`, event shape `[D]`."""
        normal = Normal(self.loc, self.log_scale.exp(), validate_args=False)
        return Mixture(Independent(normal, 1, validate_args=False), self.logits)


class FullGaussianMixture(Prior):
    """p(z) = sum_c pi_c N(z; m_c, L_c L_c^T) with learnt weights, means and Cholesky factors, as `posteriors.Full` has.

    Means start as draws of N(0, I/2) and covariances at I/2, so that the whole starts near N(0, I).

    Source: Ghosh et al. 2020, arXiv:1903.12436, section 4 (ten components, there fitted to the codes in the end).

    Args:
        latent: D.
        components: C.
    """

    below: Tensor

    def __init__(self, latent: int, *, components: int = 10) -> None:
        super().__init__()
        at_least("components", components, 1)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(math.sqrt(0.5) * torch.randn(components, latent))
        self.log_scale = nn.Parameter(torch.full((components, latent), 0.5 * math.log(0.5)))
        self.register_buffer("below", torch.tril_indices(latent, latent, offset=-1), persistent=False)
        self.off_diagonal = nn.Parameter(torch.zeros(components, latent * (latent - 1) // 2))

    def forward(self) -> Mixture:
        """p(z), batch shape `[]`, event shape `[D]`."""
        scale = self.log_scale.exp()
        unit = torch.ones_like(scale).diag_embed()
        unit[:, self.below[0], self.below[1]] = self.off_diagonal
        factor = scale.unsqueeze(-1) * unit
        return Mixture(MultivariateNormal(self.loc, scale_tril=factor, validate_args=False), self.logits)


class AutoregressiveNormal(Prior):
    """p(z) with z_1 ~ N(0, 1) and z_t | z_(t-1) ~ N(a z_(t-1), 1 - a^2): each latent alone is N(0, 1).

    No posterior of independent latents is near it: its KL is at least 1/2 [(D - 2) log(1 + a^2) - log(1 - a^2)] nats.

    Source: Razavi, van den Oord, Poole and Vinyals 2019, arXiv:1901.03416, section 3 (delta-VAE).

    Args:
        latent: D.
        correlation: a, between neighbouring latents, from 0 up to below 1.
    """

    loc: Tensor
    scale_tril: Tensor

    def __init__(self, latent: int, *, correlation: float = 0.95) -> None:
        super().__init__()
        a = share("correlation", correlation)
        steps = torch.arange(latent)
        # z_t is a sum of the noise of all steps up to its own, each a times smaller a step later.
        decayed = torch.tensor(a).pow((steps.unsqueeze(1) - steps).clamp(min=0)).tril()
        decayed[:, 1:] *= (1 - a * a) ** 0.5
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("scale_tril", decayed, persistent=False)

    def forward(self) -> MultivariateNormal:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return MultivariateNormal(self.loc, scale_tril=self.scale_tril, validate_args=False)


class PseudoInputs(nn.Module):
    """C learnt inputs u_c of the encoder, in the range of the data.

    Source: Tomczak and Welling 2018, arXiv:1705.07120, section 3; the start is N(0.05, 0.01^2).

    Args:
        data: shape and kind of an example.
        count: C.
    """

    def __init__(self, data: DataSpec, count: int) -> None:
        super().__init__()
        self.kind = data.kind
        self.weight = nn.Parameter(0.05 + 0.01 * torch.randn(at_least("pseudo_inputs", count, 1), *data.shape))

    def forward(self) -> Tensor:
        """`[C, *shape]`."""
        if self.kind == "counts":
            return self.weight.relu()
        return self.weight if self.kind == "real" else functional.hardtanh(self.weight, 0.0, 1.0)


def _needed(data: DataSpec | None) -> DataSpec:
    if data is None:
        raise ValueError("pseudo-inputs need the option data_spec, the shape and the kind of the data")
    return data


class Vamp(Prior):
    """p(z) = 1/C sum_c q(z|u_c), a mixture of the posteriors of learnt pseudo-inputs u_c.

    Source: Tomczak and Welling 2018, arXiv:1705.07120, eq. 9 (VampPrior).

    Args:
        latent: D.
        data_spec: of the data; `assemble` gives it.
        pseudo_inputs: C.
    """

    of_posteriors = True
    _ways: Ways

    def __init__(self, latent: int, *, data_spec: DataSpec | None = None, pseudo_inputs: int = 500) -> None:  # noqa: ARG002
        super().__init__()
        self.inputs = PseudoInputs(_needed(data_spec), pseudo_inputs)

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it goes x `[C, *shape]` -> q(z|x)."""
        self._ways = ways

    def forward(self) -> Mixture:
        """p(z), batch shape `[]`, event shape `[D]`. One pass of the C pseudo-inputs through the encoder."""
        return Mixture(self._ways.infer(self.inputs()))


class Hierarchical(Prior):
    """p(z2) p(z1|z2), z = (z1, z2), with a diagonal Gaussian p(z1|z2) whose layers mirror those of the posterior.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5; with `skip` and `top_prior="vamp"`
    Tomczak and Welling 2018, arXiv:1705.07120, section 4.

    Args:
        latent: D = D1 + D2, all latents.
        top: D2, those of the upper layer; None for a third of D.
        top_hidden: widths from z1 to z2, which are gone through backwards.
        activation: of these layers, one of `ACTIVATIONS`.
        skip: whether x depends on z2 directly, p(x|z1, z2), or through z1 alone.
        top_prior: p(z2): `"standard_normal"`, or `"vamp"`, 1/C sum_c q(z2|u_c), for posteriors that know q(z2|x).
        data_spec: of the data; `assemble` gives it.
        pseudo_inputs: C.
    """

    loc: Tensor
    scale: Tensor
    _ways: Ways

    def __init__(
        self,
        latent: int,
        *,
        top: int | None = None,
        top_hidden: tuple[int, ...] = (100,),
        activation: str = "relu",
        skip: bool = False,
        top_prior: str = "standard_normal",
        data_spec: DataSpec | None = None,
        pseudo_inputs: int = 500,
    ) -> None:
        super().__init__()
        if top_prior not in ("standard_normal", "vamp"):
            raise ValueError(f"top_prior must be standard_normal or vamp, got {top_prior!r}")
        self.layers = split(latent, top)
        self.seen = None if flag("skip", skip) else self.layers[0]
        self.of_posteriors = top_prior == "vamp"
        self.first = Conditional(
            self.layers[1], self.layers[0], tuple(reversed(sizes("top_hidden", top_hidden))), activation
        )
        self.second: StandardNormal | PseudoInputs = (
            PseudoInputs(_needed(data_spec), pseudo_inputs) if top_prior == "vamp" else StandardNormal(self.layers[1])
        )

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it goes x `[C, *shape]` -> q(z|x)."""
        self._ways = ways

    def _top(self) -> Distribution:
        if isinstance(self.second, StandardNormal):
            normal: Distribution = self.second()
            return normal
        q = self._ways.infer(self.second())
        if not isinstance(q, Chain) or q.upward:
            raise ValueError("the top_prior vamp needs a posterior that knows q(z2|x): choose posterior=top_down")
        return Mixture(q.root)

    def forward(self) -> Chain:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Chain(self._top(), self.first, self.layers, upward=False)
