"""Ladders whose layers are maps: places stay places, the trunk grows, and both sizes that ship can be stepped."""

import math

import pytest
import torch
from torch import nn

from bench.settings import Budget
from bench.suites import suite
from bench.train.steps import stepper_for
from variants import DataSpec, build
from variants.core import VAE, elbo
from variants.parts.conv_ladder import (
    MapTrunk,
    as_map,
    as_places,
    conv_ladder,
    depth_of,
    halved,
    places_of,
    sides_of,
)
from variants.parts.ladder import Ladder
from variants.parts.networks import ACTIVATIONS

IMAGE = DataSpec((2, 9, 6), "binary", 40)
X = torch.rand(3, 2, 9, 6, generator=torch.Generator().manual_seed(0)).round().double()
AT = (2, 1)


def model(**options: object) -> VAE:
    """A small one, whose parameters are away from where they start."""
    torch.manual_seed(3)
    made = build("deep_top_down_conv", IMAGE, **{"layers_at": AT, "trunk_channels": 4} | options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def test_layers_are_maps_of_halved_images_the_lowest_with_the_most_places() -> None:
    assert halved(DataSpec((1, 28, 28), "binary"), 5) == [(14, 14), (7, 7), (4, 4), (2, 2), (1, 1)]
    assert sides_of(IMAGE, AT) == [(5, 3), (5, 3), (3, 2)]
    assert places_of(IMAGE, AT) == 36
    assert depth_of(72, IMAGE, AT) == 2
    made = model()
    assert made.prior.layers == (60, 60, 24)
    assert made.sample(2).shape == (2, 2, 9, 6)


def test_places_of_a_map_come_back() -> None:
    s = torch.arange(2 * 3 * 15 * 4).reshape(2, 3, 60)
    images = as_map(s, (5, 3))
    assert images.shape == (6, 4, 5, 3)
    assert torch.equal(images[4, :, 2, 1], s[1, 1].reshape(5, 3, 4)[2, 1])
    assert torch.equal(as_places(images, s).flatten(-2), s)


def test_a_place_above_reaches_the_places_under_it_and_no_far_one() -> None:
    torch.manual_seed(0)
    trunk = MapTrunk([(16, 12), (8, 6)], depth=2, channels=3, activation="elu")
    z = torch.randn(2, 8, 6, 2)
    moved = z.clone()
    moved[1, 0, 5] += 1
    far = (
        (trunk.advance(1, None, z.flatten(1)) != trunk.advance(1, None, moved.flatten(1))).reshape(2, 16, 12, 3).any(-1)
    )
    assert not far[0].any()
    assert far[1, :2, 10:].all()
    # Two convolutions of 3 x 3 reach two places, of which each is four below.
    assert not far[1, 6:].any()
    assert not far[1, :, :6].any()
    # Without its block and its shift the state is what it was, each place four times.
    torch.nn.init.zeros_(trunk.blocks[1].body[-1].weight)
    torch.nn.init.zeros_(trunk.blocks[1].body[-1].bias)
    grown = trunk.advance(1, None, z.flatten(1)).reshape(2, 16, 12, 3)
    torch.testing.assert_close(grown, trunk.into[1](z).repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_each_layer_sees_the_map_of_x_of_its_own_size() -> None:
    made = model()
    h = made.encoder(X)
    assert h.shape == (3, (15 + 6) * 4)
    for i, part in enumerate((slice(0, 60), slice(0, 60), slice(60, 84))):
        other = h.clone()
        other[:, part] += 1
        changed = made.posterior.of_x[i](other) != made.posterior.of_x[i](h)
        assert changed.any()
        rest = h + 1
        rest[:, part] = h[:, part]
        assert torch.equal(made.posterior.of_x[i](rest), made.posterior.of_x[i](h))


def test_layers_of_the_kl_add_up_and_a_draw_of_its_own_goes_the_same_way_down_again() -> None:
    made = model()
    with torch.no_grad():
        terms = made.terms(X, 2000)
        parts = terms.kl_parts
        assert isinstance(terms.q, Ladder)
        assert parts is not None
        assert parts.shape == (3, 3)
        assert (parts >= 0).all()
        ratio = terms.log_qz_x - terms.log_pz
        assert ((parts.sum(1) - ratio.mean(0)).abs() < 5 * ratio.std(0) / 2000**0.5).all()
        torch.testing.assert_close(terms.q.log_prob(terms.z.clone()), terms.log_qz_x)
        z = made.prior().sample(torch.Size([5]))
        torch.testing.assert_close(made.decoder(z), made.decoder.decoder(made.prior.state(z)))


@torch.no_grad()
def test_a_corner_of_the_image_and_its_latents_tell_of_each_other_and_of_no_far_place() -> None:
    torch.manual_seed(0)
    data = DataSpec((1, 32, 24), "binary", 40)
    made = build("deep_top_down_conv", data, layers_at=(1, 1), trunk_channels=4, blocks=0).double()
    for parameter in made.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    x, z, sides = torch.zeros(1, 1, 32, 24).double(), torch.randn(1, 960).double(), [(16, 12), (8, 6)]
    corner = x.clone()
    corner[..., 0, 0] = 1

    def reached(a: torch.Tensor, b: torch.Tensor, side: tuple[int, int], far: int) -> None:
        changed = (a != b).reshape(*side, -1).any(-1)
        assert changed[0, 0]
        assert not changed[far:].any()
        assert not changed[:, far:].any()

    # A halving and a convolution of 3 x 3: one place further.
    for i, side in enumerate(sides):
        for a, b in zip(
            *((at.mean, at.stddev) for at in (made.infer(each).at(z)[i] for each in (x, corner))), strict=True
        ):
            reached(a, b, side, 2)
    # The corner's latents of the upper layer, whose block reaches two places; each has four places below.
    upper = z.clone()
    upper[:, 16 * 12 * 4 : 16 * 12 * 4 + 4] += 1
    for a, b in zip(*((at.mean, at.stddev) for at in (made.prior().at(each)[0] for each in (z, upper))), strict=True):
        reached(a, b, sides[0], 6)
    lower = z.clone()
    lower[:, :4] += 1
    reached(made.decoder(z), made.decoder(lower), (32, 24), 7)


def test_all_layers_reach_the_data_and_all_parameters_learn() -> None:
    made = model()
    terms = made.terms(X, 1)
    (slope,) = torch.autograd.grad(elbo(terms).sum(), terms.z)
    assert (slope != 0).any(1).all()
    made.loss(X, 1e9).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_at_the_start_all_layers_of_the_prior_are_standard_normal() -> None:
    torch.manual_seed(0)
    p = build("deep_top_down_conv", IMAGE, layers_at=AT, trunk_channels=4).prior()
    z = torch.randn(4, 144)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(p.log_prob(z), expected)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("ladders", DataSpec((1, 8, 8), "binary", 40)),
        ("ladders_cifar10", DataSpec((3, 8, 8), "levels", 40, levels=256)),
    ],
)
def test_the_sizes_that_ship_make_a_step(name: str, data: DataSpec) -> None:
    """On tiny images, for the layers and channels; nothing is claimed of what they learn."""
    (chosen,) = suite.load(name).variants
    torch.manual_seed(0)
    made = build(chosen.name, data, **chosen.overrides)
    x = torch.rand(2, *data.shape)
    x = x.round() if data.kind == "binary" else (255 * x).round() / 255
    before = [p.detach().clone() for p in made.parameters()]
    stepper = stepper_for(made, Budget(grad_skip=1e9, lr=1e-3))
    loss = stepper(x, 0.0)
    assert math.isfinite(loss.item())
    assert stepper.skipped == 0
    assert not all(torch.equal(p, q) for p, q in zip(made.parameters(), before, strict=True))
    assert len(made.prior.layers) == {"ladders": 10, "ladders_cifar10": 22}[name]


def activations(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, tuple(kind for kind in ACTIVATIONS.values()))]


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_ladder_of_maps_has_the_activation_and_the_blocks_that_are_asked_for(blocks: int) -> None:
    made = build("deep_top_down_conv", IMAGE, layers_at=AT, trunk_channels=4, activation="silu", blocks=blocks)
    assert {type(each) for each in activations(made)} == {nn.SiLU}
    encoder, decoder = conv_ladder(IMAGE, 60, layers_at=AT, trunk_channels=4, blocks=blocks)
    # Two in each block, one before the second halving, and one before the way up.
    assert len(activations(encoder)) == 2 * 2 * blocks + 1
    assert len(activations(decoder)) == 2 * blocks + 1


@pytest.mark.parametrize("layers", [1, 4, 9])
def test_blocks_together_add_as_much_however_many_there_are(layers: int) -> None:
    """Of blocks that each add independent noise of variance 1, the last state has the variance 1."""

    class Noise(torch.nn.Module):
        def forward(self, h: torch.Tensor) -> torch.Tensor:
            return torch.randn_like(h)

    torch.manual_seed(0)
    trunk = MapTrunk([(20, 20)] * layers, 1, 10, "elu")
    for block in trunk.blocks:
        block.body = Noise()
    state = None
    for i in range(layers):
        torch.nn.init.zeros_(trunk.into[i].weight)
        torch.nn.init.zeros_(trunk.into[i].bias)
        state = trunk.advance(i, state, torch.zeros(3, 400))
    assert state is not None
    assert state.var().item() == pytest.approx(1, abs=0.1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs images \(C, H, W\), not data of shape \(8,\)"):
        build("deep_top_down_conv", DataSpec((8,), "real", 40))
    with pytest.raises(ValueError, match="have 36 places: latent must be a multiple, got 70"):
        build("deep_top_down_conv", IMAGE, layers_at=AT, latent=70)
    with pytest.raises(ValueError, match="choose network=conv_ladder with the same layers_at"):
        build("deep_top_down_conv", IMAGE, layers_at=AT, network="mlp")
    with pytest.raises(ValueError, match="choose prior=conv_ladder_prior"):
        build("deep_top_down_conv", IMAGE, layers_at=AT, prior="ladder_prior")
    with pytest.raises(ValueError, match="activation of a trunk must be one of"):
        build("deep_top_down_conv", IMAGE, activation="gated")
    with pytest.raises(ValueError, match="layers_at"):
        build("deep_top_down_conv", IMAGE, layers_at=())
