"""Objectives with a critic: who moves whom, what the best critic's loss and logit are, and what both must not see."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench import data
from bench.judge import parameter_count
from bench.settings import Budget
from bench.train.steps import stepper_for
from variants import DataSpec, build
from variants.core import VAE, Terms
from variants.parts.objectives import Adversarial, Elbo, Factor, Objective, VaeGan
from variants.parts.objectives.games import Critic, frozen, permuted, telling_apart
from variants.registry import seeded
from variants.testing import ConformanceError, check_variant

REAL = DataSpec((5,), "real", 40)
GAMES = ["factor", "adversarial", "wae_gan", "vae_gan"]


def model(name: str, **options: object) -> VAE:
    return seeded(name, REAL, 0, latent=3, hidden=(8,), critic_hidden=(7, 6), **options).double()


def batch(size: int = 5) -> Tensor:
    return torch.randn(size, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def gradients(loss: Tensor, module: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss.mean(), list(module.parameters()), allow_unused=True, retain_graph=True))


def test_through_a_frozen_module_gradients_reach_its_input_alone() -> None:
    layer, x = nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    frozen(layer)(x).sum().backward()
    assert torch.equal(frozen(layer)(x), layer(x))
    assert x.grad is not None
    assert all(p.grad is None for p in layer.parameters())


def test_permuted_latents_are_each_their_own_over_the_batch() -> None:
    torch.manual_seed(0)
    z = torch.randn(2, 50, 4)
    other = permuted(z)
    assert torch.equal(other.sort(1).values, z.sort(1).values)
    orders = [(z[0, :, j : j + 1] == other[0, :, j].unsqueeze(0)).float().argmax(0) for j in range(4)]
    assert all(not torch.equal(a, b) for i, a in enumerate(orders) for b in orders[:i])
    assert torch.equal(permuted(z[:, :1]), z[:, :1])


def test_the_critics_loss_at_the_best_critic() -> None:
    """log 2 - JS(p, q), for N(0, 1) and N(m, 1) by quadrature; 1/2 log 2 less would be another mean."""
    m, t = 1.3, torch.linspace(-9, 10, 20_001, dtype=torch.float64)
    p, q = (torch.distributions.Normal(loc, 1.0).log_prob(t) for loc in (0.0, m))
    mixed = torch.logaddexp(p, q) - math.log(2)
    js = 0.5 * torch.trapezoid(p.exp() * (p - mixed) + q.exp() * (q - mixed), t).item()
    a, b = torch.randn(2, 400_000, dtype=torch.float64)
    loss = telling_apart(0.5 * m**2 - m * a, 0.5 * m**2 - m * (m + b))
    assert abs(loss.mean().item() - (math.log(2) - js)) < 4 * loss.std().item() / math.sqrt(len(loss))


def test_a_critic_has_leaky_layers_and_one_logit_of_their_features() -> None:
    critic, x = Critic(3, (5, 4)).double(), torch.randn(2, 6, 3, dtype=torch.float64)
    h = x
    for weight, bias in zip(*[iter(critic.features.parameters())] * 2, strict=True):
        h = h @ weight.T + bias
        h = torch.where(h > 0, h, 0.2 * h)
    assert (critic.features(x) < 0).any()
    torch.testing.assert_close(critic.features(x), h)
    torch.testing.assert_close(critic(x), h @ critic.logit.weight[0] + critic.logit.bias)


class LogRatio(nn.Module):
    """log q(z) - sum_j log q(z_j) of N(0, C), the logit of FactorVAE's best critic."""

    def __init__(self, covariance: Tensor) -> None:
        super().__init__()
        self.q = torch.distributions.MultivariateNormal(torch.zeros(len(covariance)).to(covariance), covariance)
        self.single = torch.distributions.Normal(self.q.mean, covariance.diagonal().sqrt())

    def forward(self, z: Tensor) -> Tensor:
        return self.q.log_prob(z) - self.single.log_prob(z).sum(-1)


def test_the_total_correlation_of_a_gaussian_by_its_best_critic() -> None:
    c = torch.tensor([[2.0, 1.2, 0.3], [1.2, 1.5, -0.4], [0.3, -0.4, 0.7]], dtype=torch.float64)
    objective = Factor(latent_size=3)
    objective.critic = LogRatio(c)  # type: ignore[assignment]
    z = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), c).sample((4, 50_000))
    zeros = torch.zeros(4, 50_000, dtype=torch.float64)
    any_q = torch.distributions.Independent(torch.distributions.Normal(z[0], 1.0), 1)
    found, loss = objective.players(Terms(x=z[0], z=z, q=any_q, p=any_q, log_px_z=zeros))
    exact = -0.5 * (torch.linalg.slogdet(c).logabsdet - c.diagonal().log().sum()).item()
    assert abs(found.mean().item() - exact) < 5 * found.std().item() / math.sqrt(len(found))
    # The critic is asked which draws are permuted: less than log 2 for one that can tell.
    assert loss.mean().item() < math.log(2) - 0.05


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("name", GAMES)
def test_without_weight_the_rest_of_the_loss_moves_the_model(name: str, size: int) -> None:
    """To the bit, also in odd batches and in batches of one."""
    option = "gamma" if name == "factor" else "adversary"
    vae, x = model(name, **{option: 0.0}), batch(size)
    torch.manual_seed(1)
    terms = vae.terms(x)
    loss, alone = vae.objective(terms, 0.0), vae.objective.alone(terms, 0.0)
    assert torch.equal(loss, alone)
    for part in (vae.encoder, vae.posterior, vae.decoder):
        for a, b in zip(gradients(loss, part), gradients(alone, part), strict=True):
            assert a is not None
            assert b is not None
            assert torch.equal(a, b)
    if name == "factor":
        assert torch.equal(alone, Elbo()(terms, 0.0))
    assert all(g is not None and g.isfinite().all() for g in gradients(loss, vae.objective))


@pytest.mark.parametrize("name", GAMES)
def test_neither_side_moves_the_other(name: str) -> None:
    vae = model(name)
    side, critic = vae.objective.players(vae.terms(batch()))
    assert all(g is None for g in gradients(side, vae.objective))
    assert all(g is not None and g.any() for g in gradients(critic, vae.objective))
    if critic.requires_grad:
        assert all(g is None for part in (vae.encoder, vae.posterior, vae.decoder) for g in gradients(critic, part))


@pytest.mark.parametrize("name", GAMES)
def test_the_loss_shows_the_models_side_alone(name: str) -> None:
    vae = model(name)
    terms = vae.terms(batch())
    torch.manual_seed(2)
    loss = vae.objective(terms, 0.0)
    torch.manual_seed(2)
    side, _ = vae.objective.players(terms)
    torch.testing.assert_close(loss, vae.objective.alone(terms, 0.0) + vae.objective.weight * side)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("name", GAMES)
def test_a_critic_that_knows_nothing_loses_log_two_however_many_draws_there_are(name: str, samples: int) -> None:
    vae, size = model(name), 5
    for parameter in vae.objective.critic.logit.parameters():
        nn.init.zeros_(parameter)
    side, critic = vae.objective.players(vae.terms(batch(size), samples))
    torch.testing.assert_close(critic, torch.full((size,), math.log(2)).double())
    # And what the model is to lower does not grow with them either.
    of_side = {"factor": 0.0, "vae_gan": -0.5 * math.log(2)}.get(name, math.log(2))
    torch.testing.assert_close(side, torch.full((size,), of_side).double())


@pytest.mark.parametrize("name", ["adversarial", "wae_gan"])
def test_the_critic_calls_draws_of_the_prior_true(name: str) -> None:
    """Its own step raises the logit of prior draws and lowers that of codes; the encoder's raises that of codes."""
    vae, x = model(name), batch(64)
    with torch.no_grad():
        vae.posterior.loc.bias.fill_(2.0)
    torch.manual_seed(3)
    terms = vae.terms(x)
    critic, prior = vae.objective.critic, torch.randn_like(terms.z)

    def logits() -> tuple[float, float]:
        with torch.no_grad():
            return critic(prior).mean().item(), critic(terms.z).mean().item()

    side, loss = vae.objective.players(terms)
    (slope,) = torch.autograd.grad(side.sum(), terms.z, retain_graph=True)
    true, false = logits()
    with torch.no_grad():
        assert critic(terms.z - 1e-3 * slope).mean() > false
    loss.mean().backward()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter -= 1e-2 * parameter.grad
    now_true, now_false = logits()
    assert now_true - now_false > true - false


def test_the_decoder_of_a_vae_gan_ascends_what_the_critic_descends() -> None:
    """Through x~ its gradient is minus that of the critic's loss; the encoder is given none of it."""
    vae = model("vae_gan")
    terms = vae.terms(batch())
    torch.manual_seed(5)
    side, _ = vae.objective.players(terms)
    assert all(g is None for part in (vae.encoder, vae.posterior) for g in gradients(side, part))
    torch.manual_seed(5)
    z = torch.cat([terms.z.detach(), torch.randn_like(terms.z)])
    critic = vae.objective.critic
    loss = telling_apart(critic(terms.x), critic(vae.decode(z).mean)).mean(0)
    for a, b in zip(gradients(side, vae.decoder), gradients(loss, vae.decoder), strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a, -b)


@pytest.mark.parametrize("gamma", [0.25, 4.0])
def test_the_encoder_of_a_vae_gan_does_not_see_gamma(gamma: float) -> None:
    one, other = model("vae_gan", gamma=1.0), model("vae_gan", gamma=gamma)
    found = []
    for vae in (one, other):
        torch.manual_seed(6)
        loss = vae.loss(batch())
        found.append([gradients(loss, part) for part in (vae.encoder, vae.posterior)])
    for part, same in zip(*found, strict=True):
        for a, b in zip(part, same, strict=True):
            assert a is not None
            torch.testing.assert_close(a, b)
    torch.manual_seed(6)
    terms = one.terms(batch())
    distances = [vae.objective.alone(terms, 0.0) - terms.kl for vae in (one, other)]
    torch.testing.assert_close(gamma * distances[0], distances[1])


def test_the_distance_of_features_is_half_the_sum_of_squares() -> None:
    vae = model("vae_gan", gamma=3.0)
    terms, features = vae.terms(batch(), 2), vae.objective.critic.features
    off = features(vae.decode(terms.z).mean) - features(terms.x)
    expected = terms.kl + 3 * 0.5 * off.square().sum(-1).mean(0)
    torch.testing.assert_close(vae.objective.alone(terms, 0.0), expected)


def test_a_critic_is_no_part_of_the_model_and_has_its_own_betas() -> None:
    vae, without = model("factor"), seeded("vanilla", REAL, 0, latent=3, hidden=(8,))
    assert parameter_count(vae) == parameter_count(without)
    groups = stepper_for(vae, Budget(lr=0.01)).optimisers["adam"].param_groups
    assert [group["betas"] for group in groups] == [(0.9, 0.999), (0.5, 0.9)]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in vae.objective.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(vae.parameters()))
    # All others have one group, in the order of the model's parameters.
    (group,) = stepper_for(without, Budget(lr=0.01)).optimisers["adam"].param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in without.parameters()]


@pytest.mark.parametrize(("name", "options"), [("rae_l2", {"decay": 0.25}), ("rae_gp", {})])
def test_a_role_may_have_a_step_size_and_a_decay_of_its_own(name: str, options: dict[str, float]) -> None:
    vae = seeded(name, REAL, 0, latent=3, hidden=(8,), **options)
    stepper = stepper_for(vae, Budget(lr=0.01, epochs=4))
    by_role = {
        role: group
        for role, part in vae.named_children()
        for group in stepper.optimisers["adam"].param_groups
        if next(iter(part.parameters()), None) is not None
        and any(p is next(part.parameters()) for p in group["params"])
    }
    # Adam adds weight_decay theta, the gradient of decay |theta|^2.
    assert by_role["decoder"]["weight_decay"] == 2 * options.get("decay", 0.0)
    assert by_role["encoder"]["weight_decay"] == 0
    for epoch in (0.0, 2.0):
        stepper.follow_schedule(epoch)
        assert by_role["prior"]["lr"] == pytest.approx(10 * by_role["encoder"]["lr"])
        assert by_role["decoder"]["lr"] == by_role["encoder"]["lr"]


def test_the_decay_of_a_decoder_is_part_of_its_gradient_whatever_the_budget_decays() -> None:
    vae = seeded("rae_l2", REAL, 0, latent=3, hidden=(8,), decay=0.25)
    groups = stepper_for(vae, Budget(lr=0.01, weight_decay=0.1)).optimisers["adam"].param_groups
    first = {role: id(next(part.parameters())) for role, part in vae.named_children() if [*part.parameters()]}
    found = {
        role: (group["weight_decay"], group["decoupled_weight_decay"])
        for role, one in first.items()
        for group in groups
        if one in map(id, group["params"])
    }
    assert found["decoder"] == (0.5, False)
    assert found["encoder"] == found["prior"] == (0.1, True)


def broken(which: str) -> Callable[..., VAE]:
    class Attached(Factor):
        def players(self, terms: Terms) -> tuple[Tensor, Tensor]:
            z = terms.z if which == "attached" else terms.z.detach()
            side = self.critic if which == "not frozen" else frozen(self.critic)
            return side(terms.z).mean(0), telling_apart(self.critic(z), self.critic(permuted(z))).mean(0)

        def forward(self, terms: Terms, epoch: float) -> Tensor:
            if which == "coupled":
                return super().forward(terms, epoch) + 0.5 * (terms.z - terms.z.detach()).sum(-1).mean(0)
            if which == "meddled with":
                return super().forward(terms, epoch) + self.critic(terms.z.detach()).mean(0)
            return super().forward(terms, epoch)

    return lambda spec, **options: build("factor", spec, objective=Attached, critic_hidden=(5,), **options)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("attached", "what the critic is to lower has a gradient in the model's parameters"),
        ("not frozen", "what the model is to lower has a gradient in the critic's parameters"),
        ("coupled", "with a game of weight 0 the model's gradients are not those"),
        ("meddled with", "the critic is not moved by its own loss alone"),
    ],
)
def test_conformance_sees_a_game_whose_sides_are_mixed(which: str, words: str) -> None:
    with pytest.raises(ConformanceError, match=words):
        check_variant(broken(which))


def test_a_game_without_its_sizes_is_refused() -> None:
    for objective in (Factor, Adversarial):
        with pytest.raises(ValueError, match="needs the option latent_size"):
            objective()
    with pytest.raises(ValueError, match="needs the option data_spec"):
        VaeGan()
    assert isinstance(build("factor", REAL, latent=3).objective, Objective)


def test_a_game_makes_the_loss_of_its_players_fall() -> None:
    """Twenty steps on digits: the critic of codes that are far from the prior learns to tell them."""
    examples = data.load("digits", train_size=200)
    torch.manual_seed(0)
    vae = seeded("adversarial", examples.spec, 0, latent=2, hidden=(16,), critic_hidden=(16,), adversary=0.0)
    stepper = stepper_for(vae, Budget(lr=0.01, epochs=10))
    x = next(iter(examples.train_batches(100, order=torch.Generator().manual_seed(0), noise=torch.Generator())))
    first = vae.objective.players(vae.terms(x))[1].mean().item()
    for _ in range(20):
        stepper(x, 0.0)
    assert vae.objective.players(vae.terms(x))[1].mean().item() < first


class Certain(nn.Module):
    """A critic that is sure of every code: its logit is -30 and less, and rises along z by one."""

    def forward(self, z: Tensor) -> Tensor:
        return z.sum(-1) - 30


def test_the_encoder_learns_most_where_the_critic_is_sure() -> None:
    """-log D(z) does not saturate: its slope along the logit is -1 there, where that of log(1 - D(z)) is 0."""
    objective = Adversarial(latent_size=2)
    objective.critic = Certain()  # type: ignore[assignment]
    model = build("vanilla", DataSpec((4,), "binary", 40), latent=2, hidden=[4])
    terms = model.terms(torch.ones(3, 4), 2)
    terms.z.retain_grad()
    objective.players(terms)[0].sum().backward()
    assert terms.z.grad is not None
    torch.testing.assert_close(terms.z.grad, torch.full((2, 3, 2), -0.5))
