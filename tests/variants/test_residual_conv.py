"""Residual convolutions, and latents that are a map of sites."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from variants import DataSpec, build
from variants.parts.residual_conv import Block, FromSites, ToSites, residual_conv

IMAGE = DataSpec((2, 7, 5), "unit", 40)


def test_sites_are_places_of_the_map_and_come_back() -> None:
    h = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).float()
    z = ToSites()(h)
    assert z.shape == (2, 60)
    assert torch.equal(z.reshape(2, 20, 3)[1, 7], h[1, :, 1, 2])
    assert torch.equal(FromSites((4, 5))(z), h)


def test_a_block_adds_to_what_it_is_given() -> None:
    torch.manual_seed(0)
    block, h = Block(4, "elu"), torch.randn(2, 4, 5, 5)
    torch.nn.init.zeros_(block.body[-1].weight)
    torch.nn.init.zeros_(block.body[-1].bias)
    assert torch.equal(block(h), h)


def test_a_block_bends_before_each_of_its_two_convolutions() -> None:
    torch.manual_seed(0)
    block, h = Block(4, "tanh"), torch.randn(2, 4, 5, 5)
    first, second = (layer for layer in block.body if isinstance(layer, torch.nn.Conv2d))
    torch.testing.assert_close(block(h), h + second(first(h.tanh()).tanh()))


@pytest.mark.parametrize("count", [0, 2])
def test_both_sides_have_as_many_blocks_at_each_size(count: int) -> None:
    encoder, decoder = residual_conv(IMAGE, 3, channels=(4, 5), blocks=count, width=6)
    found = [[m.body[1].in_channels for m in part.modules() if isinstance(m, Block)] for part in (encoder, decoder)]
    assert found == [[4] * count + [5] * count, [5] * count + [4] * count]


def test_the_encoder_sees_x_less_the_mean_of_each_channel() -> None:
    mean = np.random.default_rng(0).random(IMAGE.shape)
    encoder, _ = residual_conv(replace(IMAGE, mean=lambda: mean), 3, channels=(4,), width=6)
    first = encoder.body[0](torch.zeros(1, *IMAGE.shape))
    expected = -torch.from_numpy(mean).float().mean((1, 2))
    torch.testing.assert_close(first, expected[:, None, None].expand(1, *IMAGE.shape))


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 7, 5), (3, 6, 9)])
@pytest.mark.parametrize("numbers", [1, 3])
def test_images_of_any_size_come_back_at_their_size(shape: tuple[int, ...], numbers: int) -> None:
    data = DataSpec(shape, "unit", 40)
    encoder, decoder = residual_conv(data, 3, channels=(4, 5), width=6, numbers=numbers)
    assert encoder(torch.zeros(2, *shape)).shape == (2, 6)
    wanted = shape if numbers == 1 else (numbers, *shape)
    assert decoder(torch.zeros(4, 2, 3)).shape == (4, 2, *wanted)


def test_a_code_of_a_map_depends_on_its_part_of_the_image_alone() -> None:
    torch.manual_seed(0)
    data = DataSpec((1, 32, 32), "unit", 40)
    encoder, decoder = residual_conv(data, 8 * 8 * 4, channels=(4, 4), blocks=1, spatial=True, centre=False)
    assert encoder.sites == (8, 8)
    x = torch.rand(1, 1, 32, 32)
    other = x.clone()
    other[0, 0, 0, 0] += 1
    moved = (encoder(x) != encoder(other)).reshape(8, 8, 4).any(-1)
    assert moved[0, 0]
    assert not moved[6:, :].any()
    assert not moved[:, 6:].any()
    z = encoder(x)
    changed = z.clone()
    changed[0, :4] += 1
    pixels = (decoder(z) != decoder(changed))[0, 0]
    assert pixels[:4, :4].any()
    assert not pixels[24:, :].any()


def test_a_map_of_codes_is_one_for_every_four_by_four_pixels() -> None:
    model = build("vq_spatial", IMAGE, latent=16, code_size=4, codes=8, channels=(4, 6), order_width=8)
    terms = model.terms(torch.rand(3, *IMAGE.shape))
    assert terms.q.indices.shape == (3, 4)
    assert terms.z.shape == (1, 3, 16)
    assert model.sample(2).shape == (2, *IMAGE.shape)


def test_what_is_no_image_or_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs images \(C, H, W\), not data of shape \(8,\)"):
        build("residual_conv", DataSpec((8,), "real", 40))
    with pytest.raises(ValueError, match="map of 2 x 2 sites here: latent must be a multiple of 4, got 18"):
        build("vq_spatial", IMAGE, latent=18, code_size=1)
    with pytest.raises(ValueError, match="activation of residual blocks must be one of"):
        build("residual_conv", IMAGE, activation="gated")
