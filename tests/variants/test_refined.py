"""Posteriors refined for each example: what a search leaves alone, where it ends, and that dynamics keep volume."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import diagonal_gap, encoder_matrix, mean_log_prob, precision
from tests.helpers import fixed
from tests.variants.linear_models import K, points, true_model, untrained
from variants import DataSpec, build
from variants.core import VAE, closed_form_kl, elbo, iwae
from variants.parts.hamiltonian import Hamiltonian
from variants.parts.heads import squash
from variants.parts.refined import Refined, orthogonal_noise
from variants.registry import seeded

REAL = DataSpec((6,), "real", 40)
SEARCHES = ["semi_amortised", "iterative"]


def small(name: str, **options: object) -> VAE:
    return seeded(name, REAL, 0, latent=4, hidden=(8,), **options).double()


def batch(size: int = 4) -> Tensor:
    return torch.randn(size, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize(("pairs", "latent"), [(3, 3), (6, 3), (1, 4), (2, 5)])
def test_the_noise_of_a_search_is_antithetic_and_orthogonal(pairs: int, latent: int) -> None:
    eps = orthogonal_noise(pairs, latent)
    assert eps.shape == (2 * pairs, 1, latent)
    assert torch.equal(eps[:pairs], -eps[pairs:])
    torch.testing.assert_close(eps.square().sum(-1), torch.full((2 * pairs, 1), latent, dtype=torch.float64))
    if pairs % latent == 0:
        torch.testing.assert_close(eps[:, 0].T @ eps[:, 0] / (2 * pairs), torch.eye(latent, dtype=torch.float64))


def test_the_noise_of_a_search_is_always_the_same_and_takes_none_from_others() -> None:
    assert fixed(orthogonal_noise, 3, 4)


@pytest.mark.parametrize("name", SEARCHES)
def test_without_steps_it_is_vanilla(name: str) -> None:
    vae, vanilla = (
        seeded(variant, REAL, 0, latent=4, **options)
        for variant, options in ((name, {"refinements": 0}), ("vanilla", {}))
    )
    x = batch().float()
    torch.manual_seed(1)
    loss = vae.loss(x)
    torch.manual_seed(1)
    assert torch.equal(loss, vanilla.loss(x))
    loss.mean().backward()


def elbo_of(vae: VAE, x: Tensor) -> Tensor:
    """By the noise of the search."""
    q = vae.infer(x)
    assert isinstance(vae.posterior, Refined)
    return vae.posterior.elbo(q.mean, q.stddev.log(), x).detach()


def test_more_steps_never_lower_an_elbo() -> None:
    x, found = batch(), []
    for steps in range(9):
        vae = small("semi_amortised", refinements=steps, refine_rate=10.0)
        with torch.no_grad():
            vae.decoder.body[-1].weight.mul_(20)
        found.append(elbo_of(vae, x))
    rises = torch.stack(found).diff(dim=0)
    assert (rises >= 0).all()
    assert (found[-1] > found[0] + 1).all()
    # At such a rate some steps are not made.
    assert (rises == 0).any()


def test_on_a_linear_model_the_search_reaches_the_best_diagonal_posterior() -> None:
    """The mean of p(z|x), the variances 1 / P_ii, and log p(x) - ELBO is the gap that no diagonal q closes."""
    truth = true_model()
    vae = untrained(truth, "semi_amortised", refinements=200, refine_pairs=K).eval()
    x = points()
    with torch.no_grad():
        q = vae.infer(x)
    mean = (x - truth_mean(truth)) @ encoder_matrix(truth).T
    torch.testing.assert_close(q.mean, mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(q.variance, (1 / precision(truth).diagonal()).expand_as(mean), rtol=1e-6, atol=0)
    gap = mean_log_prob(truth, x) - elbo_of(vae, x).mean().item()
    assert gap == pytest.approx(diagonal_gap(truth), abs=1e-6)
    assert gap > 0.01


@pytest.mark.parametrize("rate", [1e-3, 20.0])
def test_a_step_of_the_search_is_a_natural_gradient_of_at_most_one_sigma(rate: float) -> None:
    """Of mu sigma^2 dL/dmu, of log sigma 1/2 dL/dlog sigma, whose Fisher information is 2; from a sigma of 0.05."""
    vae, x = small("semi_amortised", refinements=1, refine_rate=rate), batch()
    assert isinstance(vae.posterior, Refined)
    torch.nn.init.constant_(vae.posterior.log_scale.bias, math.log(0.05) / vae.posterior.log_scale.gain)
    start = vae.posterior(vae.encoder(x))
    loc, log_scale = (each.detach().requires_grad_() for each in (start.mean, start.stddev.log()))
    before = vae.posterior.elbo(loc, log_scale, x)
    of_loc, of_scale = torch.autograd.grad(before.sum(), (loc, log_scale))
    far, wider = rate * log_scale.exp() * of_loc, rate * 0.5 * of_scale
    length = torch.cat([far, wider], -1).square().mean(-1, keepdim=True).sqrt()
    assert (length > 1).any() == (rate > 1)
    moved = loc + log_scale.exp() * far / length.clamp(min=1), log_scale + wider / length.clamp(min=1)
    kept = (vae.posterior.elbo(*moved, x) >= before).unsqueeze(-1)
    assert kept.any()
    q = vae.infer(x)
    torch.testing.assert_close(q.mean, torch.where(kept, moved[0], loc))
    torch.testing.assert_close(q.stddev.log(), torch.where(kept, moved[1], log_scale))


def test_after_a_step_that_would_lower_the_bound_the_next_is_half_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    posterior = small("semi_amortised", refinements=2, refine_rate=1.0).posterior
    assert isinstance(posterior, Refined)
    # From 0.2 a step of -3 x 0.2 ends at -0.4, which is further from the top; half of it at -0.1.
    monkeypatch.setattr(posterior, "elbo", lambda loc, log_scale, _x: (-1.5 * loc.square() + 0 * log_scale).sum(-1))
    start = torch.full((1, 1), 0.2).requires_grad_(), torch.zeros(1, 1).requires_grad_()
    assert posterior.search(*start, torch.zeros(1, 6), learning=False)[0].item() == pytest.approx(-0.1)


def test_the_network_of_a_search_moves_mu_in_units_of_sigma_and_log_sigma_by_numbers() -> None:
    """With a network that says the same whatever it is shown, twice in a row."""
    vae, x = small("iterative", refinements=2), batch()
    move, said = vae.posterior.move, 0.1 * torch.arange(1, 9, dtype=torch.float64)
    with torch.no_grad():
        torch.nn.init.normal_(vae.posterior.log_scale.bias, std=0.02)
        move.weight.zero_()
        move.bias.copy_(said / move.gain)
    start, (a, b) = vae.posterior(vae.encoder(x)), said.chunk(2)
    q = vae.infer(x)
    torch.testing.assert_close(q.mean, start.mean + start.stddev * (a + b.exp() * a))
    torch.testing.assert_close(q.stddev, start.stddev * (2 * b).exp())


def test_the_network_of_a_search_is_shown_where_it_is_and_the_slopes_there() -> None:
    vae, x, shown = small("iterative", refinements=2), batch(), []
    posterior = vae.posterior
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, dtype=torch.float64))
    hook = posterior.seen.register_forward_pre_hook(lambda _, given: shown.append(given[0].detach()))
    q, start = vae.infer(x), posterior(vae.encoder(x))
    hook.remove()
    loc, log_scale = start.mean, start.stddev.log()
    for given in shown:
        loc, log_scale = (each.detach().requires_grad_() for each in (loc, log_scale))
        slopes = torch.autograd.grad(posterior.elbo(loc, log_scale, x).sum(), (loc, log_scale))
        expected = (loc, log_scale, log_scale.exp() * slopes[0], slopes[1])
        torch.testing.assert_close(given, torch.cat([squash(each) for each in expected], -1))
        a, b = posterior.move(posterior.seen(given).tanh()).chunk(2, -1)
        loc, log_scale = loc + log_scale.exp() * a, log_scale + b
    torch.testing.assert_close(q.mean, loc)


def test_a_search_under_a_prior_without_a_closed_form_takes_the_kl_of_its_draws() -> None:
    vae, x = small("semi_amortised", prior="gaussian_mixture", components=3, refine_pairs=3), batch()
    start = vae.posterior(vae.encoder(x))
    z = start.mean + start.stddev * orthogonal_noise(3, 4)
    expected = (vae.log_px(z, x) + vae.prior().log_prob(z) - start.log_prob(z)).mean(0)
    torch.testing.assert_close(vae.posterior.elbo(start.mean, start.stddev.log(), x), expected)


def truth_mean(truth: LinearGaussian) -> Tensor:
    return torch.as_tensor(truth.mean, dtype=torch.float64)


@pytest.mark.parametrize("name", [*SEARCHES, "hamiltonian"])
def test_training_goes_through_the_search(name: str) -> None:
    """Refined q gives the encoder a gradient, and one that finite differences confirm where it is differentiated."""
    vae, x = small(name).train(), batch()
    with torch.no_grad():
        for parameter in vae.posterior.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))

    def value() -> Tensor:
        q = vae.infer(x)
        return (q.mean * torch.linspace(-1, 1, q.mean.shape[-1], dtype=torch.float64)).sum()

    weight = vae.posterior.loc.weight
    value().backward()
    assert weight.grad is not None
    step = 1e-6 * torch.randn_like(weight)
    with torch.no_grad():
        weight.add_(step)
        high = value().item()
        weight.sub_(2 * step)
        low = value().item()
    if name == "iterative":  # the gradient that the network is shown counts as a constant
        assert weight.grad.any()
        return
    assert (high - low) / 2 == pytest.approx((weight.grad * step).sum().item(), rel=1e-4)


@pytest.mark.parametrize("name", [*SEARCHES, "hamiltonian"])
def test_the_judge_gets_no_gradients_and_leaves_none(name: str) -> None:
    vae, x = small(name).eval(), batch()
    with torch.no_grad():
        q = vae.infer(x)
        z = q.sample(torch.Size([3]))
        assert not q.mean.requires_grad
        assert not q.log_prob(z).requires_grad
    assert all(p.grad is None for p in vae.parameters())


def test_a_prior_of_refined_posteriors_is_refused() -> None:
    for posterior in ("semi_amortised", "iterative", "hamiltonian"):
        with pytest.raises(ValueError, match="are refined by the prior: choose posterior=diagonal"):
            build("vamp_prior", REAL, latent=4, posterior=posterior, pseudo_inputs=3)


# Hamiltonian


def test_leapfrogs_are_undone_and_keep_volume_but_for_the_cooling() -> None:
    vae, x = small("hamiltonian", activation="tanh", leapfrogs=4, heat=2.5).eval(), batch(3)
    assert isinstance(vae.posterior, Hamiltonian)
    with torch.no_grad():
        vae.posterior.size.normal_(std=0.02)
    q = vae.infer(x)
    start = torch.randn(2, 3, 4, dtype=torch.float64)
    (step,) = q.steps  # type: ignore[attr-defined]
    end, log_det = step.forward(start)
    back, log_det_back = step.inverse(end)
    torch.testing.assert_close(back, start)
    torch.testing.assert_close(log_det, log_det_back)
    assert (end - start).abs().min() > 1e-3
    jacobian = torch.autograd.functional.jacobian(lambda both: step.forward(both)[0][0, 0], start)[:, 0, 0]
    assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_det[0, 0].item(), abs=1e-9)
    # Two of the four latents are momenta, each cooled from the variance 2.5 to 1.
    assert log_det[0, 0].item() == pytest.approx(-0.5 * 2 * math.log(2.5), abs=1e-6)


def test_steps_are_so_many_sigma_long_and_move_at_a_pace() -> None:
    """s = 1/2 sigmoid(30 w + w_0) sigma, of which w_0 is such that it starts at the size that is asked for."""
    vae, x = small("hamiltonian", leapfrogs=2, leapfrog_size=0.3), batch()
    assert isinstance(vae.posterior, Hamiltonian)
    torch.nn.init.normal_(vae.posterior.log_scale.bias, std=0.02)
    sigma = vae.posterior(vae.encoder(x)).stddev[:, :2]
    assert (sigma - 1).abs().min() > 0.01
    for w in (0.0, -0.05, 0.05):
        torch.nn.init.constant_(vae.posterior.size, w)
        (step,) = vae.infer(x).steps  # type: ignore[attr-defined]
        expected = 0.5 / (1 + math.exp(-30 * w) * 0.2 / 0.3) * sigma
        torch.testing.assert_close(step.sizes, expected.expand(2, 4, 2))


def test_the_root_of_the_temperature_falls_with_the_square_of_the_steps_made() -> None:
    """From sqrt(2.25) = 1.5 over four steps: 1 + 0.5 (1 - (k / 4)^2)."""
    vae = small("hamiltonian", leapfrogs=4, heat=2.25)
    assert isinstance(vae.posterior, Hamiltonian)
    roots = 1.5 * vae.posterior.cooling().cumprod(0)
    torch.testing.assert_close(roots, torch.tensor([1.46875, 1.375, 1.21875, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("leapfrogs", [1, 2, 5])
@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_momenta_start_with_the_variance_t_and_end_with_that_of_the_prior(leapfrogs: int, heat: float) -> None:
    vae = small("hamiltonian", leapfrogs=leapfrogs, heat=heat)
    assert isinstance(vae.posterior, Hamiltonian)
    momenta = vae.posterior(vae.encoder(batch())).variance[:, 2:]
    torch.testing.assert_close(momenta, torch.full_like(momenta, heat))
    end = momenta * vae.posterior.cooling().prod().square()
    torch.testing.assert_close(end, torch.ones_like(end))


def test_energy_is_kept_by_short_steps_without_heat() -> None:
    """log p(x, z) + log N(r) changes with the square of the step."""
    changes = []
    for size in (0.08, 0.04):
        vae, x = (
            small("hamiltonian", activation="tanh", leapfrogs=round(0.32 / size), heat=1.0, leapfrog_size=size).eval(),
            batch(1),
        )
        q = vae.infer(x)
        torch.manual_seed(1)
        start = torch.randn(50, 1, 4, dtype=torch.float64)
        end, _ = q.steps[0].forward(start)  # type: ignore[attr-defined]
        with torch.no_grad():
            energies = [vae.log_px(at, x) + vae.prior().log_prob(at) for at in (start, end)]
        changes.append((energies[1] - energies[0]).abs().mean().item())
    assert changes[0] / changes[1] == pytest.approx(4, rel=0.3)
    assert changes[1] < 0.01


def test_without_leapfrogs_and_heat_it_is_a_diagonal_posterior_with_idle_momenta() -> None:
    vae, x = small("hamiltonian", leapfrogs=0, heat=1.0), batch()
    torch.manual_seed(0)
    terms = vae.terms(x, 7)
    q = vae.posterior(vae.encoder(x))
    exact = closed_form_kl(q, vae.prior())
    half = Independent(Normal(q.mean[:, :2], q.stddev[:, :2]), 1)
    standard = Independent(Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)), 1)
    assert exact is not None
    torch.testing.assert_close(exact, closed_form_kl(half, standard))
    torch.testing.assert_close(terms.log_qz_x, q.log_prob(terms.z))


def dynamics(leapfrogs: int) -> VAE:
    """The true decoder of z, beside which there are momenta, and an encoder that knows nothing."""
    plain = untrained(true_model(), "diagonal")
    vae = seeded(
        "hamiltonian",
        DataSpec((4,), "real"),
        3,
        latent=2 * K,
        network="linear",
        likelihood="gaussian",
        squash=False,
        leapfrogs=leapfrogs,
        heat=1.0,
        leapfrog_size=0.3,
    ).double()
    vae.decoder.decoder.load_state_dict(plain.decoder.state_dict())
    vae.likelihood.load_state_dict(plain.likelihood.state_dict())
    return vae.eval()


def test_dynamics_bring_a_poor_posterior_nearer() -> None:
    """On a linear model whose encoder knows nothing the ELBO rises, and weights average to p(x) all the same."""
    truth, x, values = true_model(), points(), []
    for steps in (0, 2, 6):
        vae = dynamics(steps)
        with torch.no_grad():
            torch.manual_seed(2)
            terms = vae.terms(x, 10_000)
            values.append(elbo(terms).mean().item())
            assert iwae(terms).mean().item() == pytest.approx(mean_log_prob(truth, x), abs=0.1)
    assert values[0] + 0.3 < min(values[1:])
    assert max(values) < mean_log_prob(truth, x)


def test_the_centre_of_a_linear_model_is_moved_to_the_mean() -> None:
    vae = dynamics(3)
    with torch.no_grad():
        q = vae.infer(points())
        torch.manual_seed(3)
        z = q.sample(torch.Size([20_000]))
    assert ((z.mean(0) - q.mean).abs() < 5 * z.std(0) / math.sqrt(20_000)).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent": 5}, "an even latent size"),
        ({"leapfrog_size": 0.5}, "leapfrog_size must be above 0 and below 0.5"),
        ({"leapfrogs": -1}, "leapfrogs must be a whole number of at least 0"),
    ],
)
def test_options_out_of_range(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build("hamiltonian", REAL, **options)
