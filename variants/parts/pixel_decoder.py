"""A likelihood whose pixels depend on one another: each is given z and all pixels before it, in the order of reading.

So strong a decoder can do without z, which is then ignored: here posteriors collapse, and remedies can be tried.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn import functional

from variants.data_spec import DataSpec, Kind
from variants.parts.checks import at_least
from variants.parts.likelihoods import Likelihood, refuse_unless

# Kernels of the first layer, which does not see its own pixel, and of the others, which do.
FIRST, OTHERS = 5, 3
# Of so few pixels all images are listed, and the mean is exact; of more it is that of so many images.
LISTED, MEAN_DRAWS = 8, 4
# Images that are drawn at a time: a layer of one has as many numbers as pixels times filters.
AT_ONCE = 512


class MaskedConv(nn.Conv2d):
    """A convolution over the rows above a pixel and the row to its left, of an input with a margin (see `margin`).

    Args:
        inputs: channels.
        outputs: channels.
        kernel: its width, odd; its height is what of it is not below the pixel.
        own: whether it sees the pixel itself.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, own: bool) -> None:
        super().__init__(inputs, outputs, (kernel // 2 + 1, kernel))
        mask = torch.ones(kernel // 2 + 1, kernel)
        mask[-1, kernel // 2 + own :] = 0
        self.register_buffer("mask", mask, persistent=False)

    @property
    def margin(self) -> int:
        """Pixels that are missing at the left, at the right and at the top."""
        return self.kernel_size[0] - 1

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, H + margin, W + 2 margin]` -> `[N, outputs, H, W]`."""
        return functional.conv2d(x, self.weight * self.mask, self.bias)

    def everywhere(self, x: Tensor) -> Tensor:
        """`[..., inputs, H, W]` -> `[..., outputs, H, W]`: zeros are its margin."""
        h: Tensor = self(functional.pad(x.reshape(-1, *x.shape[-3:]), (self.margin, self.margin, self.margin, 0)))
        return h.reshape(*x.shape[:-3], *h.shape[-3:])


@cache
def fixed_noise(height: int, width: int) -> Tensor:
    """Uniform numbers, `[MEAN_DRAWS, 1, height, width]`, each u beside its 1 - u."""
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(MEAN_DRAWS // 2, 1, height, width, generator=generator, dtype=torch.float64)
    return torch.cat([u, 1 - u])


class _Drawn(torch.autograd.Function):
    """What was drawn given h: a gradient that were passed over in silence would be taken for zero."""

    @staticmethod
    def forward(_ctx: Any, _h: Tensor, drawn: Tensor) -> Tensor:
        """`drawn`."""
        return drawn.clone()

    @staticmethod
    def backward(_ctx: Any, *_: Any) -> Any:
        """There is none."""
        raise NotImplementedError("the mean of pixel_decoder is that of draws, which have no gradient: use log_prob")


class Pixels(Distribution):
    """p(x|z) = prod_i p(x_i | x_<i, z) over binary images.

    Args:
        network: with its weights.
        h: of the decoder, `[..., M, 1, H, W]`; batch shape `[...]`, event shape `[1, H, W]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute
    support = constraints.independent(constraints.boolean, 3)  # type: ignore[no-untyped-call]

    def __init__(self, network: "PixelDecoder", h: Tensor) -> None:
        self.network, self.h = network, h
        super().__init__(h.shape[:-4], h.shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """At images `[..., 1, H, W]`, `[...]` in nats."""
        return self.network.log_prob(self.h, value)

    @property
    def mean(self) -> Tensor:
        """`[..., 1, H, W]`: exact of so few pixels that all images can be listed, else of p(x_i | x_<i, z) along a few
        images that are drawn, with the same noise for every z.

        Raises:
            NotImplementedError: in a backward pass, for draws have no gradient.
        """
        mean: Tensor = _Drawn.apply(self.h, self._mean())  # type: ignore[no-untyped-call]
        return mean

    @torch.no_grad()
    def _mean(self) -> Tensor:
        (_, height, width), lead = self.event_shape, self.batch_shape
        if height * width <= LISTED:
            bits = torch.tensor([0.0, 1.0], dtype=self.h.dtype, device=self.h.device)
            images = torch.cartesian_prod(*[bits] * (height * width)).reshape(-1, *[1] * len(lead), *self.event_shape)
            return (self.log_prob(images).exp()[..., None, None, None] * images).sum(0)
        u = fixed_noise(height, width).to(self.h)
        h = self.h.reshape(-1, *self.h.shape[-4:])
        chances = [self.network.drawn(part, u)[1].mean(0) for part in torch.split(h, max(1, AT_ONCE // len(u)))]
        return torch.cat(chances).reshape(*lead, *self.event_shape)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Pixel after pixel, `[*sample_shape, ..., 1, H, W]`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        h = self.h.expand(*sample_shape, *self.h.shape).reshape(-1, *self.h.shape[-4:])
        u = torch.rand(len(h), *self.event_shape[1:], dtype=h.dtype, device=h.device)
        parts = zip(torch.split(h, AT_ONCE), torch.split(u, AT_ONCE), strict=True)
        drawn = [self.network.drawn(part, noise.unsqueeze(0))[0].squeeze(0) for part, noise in parts]
        return torch.cat(drawn).reshape(shape)


class PixelDecoder(Likelihood):
    """p(x|z) = prod_i p(x_i | x_<i, z): masked convolutions over the pixels so far, and the decoder's maps at a pixel.

    What is before a pixel are the rows above it and the pixels to its left. The layers see a neighbourhood of that.

    Source: van den Oord et al. 2016, arXiv:1606.05328; Gulrajani et al. 2017, arXiv:1611.05013; Chen et al. 2017,
    arXiv:1611.02731.

    Args:
        data: binary images of one channel.
        context_maps: M, numbers of the decoder for each pixel.
        pixel_filters: channels of a layer.
        pixel_layers: layers after the first.

    Raises:
        ValueError: other data.
    """

    support: Kind = "binary"

    def __init__(
        self, data: DataSpec, *, context_maps: int = 4, pixel_filters: int = 32, pixel_layers: int = 2
    ) -> None:
        super().__init__()
        refuse_unless(data, "binary", "binarise=fixed, say")
        if len(data.shape) != 3 or data.shape[0] != 1:
            raise ValueError(f"pixel_decoder is for images of one channel, [1, H, W], not {list(data.shape)}")
        self.numbers = at_least("context_maps", context_maps, 2)
        filters = at_least("pixel_filters", pixel_filters, 1)
        self.first = MaskedConv(1, filters, FIRST, own=False)
        self.context = nn.Conv2d(self.numbers, filters, 1, bias=False)
        self.layers = nn.ModuleList(
            MaskedConv(filters, filters, OTHERS, own=True) for _ in range(at_least("pixel_layers", pixel_layers, 0))
        )
        self.last = nn.Conv2d(filters, 1, 1)

    def forward(self, h: Tensor) -> Pixels:
        """Decoder output `[..., M, 1, H, W]` -> p(x|z), batch shape `[...]`, event shape `[1, H, W]`."""
        return Pixels(self, h)

    def _of_context(self, h: Tensor) -> Tensor:
        """`[N, M, 1, H, W]` -> `[N, filters, H, W]`."""
        c: Tensor = self.context(h.squeeze(-3))
        return c

    def logits(self, h: Tensor, x: Tensor) -> Tensor:
        """Of p(x_i = 1 | x_<i, z): h `[..., M, 1, H, W]`, x `[..., 1, H, W]`, whose leading axes broadcast, -> the same
        as x."""
        given = self._of_context(h.reshape(-1, *h.shape[-4:]))
        state = functional.elu(self.first.everywhere(2 * x - 1) + given.reshape(*h.shape[:-4], *given.shape[1:]))
        for layer in self.layers:
            assert isinstance(layer, MaskedConv)
            state = state + functional.elu(layer.everywhere(state))
        logits: Tensor = self.last(state.reshape(-1, *state.shape[-3:]))
        return logits.reshape(*state.shape[:-3], *logits.shape[1:])

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), `[K, B]`."""
        return functional.logsigmoid(self.logits(h, x) * (2 * x - 1)).sum((-3, -2, -1))

    def drawn(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Images drawn pixel by pixel, x_i = 1 where u_i < p(x_i = 1 | x_<i, z), and these probabilities.

        Of every layer only what the next pixel needs is computed, so that an image costs no more than its density.

        Args:
            h: `[N, M, 1, H, W]`.
            u: of [0, 1), `[S, N, H, W]` or `[S, 1, H, W]`.

        Returns:
            Twice `[S, N, 1, H, W]`.
        """
        given = self._of_context(h)
        draws, (n, filters, height, width) = len(u), given.shape
        given = given.expand(draws, *given.shape).flatten(0, 1)
        u = u.expand(draws, n, height, width).flatten(0, 1)
        layers = [layer for layer in self.layers if isinstance(layer, MaskedConv)]

        def blank(layer: MaskedConv, channels: int) -> Tensor:
            return given.new_zeros(draws * n, channels, height + layer.margin, width + 2 * layer.margin)

        def seen(layer: MaskedConv, kept: Tensor, row: int, column: int) -> Tensor:
            h: Tensor = layer(kept[:, :, row : row + layer.margin + 1, column : column + 2 * layer.margin + 1])
            return h

        signs, states = blank(self.first, 1), [blank(layer, filters) for layer in layers]
        x, chance = u.new_zeros(u.shape), u.new_zeros(u.shape)
        for i, j in product(range(height), range(width)):
            state = functional.elu(seen(self.first, signs, i, j) + given[:, :, i : i + 1, j : j + 1])
            for layer, kept in zip(layers, states, strict=True):
                kept[:, :, i + layer.margin, j + layer.margin] = state[:, :, 0, 0]
                state = state + functional.elu(seen(layer, kept, i, j))
            chance[:, i, j] = self.last(state)[:, 0, 0, 0].sigmoid()
            x[:, i, j] = (u[:, i, j] < chance[:, i, j]).to(x.dtype)
            signs[:, 0, i + self.first.margin, j + self.first.margin] = 2 * x[:, i, j] - 1
        shape = (draws, n, 1, height, width)
        return x.reshape(shape), chance.reshape(shape)
