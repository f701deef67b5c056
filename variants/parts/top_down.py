"""What a ladder of latents is made of: the trunk that its prior owns, and posteriors that go down the same trunk."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn import functional

from variants.core.ways import Ways
from variants.parts.checks import at_least
from variants.parts.heads import Head
from variants.parts.ladder import Ladder
from variants.parts.networks import ACTIVATIONS
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior

MOST_LAYERS = 5


def layer_sizes(latent: int, layers: int | None) -> tuple[int, ...]:
    """(D_1, ..., D_L), as equal as they can be, the lower ones larger; by default L = 5, or D if that is less."""
    count = min(MOST_LAYERS, latent) if layers is None else at_least("layers", layers, 1)
    if count > latent:
        raise ValueError(f"layers must be at most the latent size {latent}, got {count}")
    return tuple(latent // count + (i < latent % count) for i in range(count))


def normal(loc: Tensor, scale: Tensor) -> Independent[Normal]:
    """A diagonal Gaussian, event shape `[D]`."""
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def activation_of(name: str) -> nn.Module:
    """A layer that keeps the number of units."""
    if name not in ACTIVATIONS or name == "gated":
        known = ", ".join(known for known in ACTIVATIONS if known != "gated")
        raise ValueError(f"activation of a trunk must be one of {known}, got {name!r}")
    return ACTIVATIONS[name]()


class Gaussian(nn.Module):
    """N(mu(h), diag(sigma(h)^2)), which is N(0, I) for all h at the start.

    Args:
        inputs: size of h.
        size: of mu.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.loc = nn.Linear(inputs, size)
        self.log_scale = Head(inputs, size)
        nn.init.zeros_(self.loc.weight)
        nn.init.zeros_(self.loc.bias)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """h `[..., W]` -> mu and log sigma, `[..., D]` each."""
        return self.loc(h), self.log_scale(h)


class Trunk(nn.Module):
    """States: s <- s + W z, then s <- s + 1/sqrt(L) B act(A act(s)), from a learnt start.

    Source: Child 2021, arXiv:2011.10650, section 3.1 (the last layer of a block scaled by the number of blocks).

    Args:
        layers: (D_1, ..., D_L).
        width: W, of the state.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(self, layers: tuple[int, ...], width: int, activation: str) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(width))
        self.into = nn.ModuleList(nn.Linear(size, width) for size in layers)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.act = activation_of(activation)
        self.gain = len(layers) ** -0.5

    def advance(self, i: int, state: Tensor | None, z: Tensor) -> Tensor:
        """The state after layer i, `[..., W]`, of that before it and of z_i `[..., D_i]`."""
        s: Tensor = (self.start if state is None else state) + self.into[i](z)
        return s + self.gain * self.outer[i](self.act(self.inner[i](self.act(s))))  # type: ignore[no-any-return]


class OfLadder(Prior):
    """Abstract: p(z) of a ladder, whose top layer is N(0, I).

    Args:
        layers: (D_1, ..., D_L).
        state_size: numbers of the last state, which x is decoded from.
        trunk: says the next state, see `Trunk.advance`.
        heads: of each layer but the top, a state `[..., W]` -> mu and log sigma, `[..., D_i]` each.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, layers: tuple[int, ...], state_size: int, trunk: nn.Module, heads: nn.ModuleList) -> None:
        super().__init__()
        self.layers, self.state_size = layers, state_size
        self.trunk, self.heads = trunk, heads
        self.register_buffer("loc", torch.zeros(layers[-1]), persistent=False)
        self.register_buffer("scale", torch.ones(layers[-1]), persistent=False)

    def step(self, i: int, state: Tensor) -> Independent[Normal]:
        """p(z_i | s_i)."""
        loc, log_scale = self.heads[i](state)
        return normal(loc, log_scale.exp())

    def state(self, z: Tensor) -> Tensor:
        """The last state, which x is decoded from: z `[..., D]` -> `[..., W]`."""
        state: Tensor | None = None
        points = torch.split(z, list(self.layers), dim=-1)
        for i in reversed(range(len(points))):
            state = self.trunk.advance(i, state, points[i])  # type: ignore[operator]
        assert state is not None
        return state

    def forward(self) -> Ladder:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Ladder(normal(self.loc, self.scale), self.step, self.trunk.advance, self.layers)  # type: ignore[arg-type]


class LadderPrior(OfLadder):
    """p(z) = N(z_L; 0, I) prod_(i<L) N(z_i; mu_i(s_i), diag(sigma_i(s_i)^2)), s_i a state made of the layers above.

    x depends on the last state, which all layers have added to. At the start all layers are N(0, I).

    Source: Sonderby, Raiko, Maaloe, Sonderby and Winther 2016, arXiv:1602.02282; Child 2021, arXiv:2011.10650.

    Args:
        latent: D, all latents, z = (z_1, ..., z_L).
        layers: L, of equal size; None for 5, or D if that is less.
        trunk_width: numbers of a state.
        activation: of the trunk, one of `ACTIVATIONS`.
    """

    def __init__(
        self, latent: int, *, layers: int | None = None, trunk_width: int = 128, activation: str = "relu"
    ) -> None:
        sizes = layer_sizes(latent, layers)
        width = at_least("trunk_width", trunk_width, 1)
        trunk = Trunk(sizes, width, activation)
        super().__init__(sizes, width, trunk, nn.ModuleList(Gaussian(width, size) for size in sizes[:-1]))


class Topped(nn.Module):
    """A decoder of the last state of a ladder's trunk, which its prior owns.

    Args:
        decoder: state `[..., W]` -> `[..., *shape]`.
    """

    _ways: Ways

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it takes the prior's trunk."""
        self._ways = ways

    def forward(self, z: Tensor) -> Tensor:
        """z `[..., D]` -> `[..., *shape]`."""
        h: Tensor = self.decoder(self._ways.prior.state(z))
        return h


class OnTrunk(Posterior):
    """Abstract: q(z_L|x) prod_(i<L) q(z_i | s_i, x) with the states of the prior's own trunk.

    Args:
        layers: (D_1, ..., D_L), those of the prior.
    """

    has_marginals = False
    owner = "ladder_prior"
    _ways: Ways

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers

    def bind(self, ways: Ways) -> None:
        """Told the model's ways, of which it takes the prior's trunk.

        Raises:
            ValueError: the prior has none, or one of other layers.
        """
        if getattr(ways.prior, "state_size", None) is None:
            raise ValueError(f"a posterior down a trunk needs the prior that owns it: choose prior={self.owner}")
        if ways.prior.layers != self.layers:
            raise ValueError(f"the prior has layers of other sizes than the posterior: choose prior={self.owner}")
        self._ways = ways

    def ladder(self, top: Distribution, step: Callable[[int, Tensor], Distribution]) -> Ladder:
        """q(z|x) of its layers."""
        return Ladder(top, step, self._ways.prior.trunk.advance, self.layers)


def product(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Independent[Normal]:
    """The normalised product of two diagonal Gaussians, each given by mu and log sigma: precisions add up."""
    (mu_a, log_a), (mu_b, log_b) = a, b
    # The share of a in the precision is a sigmoid, which no pair of scales takes out of range.
    odds = 2 * (log_b - log_a)
    share, scale = torch.sigmoid(odds), torch.exp(log_a + 0.5 * functional.logsigmoid(odds))
    return normal(share * mu_a + (1 - share) * mu_b, scale)


class PrecisionWeighted(OnTrunk):
    """q(z_i | s_i, x) = N(z_i; bottom-up mu_i(x), sigma_i(x)) N(z_i; top-down mu_i(s_i), sigma_i(s_i)), normalised.

    The one is of deterministic features d_i = act(V_i d_(i-1)) of x, the other the prior's own p(z_i | s_i).

    Source: Sonderby, Raiko, Maaloe, Sonderby and Winther 2016, arXiv:1602.02282, eq. 8 to 19.

    Args:
        features: H, width of the encoder's output.
        latent: D, all latents.
        layers: L, of equal size; None for 5, or D if that is less.
        trunk_width: numbers of a state, and of d_i.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        layers: int | None = None,
        trunk_width: int = 128,
        activation: str = "relu",
    ) -> None:
        super().__init__(layer_sizes(latent, layers))
        at_least("trunk_width", trunk_width, 1)
        widths = [features, *[trunk_width] * len(self.layers)]
        self.up = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.loc = nn.ModuleList(nn.Linear(trunk_width, size) for size in self.layers)
        self.log_scale = nn.ModuleList(Head(trunk_width, size) for size in self.layers)
        self.act = activation_of(activation)

    def forward(self, h: Tensor) -> Ladder:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        seen: list[tuple[Tensor, Tensor]] = []
        for up, loc, log_scale in zip(self.up, self.loc, self.log_scale, strict=True):
            h = self.act(up(h))
            seen.append((loc(h), log_scale(h)))
        loc_of_top, log_scale_of_top = seen[-1]

        def step(i: int, state: Tensor) -> Independent[Normal]:
            return product(seen[i], self._ways.prior.heads[i](state))

        return self.ladder(normal(loc_of_top, log_scale_of_top.exp()), step)


class Residual(OnTrunk):
    """Abstract: q(z_i | s_i, x) is what x adds to p(z_i | s_i), by parts that a subclass makes.

    Args:
        layers: (D_1, ..., D_L), those of the prior.
        activation: one of `ACTIVATIONS`.
    """

    of_x: nn.ModuleList
    of_state: nn.ModuleList
    loc: nn.ModuleList
    log_scale: nn.ModuleList

    def __init__(self, layers: tuple[int, ...], activation: str) -> None:
        super().__init__(layers)
        self.act = activation_of(activation)

    def forward(self, h: Tensor) -> Ladder:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        # Multiplied once for each example, and not for each draw.
        of_x = [layer(h) for layer in self.of_x]

        def change(i: int, mixed: Tensor) -> tuple[Tensor, Tensor]:
            mixed = self.act(mixed)
            return self.loc[i](mixed), self.log_scale[i](mixed)

        def step(i: int, state: Tensor) -> Independent[Normal]:
            loc, log_scale = self._ways.prior.heads[i](state)
            a, b = change(i, of_x[i] + self.of_state[i](state))
            return normal(loc + log_scale.exp() * a, (log_scale + b).exp())

        loc_of_top, log_scale_of_top = change(len(of_x) - 1, of_x[-1])
        return self.ladder(normal(loc_of_top, log_scale_of_top.exp()), step)


class ResidualTopDown(Residual):
    """q(z_i | s_i, x) = N(mu_i + sigma_i a_i, diag(sigma_i exp(b_i))^2): what x adds to p(z_i | s_i).

    mu_i and sigma_i are those of the prior, a_i and b_i functions of s_i and x.

    Source: Vahdat and Kautz 2020, arXiv:2007.03898, section 3.2 (residual q); Child 2021, arXiv:2011.10650.

    Args:
        features: H, width of the encoder's output.
        latent: D, all latents.
        layers: L, of equal size; None for 5, or D if that is less.
        trunk_width: numbers of a state.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        layers: int | None = None,
        trunk_width: int = 128,
        activation: str = "relu",
    ) -> None:
        super().__init__(layer_sizes(latent, layers), activation)
        at_least("trunk_width", trunk_width, 1)
        self.of_x = nn.ModuleList(nn.Linear(features, trunk_width) for _ in self.layers)
        self.of_state = nn.ModuleList(nn.Linear(trunk_width, trunk_width, bias=False) for _ in self.layers[:-1])
        self.loc = nn.ModuleList(nn.Linear(trunk_width, size) for size in self.layers)
        self.log_scale = nn.ModuleList(Head(trunk_width, size) for size in self.layers)
