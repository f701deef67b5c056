"""Spline and Sylvester flows: inverses, determinants and limits that are known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian

from variants.parts.flows import Flow, PlanarStep
from variants.parts.posteriors import Posterior
from variants.parts.splines import LEAST_SLOPE, RationalQuadratic, Spline
from variants.parts.sylvester import Sylvester, SylvesterStep

H, B, BOUND = 6, 3, 4.0
FLOWS: dict[str, type[Posterior]] = {"spline": Spline, "sylvester": Sylvester}


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def strong(name: str, latent: int, **options: Any) -> Posterior:
    """Far from where training starts: every map bends."""
    torch.manual_seed(0)
    options = ({"flow_width": 16} if name == "spline" else {}) | {"flows": 3} | options
    posterior = FLOWS[name](H, latent, **options).double()
    with torch.no_grad():
        for key, parameter in posterior.named_parameters():
            gentle = 0.3 if key.startswith(("log_scale", "loc")) else 0.6
            parameter.copy_(torch.randn_like(parameter) * (0.15 if ".out." in key else gentle))
        for module in posterior.modules():
            if hasattr(module, "gain"):
                module.gain = 1.0  # a pace is for training
    return posterior


def features() -> Tensor:
    return double(B, H, seed=1)


# ---------------------------------------------------------------------------------------------------------------------
# Both


@pytest.mark.parametrize("name", FLOWS)
def test_density_integrates_to_one(name: str) -> None:
    q = strong(name, 2)(features())
    with torch.no_grad():
        centre, scale = q.mean, q.variance.sqrt()
        t = torch.linspace(-4, 4, 301, dtype=torch.float64)
        points = torch.cartesian_prod(0.3 * t.sinh(), 0.3 * t.sinh())[:, None] * scale + centre
        weights = torch.cartesian_prod(t.cosh(), t.cosh()).prod(-1) * (0.3 * (t[1] - t[0])) ** 2
        total = (weights[:, None] * q.log_prob(points).exp()).sum(0) * scale.prod(-1)
    torch.testing.assert_close(total, torch.ones(B, dtype=torch.float64), rtol=0, atol=5e-3)


@pytest.mark.parametrize("latent", [2, 5])
@pytest.mark.parametrize("name", FLOWS)
def test_density_of_a_sample_is_the_change_of_variables(name: str, latent: int) -> None:
    """log q(z) = log N(z_0) - log |det dz/dz_0|, the Jacobian by automatic differentiation of the whole chain."""
    q: Flow = strong(name, latent)(features())  # type: ignore[assignment]
    start = q.base.sample(torch.Size([1]))
    z, _ = q._push(start)
    full = jacobian(lambda s: q._push(s)[0][0], start)[:, :, 0]
    blocks = torch.stack([full[b, :, b] for b in range(B)])
    expected = q.base.log_prob(start)[0] - torch.linalg.slogdet(blocks)[1]
    torch.testing.assert_close(q.log_prob(z)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", FLOWS)
def test_inverses_undo_the_maps(name: str, dtype: torch.dtype) -> None:
    q: Flow = strong(name, 7).to(dtype)(features().to(dtype))  # type: ignore[assignment]
    z = (2 * double(50, B, 7)).to(dtype)
    tolerance = 1e-8 if dtype == torch.float64 else 1e-2
    for step in q.steps:
        image, log_det = step.forward(z)
        back, same = step.inverse(image)
        torch.testing.assert_close(back, z, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(same, log_det, rtol=tolerance, atol=tolerance)
    drawn = q.rsample(torch.Size([50]))
    torch.testing.assert_close(q.log_prob(drawn.clone()), q.log_prob(drawn), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FLOWS)
def test_densities_of_pairs(name: str) -> None:
    """Every point under every component, as the aggregated posterior wants them."""
    posterior, h = strong(name, 4), features()
    z = double(7, 1, 4)
    pairs = posterior(h).log_prob(z)
    assert pairs.shape == (7, B)
    for b in range(B):
        torch.testing.assert_close(pairs[:, b], posterior(h[b : b + 1]).log_prob(z)[:, 0])


@pytest.mark.parametrize("name", FLOWS)
def test_derivatives_of_the_density_at_any_point(name: str) -> None:
    posterior, h = strong(name, 3, flows=2), features()
    z = double(2, B, 3).requires_grad_()

    def log_prob(z: Tensor, *_: Tensor) -> Tensor:
        return posterior(h).log_prob(z)

    assert gradcheck(log_prob, (z, *posterior.parameters()), eps=1e-6, atol=1e-5, fast_mode=True)


# ---------------------------------------------------------------------------------------------------------------------
# Splines


def spline(*batch: int, bins: int = 5, size: float = 1.0) -> RationalQuadratic:
    return RationalQuadratic(size * double(*batch, 3 * bins - 1), BOUND)


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
def test_a_spline_is_monotone_continuous_and_the_identity_outside(size: float) -> None:
    x = torch.linspace(-6, 6, 60_001, dtype=torch.float64)
    y, log_slope = spline(1, size=size).forward(x)
    assert (y.diff() > 0).all()
    outside = x.abs() >= BOUND
    assert torch.equal(y[outside], x[outside])
    assert not log_slope[outside].any()
    # The slope that it states is that of its values: the areas under it are the rises.
    step = x[1] - x[0]
    rises = 0.5 * step * (log_slope.exp()[1:] + log_slope.exp()[:-1])
    assert (rises.cumsum(0) - (y[1:] - y[0])).abs().max() < (1e-5 if size < 5 else 5e-2)


def test_a_spline_passes_its_knots_with_its_slopes() -> None:
    s = spline(1)
    at_knots, log_slope = s.forward(s.x[0, 1:-1])
    torch.testing.assert_close(at_knots, s.y[0, 1:-1])
    torch.testing.assert_close(log_slope.exp(), s.slopes[0, 1:-1])
    assert s.x[0, 0] == s.y[0, 0] == -BOUND
    assert s.x[0, -1] == s.y[0, -1] == BOUND
    assert s.slopes.min() >= LEAST_SLOPE


def test_the_inverse_of_a_spline_is_exact() -> None:
    s = spline(40, size=2.0)
    z = torch.linspace(-5, 5, 101, dtype=torch.float64)[:, None].expand(101, 40)
    image, log_slope = s.forward(z)
    back, same = s.inverse(image)
    torch.testing.assert_close(back, z, rtol=0, atol=1e-9)
    torch.testing.assert_close(same, log_slope, rtol=0, atol=1e-7)


def test_a_spline_with_parameters_at_zero_is_the_identity() -> None:
    s = RationalQuadratic(torch.zeros(1, 23, dtype=torch.float64), BOUND)
    z = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    for image, log_slope in (s.forward(z), s.inverse(z)):
        torch.testing.assert_close(image, z)
        torch.testing.assert_close(log_slope, torch.zeros_like(z))


def test_a_spline_posterior_with_its_maps_at_zero_is_diagonal() -> None:
    """The noise is bent, so the Gaussian's mean and scale are the posterior's own."""
    posterior = strong("spline", 4)
    with torch.no_grad():
        for network in posterior.conditioners:
            network.out.weight.zero_()
            network.out.bias.zero_()
    h, z = features(), double(5, B, 4)
    diagonal = torch.distributions.Normal(posterior.loc(h), posterior.log_scale(h).exp())
    torch.testing.assert_close(posterior(h).log_prob(z), diagonal.log_prob(z).sum(-1))
    torch.testing.assert_close(posterior(h).mean, posterior.loc(h))


@pytest.mark.parametrize("latent", [2, 3])
def test_every_latent_is_bent_and_sees_features(latent: int) -> None:
    posterior = strong("spline", latent, flows=2)
    eps = double(1, B, latent)
    pushed = [q._push(eps)[0][0] for q in (posterior(features()), posterior(features() + 1))]
    straight = [posterior.loc(h) + posterior.log_scale(h).exp() * eps[0] for h in (features(), features() + 1)]
    for bent, plain in zip(pushed, straight, strict=True):
        assert ((bent - plain).abs() > 1e-4).all()


# ---------------------------------------------------------------------------------------------------------------------
# Sylvester


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_columns_are_orthonormal_and_matrices_triangular(columns: int) -> None:
    q = strong("sylvester", 5, columns=columns)(features())
    for step in q.steps:
        torch.testing.assert_close(
            step.q.mT @ step.q, torch.eye(columns, dtype=torch.float64).expand(B, columns, columns)
        )
        for matrix in (step.r, step.s):
            assert not matrix.tril(-1).any()
            assert matrix.diagonal(dim1=-2, dim2=-1).abs().max() < 1
        assert step.slope.min() > -1
    if columns > 1:
        assert q.steps[0].r.triu(1).abs().max() > 0.1


def test_sylvester_of_one_column_is_planar() -> None:
    """u = r q, w = s q."""
    unit = torch.nn.functional.normalize(double(B, 4), dim=-1)
    r, s, b = (torch.tanh(double(B, seed=k)) for k in (1, 2, 3))
    ours = SylvesterStep(unit.unsqueeze(-1), r.reshape(B, 1, 1), s.reshape(B, 1, 1), b.unsqueeze(-1))
    theirs = PlanarStep(r.unsqueeze(-1) * unit, s.unsqueeze(-1) * unit, b, r * s)
    z = double(6, B, 4)
    for direction in ("forward", "inverse"):
        for a, e in zip(getattr(ours, direction)(z), getattr(theirs, direction)(z), strict=True):
            torch.testing.assert_close(a, e)


def test_sylvester_with_r_at_zero_is_the_identity() -> None:
    step: SylvesterStep = strong("sylvester", 4)(features()).steps[0]  # type: ignore[attr-defined]
    zero = SylvesterStep(step.q, torch.zeros_like(step.r), step.s, step.b)
    z = double(6, B, 4)
    for image, log_det in (zero.forward(z), zero.inverse(z)):
        torch.testing.assert_close(image, z)
        torch.testing.assert_close(log_det, torch.zeros_like(log_det))


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_sylvester_can_be_inverted_whatever_its_parameters(size: float) -> None:
    """Where a peer leaves out the constraint, no inverse exists."""
    torch.manual_seed(0)
    posterior = Sylvester(H, 6, flows=2).double()
    with torch.no_grad():
        for parameter in posterior.matrices.parameters():
            parameter.normal_(std=size)
    q = posterior(5 * features())
    for step in q.steps:
        image, log_det = step.forward(3 * double(20, B, 6))
        assert log_det.isfinite().all()
        assert math.isfinite(step.inverse(image)[0].sum().item())
        torch.testing.assert_close(step.inverse(image)[1], log_det, rtol=0, atol=1e-4)
