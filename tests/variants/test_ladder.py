"""Ladders: two layers are `hierarchical_top_down` to the bit, and each posterior's limits."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from bench.judge.bounds import scores
from variants import DataSpec, build
from variants.core import VAE, Chain, elbo
from variants.parts import assemble
from variants.parts.ladder import Ladder
from variants.parts.top_down import LadderPrior, PrecisionWeighted, Trunk, layer_sizes, normal, product

SPEC = DataSpec((6,), "binary", 40)
X = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)).round()


def model(name: str, **options: object) -> VAE:
    """A small one, whose parameters are away from where they start."""
    torch.manual_seed(3)
    made = build(name, SPEC, **{"latent": 7, "layers": 3, "trunk_width": 6, "hidden": (5,)} | options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return made


def test_two_layers_reproduce_hierarchical_top_down_to_the_bit() -> None:
    torch.manual_seed(0)
    made = build("hierarchical_top_down", SPEC, latent=5, top=2, hidden=(7,), top_hidden=(4,))
    q, p = made.infer(X), made.prior()

    def rungs(chain: Chain) -> Ladder:
        """Without a trunk: the state is z2 itself."""
        return Ladder(chain.root, lambda _, z2: chain.conditional(z2), lambda _i, _s, z2: z2, chain.layers)

    ours, theirs = rungs(q), rungs(p)
    torch.manual_seed(1)
    z = q.rsample(torch.Size([3]))
    torch.manual_seed(1)
    same = ours.rsample(torch.Size([3]))
    assert torch.equal(z, same)
    for point in (same, same.clone()):  # its own draw, and another point
        assert torch.equal(ours.log_prob(point), q.log_prob(z))
        assert torch.equal(theirs.log_prob(point), p.log_prob(z))
        expected, parts = q.kl_parts(p, z), ours.kl_parts(theirs, point)
        assert expected is not None
        assert parts is not None
        assert torch.equal(parts, expected)
    assert torch.equal(ours.mean, q.mean)
    parameters = list(made.posterior.parameters())
    for a, b in zip(
        torch.autograd.grad(ours.log_prob(same).sum(), parameters, retain_graph=True),
        torch.autograd.grad(q.log_prob(z).sum(), parameters),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["ladder", "deep_top_down"])
def test_one_layer_is_a_vanilla_posterior(name: str) -> None:
    terms = model(name, layers=1).terms(X.double(), 4)
    assert isinstance(terms.q, Ladder)
    parts = terms.kl_parts
    assert parts is not None
    assert parts.shape == (5, 1)
    torch.testing.assert_close(parts[:, 0], kl_divergence(terms.q.top, terms.p.top))
    torch.testing.assert_close(terms.log_qz_x, terms.q.top.log_prob(terms.z))


@pytest.mark.parametrize("name", ["ladder", "deep_top_down"])
def test_layers_of_the_kl_add_up_and_a_draw_of_its_own_goes_the_same_way_down_again(name: str) -> None:
    made = model(name)
    with torch.no_grad():
        terms = made.terms(X.double(), 20_000)
        parts = terms.kl_parts
        assert parts is not None
        assert parts.shape == (5, 3)
        assert (parts >= 0).all()
        ratio = terms.log_qz_x - terms.log_pz
        assert ((parts.sum(1) - ratio.mean(0)).abs() < 5 * ratio.std(0) / 20_000**0.5).all()
        torch.testing.assert_close(terms.q.log_prob(terms.z.clone()), terms.log_qz_x)
        p = made.prior()
        z = p.sample(torch.Size([9]))
        torch.testing.assert_close(p.log_prob(z), made.prior().log_prob(z))
        torch.testing.assert_close(made.decoder(z), made.decoder.decoder(made.prior.state(z)))
    score = scores(made, [(X.double(), X[:, 0])], samples=400, seed=0)
    layers = score.layers()
    assert list(layers) == ["kl_layer1_nats", "kl_layer2_nats", "kl_layer3_nats"]
    assert score.kl is not None
    assert sum(layers.values()) == pytest.approx(score.kl.mean().item(), rel=0.05, abs=0.1)
    assert layers["kl_layer3_nats"] == pytest.approx(kl_divergence(terms.q.top, terms.p.top).mean().item())


def test_all_layers_reach_the_data_and_are_reached() -> None:
    made = model("deep_top_down")
    terms = made.terms(X.double(), 1)
    (slope,) = torch.autograd.grad(elbo(terms).sum(), terms.z)
    assert (slope != 0).any(1).all()
    missing = [
        name
        for name, parameter in made.named_parameters()
        if torch.autograd.grad(made.loss(X.double(), 1e9).sum(), parameter, allow_unused=True)[0] is None
    ]
    assert missing == []


def test_layers_of_other_sizes_are_not_compared() -> None:
    def of(*layers: int) -> Ladder:
        standard = [normal(torch.zeros(d), torch.ones(d)) for d in layers]
        top = standard[-1].expand(torch.Size([5]))
        return Ladder(top, lambda i, s: standard[i].expand(s.shape[:-1]), lambda _i, _s, z: z, layers)

    z = torch.randn(4, 5, 3)
    assert of(2, 1).kl_parts(of(2, 1), z) is not None
    assert of(2, 1).kl_parts(of(1, 2), z) is None
    assert of(2, 1).kl_parts(normal(torch.zeros(3), torch.ones(3)), z) is None


def test_a_draw_without_gradients_is_scored_with_them() -> None:
    """What its way down has left behind has no gradient to give: the way is gone down again."""
    made = model("deep_top_down")
    q = made.infer(X.double())
    weights = list(made.posterior.parameters())
    with torch.no_grad():
        z = q.rsample()
    own, copied = (
        torch.autograd.grad(q.log_prob(value).sum(), weights, retain_graph=True, allow_unused=True)
        for value in (z, z.clone())
    )
    assert sum(each is not None for each in own) > 2
    torch.testing.assert_close(own, copied)


# ---------------------------------------------------------------------------------------------------------------------
# The two posteriors


def test_precisions_add_up() -> None:
    torch.manual_seed(0)
    mu, other, log_s, log_t = (torch.randn(4, 3, dtype=torch.float64) for _ in range(4))
    equal = product((mu, log_s), (other, log_s))
    torch.testing.assert_close(equal.mean, (mu + other) / 2)
    torch.testing.assert_close(equal.variance, (2 * log_s).exp() / 2)
    d = product((mu, log_s), (other, log_t))
    weights = (-2 * log_s).exp(), (-2 * log_t).exp()
    torch.testing.assert_close(d.variance, 1 / (weights[0] + weights[1]))
    torch.testing.assert_close(d.mean, (weights[0] * mu + weights[1] * other) / (weights[0] + weights[1]))
    # It is the product of the densities, but for its constant.
    z = torch.randn(50, 4, 3, dtype=torch.float64)
    off = d.log_prob(z) - normal(mu, log_s.exp()).log_prob(z) - normal(other, log_t.exp()).log_prob(z)
    torch.testing.assert_close(off, off[:1].expand_as(off))
    for one, two in (((mu, log_s + 400), (other, log_t)), ((other, log_t), (mu, log_s + 400))):
        far = product(one, two)
        torch.testing.assert_close(far.mean, other)
        torch.testing.assert_close(far.stddev, log_t.exp())


def test_an_encoder_that_knows_nothing_leaves_the_prior_below_the_top() -> None:
    """The KL is to the top-down prior, and not to what the encoder says."""
    made = model("ladder")
    for head in made.posterior.log_scale:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, 400.0 / head.gain)
    for head in made.posterior.log_scale[-1:]:
        torch.nn.init.zeros_(head.bias)
    with torch.no_grad():
        parts = made.terms(X.double(), 3).kl_parts
    assert parts is not None
    torch.testing.assert_close(parts[:, :2], torch.zeros(5, 2, dtype=torch.float64))
    assert (parts[:, 2] > 1e-3).all()


def test_the_bottom_up_gaussians_are_of_features_one_above_the_other() -> None:
    """d_i = act(V_i d_(i-1)): the top layer's is made of all of them, and is alone there."""
    made = model("ladder")
    with torch.no_grad():
        terms, features = made.terms(X.double(), 2), [made.encoder(X.double())]
        for up in made.posterior.up:
            features.append(up(features[-1]).relu())
        state: Tensor | None = None
        points = torch.split(terms.z, [3, 2, 2], dim=-1)
        for i in (2, 1, 0):
            loc, log_scale = (head[i](features[i + 1]) for head in (made.posterior.loc, made.posterior.log_scale))
            bottom = normal(loc, log_scale.exp())
            expected = bottom if state is None else product((loc, log_scale), made.prior.heads[i](state))
            q = terms.q.at(terms.z)[i]
            torch.testing.assert_close(q.mean, expected.mean)
            torch.testing.assert_close(q.stddev, expected.stddev)
            state = made.prior.trunk.advance(i, state, points[i])


def test_the_residual_posterior_is_the_prior_and_what_x_adds() -> None:
    made = model("deep_top_down")
    with torch.no_grad():
        terms = made.terms(X.double(), 2)
        state: Tensor | None = None
        points = torch.split(terms.z, [3, 2, 2], dim=-1)
        h = made.encoder(X.double())
        for i in (2, 1, 0):
            q, p = terms.q.at(terms.z)[i], terms.p.at(terms.z)[i]
            mixed = made.posterior.of_x[i](h) + (made.posterior.of_state[i](state) if state is not None else 0)
            a, b = (layer[i](mixed.relu()) for layer in (made.posterior.loc, made.posterior.log_scale))
            expected = (0.5 * (a.square() + (2 * b).exp() - 2 * b - 1)).sum(-1)
            torch.testing.assert_close(kl_divergence(q, p.expand(q.batch_shape)), expected)
            state = made.prior.trunk.advance(i, state, points[i])


def test_at_the_start_all_layers_of_the_prior_are_standard_normal() -> None:
    torch.manual_seed(0)
    p = build("deep_top_down", SPEC, latent=6, layers=3).prior()
    z = torch.randn(4, 6)
    torch.testing.assert_close(p.log_prob(z), normal(torch.zeros(6), torch.ones(6)).log_prob(z))


@pytest.mark.parametrize("depth", [1, 4, 100])
def test_the_blocks_of_a_trunk_add_up_to_the_size_of_one(depth: int) -> None:
    """Independent additions grow with the root of their number."""
    torch.manual_seed(0)
    trunk, s, z = Trunk((1,) * depth, 50, "relu"), torch.randn(200, 50), torch.randn(200, 1)
    with torch.no_grad():
        added = [trunk.advance(i, s, z) - s - trunk.into[i](z) for i in range(depth)]
        one = [layer(trunk.inner[i]((s + trunk.into[i](z)).relu()).relu()) for i, layer in enumerate(trunk.outer)]
        spread, of_one = (sum(each.var(0).mean() for each in blocks) for blocks in (added, one))
    assert (spread / (of_one / depth)).item() == pytest.approx(1, rel=1e-3)


def test_layers_share_the_latents_and_the_lower_ones_have_what_is_left() -> None:
    assert layer_sizes(20, None) == (4, 4, 4, 4, 4)
    assert layer_sizes(7, 3) == (3, 2, 2)
    assert layer_sizes(2, None) == (1, 1)
    with pytest.raises(ValueError, match="layers must be at most the latent size 3, got 4"):
        build("ladder", SPEC, latent=3, layers=4)
    with pytest.raises(ValueError, match="needs the prior that owns it: choose prior=ladder_prior"):
        build("ladder", SPEC, prior="standard_normal")
    two = partial(PrecisionWeighted, layers=2, trunk_width=6)
    with pytest.raises(ValueError, match="layers of other sizes than the posterior: choose prior=ladder_prior"):
        assemble(SPEC, latent=7, posterior=two, prior=partial(LadderPrior, layers=3, trunk_width=6))
    with pytest.raises(ValueError, match="activation of a trunk must be one of"):
        build("ladder", SPEC, activation="gated")
