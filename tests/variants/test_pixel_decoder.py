"""Pixels given those before them: probabilities that sum to one, an order that holds, draws that follow."""

from itertools import product

import pytest
import torch
from torch import Tensor

from tests.helpers import fixed
from variants import DataSpec, build
from variants.core import elbo
from variants.parts import pixel_decoder
from variants.parts.pixel_decoder import PixelDecoder, Pixels, fixed_noise

MAPS = 3


def likelihood(height: int, width: int) -> PixelDecoder:
    torch.manual_seed(0)
    data = DataSpec((1, height, width), "binary", 40)
    return PixelDecoder(data, context_maps=MAPS, pixel_filters=6).double()


def context(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def images(height: int, width: int) -> Tensor:
    rows = [list(bits) for bits in product((0.0, 1.0), repeat=height * width)]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 1, height, width)


def test_the_sixteen_images_of_four_pixels_have_all_the_mass() -> None:
    p, h, x = likelihood(2, 2), context(3, 1, MAPS, 1, 2, 2), images(2, 2)
    log_p = p.log_prob(h.expand(3, 16, *h.shape[2:]), x)
    assert log_p.shape == (3, 16)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)
    mean = (log_p.exp()[..., None, None, None] * x).sum(1)
    torch.testing.assert_close(p(h[:, 0]).mean, mean, rtol=0, atol=1e-12)


def test_a_pixel_depends_on_those_before_it_alone() -> None:
    p, h = likelihood(5, 6), context(1, MAPS, 1, 5, 6)
    x = torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(2)).round().double()
    logits = p.logits(h, x).flatten()
    for j in range(30):
        other = x.clone()
        other.view(-1)[j] = 1 - other.view(-1)[j]
        moved = p.logits(h, other).flatten() != logits
        assert not moved[: j + 1].any()
        assert j % 6 == 5 or moved[j + 1]  # the next row's first pixel is too far away


def test_one_distribution_by_pixels_and_as_a_whole() -> None:
    p, h = likelihood(4, 5), context(7, MAPS, 1, 4, 5)
    x, chance = p.drawn(h, torch.rand(2, 7, 4, 5, dtype=torch.float64))
    assert x.shape == chance.shape == (2, 7, 1, 4, 5)
    torch.testing.assert_close(chance, p.logits(h, x).sigmoid(), rtol=0, atol=1e-12)
    assert 0.2 < x.mean() < 0.8


def test_draws_are_as_often_as_their_probability_says() -> None:
    p, h, x = likelihood(2, 2), context(1, MAPS, 1, 2, 2), images(2, 2)
    draws = Pixels(p, h).sample([20_000])
    assert draws.shape == (20_000, 1, 1, 2, 2)
    place = (draws.flatten(1) * torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).sum(1).long()
    seen, expected = torch.bincount(place, minlength=16) / 20_000, p.log_prob(h, x).exp()
    assert ((seen - expected).abs() < 5 * (expected / 20_000).sqrt()).all()


def test_the_mean_of_many_pixels_is_one_of_draws_and_the_same_for_every_batch() -> None:
    p, h = likelihood(4, 5), context(100, MAPS, 1, 4, 5)
    mean = p(h).mean
    torch.testing.assert_close(p(h[:1]).mean, mean[:1])
    torch.manual_seed(0)
    drawn = p(h).sample([50]).mean(0)
    # Of all contexts together the two differ by the noise of four draws, which these share.
    assert (mean.mean(0) - drawn.mean(0)).abs().max() < 0.1
    assert 0 < mean.min() < mean.max() < 1


def test_the_noise_of_a_mean_is_a_half_on_average_at_every_pixel() -> None:
    """So a mean in which no pixel depends on another is exact."""
    torch.testing.assert_close(fixed_noise(4, 5).mean(0), torch.full((1, 4, 5), 0.5, dtype=torch.float64))


def test_the_noise_of_a_mean_is_always_the_same_and_takes_none_from_others() -> None:
    assert fixed(fixed_noise, 4, 5)


def test_images_are_the_same_however_many_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    p, h = likelihood(4, 5), context(3, 2, MAPS, 1, 4, 5)
    found = []
    for at_once in (512, 3):
        monkeypatch.setattr(pixel_decoder, "AT_ONCE", at_once)
        torch.manual_seed(0)
        found.append((p(h).sample([4]), p(h).mean))
    assert found[0][0].shape == (4, 3, 2, 1, 4, 5)
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
    torch.testing.assert_close(p(h[2, 1]).mean, found[0][1][2, 1])


def test_a_gradient_of_the_mean_is_refused_and_not_zero() -> None:
    h = context(1, MAPS, 1, 4, 5).requires_grad_()
    with pytest.raises(NotImplementedError, match="mean of pixel_decoder is that of draws"):
        likelihood(4, 5)(h).mean.sum().backward()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (DataSpec((3, 4, 4), "binary"), "images of one channel"),
        (DataSpec((8,), "binary"), "images of one channel"),
        (DataSpec((1, 4, 4), "unit"), "binarise=fixed"),
    ],
)
def test_other_data_are_refused_in_one_line(data: DataSpec, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        build("pixel_decoder", data)
    assert "\n" not in str(caught.value)


def test_a_little_training_beats_independent_pixels() -> None:
    """Images whose pixel is that above it: z need say nothing of them."""
    data = DataSpec((1, 6, 6), "binary", 64)
    torch.manual_seed(0)
    x = torch.rand(64, 1, 1, 6).round().expand(64, 1, 6, 6).contiguous()
    bounds = {}
    for name, size in (("pixel_decoder", {"pixel_filters": 8, "pixel_layers": 1}), ("vanilla", {})):
        torch.manual_seed(1)
        model = build(name, data, hidden=(16,), latent=2, **size)
        adam = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(60):
            adam.zero_grad()
            model.loss(x).mean().backward()
            adam.step()
        with torch.no_grad():
            bounds[name] = elbo(model.eval().terms(x, 4)).mean().item()
    assert bounds["pixel_decoder"] > bounds["vanilla"] + 2
