"""Heads at a stated pace: what one step of Adam may move, whatever the features are; and encoders of centred data."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.variants.beside import BESIDE, model_of
from variants import DataSpec
from variants.core import draw
from variants.parts import PARTS, assemble
from variants.parts.heads import PACE, Head, squash
from variants.parts.networks import Centre
from variants.parts.posteriors import Diagonal, Full, LowRank

LR = 3e-3


def moved(head: nn.Module, h: Tensor) -> Tensor:
    """How far one step of Adam moves each output, when all of them are wanted larger."""
    before = head(h).detach()
    optimiser = torch.optim.Adam(head.parameters(), lr=LR)
    (-head(h).sum()).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return (head(h).detach() - before).abs()


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("features", [1, 16, 400, 5000])
def test_no_step_moves_an_output_further_than_its_pace(features: int, size: float) -> None:
    torch.manual_seed(0)
    h = size * torch.rand(8, features)
    far = moved(Head(features, 3), h).max().item()
    # The bias is one more input, of size one.
    assert far <= PACE * LR * (1 + 1 / features) * 1.001
    if size >= 1:
        assert far >= 0.4 * PACE * LR


def test_a_plain_layer_moves_as_far_as_its_features_are_large() -> None:
    h = 1e3 * torch.rand(8, 400)
    assert moved(nn.Linear(400, 3), h).min() > 100 * PACE * LR


def test_squash_leaves_small_features_and_bounds_large_ones() -> None:
    h = torch.randn(5, 50, dtype=torch.float64)
    torch.testing.assert_close(squash(1e-4 * h), 1e-4 * h, rtol=1e-7, atol=0)
    for size in (1.0, 1e3, 1e12):
        assert (squash(size * h).abs().sum(-1) < 50).all()
    torch.testing.assert_close(squash(1e9 * h).square().mean(-1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(squash(h), h / (1 + h.square().mean(-1, keepdim=True)).sqrt())


def test_a_head_starts_at_zero_or_like_a_plain_layer() -> None:
    h = torch.randn(6, 40)
    assert not Head(40, 7)(h).any()
    torch.manual_seed(1)
    head = Head(40, 7, zero=False, pace=5.0)
    torch.manual_seed(1)
    plain = nn.Linear(40, 7)
    torch.testing.assert_close(head(h), plain(squash(h)))


@pytest.mark.parametrize("posterior", [Diagonal, Full])
def test_what_all_examples_share_starts_at_zero(posterior: type[Diagonal] | type[Full]) -> None:
    """So that a shared sigma starts at 1, as one of each example does."""
    for shared in (True, False):
        q = posterior(4, 3, shared_covariance=shared)(torch.randn(5, 4))
        torch.testing.assert_close(q.stddev, torch.ones(5, 3))


@pytest.mark.parametrize("latent", [2, 20, 100])
def test_a_row_of_correlations_moves_z_no_further_than_its_log_sigma(latent: int) -> None:
    torch.manual_seed(0)
    posterior, h = Full(60, latent), 10 * torch.rand(4, 60)
    row = moved(posterior.off_diagonal, h).max().item() * (latent - 1)
    assert 0.4 * PACE * LR * (1 - 1 / latent) < row <= moved(posterior.log_scale, h).max().item() * 1.001


def test_the_pace_of_low_rank_is_that_of_its_columns_too() -> None:
    slow, fast = (LowRank(40, 3, rank=2, pace=pace) for pace in (1.0, 10.0))
    for one, other in ((slow.log_scale, fast.log_scale), (slow.factor, fast.factor)):
        assert other.gain == pytest.approx(10 * one.gain)


def test_a_pace_can_be_chosen() -> None:
    torch.manual_seed(0)
    h = torch.rand(8, 40)
    slow, fast = (moved(Diagonal(40, 3, pace=pace).log_scale, h).max().item() for pace in (1.0, 10.0))
    assert fast == pytest.approx(10 * slow, rel=1e-4)
    with pytest.raises(ValueError, match="pace must be a number above 0, got 0"):
        assemble(DataSpec((4,), "real"), pace=0)


@pytest.mark.parametrize("name", sorted(PARTS["posterior"]))
@pytest.mark.parametrize("size", [1.0, 1e6])
def test_one_step_leaves_every_posterior_finite(name: str, size: float) -> None:
    """Whatever an encoder of somebody's own gives, and whatever the loss wants."""
    torch.manual_seed(0)
    model = model_of(name, 50)
    h, posterior = size * torch.rand(16, model.encoder.features), model.posterior
    known = (h, torch.arange(16) % 3) if model.conditional else (h,)
    # Some go down the prior's own trunk.
    optimiser = torch.optim.Adam([*posterior.parameters(), *model.prior.parameters()], lr=LR)
    for sign in (1, -1):
        q = posterior(*known)
        z = q.rsample(torch.Size([2])) if posterior.has_path else q.mean
        (sign * z.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    q = posterior.eval()(*known)
    z = draw(q, torch.Size([2]))
    assert z.isfinite().all()
    if posterior.has_density:
        assert q.log_prob(z).isfinite().all()


@pytest.mark.parametrize("network", PARTS["network"])
def test_an_encoder_sees_its_data_less_their_mean(network: str) -> None:
    mean = np.linspace(0.1, 0.9, 2 * 4 * 6).reshape(2, 4, 6)
    spec, parts = DataSpec((2, 4, 6), "unit", mean=lambda: mean), BESIDE.get(network, {}) | {"network": network}
    torch.manual_seed(0)
    centred = assemble(spec, **parts)
    torch.manual_seed(0)
    plain = assemble(spec, **parts, centre=False)
    torch.manual_seed(0)
    unknown = assemble(DataSpec((2, 4, 6), "unit"), **parts)
    x = torch.rand(3, 2, 4, 6)
    # A convolution does the same everywhere: of its data a channel has one mean.
    seen = mean.mean((1, 2), keepdims=True) if "conv" in network else mean
    torch.testing.assert_close(centred.encoder(x), plain.encoder(x - torch.from_numpy(seen).float()))
    assert torch.equal(plain.encoder(x), unknown.encoder(x))
    assert not torch.equal(centred.encoder(x), plain.encoder(x))


def test_the_mean_is_kept_with_the_weights() -> None:
    centre = Centre(DataSpec((3,), "real", mean=lambda: np.array([1.0, 2.0, 3.0])), True)
    fresh = Centre(DataSpec((3,), "real"), True)
    fresh.load_state_dict(centre.state_dict())
    assert torch.equal(fresh(torch.tensor([[1.0, 2.0, 4.0]])), torch.tensor([[0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("kind", ["real", "unit", "counts"])
def test_the_mean_example_is_at_the_centre(kind: Any) -> None:
    """Whatever is done to values before the mean is taken off is done to the mean too."""
    mean = np.array([0.2, 0.5, 0.9]) * (100 if kind == "counts" else 1)
    centre = Centre(DataSpec((3,), kind, mean=lambda: mean), True)
    torch.testing.assert_close(centre(torch.from_numpy(mean).float()[None]), torch.zeros(1, 3))


def test_centring_does_not_take_a_linear_model_out_of_its_family() -> None:
    """W (x - m) + b is W x + (b - W m): probabilistic PCA stays exact."""
    torch.manual_seed(0)
    mean = np.arange(5.0)
    model = assemble(
        DataSpec((5,), "real", mean=lambda: mean), latent=2, network="linear", posterior="full", shared_covariance=True
    )
    x = torch.randn(7, 5)
    q, loc = model.infer(x), model.posterior.loc
    offset = loc.bias - loc.weight @ torch.from_numpy(mean).float()
    torch.testing.assert_close(q.mean, x @ loc.weight.T + offset)
    assert math.isfinite(q.log_prob(q.mean).sum().item())
