"""Autoencoders whose codes are matched to a prior, or the prior to the codes, against closed forms."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from variants import DataSpec, build
from variants.core import VAE
from variants.parts.objectives import Reconstruction
from variants.parts.objectives.aggregate import squared_mmd
from variants.parts.objectives.matching import inverse_multiquadratics, sliced_wasserstein
from variants.parts.objectives.regularised import squared_slope
from variants.parts.priors import FullGaussianMixture
from variants.registry import seeded

REAL = DataSpec((5,), "real", 40)
SIZES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def model(name: str, **options: object) -> VAE:
    return seeded(name, REAL, 0, latent=3, network="linear", **options).double()


def batch(size: int = 6) -> Tensor:
    return torch.randn(size, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def mean_kernel(squared_mean: float, variance: float, d: int) -> float:
    """E sum C / (C + |u|^2) for u ~ N(m, v I): C / (C + s) = int_0^inf C e^(-C t) e^(-s t) dt, and E e^(-t |u|^2) is
    known."""
    t = torch.linspace(-14, 8, 40_001, dtype=torch.float64).exp()
    total = 0.0
    for c in (2 * d * s for s in SIZES):
        of_u = (1 + 2 * t * variance) ** (-d / 2) * (-t * squared_mean / (1 + 2 * t * variance)).exp()
        total += torch.trapezoid(c * (-c * t).exp() * of_u * t, t.log()).item()
    return total


@pytest.mark.parametrize(("shift", "scale", "n"), [(0.0, 1.0, 2), (0.9, 1.0, 3), (0.0, 2.0, 5), (-0.5, 0.3, 8)])
def test_the_mmd_of_gaussians_by_inverse_multiquadratics(shift: float, scale: float, n: int) -> None:
    d, repeats = 3, 20_000
    exact = mean_kernel(0, 2 * scale**2, d) + mean_kernel(0, 2, d) - 2 * mean_kernel(d * shift**2, 1 + scale**2, d)
    torch.manual_seed(0)
    a, b = torch.randn(2, repeats, n, d, dtype=torch.float64)
    found = squared_mmd(shift + scale * a, b, inverse_multiquadratics(d))
    assert abs(found.mean().item() - exact) < 4 * found.std().item() / math.sqrt(repeats) + 1e-4
    assert (found < 0).any()


def test_the_kernel_at_the_typical_distance_of_two_draws() -> None:
    kernel = inverse_multiquadratics(4)
    assert kernel(torch.tensor(0.0)).item() == pytest.approx(7)
    assert kernel(torch.tensor(8.0)).item() == pytest.approx(sum(s / (s + 1) for s in SIZES))


@pytest.mark.parametrize("d", [2, 5])
def test_the_sliced_distance_of_gaussians(d: int) -> None:
    """|m|^2 / D + (s - 1)^2; a finite batch adds a little, and never takes away."""
    torch.manual_seed(1)
    shift = torch.linspace(-1, 2, d, dtype=torch.float64)
    directions = torch.nn.functional.normalize(torch.randn(d, 4000, dtype=torch.float64), dim=0)
    a, b = torch.randn(2, 4000, d, dtype=torch.float64)
    exact = shift.square().sum().item() / d + 0.25
    found = sliced_wasserstein(shift + 1.5 * a, b, directions).item()
    assert found == pytest.approx(exact, rel=0.08)
    small = sliced_wasserstein(torch.randn(500, 8, d).double(), torch.randn(500, 8, d).double(), directions[:, :50])
    assert small.mean() > 0.05


def test_the_sliced_distance_pairs_sorted_points() -> None:
    a, b = torch.tensor([[3.0], [-1.0], [0.5]]), torch.tensor([[0.0], [2.0], [-2.0]])
    assert sliced_wasserstein(a, b, torch.ones(1, 1)).item() == pytest.approx((1 + 0.25 + 1) / 3)


def test_directions_are_unit_vectors() -> None:
    """A longer direction counts its distance more: codes all at one point e have E (e . theta)^2 = |e|^2 / D."""
    vae = model("sliced_wasserstein", directions=4000)
    with torch.no_grad():
        vae.posterior.loc.weight.zero_()
        vae.posterior.loc.bias.fill_(7.0)
        penalty = vae.loss(batch(40)) + vae.terms(batch(40)).log_px_z.mean(0)
    # And the draws of the prior, of which each line sees variance 1.
    assert penalty[0].item() == pytest.approx(10 * (49 + 1), rel=0.1)


def test_a_direction_of_length_zero_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one latent a draw of exactly zero is no direction: one in ten millions is."""
    vae = model("sliced_wasserstein")
    terms = vae.terms(batch(40), 1)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    assert vae.objective(terms, 1.0).isfinite().all()


@pytest.mark.parametrize("name", ["wae_mmd", "sliced_wasserstein"])
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    vae, x, order = model(name), batch(), torch.randperm(6)
    values = []
    for rows in (torch.arange(6), order):
        torch.manual_seed(2)
        values.append(vae.loss(x[rows]) + vae.terms(x[rows]).log_px_z.mean(0))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(values[0], values[0][:1].expand(6))


@pytest.mark.parametrize(("name", "option"), [("wae_mmd", "mmd"), ("sliced_wasserstein", "sliced")])
def test_without_weight_it_is_the_plain_autoencoder(name: str, option: str) -> None:
    vae = model(name, **{option: 0.0})
    terms = vae.terms(batch())
    torch.testing.assert_close(vae.objective(terms, 0.0), Reconstruction()(terms, 0.0))
    one = vae.terms(batch(1))
    assert vae.objective(one, 0.0).isfinite().all()


@pytest.mark.parametrize("samples", [1, 2])
def test_the_loss_of_wae_mmd_is_the_mean_mmd_by_the_kernel_of_its_latents(samples: int) -> None:
    vae = model("wae_mmd", mmd=3.0, samples=samples, posterior="diagonal")
    terms = vae.terms(batch(), samples)
    torch.manual_seed(3)
    prior = torch.randn(terms.z.shape, dtype=torch.float64)
    mmd = sum(squared_mmd(a, b, inverse_multiquadratics(3)) for a, b in zip(terms.z, prior, strict=True)) / samples
    torch.manual_seed(3)
    torch.testing.assert_close(vae.objective(terms, 0.0), 3 * mmd - terms.log_px_z.mean(0))


# Regularised


def test_the_slope_of_a_linear_decoder() -> None:
    """E |v^T W|^2 = |W|^2, whatever x and z are, and not the slope of the squared output or of encoder and decoder."""
    vae = model("rae_gp")
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64))
    torch.manual_seed(3)
    found = squared_slope(vae.terms(batch(20_000)))
    exact = vae.decoder.body.weight.square().sum().item()
    assert found.shape == (1, 20_000)
    assert abs(found.mean().item() - exact) < 4 * found.std().item() / math.sqrt(20_000)
    with torch.no_grad():
        assert not squared_slope(vae.terms(batch())).requires_grad


def test_the_slope_moves_the_decoder() -> None:
    vae = model("rae_gp", slope_penalty=0.5)
    with torch.no_grad():
        vae.decoder.body.weight.mul_(3)
    terms = vae.terms(batch(4000))
    torch.manual_seed(1)
    added = 0.5 * squared_slope(terms).mean(0)
    torch.manual_seed(1)
    loss, without = vae.objective(terms, 0.0), model("rae_gp", slope_penalty=0.0).objective(terms, 0.0)
    torch.testing.assert_close(loss - without, added)
    (slope,) = torch.autograd.grad(0.5 * squared_slope(terms).mean(), vae.decoder.body.weight)
    torch.testing.assert_close(slope, vae.decoder.body.weight.detach(), rtol=0, atol=0.25)


def test_the_slope_moves_codes_to_where_the_decoder_is_flatter() -> None:
    """Of E[x|z] = z^2 / 2 the slope is z."""
    z = torch.randn(1, 6, 3, requires_grad=True)
    ways = SimpleNamespace(decode=lambda z: torch.distributions.Normal(z.square() / 2, 1.0))
    torch.manual_seed(1)
    v = torch.randn(1, 6, 3)
    torch.manual_seed(1)
    found = squared_slope(SimpleNamespace(z=z, ways=ways))  # type: ignore[arg-type]
    torch.testing.assert_close(found, (v * z).square().sum(-1))
    torch.testing.assert_close(torch.autograd.grad(found.sum(), z)[0], 2 * v.square() * z)


@pytest.mark.parametrize("name", ["rae_l2", "rae_gp"])
def test_codes_are_held_small_and_the_prior_follows_them(name: str) -> None:
    """b/2 |z|^2 moves the encoder; -log p(z) moves the prior and nothing else."""
    vae = model(name, code_penalty=0.3, **({"slope_penalty": 0.0} if name == "rae_gp" else {}))
    terms = vae.terms(batch())
    fitted = -terms.p.log_prob(terms.z.detach()).mean(0)
    expected = 0.15 * terms.z.square().sum(-1).mean(0) + fitted - terms.log_px_z.mean(0)
    loss = vae.objective(terms, 0.0)
    torch.testing.assert_close(loss, expected)
    of_loss = torch.autograd.grad(loss.sum(), list(vae.prior.parameters()), retain_graph=True)
    of_fit = torch.autograd.grad(fitted.sum(), list(vae.prior.parameters()), retain_graph=True)
    assert all(torch.equal(a, b) and a.any() for a, b in zip(of_loss, of_fit, strict=True))
    (there,) = torch.autograd.grad(loss.sum(), vae.posterior.loc.weight, retain_graph=True)
    (without,) = torch.autograd.grad((expected - fitted).sum(), vae.posterior.loc.weight)
    torch.testing.assert_close(there, without)


def test_a_full_mixture_starts_near_the_standard_normal_and_has_covariances() -> None:
    torch.manual_seed(0)
    prior = FullGaussianMixture(2, components=3).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, dtype=torch.float64))
    p = prior()
    t = torch.linspace(-8, 8, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(t, t)
    mass = p.log_prob(grid).exp() * (t[1] - t[0]) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(mass @ grid, p.mean)
    second = torch.einsum("n,ni,nj->ij", mass, grid - p.mean, grid - p.mean)
    torch.testing.assert_close(second.diagonal(), p.variance)
    assert second[0, 1].abs() > 0.02


def test_a_full_mixture_starts_as_the_standard_normal_in_mean_and_covariance() -> None:
    torch.manual_seed(0)
    p = FullGaussianMixture(3, components=2000)()
    assert p.mean.abs().max() < 0.08
    torch.testing.assert_close(p.variance, torch.ones(3), rtol=0, atol=0.08)


def test_the_judge_gives_no_bound_of_a_deterministic_code() -> None:
    for name in ("wae_mmd", "sliced_wasserstein", "wae_gan", "rae_l2", "rae_gp"):
        assert not build(name, REAL, latent=3).has_bound
    assert build("adversarial", REAL, latent=3).has_bound


def test_a_deterministic_code_is_its_own_mean_whatever_is_drawn() -> None:
    q = model("autoencoder").infer(batch())
    assert torch.equal(q.sample(torch.Size([2])), q.mean.expand(2, 6, 3))
    assert not q.variance.any()
    assert q.variance.shape == (6, 3)
