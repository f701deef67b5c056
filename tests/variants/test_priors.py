"""Priors that are learnt, and the Laplace pair: closed forms against quadrature, limits against the Gaussian."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import Independent, Laplace, MixtureSameFamily, Normal
from torch.distributions.categorical import Categorical

from variants import DataSpec, build
from variants.core import Mixture, closed_form_kl
from variants.core.terms import Terms
from variants.parts import assemble, coupling, priors
from variants.parts.priors import Hierarchical, PseudoInputs
from variants.registry import seeded

REAL = DataSpec((6,), "real", 40)


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def line(steps: int = 40_001, reach: float = 60.0) -> tuple[Tensor, float]:
    z = torch.linspace(-reach, reach, steps, dtype=torch.float64)
    return z, (z[1] - z[0]).item()


def total(density: torch.distributions.Distribution) -> float:
    """The integral of a density over the plane."""
    t = torch.linspace(-5, 5, 401, dtype=torch.float64)
    points = torch.cartesian_prod(t.sinh(), t.sinh())
    weights = torch.cartesian_prod(t.cosh(), t.cosh()).prod(-1) * (t[1] - t[0]) ** 2
    with torch.no_grad():
        return (weights * density.log_prob(points).exp()).sum().item()


# ---------------------------------------------------------------------------------------------------------------------
# Laplace


@pytest.mark.parametrize("q_family", [Laplace, Normal])
@pytest.mark.parametrize("p_family", [Laplace, Normal])
def test_every_pair_of_laplace_and_gaussian_has_its_kl(q_family: type, p_family: type) -> None:
    """Sums of quadratures over the line, so that parts combine: posterior=laplace, prior=standard_normal."""
    q_loc, q_scale, p_loc, p_scale = double(3), double(3, seed=1).exp(), double(3, seed=2), double(3, seed=3).exp()
    q, p = Independent(q_family(q_loc, q_scale), 1), Independent(p_family(p_loc, p_scale), 1)
    kl = closed_form_kl(q, p)
    assert kl is not None
    z, step = line()
    expected = 0.0
    for j in range(3):
        log_q = q_family(q_loc[j], q_scale[j]).log_prob(z)
        log_p = p_family(p_loc[j], p_scale[j]).log_prob(z)
        expected += (log_q.exp() * (log_q - log_p)).sum().item() * step
    assert kl.item() == pytest.approx(expected, abs=1e-4)


def test_laplace_by_hand() -> None:
    """KL = log(b2/b1) + (b1 exp(-|d|/b1) + |d|) / b2 - 1 with b2 = 1, summed over latents."""
    model = seeded("laplace", REAL, 0, latent=4).double()
    torch.nn.init.normal_(model.posterior.log_scale.weight)
    x = double(3, 6)
    terms = model.terms(x, 2)
    h = model.encoder(x)
    d, b = model.posterior.loc(h).abs(), model.posterior.log_scale(h).exp()
    assert (b - 1).abs().max() > 0.1
    torch.testing.assert_close(terms.kl, (-b.log() + b * (-d / b).exp() + d - 1).sum(-1))
    torch.testing.assert_close(terms.log_pz, -(terms.z.abs() + math.log(2)).sum(-1))
    assert terms.kl_method == "closed_form"


# ---------------------------------------------------------------------------------------------------------------------
# Mixture


def mixture(components: int, latent: int) -> Mixture:
    torch.manual_seed(0)
    prior = priors.GaussianMixture(latent, components=components).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return prior()


def test_a_mixture_with_weights_is_torchs() -> None:
    ours = mixture(7, 3)
    normal = ours.components
    theirs = MixtureSameFamily(Categorical(logits=ours.log_pi), normal)
    z = 2 * double(4, 5, 3)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    # Of components that are not known to be diagonal Gaussians too.
    general = Mixture(Independent(Laplace(double(7, 3), 1.0), 1), ours.log_pi)
    torch.testing.assert_close(
        general.log_prob(z), MixtureSameFamily(Categorical(logits=ours.log_pi), general.components).log_prob(z)
    )
    assert total(mixture(5, 2)) == pytest.approx(1, abs=1e-6)


def test_a_mixture_is_sampled_by_its_weights() -> None:
    weights = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    loc = torch.tensor([[-10.0], [0.0], [10.0]], dtype=torch.float64)
    for normal in (Normal, Laplace):
        torch.manual_seed(0)
        drawn = Mixture(Independent(normal(loc, 0.1), 1), weights.log()).sample(torch.Size([10_000]))
        share = (drawn.round(decimals=-1) == loc.T).double().mean(0)
        assert ((share - weights).abs() < 4 * (weights * (1 - weights) / 10_000).sqrt()).all()


@pytest.mark.parametrize("numbers", [1, 7, 64])
def test_draws_of_any_family_follow_their_component_however_few_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    monkeypatch.setattr("variants.core.mixture.CHUNK_NUMBERS", numbers)
    loc = torch.tensor([[-10.0, 0.0], [0.0, 10.0], [10.0, 20.0]])
    torch.manual_seed(0)
    drawn = Mixture(Independent(Laplace(loc, 0.1), 1)).sample(torch.Size([5, 60]))
    assert drawn.shape == (5, 60, 2)
    torch.testing.assert_close(drawn[..., 1] - drawn[..., 0], torch.full((5, 60), 10.0), rtol=0, atol=2)
    share = (drawn[..., :1].round(decimals=-1) == loc[:, 0]).float().mean((0, 1))
    assert ((share - 1 / 3).abs() < 4 * (2 / 9 / 300) ** 0.5).all()
    # No two draws share their noise.
    assert len(drawn[..., 0].unique()) == 300


def test_one_component_at_zero_is_the_standard_normal() -> None:
    prior = priors.GaussianMixture(3, components=1).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.zero_()
    z = double(5, 3)
    standard = priors.StandardNormal(3).double()()
    torch.testing.assert_close(prior().log_prob(z), standard.log_prob(z))
    q = Independent(Normal(double(4, 3), double(4, 3, seed=1).exp()), 1)
    draws = q.sample(torch.Size([20_000]))
    estimate = Terms(x=z, z=draws, q=q, p=prior(), log_px_z=torch.zeros(20_000, 4))
    assert estimate.kl_method == "monte_carlo"
    exact, spread = closed_form_kl(q, standard), (estimate.log_qz_x - estimate.log_pz).std(0) / math.sqrt(20_000)
    assert ((estimate.kl - exact).abs() < 4 * spread).all()


def test_a_mixture_starts_near_the_standard_normal() -> None:
    p = seeded("mixture_prior", REAL, 0, latent=4).prior()
    assert p.mean.abs().max() < 4 * math.sqrt(0.5 / 500)
    torch.testing.assert_close(p.variance, torch.ones(4), rtol=0, atol=0.15)


# ---------------------------------------------------------------------------------------------------------------------
# Flow


def bent(latent: int = 4, **options: object) -> coupling.Flow:
    """A flow prior far from where training starts."""
    torch.manual_seed(0)
    prior = coupling.Flow(latent, **({"prior_flows": 3, "prior_hidden": (9,)} | options)).double()
    with torch.no_grad():
        for network in prior.conditioners:
            network.out.gain = 1.0
            network.out.weight.normal_(std=0.4)
            network.out.bias.normal_(std=0.4)
    return prior


def test_flow_prior_integrates_to_one_and_is_sampled_by_its_density() -> None:
    p = bent(2)()
    assert total(p) == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        z = p.sample(torch.Size([20_000]))
        # E_p[r/p] = 1 for any density r whose tails are lighter than p's.
        ratio = (Independent(Normal(z.mean(0), 0.5 * z.std(0)), 1).log_prob(z) - p.log_prob(z.clone())).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / math.sqrt(20_000)


def test_flow_prior_is_the_change_of_variables() -> None:
    """Foreign points, as a posterior's draws are: back by the inverse, with autograd's determinant of the way out."""
    p, z = bent(5)(), double(7, 5)
    u = z
    for step in reversed(p.steps):
        u, _ = step.inverse(u)
    for u_i, z_i in zip(u.detach(), z, strict=True):
        torch.testing.assert_close(p._push(u_i)[0], z_i)
        full = jacobian(lambda u: p._push(u)[0], u_i)
        expected = Normal(0.0, 1.0).log_prob(u_i).sum() - torch.linalg.slogdet(full)[1]
        torch.testing.assert_close(p.log_prob(z_i), expected)


@pytest.mark.parametrize("latent", [2, 3, 6])
def test_flow_prior_moves_every_latent_and_at_zero_none(latent: int) -> None:
    prior = bent(latent, prior_flows=2)
    z = double(8, latent)
    moved, _ = prior()._push(z)
    assert ((moved - z).abs().max(0).values > 1e-3).all()
    with torch.no_grad():
        for network in prior.conditioners:
            network.out.weight.zero_()
            network.out.bias.zero_()
    torch.testing.assert_close(prior().log_prob(z), priors.StandardNormal(latent).double()().log_prob(z))
    assert prior().mean.shape == (latent,)


def test_flow_prior_starts_near_the_standard_normal() -> None:
    p = build("flow_prior", REAL, latent=20).prior()
    z = torch.randn(500, 20)
    off = p.log_prob(z) - Independent(Normal(torch.zeros(20), 1.0), 1).log_prob(z)
    assert off.abs().mean() < 1.5


def test_priors_combine_with_any_network_posterior_and_objective() -> None:
    image = DataSpec((1, 6, 7), "unit", 40)
    for prior in ("flow", "gaussian_mixture", "laplace"):
        model = assemble(image, network="conv", posterior="full", prior=prior, objective="iwae", latent=3)
        assert model.loss(torch.rand(4, 1, 6, 7)).isfinite().all()


def test_pseudo_inputs_lie_in_the_range_of_the_data() -> None:
    for kind, low, high in (("unit", 0.0, 1.0), ("binary", 0.0, 1.0), ("counts", 0.0, 2.0), ("real", -2.0, 2.0)):
        inputs = PseudoInputs(DataSpec((1, 2, 2), kind, 10), 3)
        with torch.no_grad():
            inputs.weight.copy_(torch.linspace(-2, 2, 12).reshape(3, 1, 2, 2))
        found = inputs().detach()
        assert (float(found.min()), float(found.max())) == (low, high)


def test_the_network_from_z2_to_z1_is_the_mirror_of_that_from_z1_to_z2() -> None:
    prior = Hierarchical(5, top=2, top_hidden=(7, 4))
    widths = [
        (layer.in_features, layer.out_features) for layer in prior.first.modules() if isinstance(layer, nn.Linear)
    ]
    assert widths[:2] == [(2, 4), (4, 7)]
