"""Residual convolutions: blocks that add to what they are given, between halvings of the image."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from variants.data_spec import DataSpec
from variants.parts.checks import at_least, flag, sizes
from variants.parts.networks import ACTIVATIONS, Centre, ChannelsLast, Decoder, Encoder, dense, outputs


class Block(nn.Module):
    """h + conv3(act(conv3(act(h)))), the pre-activation order, without batch norm.

    Source: He, Zhang, Ren and Sun 2016, arXiv:1603.05027.

    Args:
        channels: of h.
        activation: one of `ACTIVATIONS` that keeps their number.
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        first, second = (nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in range(2))
        self.body = nn.Sequential(act(), first, act(), second)

    def forward(self, h: Tensor) -> Tensor:
        """`[B, C, H, W]` -> the same shape."""
        added: Tensor = h + self.body(h)
        return added


class ToSites(nn.Module):
    """A map `[B, d, H, W]` as H W sites of d numbers end to end, `[B, H W d]`."""

    def forward(self, h: Tensor) -> Tensor:
        """`[B, d, H, W]` -> `[B, H W d]`."""
        return h.flatten(2).transpose(1, 2).flatten(1)


class FromSites(nn.Module):
    """`ToSites` the other way round.

    Args:
        size: (H, W).
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, z: Tensor) -> Tensor:
        """`[B, H W d]` -> `[B, d, H, W]`."""
        height, width = self.size
        return z.reshape(len(z), height * width, -1).transpose(1, 2).reshape(len(z), -1, height, width)


def residual_conv(
    data: DataSpec,
    latent: int,
    *,
    channels: tuple[int, ...] = (32, 64),
    blocks: int = 1,
    width: int = 256,
    activation: str = "elu",
    centre: bool = True,
    spatial: bool = False,
    numbers: int = 1,
) -> tuple[Encoder, Decoder]:
    """Strided 4x4 convolutions that halve the image (rounding up), each with residual blocks; the decoder mirrors them.

    Source: He, Zhang, Ren and Sun 2016, arXiv:1603.05027 (blocks); Kingma et al. 2016, arXiv:1606.04934 (for VAEs).

    Args:
        data: an image, shape `(C, H, W)` of any size.
        latent: D.
        channels: channels after each halving.
        blocks: residual blocks after each halving.
        width: H, units of the dense layer between the image and the latents.
        activation: one of `ACTIVATIONS` but gated.
        centre: whether the encoder sees x less the mean of each channel, see `Centre`.
        spatial: whether there is no dense layer, the features being a map of `latent` numbers and z such a map.
        numbers: of the decoder for each value of the data.

    Raises:
        ValueError: if the data are no images, or the latents no map.
    """
    if len(data.shape) != 3:
        raise ValueError(f"a residual_conv network needs images (C, H, W), not data of shape {data.shape}")
    if activation not in ACTIVATIONS or activation == "gated":
        known = ", ".join(name for name in ACTIVATIONS if name != "gated")
        raise ValueError(f"activation of residual blocks must be one of {known}, got {activation!r}")
    act, count, width = ACTIVATIONS[activation], at_least("blocks", blocks, 0), at_least("width", width, 1)
    depths = [data.shape[0], *sizes("channels", channels)]
    images: list[tuple[int, int]] = [(data.shape[1], data.shape[2])]
    for _ in depths[1:]:
        images.append(((images[-1][0] + 1) // 2, (images[-1][1] + 1) // 2))
    down: list[nn.Module] = [Centre(data, centre, channels=True), ChannelsLast()]
    up: list[nn.Module] = []
    for (a, b), large in zip(pairwise(depths), images[:-1], strict=True):
        # An odd side needs one more row of padding to halve upwards, and one row less when it is doubled back.
        odd = [side % 2 for side in large]
        down += [nn.ZeroPad2d((0, odd[1], 0, odd[0])), nn.Conv2d(a, b, kernel_size=4, stride=2, padding=1)]
        down += [Block(b, activation) for _ in range(count)] + [act()]
        wanted = a if up else numbers * a
        doubled = [nn.ConvTranspose2d(b, wanted, kernel_size=4, stride=2, padding=1)]
        cut = nn.ZeroPad2d((0, -odd[1], 0, -odd[0]))
        up = [*(Block(b, activation) for _ in range(count)), act(), *doubled, cut, *up]
    small, deepest = images[-1], depths[-1]
    sites = small[0] * small[1]
    if flag("spatial", spatial):
        if latent % sites:
            raise ValueError(
                f"spatial latents are a map of {small[0]} x {small[1]} sites here: latent must be a multiple of "
                f"{sites}, got {latent}"
            )
        depth, features = latent // sites, latent
        into: list[nn.Module] = [*down, nn.Conv2d(deepest, depth, kernel_size=1), ToSites()]
        out: list[nn.Module] = [FromSites(small), nn.Conv2d(depth, deepest, kernel_size=1)]
    else:
        features = width
        into = [*down, nn.Flatten(), *dense([deepest * sites, width], activation)]
        out = [
            *dense([latent, width], activation),
            nn.Linear(width, deepest * sites),
            nn.Unflatten(-1, (deepest, *small)),
        ]
    encoder, decoder = nn.Sequential(*into), nn.Sequential(*out, ChannelsLast(), *up)
    for body in (encoder, decoder):
        body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Encoder("residual_conv", encoder, features, small if spatial else None), Decoder(
        decoder, outputs(data, numbers)
    )
