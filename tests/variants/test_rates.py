"""Rates: the KL by groups of latents, and the objectives and the prior that hold it where it should be."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import rate_distortion
from variants import DataSpec, build
from variants.core import VAE, Terms, closed_form_kl
from variants.parts.networks import Corrupt
from variants.parts.objectives import Elbo, FreeBits, Geco, JointCapacity
from variants.parts.priors import AutoregressiveNormal
from variants.testing.case import LATE

SPEC = DataSpec((5,), "binary", 40)


def made(name: str, **options: Any) -> VAE:
    torch.manual_seed(1)
    return build(name, SPEC, **({"latent": 4} | options)).double()


def batch(n: int = 6) -> Tensor:
    return torch.rand(n, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64).round()


@pytest.mark.parametrize(
    ("name", "groups"), [("vanilla", 4), ("bernoulli_vimco", 4), ("gumbel_softmax", 1), ("joint", 2)]
)
def test_parts_of_a_closed_form_kl_add_up_to_it(name: str, groups: int) -> None:
    terms = made(name).terms(batch(), 3)
    parts = terms.kl_parts
    assert parts is not None
    assert parts.shape == (6, groups)
    assert terms.kl_method == "closed_form"
    torch.testing.assert_close(parts.sum(-1), terms.kl, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["hierarchical", "hierarchical_top_down", "hierarchical_vamp"])
def test_layers_of_a_chain_add_up_to_its_kl(name: str) -> None:
    with torch.no_grad():
        terms = made(name).eval().terms(batch(), 20_000)
        parts, ratio = terms.kl_parts, terms.log_qz_x - terms.log_pz
    assert parts is not None
    assert parts.shape == (6, 2)
    assert terms.kl_method == "monte_carlo"
    error = 4 * ratio.std(0) / math.sqrt(20_000) + 1e-9
    assert ((parts.sum(-1) - terms.kl).abs() < error).all()
    if name != "hierarchical_vamp":
        # The layers as they are defined: of each, log q - log p.
        (z1, z2), q, p = terms.q._parted(terms.z), terms.q, terms.p
        if not q.upward:
            z1, z2 = z2, z1
        first, second = (q.root, q.conditional(z2)) if not q.upward else (q.conditional(z1), q.root)
        top = (first.log_prob(z2) - p.root.log_prob(z2)).mean(0)
        assert ((parts[:, 1] - top).abs() < error).all()
        low = (second.log_prob(z1) - p.conditional(z2).log_prob(z1)).mean(0)
        assert ((parts[:, 0] - low).abs() < error).all()


def test_correlated_latents_have_no_parts() -> None:
    assert made("full_covariance").terms(batch()).kl_parts is None
    with pytest.raises(ValueError, match="free_bits needs a KL by groups of latents: MultivariateNormal against Indep"):
        made("full_covariance", objective="free_bits").loss(batch())


# ---------------------------------------------------------------------------------------------------------------------
# Free bits


def terms_with(loc: Tensor) -> Terms:
    """q = N(loc, I) against N(0, I), so that KL_j = loc_j^2 / 2, and a reconstruction that costs 3 nats."""
    q = Independent(Normal(loc, torch.ones_like(loc)), 1)
    p = Independent(Normal(torch.zeros(loc.shape[1]), torch.ones(loc.shape[1])), 1)
    return Terms(x=torch.zeros(len(loc), 5), z=loc.unsqueeze(0), q=q, p=p, log_px_z=torch.full((1, len(loc)), -3.0))


def test_free_bits_are_free_by_the_mean_over_the_batch() -> None:
    # KL of the axes: 0 and 2 nats in the first, mean 1; 0.02 and 0.02 in the second.
    loc = torch.tensor([[0.0, 0.2], [2.0, 0.2]], requires_grad=True)
    loss = FreeBits(free_nats=0.5)(terms_with(loc), LATE)
    torch.testing.assert_close(loss, torch.full((2,), 3.0 + 1.0 + 0.5))
    (gradient,) = torch.autograd.grad(loss.mean(), loc)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))  # the mean KL's, or none
    everything = FreeBits(free_nats=2.5)(terms_with(loc), LATE)
    torch.testing.assert_close(everything, torch.full((2,), 3.0 + 2 * 2.5))
    assert not torch.autograd.grad(everything.mean(), loc)[0].any()


def test_without_free_nats_it_is_the_elbo() -> None:
    loc = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = [objective(terms_with(loc), LATE).mean() for objective in (FreeBits(free_nats=0.0), Elbo())]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*[torch.autograd.grad(loss, loc)[0] for loss in losses])


# ---------------------------------------------------------------------------------------------------------------------
# Joint


def joint_terms(kls: list[float], discrete: list[float]) -> Any:
    class Fixed:
        kl_parts = torch.stack([torch.tensor(kls), torch.tensor(discrete)], dim=-1)
        x = torch.zeros(len(kls), 5)
        log_px_z = torch.full((1, len(kls)), -3.0)
        p = made("joint", classes=3).prior()
        q = None

    return Fixed()


def test_capacities_are_held_by_the_mean_over_the_batch() -> None:
    objective = JointCapacity(gamma=10.0, capacity=2.0, discrete_capacity=1.0, capacity_epochs=4)
    # One example below by as much as the other is above: the mean is where it should be.
    assert objective(joint_terms([1.0, 3.0], [0.5, 1.5]), LATE).tolist() == [3.0, 3.0]
    assert objective(joint_terms([4.0, 4.0], [0.0, 0.0]), LATE).tolist() == pytest.approx([3 + 20 + 10] * 2)
    # Half way up the capacities are half.
    assert objective(joint_terms([1.0, 1.0], [0.5, 0.5]), 2.0).tolist() == pytest.approx([3.0] * 2)
    assert objective.warmup_epochs == 4
    full = JointCapacity(gamma=1.0, capacity=2.0, capacity_epochs=0)
    assert full(joint_terms([2.0], [math.log(3)]), 0.0).tolist() == pytest.approx([3.0])


def test_a_variable_is_not_asked_to_hold_more_than_it_can() -> None:
    with pytest.raises(ValueError, match=r"discrete_capacity must be at most log 3 = 1.0986 nats, .* got 1.2"):
        made("joint", classes=3, discrete_capacity=1.2).loss(batch())


# ---------------------------------------------------------------------------------------------------------------------
# A committed rate


@pytest.mark.parametrize(("latent", "a"), [(1, 0.5), (2, 0.9), (6, 0.7), (20, 0.95), (4, 0.0)])
def test_no_factorised_posterior_is_below_the_committed_rate(latent: int, a: float) -> None:
    p = AutoregressiveNormal(latent, correlation=a).double()()
    steps = torch.arange(latent)
    expected = torch.tensor(a, dtype=torch.float64) ** (steps.unsqueeze(1) - steps).abs()
    # a is a single-precision number in its buffers.
    torch.testing.assert_close(p.covariance_matrix, expected, rtol=0, atol=1e-6)  # and each alone N(0, 1)
    rate = 0.5 * ((latent - 2) * math.log(1 + a * a) - math.log(1 - a * a)) if latent > 1 else 0.0
    exact = MultivariateNormal(torch.zeros(latent).double(), expected)
    precision = torch.linalg.inv(expected).diagonal()
    for scale in (precision.rsqrt(), 0.3 * torch.ones(latent).double(), torch.ones(latent).double()):
        kl = closed_form_kl(Independent(Normal(torch.zeros(latent).double(), scale), 1), exact)
        assert kl is not None
        assert kl.item() >= rate - 1e-9
    best = closed_form_kl(Independent(Normal(torch.zeros(latent).double(), precision.rsqrt()), 1), p)
    assert best is not None
    assert best.item() == pytest.approx(rate, abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# GECO


def test_the_multiplier_settles_where_the_constraint_is_met() -> None:
    """Under a linear decoder the best encoder for lambda is known: that of beta = 1 / lambda."""
    draw = np.random.default_rng(0)
    w = torch.from_numpy(draw.standard_normal((6, 2)))
    truth = LinearGaussian(w, torch.zeros(6, dtype=torch.float64), 0.5)
    x = torch.from_numpy(draw.standard_normal((40, 2)) @ w.T.numpy() + math.sqrt(0.5) * draw.standard_normal((40, 6)))
    wanted = rate_distortion(truth, x, 0.5)[1].mean().item() / 6
    objective = Geco(kappa=wanted, multiplier_rate=0.2).double()

    def excess() -> Tensor:
        return rate_distortion(truth, x, 1 / objective.multiplier.item())[1].mean() / 6 - wanted

    for _ in range(3000):
        objective._learn(excess())
    assert abs(excess().item()) < 1e-4
    assert objective.multiplier.item() == pytest.approx(2.0, rel=0.02)
    # One that cannot be met, or always is, ends at a bound.
    for constraint, end in ((1e3, 1e4), (-1e3, 1e-4)):
        objective = Geco(multiplier_rate=0.2)
        objective._learn(torch.tensor(constraint))
        assert objective.multiplier.item() == pytest.approx(end)


def test_the_multiplier_is_held_outside_of_training_and_is_the_elbo_where_it_does_not_move() -> None:
    loc = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    still = Geco(kappa=0.2, multiplier_rate=0.0)
    off = still(terms_with(loc), LATE) - Elbo()(terms_with(loc), LATE)
    torch.testing.assert_close(off, torch.full((7,), -5 * 0.2))
    assert still.multiplier.item() == 1.0
    moving = Geco(kappa=0.2, multiplier_rate=0.5)
    moving.eval()(terms_with(loc), LATE)
    assert (moving.multiplier.item(), moving.steps.item()) == (1.0, 0.0)
    first = moving.train()(terms_with(loc), LATE)  # 3 nats over 5 values, 0.4 each too many
    torch.testing.assert_close(first, off + Elbo()(terms_with(loc), LATE))
    assert moving.multiplier.item() == pytest.approx(math.exp(0.5 * 0.4))
    assert not list(moving.parameters())  # it follows its own rule, and no optimiser's
    second = moving(terms_with(loc), LATE)
    expected = terms_with(loc).kl + math.exp(0.2) * (3.0 - 1.0)
    torch.testing.assert_close(second, expected)


def test_the_multiplier_follows_a_mean_of_its_batches() -> None:
    """A plain one of the first hundred, in which each later one counts for a hundredth."""
    objective = Geco(multiplier_rate=0.01).double()
    constraints = torch.randn(150, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved, average = 0.0, 0.0
    for t, constraint in enumerate(constraints, start=1):
        objective._learn(constraint)
        average = constraints[:t].mean().item() if t <= 100 else 0.99 * average + 0.01 * constraint.item()
        moved += 0.01 * average
        assert objective.average.item() == pytest.approx(average, abs=1e-6)
        assert objective.multiplier.log().item() == pytest.approx(moved, abs=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Denoising


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("kind", ["binary", "unit"])
def test_only_what_the_encoder_is_shown_is_corrupted_and_only_in_training(network: str, kind: Any) -> None:
    spec = DataSpec((1, 8, 8), kind, 40)
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x = x.round() if kind == "binary" else x
    models = []
    for options in ({}, {"corruption": 0.2}, {"corruption": 0.0}):
        torch.manual_seed(4)
        models.append(build("vanilla", spec, network=network, latent=3, **options))
    plain, noisy, none = models
    seen: list[Tensor] = []
    noisy.encoder.body[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.manual_seed(5)
    terms = noisy.terms(x, 1)
    assert terms.x is x
    torch.testing.assert_close(terms.log_px_z, noisy.likelihood.log_prob(noisy.decoder(terms.z), x))
    changed = seen[0] != x
    if kind == "binary":
        assert ((seen[0] == 0) | (seen[0] == 1)).all()
        assert changed.float().mean().item() == pytest.approx(0.2, abs=4 * 0.4 / 32)
    else:
        assert (seen[0] - x).std().item() == pytest.approx(0.2, rel=0.15)
        assert changed.all()
    for model in (plain, noisy, none):
        model.eval()
    assert torch.equal(noisy.infer(x).mean, plain.infer(x).mean)
    assert torch.equal(none.train().infer(x).mean, plain.infer(x).mean)


def test_the_variant_corrupts() -> None:
    assert build("denoising", SPEC).encoder.body[0].amount == 0.1
    with pytest.raises(ValueError, match=r"corruption must be a number of at least 0 and below 1, got 1.5"):
        build("denoising", SPEC, corruption=1.5)


@pytest.mark.parametrize(("kind", "least"), [("unit", -4.0), ("real", -4.0), ("counts", 0.0)])
def test_noise_of_corruption_is_gaussian_around_the_data(kind: Any, least: float) -> None:
    shown = Corrupt(kind, 0.5).train()(torch.ones(200_000))
    assert float(shown.min()) >= least
    if least < 0:
        assert float(shown.mean()) == pytest.approx(1, abs=0.005)
        assert float(shown.std()) == pytest.approx(0.5, abs=0.005)
    assert float((shown > 2.0).float().mean()) == pytest.approx(0.0228, abs=0.002)  # two standard deviations
