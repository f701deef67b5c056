"""A ladder of latents whose layers are maps: its trunk keeps an image's places, and grows from few of them to many."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from variants.data_spec import DataSpec
from variants.parts.checks import at_least, sizes
from variants.parts.heads import Head
from variants.parts.networks import ACTIVATIONS, Centre, ChannelsLast, Decoder, Encoder, outputs
from variants.parts.residual_conv import Block, FromSites, ToSites
from variants.parts.top_down import Gaussian, OfLadder, Residual, activation_of

Side = tuple[int, int]
# Of the small size, from the most places to the fewest: of MNIST 14 x 14, 7 x 7, 4 x 4 and 2 x 2.
LAYERS_AT = (2, 3, 3, 2)


def halved(data: DataSpec, count: int) -> list[Side]:
    """(H, W) of an image after each of so many halvings, rounded up. ValueError for data that are no images."""
    if len(data.shape) != 3:
        raise ValueError(f"a ladder of maps needs images (C, H, W), not data of shape {data.shape}")
    sides = [(data.shape[1], data.shape[2])]
    for _ in range(count):
        sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
    return sides[1:]


def sides_of(data: DataSpec, layers_at: tuple[int, ...]) -> list[Side]:
    """(H, W) of the map of each layer of latents, the lowest first, which has the most places."""
    counts = sizes("layers_at", layers_at)
    return [side for side, count in zip(halved(data, len(counts)), counts, strict=True) for _ in range(count)]


def places_of(data: DataSpec, layers_at: tuple[int, ...]) -> int:
    """Places of all layers together: the latents are a multiple of them."""
    return sum(map(math.prod, sides_of(data, layers_at)))


def depth_of(latent: int, data: DataSpec, layers_at: tuple[int, ...]) -> int:
    """Latents of each place. ValueError where they cannot be as many everywhere."""
    places = places_of(data, layers_at)
    if latent % places:
        raise ValueError(f"the maps of these layers have {places} places: latent must be a multiple, got {latent}")
    return latent // places


def as_map(s: Tensor, side: Side) -> Tensor:
    """Places `[..., H W C]` -> images `[N, C, H, W]`, channels last in memory."""
    return s.reshape(-1, *side, s.shape[-1] // math.prod(side)).permute(0, 3, 1, 2)


def as_places(images: Tensor, like: Tensor) -> Tensor:
    """Images `[N, C, H, W]` -> `[..., H W, C]`, with the leading axes of `like` `[..., H W C]`."""
    return images.permute(0, 2, 3, 1).reshape(*like.shape[:-1], -1, images.shape[1])


class Local(nn.Module):
    """A convolution of 3 x 3 places, `[..., H W C]` -> `[..., H W, C']`.

    Args:
        channels: C and C'.
        side: (H, W).
        part: which of the numbers of a longer input are those places.
        bias: of the convolution.
    """

    def __init__(self, channels: int, side: Side, part: slice = slice(None), *, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=bias)
        self.side, self.part = side, part

    def forward(self, s: Tensor) -> Tensor:
        """`[..., H W C]` -> `[..., H W, C']`."""
        s = s[..., self.part]
        return as_places(self.conv(as_map(s, self.side)), s)


class GaussianMap(nn.Module):
    """At each place N(mu, diag(sigma^2)) of the state there, which is N(0, I) for all states at the start.

    Args:
        channels: of the state.
        depth: of mu, at a place.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.gaussian = Gaussian(channels, depth)
        self.channels = channels

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[..., H W C]` -> mu and log sigma, `[..., H W d]` each."""
        loc, log_scale = self.gaussian(state.reshape(*state.shape[:-1], -1, self.channels))
        return loc.flatten(-2), log_scale.flatten(-2)


class MapTrunk(nn.Module):
    """States are maps: s <- s + W z at each place, s <- s + 1/sqrt(L) block(s), and s <- up(s) + b before a finer one.

    Source: Child 2021, arXiv:2011.10650, section 3.1 and figure 3.

    Args:
        sides: (H, W) of each layer, the lowest first.
        depth: latents of a place.
        channels: C, of the state.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(self, sides: list[Side], depth: int, channels: int, activation: str) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(math.prod(sides[-1]) * channels))
        self.into = nn.ModuleList(nn.Linear(depth, channels) for _ in sides)
        self.blocks = nn.ModuleList(Block(channels, activation) for _ in sides)
        self.shift = nn.ParameterDict(
            {
                str(i + 1): nn.Parameter(torch.zeros(math.prod(low) * channels))
                for i, (low, high) in enumerate(pairwise(sides))
                if low != high
            }
        )
        self.sides, self.depth = sides, depth
        self.gain = len(sides) ** -0.5

    def advance(self, i: int, state: Tensor | None, z: Tensor) -> Tensor:
        """The state after layer i, `[..., H W C]`, of that before it and of z_i `[..., H_i W_i d]`."""
        added = self.into[i](z.reshape(*z.shape[:-1], -1, self.depth)).flatten(-2)
        s: Tensor = (self.start if state is None else state) + added
        images = as_map(s, self.sides[i])
        images = images + self.gain * self.blocks[i].body(images)  # type: ignore[operator]
        if str(i) not in self.shift:
            return as_places(images, s).flatten(-2)
        grown = functional.interpolate(images, size=self.sides[i - 1], mode="nearest")
        shift: Tensor = self.shift[str(i)]
        return as_places(grown, s).flatten(-2) + shift


class ConvLadderPrior(OfLadder):
    """p(z) = N(z_L; 0, I) prod_(i<L) N(z_i; mu_i(s_i), diag(sigma_i(s_i)^2)), each z_i and s_i a map.

    x depends on the last state, which all layers have added to. At the start all layers are N(0, I).

    Source: Child 2021, arXiv:2011.10650 (VDVAE).

    Args:
        latent: D, all latents: a multiple of the places of all layers.
        data_spec: of images, whose sides are halved once before the lowest layers, and again before each higher kind.
        layers_at: how many layers there are after one halving, after two, and so on.
        trunk_channels: C, of a state.
        activation: of the trunk, one of `ACTIVATIONS` but gated.
    """

    def __init__(
        self,
        latent: int,
        *,
        data_spec: DataSpec,
        layers_at: tuple[int, ...] = LAYERS_AT,
        trunk_channels: int = 32,
        activation: str = "elu",
    ) -> None:
        depth, sides = depth_of(latent, data_spec, layers_at), sides_of(data_spec, layers_at)
        channels = at_least("trunk_channels", trunk_channels, 1)
        activation_of(activation)
        super().__init__(
            tuple(depth * math.prod(side) for side in sides),
            math.prod(sides[0]) * channels,
            MapTrunk(sides, depth, channels, activation),
            nn.ModuleList(GaussianMap(channels, depth) for _ in sides[:-1]),
        )


class ConvResidualTopDown(Residual):
    """q(z_i | s_i, x) = N(mu_i + sigma_i a_i, diag(sigma_i exp(b_i))^2): what x adds to p(z_i | s_i), place by place.

    mu_i and sigma_i are those of the prior, a_i and b_i functions of the state and of features of x around a place.

    Source: Child 2021, arXiv:2011.10650; Vahdat and Kautz 2020, arXiv:2007.03898, section 3.2 (residual q).

    Args:
        features: H, of the network `conv_ladder`: a map of each size, one after the other.
        latent: D, see `ConvLadderPrior`.
        data_spec: see `ConvLadderPrior`.
        layers_at: see `ConvLadderPrior`.
        trunk_channels: C, of a state and of the features.
        activation: one of `ACTIVATIONS` but gated.
    """

    owner = "conv_ladder_prior"

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        data_spec: DataSpec,
        layers_at: tuple[int, ...] = LAYERS_AT,
        trunk_channels: int = 32,
        activation: str = "elu",
    ) -> None:
        depth, sides = depth_of(latent, data_spec, layers_at), sides_of(data_spec, layers_at)
        super().__init__(tuple(depth * math.prod(side) for side in sides), activation)
        parts, end = [], 0
        for side, count in zip(halved(data_spec, len(layers_at)), layers_at, strict=True):
            begin, end = end, end + math.prod(side) * at_least("trunk_channels", trunk_channels, 1)
            parts += [slice(begin, end)] * count
        if features != end:
            raise ValueError(
                f"this posterior needs a network with {end} features, a map of each size, and this one has {features}: "
                "choose network=conv_ladder with the same layers_at and trunk_channels"
            )
        self.of_x = nn.ModuleList(Local(trunk_channels, *at) for at in zip(sides, parts, strict=True))
        self.of_state = nn.ModuleList(Local(trunk_channels, side, bias=False) for side in sides[:-1])
        self.loc = nn.ModuleList(nn.Sequential(nn.Linear(trunk_channels, depth), nn.Flatten(-2)) for _ in sides)
        self.log_scale = nn.ModuleList(nn.Sequential(Head(trunk_channels, depth), nn.Flatten(-2)) for _ in sides)


class Pyramid(nn.Module):
    """Maps of an image at each size, one after the other, `[B, C, H, W]` -> `[B, sum of H_r W_r C]`.

    Args:
        stages: each gives a map of half the size of the one before.
    """

    def __init__(self, stages: list[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.flat = ToSites()

    def forward(self, h: Tensor) -> Tensor:
        """`[B, C, H, W]` -> `[B, sum of H_r W_r C]`, the largest map first."""
        maps = []
        for stage in self.stages:
            h = stage(h)
            maps.append(self.flat(h))
        return torch.cat(maps, dim=-1)


def conv_ladder(
    data: DataSpec,
    latent: int,
    *,
    layers_at: tuple[int, ...] = LAYERS_AT,
    trunk_channels: int = 32,
    blocks: int = 1,
    activation: str = "elu",
    centre: bool = True,
    numbers: int = 1,
) -> tuple[Encoder, Decoder]:
    """For a ladder of maps: an encoder that gives a map of x at each size, and a decoder of the last state.

    Source: Child 2021, arXiv:2011.10650, section 3.1.

    Args:
        data: an image, shape `(C, H, W)` of any size.
        latent: of the last state, see `ConvLadderPrior`.
        layers_at: as many sizes as it has entries; see `ConvLadderPrior`.
        trunk_channels: C, of each map.
        blocks: residual blocks at each size.
        activation: one of `ACTIVATIONS` but gated.
        centre: whether the encoder sees x less the mean of each channel, see `Centre`.
        numbers: of the decoder for each value of the data.

    Raises:
        ValueError: if the data are no images, or the decoder is to see another state.
    """
    sides = halved(data, len(sizes("layers_at", layers_at)))
    channels, count = at_least("trunk_channels", trunk_channels, 1), at_least("blocks", blocks, 0)
    if latent != math.prod(sides[0]) * channels:
        raise ValueError("network conv_ladder decodes the state of a ladder of maps: choose prior=conv_ladder_prior")
    activation_of(activation)
    stages: list[nn.Module] = []
    for large in [(data.shape[1], data.shape[2]), *sides[:-1]]:
        # An odd side needs one more row of padding to halve upwards.
        layers: list[nn.Module] = [ACTIVATIONS[activation]()] if stages else []
        layers += [nn.ZeroPad2d((0, large[1] % 2, 0, large[0] % 2))]
        layers += [nn.Conv2d(channels if stages else data.shape[0], channels, kernel_size=4, stride=2, padding=1)]
        stages.append(nn.Sequential(*layers, *(Block(channels, activation) for _ in range(count))))
    encoder = nn.Sequential(Centre(data, centre, channels=True), ChannelsLast(), Pyramid(stages))
    decoder = nn.Sequential(
        FromSites(sides[0]),
        ChannelsLast(),
        *(Block(channels, activation) for _ in range(count)),
        ACTIVATIONS[activation](),
        nn.ConvTranspose2d(channels, numbers * data.shape[0], kernel_size=4, stride=2, padding=1),
        nn.ZeroPad2d((0, -(data.shape[2] % 2), 0, -(data.shape[1] % 2))),
    )
    features = channels * sum(map(math.prod, sides))
    return Encoder("conv_ladder", encoder, features), Decoder(decoder, outputs(data, numbers))
