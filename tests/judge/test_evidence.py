"""log p(x) against the truth: a linear model where it is known in closed form, a non-linear one where a grid gives it,
and log-weights written down by hand."""

import math
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from bench import data
from bench.judge import evidence
from bench.oracle.truth import at_truth, precision
from variants import DataSpec, build
from variants.core import VAE

D, K = 6, 3
DOUBLE = torch.float64


def linear_model(widen: float = 1.0, noise: float = 0.3) -> tuple[VAE, Any, Tensor]:
    """A linear model at the truth, whose columns are not orthogonal; 12 examples `[12, 6]`.

    Its posterior is the exact one, with every standard deviation multiplied by `widen`.
    """
    loaded = data.load("linear_gaussian", d=D, k=K, noise=noise, orthogonal=False, n=1_000)
    truth = loaded.truth
    model = at_truth(truth, "full", widening=widen**2)
    return model, truth, next(loaded.eval_batches("test", 12))[0].double()


def repeated(x: Tensor, times: int) -> Tensor:
    """Every example `times` times over, `[times * B, ...]`: each time an estimate with draws of its own."""
    return x.repeat(times, *[1] * (x.dim() - 1))


def assert_mean(values: Tensor, truth: Tensor | float, width: float = 4.0) -> None:
    """The mean over the first axis is the truth within `width` of its standard errors."""
    error = values.std(0) / math.sqrt(len(values))
    assert (error > 0).all()
    assert ((values.mean(0) - truth).abs() < width * error).all()


# Importance sampling.


def test_the_exact_posterior_gives_log_px_without_variance() -> None:
    model, truth, x = linear_model()
    columns = evidence.importance_weights(model, x, 50)
    torch.testing.assert_close(columns["log_px"], truth.log_prob(x), rtol=0, atol=1e-9)
    assert columns["log_px_var"].abs().max() < 1e-18
    assert {c.dtype for c in columns.values()} == {DOUBLE}
    assert {tuple(c.shape) for c in columns.values()} == {(12,)}


def test_importance_sampling_and_its_error_are_right_where_the_posterior_is_too_wide() -> None:
    model, truth, x = linear_model(widen=1.5)
    exact, times = truth.log_prob(x), 400
    columns = evidence.importance_weights(model, repeated(x, times), 200)
    log_px, var = columns["log_px"].view(times, -1), columns["log_px_var"].view(times, -1)
    assert var.mean() > 1e-3  # else there is nothing to test
    assert_mean((log_px - exact).exp(), 1.0)
    assert ((log_px - exact).abs() < 4 * var.sqrt()).double().mean() > 0.995
    torch.testing.assert_close(var.mean(0), log_px.var(0), rtol=0.35, atol=0)
    assert (var.mean() / log_px.var(0).mean()).item() == pytest.approx(1, abs=0.1)
    # KL(q || p(z|x)) of a Gaussian that is c times too wide: D/2 (c^2 - 1) - D log c.
    elbo, elbo_var = columns["elbo"].view(times, -1), columns["elbo_var"].view(times, -1)
    assert_mean(elbo, exact - (0.5 * K * (1.5**2 - 1) - K * math.log(1.5)))
    assert (elbo_var.mean() / elbo.var(0).mean()).item() == pytest.approx(1, abs=0.1)


def test_the_elbos_error_includes_that_of_an_estimated_kl() -> None:
    model, _, x = linear_model(widen=1.5)
    model.prior = TwoHills()
    columns = evidence.importance_weights(model, repeated(x, 400), 30)
    elbo, elbo_var = columns["elbo"].view(400, -1), columns["elbo_var"].view(400, -1)
    assert (elbo_var.mean() / elbo.var(0).mean()).item() == pytest.approx(1, abs=0.1)


class TwoHills(nn.Module):
    """A mixture of two Gaussians: a prior whose KL has no closed form."""

    def __init__(self, latent: int = K, hills: int = 2) -> None:
        super().__init__()
        self.centres = torch.linspace(-1, 1, hills, dtype=DOUBLE)[:, None].expand(hills, latent)

    def forward(self) -> MixtureSameFamily:
        weights = Categorical(torch.ones(len(self.centres)))
        return MixtureSameFamily(weights, Independent(Normal(self.centres, 0.7), 1), validate_args=False)


class Written(nn.Module):
    """A model whose k-th draw for example i has the log-weight `weights[k, i]`: x is the example's place.

    Args:
        weights: `[K, N]`.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights
        self.drawn = torch.zeros(weights.shape[1], dtype=torch.int64)
        self.probed = False

    def prior(self) -> None:
        return None

    def terms(self, x: Tensor, samples: int, _p: None) -> Any:
        places = x[:, 0].long()
        draws = self.drawn[places] + torch.arange(samples)[:, None]
        if self.probed:
            self.drawn[places] += samples
        self.probed = True
        weights = self.weights[draws, places].clone()
        zero = torch.zeros(len(x), dtype=DOUBLE)
        return SimpleNamespace(
            z=torch.zeros(samples, len(x), 1), log_px_z=weights, log_weights=weights, kl=zero, kl_method="closed_form"
        )


@pytest.mark.parametrize("numbers", [1, 2, 7, 30, 77, 10_000])
@pytest.mark.parametrize("offset", [0.0, -1e3, 1e3, -1e6])
def test_weights_neither_underflow_nor_overflow_however_they_are_chunked(
    monkeypatch: pytest.MonkeyPatch, numbers: int, offset: float
) -> None:
    n, k = 13, 24
    spread = torch.tensor([0.1, 3000.0], dtype=DOUBLE).repeat(7)[:n]
    weights = offset + spread * torch.randn(k, n, dtype=DOUBLE)
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", numbers)
    x = torch.arange(n, dtype=DOUBLE)[:, None].expand(n, 2)
    columns = evidence.importance_weights(Written(weights), x, k)
    torch.testing.assert_close(columns["log_px"], weights.logsumexp(0) - math.log(k), rtol=1e-14, atol=1e-8)
    torch.testing.assert_close(columns["elbo"], weights.mean(0), rtol=1e-13, atol=1e-8)
    torch.testing.assert_close(columns["elbo_var"], weights.var(0) / k, rtol=1e-7, atol=0)
    # The same by another formula: 1/ESS - 1/K, with K / (K - 1) for the degree of freedom that the mean takes.
    share = weights.softmax(0)
    by_ess = (share.square().sum(0) - 1 / k) * k / (k - 1)
    torch.testing.assert_close(columns["log_px_var"], by_ess, rtol=1e-6, atol=1e-12)


def test_one_draw_has_no_variance_columns() -> None:
    model, truth, x = linear_model()
    columns = evidence.importance_weights(model, x, 1)
    assert set(columns) == {"log_px", "elbo"}
    torch.testing.assert_close(columns["log_px"], truth.log_prob(x), rtol=0, atol=1e-9)
    assert set(evidence.annealed(model, x, chains=1, steps=2)) == {"log_px", "acceptance"}


# Hamiltonian Monte Carlo.


def test_transitions_leave_the_posterior_as_it_is() -> None:
    model, truth, x = linear_model()
    x, chains, beta = x[:3], 6000, 0.5
    # p(z) p(x|z)^beta is the posterior under the noise s2 / beta.
    w, s2 = truth.W, truth.noise_variance / beta
    covariance = torch.linalg.inv(torch.eye(K, dtype=DOUBLE) + w.T @ w / s2)
    mean = (x - truth.mean) @ w @ covariance / s2
    scale_tril = torch.linalg.cholesky(covariance)

    def at(z: Tensor) -> evidence.State:
        return evidence.State.at(model, model.prior(), x, z)

    state = at(mean + torch.randn(chains, 3, K, dtype=DOUBLE) @ scale_tril.T)
    start = state.z
    # Steps that are far too long without the Metropolis correction: about half of the moves are refused.
    step = torch.full((3,), 1.7 * torch.linalg.eigvalsh(covariance)[0].sqrt().item(), dtype=DOUBLE)
    rates = []
    for _ in range(10):
        state, acceptance = evidence.hmc(at, state, beta, step, 5)
        rates.append(acceptance.mean().item())
    assert 0.3 < min(rates) <= max(rates) < 0.9
    moved = (state.z - mean) @ torch.linalg.inv(scale_tril).T
    assert_mean(moved, 0.0)
    assert_mean(moved.unsqueeze(-1) * moved.unsqueeze(-2), torch.eye(K, dtype=DOUBLE))
    # It did move: where a chain is says little of where it was.
    origin = (start - mean) @ torch.linalg.inv(scale_tril).T
    assert (moved * origin).mean(0).abs().max() < 0.5


def test_a_diverging_trajectory_is_refused() -> None:
    model, _, x = linear_model()

    def at(z: Tensor) -> evidence.State:
        return evidence.State.at(model, model.prior(), x, z)

    state = at(torch.zeros(2, 12, K, dtype=DOUBLE))
    new, acceptance = evidence.hmc(at, state, 1.0, torch.full((12,), 1e200, dtype=DOUBLE), 10)
    assert torch.equal(new.z, state.z)
    assert torch.equal(acceptance, torch.zeros(2, 12, dtype=DOUBLE))


# Annealing.


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_the_schedule_rises_from_zero_to_one_and_is_symmetric(steps: int) -> None:
    betas = torch.tensor(evidence.schedule(steps), dtype=DOUBLE)
    assert len(betas) == steps + 1
    assert (betas[0], betas[-1]) == (0, 1)
    assert (betas.diff() > 0).all()
    torch.testing.assert_close(betas, 1 - betas.flip(0))
    # Wu et al. 2017: a sigmoid over [-4, 4], rescaled.
    sigmoid = torch.linspace(-4, 4, steps + 1, dtype=DOUBLE).sigmoid()
    torch.testing.assert_close(betas, (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0]))


def test_one_step_without_transitions_is_importance_sampling_from_the_prior() -> None:
    model, truth, x = linear_model(noise=2.0)
    columns = evidence.annealed(model, x, chains=20_000, steps=1)
    assert ((columns["log_px"] - truth.log_prob(x)).abs() < 4 * columns["log_px_var"].sqrt()).all()
    assert torch.equal(columns["acceptance"], torch.ones(12, dtype=DOUBLE))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_step_is_as_long_as_the_pilot_found_at_its_temperature(
    monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    """Whichever way the path goes. Here the pilot is told that hot chains are refused and cold ones are not."""
    made: list[tuple[float, Tensor]] = []

    def stays(
        _at: Any, state: evidence.State, beta: float, step: Tensor, _leapfrog: int
    ) -> tuple[evidence.State, Tensor]:
        made.append((beta, step))
        return state, torch.full_like(state.log_prior, beta)

    monkeypatch.setattr(evidence, "hmc", stays)
    model, _, x = linear_model()
    steps, x = 6, x[:1]
    if backwards:
        evidence.reverse(model, x, torch.zeros(1, K, dtype=DOUBLE), chains=1, steps=steps)
    else:
        evidence.annealed(model, x, chains=1, steps=steps)
    inner = evidence.schedule(steps)[1:-1]
    pilot, walk = made[: -len(inner)], made[-len(inner) :]
    assert [beta for beta, _ in walk] == (inner[::-1] if backwards else inner)
    # The step of a temperature is what the pilot goes on with after it.
    found = {beta: after for (beta, _), (_, after) in pairwise(pilot)}
    assert len({round(step.item(), 9) for _, step in walk}) == len(inner)
    for beta, step in walk:
        if beta in found and beta != inner[-1]:
            torch.testing.assert_close(step, found[beta])


def test_annealing_is_unbiased_and_knows_its_error() -> None:
    # Enough noise that the weights have light tails: their mean and its error can then be trusted.
    model, truth, x = linear_model(noise=2.0)
    x, times = x[:6], 100
    exact = truth.log_prob(x)
    columns = evidence.annealed(model, repeated(x, times), chains=20, steps=15, leapfrog=5)
    log_px, var = columns["log_px"].view(times, -1), columns["log_px_var"].view(times, -1)
    assert log_px.std(0).min() > 0.02  # few enough steps that there is something to test
    assert_mean((log_px - exact).exp(), 1.0)
    assert (var.mean() / log_px.var(0).mean()).item() == pytest.approx(1, abs=0.2)
    assert 0.3 < columns["acceptance"].min() < columns["acceptance"].max() < 0.9
    assert columns["acceptance"].mean().item() == pytest.approx(0.65, abs=0.08)


def test_reverse_annealing_from_one_exact_sample_is_unbiased_for_one_over_px() -> None:
    model, truth, x = linear_model(noise=1.0)
    x, times = x[:6], 200
    exact = truth.log_prob(x)
    # Exact posterior samples: a linear model's posterior is known.
    x = repeated(x, times)
    z = model.infer(x).sample()
    log_px = evidence.reverse(model, x, z, chains=5, steps=20, leapfrog=5)["log_px"].view(times, -1)
    assert_mean((exact - log_px).exp(), 1.0)
    assert log_px.mean() > exact.mean()


def test_the_sandwich_holds_the_truth_and_narrows_with_more_steps() -> None:
    model, truth, _ = linear_model(noise=0.1)
    x, z = evidence.simulate(model, 300)
    exact, widths = truth.log_prob(x), []
    for steps in (5, 30):
        below = evidence.annealed(model, x, chains=4, steps=steps, leapfrog=5)["log_px"] - exact
        above = evidence.reverse(model, x, z, chains=4, steps=steps, leapfrog=5)["log_px"] - exact
        # Not only on the right side: so far off that it is no chance.
        assert below.mean() < -4 * below.std() / math.sqrt(len(x))
        assert above.mean() > 4 * above.std() / math.sqrt(len(x))
        widths.append((above - below).mean().item())
    assert 0 < widths[1] < widths[0] / 4


def test_more_chains_from_one_exact_sample_bring_the_upper_bound_down() -> None:
    model, truth, _ = linear_model(noise=0.1)
    x, z = evidence.simulate(model, 300)
    one = evidence.reverse(model, x, z, chains=1, steps=8, leapfrog=5)["log_px"]
    many = evidence.reverse(model, x, z, chains=20, steps=8, leapfrog=5)["log_px"]
    assert truth.log_prob(x).mean() < many.mean() < one.mean() - 0.1


def test_simulated_data_follow_the_model() -> None:
    model, truth, _ = linear_model()
    x, z = evidence.simulate(model, 20_000)
    assert (x.shape, z.shape) == ((20_000, D), (20_000, K))
    centred = x - truth.mean
    assert_mean(centred, 0.0)
    noise = truth.noise_variance * torch.eye(D, dtype=DOUBLE)
    assert_mean(centred.unsqueeze(-1) * centred.unsqueeze(-2), truth.W @ truth.W.T + noise)
    # z is what x was drawn with: it is a sample of p(z|x).
    whitened = (z - model.infer(x).mean) @ torch.linalg.inv(torch.linalg.cholesky(torch.linalg.inv(precision(truth)))).T
    assert_mean(whitened.unsqueeze(-1) * whitened.unsqueeze(-2), torch.eye(K, dtype=DOUBLE))


def test_simulated_data_lie_beside_their_own_latents_however_they_are_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, truth, _ = linear_model(noise=0.01)
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", 30)
    x, z = evidence.simulate(model, 40)
    assert (x - truth.mean - z @ truth.W.T).abs().max() < 0.6  # six standard deviations


# A non-linear model.


@pytest.fixture
def bernoulli() -> VAE:
    """A Bernoulli model of 8 pixels with two latents and curved, sharp posteriors."""
    model = build("vanilla", DataSpec((8,), "binary"), latent=2, hidden=[8], activation="tanh").double()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.normal_(std=1.5)
        model.posterior.log_scale.weight.zero_()
        model.posterior.log_scale.bias.fill_(0.0)
    return model


def by_quadrature(model: VAE, x: Tensor) -> Tensor:
    """log p(x) `[B]` for two latents, by the trapezoidal rule."""
    line = torch.linspace(-7, 7, 141, dtype=DOUBLE)
    z = torch.cartesian_prod(line, line)
    with torch.no_grad():
        logits = model.decoder(z)
        log_joint = logits @ x.T - nn.functional.softplus(logits).sum(-1, keepdim=True)
        log_joint += model.prior().log_prob(z)[:, None]
    return log_joint.logsumexp(0) + 2 * math.log((line[1] - line[0]).item())


def test_quadrature_makes_p_of_x_sum_to_one(bernoulli: VAE) -> None:
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=DOUBLE)] * 8)
    assert by_quadrature(bernoulli, images).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_all_estimates_agree_with_quadrature_on_a_nonlinear_model(bernoulli: VAE) -> None:
    n = 60
    x, z = evidence.simulate(bernoulli, n)
    exact = by_quadrature(bernoulli, x)
    weighted = evidence.importance_weights(bernoulli, x, 5000)
    forward = evidence.annealed(bernoulli, x, chains=30, steps=30, leapfrog=5)
    backward = evidence.reverse(bernoulli, x, z, chains=30, steps=30, leapfrog=5)
    for columns in (weighted, forward):
        error = columns["log_px"] - exact
        assert (error.abs() < 4.5 * columns["log_px_var"].sqrt() + 1e-9).all()
        assert abs(error.mean()) < 4 * error.std() / math.sqrt(n)
        # The median: which single chain gets stuck hangs on the last digit of a processor's products.
        assert error.abs().median() < 0.25
    error = backward["log_px"] - exact
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(n)
    assert error.abs().median() < 0.25
    assert (weighted["log_px"] - weighted["elbo"]).mean() > 0.5


# Manners.


def run_all(model: VAE, x: Tensor) -> list[dict[str, Tensor]]:
    simulated = evidence.simulate(model, 5)
    return [
        evidence.importance_weights(model, x, 7),
        evidence.annealed(model, x, chains=3, steps=4),
        evidence.reverse(model, *simulated, chains=3, steps=4),
    ]


def test_the_model_is_left_as_it_was(bernoulli: VAE) -> None:
    x, _ = evidence.simulate(bernoulli, 5)
    bernoulli.train()
    bernoulli.encoder.eval()
    next(bernoulli.decoder.parameters()).requires_grad_(False)
    before = {name: p.detach().clone() for name, p in bernoulli.state_dict().items()}
    wanted = [p.requires_grad for p in bernoulli.parameters()]
    training = [m.training for m in bernoulli.modules()]
    run_all(bernoulli, x)
    assert [p.requires_grad for p in bernoulli.parameters()] == wanted
    assert [m.training for m in bernoulli.modules()] == training
    assert all(p.grad is None for p in bernoulli.parameters())
    torch.testing.assert_close(bernoulli.state_dict(), before, rtol=0, atol=0)

    def interrupt(*_: object) -> None:
        raise RuntimeError("no way forward")

    bernoulli.decoder.register_forward_hook(interrupt)
    with pytest.raises(RuntimeError, match="no way forward"):
        evidence.annealed(bernoulli, x, chains=3, steps=4)
    assert [m.training for m in bernoulli.modules()] == training


def test_a_running_variance_is_neither_used_nor_moved_by_the_judge() -> None:
    spec = DataSpec((4,), "real")
    model = build("vanilla", spec, latent=2, hidden=[8], likelihood="gaussian", sigma="optimal")
    x = 3 + torch.randn(5, 4)
    torch.manual_seed(1)
    training = run_all(model.train(), x)
    torch.manual_seed(1)
    torch.testing.assert_close(run_all(model.eval(), x), training, rtol=0, atol=0)
    assert model.likelihood.batches == 0


def test_draws_come_from_the_global_generator_alone(bernoulli: VAE) -> None:
    x, _ = evidence.simulate(bernoulli, 5)
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(run_all(bernoulli, x))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    for one, other in zip(found[0], found[2], strict=True):
        assert (one["log_px"] != other["log_px"]).all()


@pytest.mark.parametrize("numbers", [1, 30])
def test_annealing_gives_each_example_its_own_estimate_however_it_is_chunked(
    monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    model, truth, _ = linear_model(noise=2.0)
    # So far apart that mistaking one example for another would show.
    z = torch.tensor([0.0, 4.0, 6.0], dtype=DOUBLE)[:, None].expand(3, K)
    x = z @ truth.W.T + truth.mean
    exact = truth.log_prob(x)
    assert exact.diff().abs().min() > 8
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", numbers)
    for columns in (
        evidence.annealed(model, x, chains=2, steps=20, leapfrog=3),
        evidence.reverse(model, x, z, chains=2, steps=20, leapfrog=3),
    ):
        assert (columns["log_px"] - exact).abs().max() < 4
        assert 0.4 < columns["acceptance"].mean() < 0.9
    assert evidence.simulate(model, 3)[0].shape == x.shape


def outputs_of(model: VAE) -> list[int]:
    """Filled with the size of whatever tensor a layer of the model puts out from now on."""
    sizes: list[int] = []

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    for module in model.modules():
        module.register_forward_hook(note)
    return sizes


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("vanilla", {"latent": 2, "hidden": [4]}),  # the image is the largest
        ("vanilla", {"latent": 2, "hidden": [512]}),  # a hidden layer is
        ("full_covariance", {"latent": 16, "hidden": [4]}),  # the covariance is
        ("conv", {"latent": 2}),
    ],
)
def test_no_tensor_is_larger_than_the_budget(
    monkeypatch: pytest.MonkeyPatch, recipe: str, options: dict[str, Any]
) -> None:
    budget = 200_000
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", budget)
    model = build(recipe, data.spec("digits"), **options)
    x = torch.rand(3, 1, 8, 8).round()
    many = x.repeat(1000, 1, 1, 1)
    calls: list[Callable[[], dict[str, Tensor]]] = [
        lambda: evidence.importance_weights(model, x, 5000),
        lambda: evidence.importance_weights(model, many, 2),
        lambda: evidence.annealed(model, x, chains=1500, steps=2, leapfrog=1),
    ]
    sizes = outputs_of(model)
    for call, examples in zip(calls, (3, 3000, 3), strict=True):
        sizes.clear()
        with evidence.LargestTensor() as largest:
            columns = call()
        assert columns["log_px"].shape == (examples,)
        assert max(sizes) <= largest.numbers <= budget
        assert largest.numbers > 0.2 * budget  # the budget is used


def test_a_prior_of_many_components_counts_towards_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = 200_000
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", budget)
    model = build("vanilla", data.spec("digits"), latent=2, hidden=[4]).double()
    model.prior = TwoHills(latent=2, hills=300)
    x = torch.rand(3, 1, 8, 8, dtype=DOUBLE).round()
    with evidence.LargestTensor() as largest:
        evidence.importance_weights(model, x, 5000)
    assert 0.3 * budget < largest.numbers <= budget


def test_a_model_without_a_bound_can_be_annealed_but_not_importance_sampled() -> None:
    model = build("autoencoder", data.spec("digits"), latent=2, hidden=[8])
    x, _ = evidence.simulate(model, 3)
    assert evidence.annealed(model, x, chains=2, steps=3)["log_px"].isfinite().all()
    with pytest.raises(NotImplementedError, match="no density"):
        evidence.importance_weights(model, x, 5)


def test_draws_that_both_share_make_a_gap_more_certain_than_its_ends() -> None:
    """log mean(w) and mean(log w) of the same draws: of nearly equal weights the errors cancel to the second order."""
    torch.manual_seed(0)
    log_weights = 0.05 * torch.randn(2000, 40, 50, dtype=torch.float64)  # 2000 estimates of 40 draws each
    gap = log_weights.logsumexp(1) - math.log(40) - log_weights.mean(1)
    stated = torch.stack([evidence.gap_variance(each, each) for each in log_weights[:200]]).mean(0)
    assert (stated < 0.01 * log_weights.var(1).mean(0) / 40).all()
    assert stated.mean().item() == pytest.approx(gap.var(0).mean().item(), rel=0.2)


@pytest.mark.parametrize("back", [False, True])
def test_turns_of_unequal_size_weigh_by_their_chains_and_start_at_their_own_examples(
    monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """Four rows at once: examples in parts of four and two, the first chain by chain, the second in turns of two and
    one."""
    model, _, x = linear_model()
    seen: list[tuple[Tensor, list[float], list[float]]] = []

    def walk(_: Any, z: Tensor, betas: list[float], sizes: list[Any], __: int) -> tuple[Tensor, Tensor]:
        seen.append((z, betas, sizes))
        return torch.zeros(z.shape[:2], dtype=DOUBLE), torch.full((z.shape[1],), float(len(z)), dtype=DOUBLE)

    monkeypatch.setattr(evidence, "rows_at_once", lambda _: 4)
    monkeypatch.setattr(evidence, "_pilot", lambda *_: [1.0, 2.0, 3.0])
    monkeypatch.setattr(evidence, "_walk", walk)
    z = torch.arange(6 * K, dtype=DOUBLE).reshape(6, K)
    x = x[:6]
    how = {"chains": 3, "steps": 4}
    columns = evidence.reverse(model, x, z, **how) if back else evidence.annealed(model, x, **how)
    assert [tuple(each.shape[:2]) for each, *_ in seen] == [(1, 4), (1, 4), (1, 4), (2, 2), (1, 2)]
    torch.testing.assert_close(columns["acceptance"], torch.tensor([1, 1, 1, 1, 5 / 3, 5 / 3], dtype=DOUBLE))
    assert columns["log_px"].tolist() == [0.0] * 6
    way = -1 if back else 1
    for start, betas, sizes in seen:
        assert (betas, sizes) == (evidence.schedule(4)[::way], [1.0, 2.0, 3.0][::way])
        if back:
            assert torch.equal(start, (z[:4] if start.shape[1] == 4 else z[4:]).expand(len(start), -1, -1))


def test_a_transition_makes_as_many_steps_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, x = linear_model()
    made: list[Tensor] = []

    def at(z: Tensor) -> evidence.State:
        made.append(z)
        return evidence.State.at(model, model.prior(), x, z)

    state = at(torch.zeros(2, 12, K, dtype=DOUBLE))
    evidence.hmc(at, state, 1.0, torch.full((12,), 0.1, dtype=DOUBLE), 3)
    assert len(made) == 1 + 3
    asked: list[int] = []
    hmc = evidence.hmc
    monkeypatch.setattr(evidence, "hmc", lambda *words: (asked.append(words[-1]), hmc(*words))[1])
    evidence.annealed(model, x, chains=1, steps=3, leapfrog=2)
    evidence.reverse(model, x, torch.zeros(12, K, dtype=DOUBLE), chains=1, steps=3, leapfrog=2)
    assert set(asked) == {2}
