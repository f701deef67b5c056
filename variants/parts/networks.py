"""Networks: functions from the data's spec and the latent size to an encoder and its mirrored decoder.

An encoder maps x `[B, *shape]` to features `[B, H]` and carries `features` (H); a decoder maps z `[..., D]` to
`[..., *shape]`, or to `[..., numbers, *shape]` where the likelihood takes several numbers for each value of the data.
Each network's keyword options are its hyper-parameters, but for `numbers`, which `assemble` gives.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from variants.data_spec import DataSpec, Kind
from variants.parts.checks import at_least, flag, share, sizes

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    # h * sigmoid(g), where a layer of twice the width gives h and g: Dauphin, Fan, Auli and Grangier 2017,
    # arXiv:1612.08083.
    "gated": nn.GLU,
}


def _activation(name: str, axis: int = -1) -> tuple[Callable[[], nn.Module], int]:
    """An activation along the feature axis, and how many numbers it takes for each that it gives."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return (partial(nn.GLU, axis), 2) if name == "gated" else (ACTIVATIONS[name], 1)


class Encoder(nn.Module):
    """x `[B, *shape]` -> features `[B, features]`. `network` is the name under which results list the pair.

    Features that are a map `[H * W * d]` of an image's places have the map's `sites` (H, W).
    """

    def __init__(self, network: str, body: nn.Module, features: int, sites: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.network = network
        self.body = body
        self.features = features
        self.sites = sites

    def forward(self, x: Tensor) -> Tensor:
        """x `[B, *shape]` -> `[B, features]`."""
        h: Tensor = self.body(x)
        return h


class Decoder(nn.Module):
    """z `[..., D]` -> `[..., *shape]`: the leading axes are folded into one batch for the body, then unfolded."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        """z `[..., D]` -> `[..., *shape]`."""
        h: Tensor = self.body(z.reshape(-1, z.shape[-1]))
        return h.reshape(*z.shape[:-1], *self.shape)


class Bottom(nn.Module):
    """A decoder that sees the lowest layer of latents alone, p(x|z) = p(x|z1): the first `latents` of z `[..., D]`."""

    def __init__(self, decoder: nn.Module, latents: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.latents = latents

    def forward(self, z: Tensor) -> Tensor:
        """z `[..., D]` -> `[..., *shape]`."""
        h: Tensor = self.decoder(z[..., : self.latents])
        return h


def dense(widths: list[int], activation: str) -> list[nn.Module]:
    """Linear layers from the first width to the last, with the activation after each."""
    act, wide = _activation(activation)
    return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, wide * b), act())]


def outputs(data: DataSpec, numbers: int) -> tuple[int, ...]:
    """The shape of what a decoder gives of one example."""
    return data.shape if numbers == 1 else (numbers, *data.shape)


class Centre(nn.Module):
    """x - m with the mean m of the training examples, so that what all examples share does not drown how they differ.

    Of counts, whose size varies by orders of magnitude, log(1 + x) - log(1 + m).

    Source: LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp, section 4.3.

    Args:
        data: its `mean`, if known.
        centre: False leaves x as it is, as does a mean that is not known.
        channels: of images `(C, H, W)`, m is one number a channel, so that a convolution is still one.
    """

    mean: Tensor

    def __init__(self, data: DataSpec, centre: bool, *, channels: bool = False) -> None:
        super().__init__()
        known = data.mean() if flag("centre", centre) and data.mean else torch.zeros(data.shape)
        mean = torch.as_tensor(known, dtype=torch.float32)
        self.counts = data.kind == "counts"
        mean = mean.log1p() if self.counts else mean
        self.register_buffer("mean", mean.mean((1, 2), keepdim=True) if channels else mean)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *shape]` -> the same shape."""
        return (x.log1p() if self.counts else x) - self.mean


class ChannelsLast(nn.Module):
    """Lays images out channels-last: the same numbers, and half again as fast through narrow convolutions on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` -> the same, in another memory order."""
        return x.contiguous(memory_format=torch.channels_last)


class Corrupt(nn.Module):
    """What a denoising encoder is shown in training: binary values flipped, others with Gaussian noise added; a count
    stays at least zero.

    The corrupted x is shown to the encoder alone, so that p(x|z) is asked for x itself; nothing is corrupted in
    evaluation mode. Noise comes from torch's global generators.

    Source: Im, Ahn, Memisevic and Bengio 2017, arXiv:1511.06406.

    Args:
        kind: of the data.
        amount: the chance that a binary value is flipped, or the standard deviation of the noise.
    """

    def __init__(self, kind: Kind, amount: float) -> None:
        super().__init__()
        self.kind = kind
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *shape]` -> the same shape."""
        if not self.training:
            return x
        if self.kind == "binary":
            return torch.where(torch.rand_like(x) < self.amount, 1 - x, x)
        x = x + self.amount * torch.randn_like(x)
        return x.clamp(min=0) if self.kind == "counts" else x


def shown(data: DataSpec, corruption: float) -> list[nn.Module]:
    """The layer before all others of an encoder that is to be shown corrupted data; none for others."""
    return [Corrupt(data.kind, share("corruption", corruption))] if corruption else []


def mlp(
    data: DataSpec,
    latent: int,
    *,
    hidden: tuple[int, ...] = (400,),
    activation: str = "relu",
    centre: bool = True,
    corruption: float = 0.0,
    numbers: int = 1,
) -> tuple[Encoder, Decoder]:
    """Fully connected layers.

    Args:
        data: any shape.
        latent: D.
        hidden: widths from the data to the latents; the decoder mirrors them.
        activation: one of `ACTIVATIONS`.
        centre: whether the encoder sees x less its mean, see `Centre`.
        corruption: of what the encoder is shown in training, see `Corrupt`.
        numbers: of the decoder for each value of the data.
    """
    widths = list(sizes("hidden", hidden))
    layers = [Centre(data, centre), nn.Flatten(), *dense([data.dims, *widths], activation)]
    encoder = nn.Sequential(*shown(data, corruption), *layers)
    layers = dense([latent, *reversed(widths)], activation)
    # The last layer is drawn last: the order of layers decides which weights a seed gives.
    decoder = nn.Sequential(*layers, nn.Linear(widths[0], numbers * data.dims))
    return Encoder("mlp", encoder, widths[-1]), Decoder(decoder, outputs(data, numbers))


class Skip(nn.Module):
    """Dense layers each of which sees z too: h <- act(W h + V z), and V z + W h + b as the output.

    Args:
        widths: D, the hidden widths, the size of the output.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(self, widths: list[int], activation: str) -> None:
        super().__init__()
        act, wide = _activation(activation)
        outputs = [*(wide * width for width in widths[1:-1]), widths[-1]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], outputs, strict=True))
        self.skips = nn.ModuleList(nn.Linear(widths[0], b, bias=False) for b in outputs[1:])
        self.act = act()

    def forward(self, z: Tensor) -> Tensor:
        """z `[..., D]` -> `[..., outputs]`."""
        h: Tensor = self.layers[0](z)
        for layer, skip in zip(list(self.layers)[1:], self.skips, strict=True):
            h = layer(self.act(h)) + skip(z)
        return h


def skip(
    data: DataSpec,
    latent: int,
    *,
    hidden: tuple[int, ...] = (400,),
    activation: str = "relu",
    centre: bool = True,
    numbers: int = 1,
) -> tuple[Encoder, Decoder]:
    """`mlp` with a decoder whose every layer, the last included, sees the latents.

    Source: Dieng, Kim, Rush and Blei 2019, arXiv:1807.04863, section 3 (Skip-VAE).

    Args:
        data: any shape.
        latent: D.
        hidden: widths from the data to the latents; the decoder mirrors them.
        activation: one of `ACTIVATIONS`.
        centre: whether the encoder sees x less its mean, see `Centre`.
        numbers: of the decoder for each value of the data.
    """
    encoder, _ = mlp(data, latent, hidden=hidden, activation=activation, centre=centre)
    widths = sizes("hidden", hidden)
    encoder.network = "skip"
    body = Skip([latent, *reversed(widths), numbers * data.dims], activation)
    return encoder, Decoder(body, outputs(data, numbers))


def conv(
    data: DataSpec,
    latent: int,
    *,
    channels: tuple[int, ...] = (16, 32),
    width: int = 128,
    activation: str = "elu",
    centre: bool = True,
    corruption: float = 0.0,
    numbers: int = 1,
) -> tuple[Encoder, Decoder]:
    """Strided 4x4 convolutions that halve the image (rounding up), then one dense layer; the decoder mirrors them.

    ELU by default: with ReLU the posterior of some seeds collapses, see docs/decisions/activations.md.

    Args:
        data: an image, shape `(C, H, W)` of any size.
        latent: D.
        channels: channels after each halving.
        width: H, units of the dense layer.
        activation: one of `ACTIVATIONS`.
        centre: whether the encoder sees x less the mean of each channel, see `Centre`.
        corruption: of what the encoder is shown in training, see `Corrupt`.
        numbers: of the decoder for each value of the data.

    Raises:
        ValueError: if the data are no images.
    """
    if len(data.shape) != 3:
        raise ValueError(f"a conv network needs images (C, H, W), not data of shape {data.shape}")
    depths = [data.shape[0], *sizes("channels", channels)]
    act, wide = _activation(activation, axis=1)
    width = at_least("width", width, 1)
    images: list[tuple[int, ...]] = [data.shape[1:]]
    for _ in depths[1:]:
        images.append(tuple((side + 1) // 2 for side in images[-1]))
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for (a, b), (large, small) in zip(pairwise(depths), pairwise(images), strict=True):
        # An odd side needs one more row of padding to halve upwards, and one row less when it is doubled back.
        odd = [side % 2 for side in large]
        if any(odd):
            down.append(nn.ZeroPad2d((0, odd[1], 0, odd[0])))
        down += [nn.Conv2d(a, wide * b, kernel_size=4, stride=2, padding=1), act()]
        # The first pair makes the decoder's last layer, which gives the likelihood's parameters, without an activation.
        wanted = wide * a if up else numbers * a
        doubled: list[nn.Module] = [nn.ConvTranspose2d(b, wanted, kernel_size=4, stride=2, padding=1)]
        if any(odd):
            doubled.append(nn.ZeroPad2d((0, -odd[1], 0, -odd[0])))
        assert [2 * side - o for side, o in zip(small, odd, strict=True)] == list(large)
        up = [*doubled, *([act()] if up else []), *up]
    volume = depths[-1] * images[-1][0] * images[-1][1]
    down = [*shown(data, corruption), Centre(data, centre, channels=True), ChannelsLast(), *down, nn.Flatten()]
    encoder = nn.Sequential(*down, *dense([volume, width], activation))
    decoder = nn.Sequential(
        *dense([latent, width, volume], activation),
        nn.Unflatten(-1, (depths[-1], *images[-1])),
        ChannelsLast(),
        *up,
    )
    for body in (encoder, decoder):
        body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Encoder("conv", encoder, width), Decoder(decoder, outputs(data, numbers))


def linear(data: DataSpec, latent: int, *, centre: bool = True, numbers: int = 1) -> tuple[Encoder, Decoder]:
    """No hidden layer: the posterior's heads are linear in x, and the decoder is W z + m. Probabilistic PCA's network.

    Args:
        data: any shape.
        latent: D.
        centre: whether the encoder sees x less its mean, see `Centre`.
        numbers: of the decoder for each value of the data.
    """
    encoder = nn.Sequential(Centre(data, centre), nn.Flatten())
    decoder = nn.Linear(latent, numbers * data.dims)
    return Encoder("linear", encoder, data.dims), Decoder(decoder, outputs(data, numbers))
