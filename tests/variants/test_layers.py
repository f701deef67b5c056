"""Two layers of latents, mixtures and the VampPrior against Gaussians, sums and integrals that are known."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from variants import DataSpec, build
from variants.core import VAE, Chain, Mixture, elbo, iwae
from variants.core.chain import layer_kl
from variants.core.wide import wide
from variants.parts import assemble
from variants.parts.layers import Conditional, split
from variants.parts.networks import Bottom, dense
from variants.parts.posteriors import Diagonal
from variants.parts.priors import Hierarchical, Vamp
from variants.registry import seeded

D1, D2, D = 3, 2, 5
REAL, GREY = DataSpec((6,), "real", 40), DataSpec((1, 5, 7), "unit", 40)
HIERARCHIES = ("hierarchical", "hierarchical_top_down", "hierarchical_vamp")


def normal(loc: Tensor, scale: Tensor) -> Independent[Normal]:
    return Independent(Normal(loc, scale), 1)


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# ---------------------------------------------------------------------------------------------------------------------
# The chain, where everything is linear and Gaussian


def linear_chain(upward: bool, batch: tuple[int, ...] = ()) -> tuple[Chain, MultivariateNormal]:
    """other = A root + b + noise, and the joint Gaussian of z = (z1, z2) worked out by hand."""
    n, m = (D1, D2) if upward else (D2, D1)
    loc, scale = double(*batch, n), double(*batch, n).exp()
    matrix, bias, noise = double(m, n), double(m), double(m).exp()
    chain = Chain(
        normal(loc, scale),
        lambda a: normal(a @ matrix.T + bias, noise.expand(*a.shape[:-1], m)),
        (D1, D2),
        upward=upward,
    )
    root = scale.square().diag_embed()
    cross = matrix @ root
    other = cross @ matrix.T + noise.square().diag()
    mean = torch.cat([loc, loc @ matrix.T + bias], -1)
    covariance = torch.cat([torch.cat([root, cross.mT], -1), torch.cat([cross, other], -1)], -2)
    if not upward:
        order = [*range(n, D), *range(n)]
        mean, covariance = mean[..., order], covariance[..., order, :][..., order]
    return chain, MultivariateNormal(mean, covariance)


@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("upward", [True, False])
def test_linear_chain_is_the_joint_gaussian(upward: bool, batch: tuple[int, ...]) -> None:
    chain, joint = linear_chain(upward, batch)
    assert (chain.batch_shape, chain.event_shape, chain.layers) == (torch.Size(batch), (D,), (D1, D2))
    z = double(7, *batch, D)
    torch.testing.assert_close(chain.log_prob(z), joint.log_prob(z))
    torch.testing.assert_close(chain.mean, joint.mean)
    n = 50_000
    draws = chain.sample(torch.Size([n]))
    assert draws.shape == (n, *batch, D)
    error = joint.variance.sqrt() / math.sqrt(n)
    assert ((draws.mean(0) - joint.mean).abs() < 4 * error).all()
    centred = (draws - joint.mean).movedim(0, -1)
    torch.testing.assert_close(
        centred @ centred.mT / n, joint.covariance_matrix, rtol=0.1, atol=0.1 * float(joint.variance.max())
    )


@pytest.mark.parametrize("upward", [True, False])
def test_log_prob_of_every_point_under_every_component(upward: bool) -> None:
    """z [M, 1, D] against a batch [B], as the mutual information and the VampPrior ask."""
    chain, joint = linear_chain(upward, (4,))
    z = double(7, 1, D)
    torch.testing.assert_close(chain.log_prob(z), joint.log_prob(z))


def test_a_draw_passes_the_conditional_once() -> None:
    calls = []

    def conditional(a: Tensor) -> Independent[Normal]:
        calls.append(len(a))
        return normal(a @ matrix, torch.ones_like(a @ matrix))

    matrix = double(D1, D2).requires_grad_()
    chain = Chain(normal(double(D1), torch.ones(D1).double()), conditional, (D1, D2), upward=True)
    z = chain.rsample(torch.Size([6]))
    log_p = chain.log_prob(z)
    assert len(calls) == 1
    torch.testing.assert_close(chain.log_prob(z.clone()), log_p)
    assert len(calls) == 2
    # What was drawn without gradients is passed again where gradients are wanted.
    z = chain.sample(torch.Size([6]))
    assert chain.log_prob(z).requires_grad
    assert len(calls) == 4


def test_layers_of_other_sizes_have_no_kl_by_layer() -> None:
    (q, _), z = linear_chain(True, (4,)), double(7, 4, D)
    other = Chain(normal(double(D2), torch.ones(D2).double()), lambda a: normal(a, a.exp()), (D2, D1), upward=True)
    assert q.kl_parts(q, z) is not None
    assert q.kl_parts(other, z) is None


def test_the_kl_of_a_layer_is_the_mean_over_what_it_is_given() -> None:
    """In closed form where that is known, and by the draws where not."""
    q, p, z = normal(double(7, 4, 3), double(7, 4, 3).exp()), normal(double(3), double(3).exp()), double(7, 4, 3)
    torch.testing.assert_close(layer_kl(q, p, z), torch.distributions.kl_divergence(q, p).mean(0))
    torch.testing.assert_close(layer_kl(q, Mixture(p.expand((2,))), z), (q.log_prob(z) - p.log_prob(z)).mean(0))
    root = normal(double(4, 3), double(4, 3).exp())
    torch.testing.assert_close(layer_kl(root, p, z), torch.distributions.kl_divergence(root, p))


# ---------------------------------------------------------------------------------------------------------------------
# A linear two-layer model, whose log p(x) is known


def linear_model(name: str, **options: object) -> tuple[VAE, MultivariateNormal, MultivariateNormal]:
    """z2 ~ N(0, I), z1 = A z2 + a + noise, x = W z (+) b + noise; with p(x) and the joint p(z, x) in closed form."""
    model = build(name, REAL, network="linear", latent=D, top=D2, top_hidden=[4], sigma=0.7, squash=False, **options)
    model = model.double().eval()
    for conditional in (model.posterior, model.prior):
        for module in conditional.modules():
            if isinstance(module, Conditional):
                module.body = nn.Identity()
                module.first.out_features = 4
    with torch.no_grad():
        # A weak decoder, under which the posterior as it starts is wide enough to sample from.
        for name, weight in model.named_parameters():
            weight.mul_(0.4 if name.startswith("decoder") or ".loc." in name else 1.0)
    prior = model.prior.first
    for head in (prior.log_scale, *(m.log_scale for m in model.posterior.modules() if isinstance(m, Conditional))):
        nn.init.zeros_(head.weight)
    with torch.no_grad():
        a = prior.loc.weight @ prior.first.weight
        offset = prior.loc.weight @ prior.first.bias + prior.loc.bias
        noise = (prior.log_scale.gain * prior.log_scale.bias).exp().square().diag()
        decoder = model.decoder.decoder if isinstance(model.decoder, Bottom) else model.decoder
        w = torch.zeros(6, D, dtype=torch.float64)
        w[:, : decoder.body.in_features] = decoder.body.weight
        eye = torch.eye(D2, dtype=torch.float64)
        cz = torch.cat([torch.cat([a @ a.T + noise, a], 1), torch.cat([a.T, eye], 1)], 0)
        mz = torch.cat([offset, torch.zeros(D2, dtype=torch.float64)])
        cx = w @ cz @ w.T + 0.49 * torch.eye(6, dtype=torch.float64)
        mx = w @ mz + decoder.body.bias
        # p(z) and p(x)
        return model, MultivariateNormal(mz, cz), MultivariateNormal(mx, cx)


@pytest.mark.parametrize("name", ["hierarchical", "hierarchical_top_down"])
def test_linear_hierarchy_has_a_known_prior_and_evidence(name: str) -> None:
    model, pz, px = linear_model(name)
    z = double(5, D)
    with torch.no_grad():
        torch.testing.assert_close(model.prior().log_prob(z), pz.log_prob(z))
        x = px.sample(torch.Size([4]))
        terms = model.terms(x, 40_000)
        log_px = px.log_prob(x)
        # Importance sampling with a wide posterior finds log p(x) from below.
        bound = iwae(terms)
        relative = (terms.log_weights - log_px).exp()
        error = relative.std(0) / math.sqrt(len(relative))
        assert (error < 0.1).all()
        assert ((bound - log_px).abs() < 5 * error + 1e-3).all()
        assert (elbo(terms) < log_px).all()


@pytest.mark.parametrize("name", HIERARCHIES)
def test_elbo_below_iwae_below_iwae(name: str) -> None:
    model, x = build(name, REAL, latent=6, hidden=(8,)).double().eval(), double(4, 6)
    with torch.no_grad():
        terms = model.terms(x, 4096)
        groups = [terms.log_weights.reshape(-1, k, 4).logsumexp(1).mean(0) - math.log(k) for k in (1, 4, 64, 4096)]
    torch.testing.assert_close(groups[0], elbo(terms))
    assert all((low < high).all() for low, high in pairwise(groups))


# ---------------------------------------------------------------------------------------------------------------------
# Mixtures


@pytest.mark.parametrize("sigma", [0.02, 1e-3, 3e-4])
def test_the_density_of_a_mixture_of_sharp_components_keeps_its_digits(sigma: float) -> None:
    torch.manual_seed(0)
    loc = 4 * torch.randn(500, 20)
    z = loc + sigma * torch.randn(500, 20)
    exact = normal(loc.double(), torch.full((500, 20), sigma).double()).log_prob(z.double().unsqueeze(1))
    found = Mixture(normal(loc, torch.full((500, 20), sigma))).log_prob(z)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact.logsumexp(1) - math.log(500), atol=1e-3, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_is_torchs_mixture(dtype: torch.dtype) -> None:
    components = normal(2 * torch.randn(50, D, dtype=dtype), torch.rand(50, D, dtype=dtype) + 0.05)
    mixture = Mixture(components)
    reference = MixtureSameFamily(Categorical(torch.ones(50, dtype=dtype)), components)
    z = reference.sample(torch.Size([3, 40]))
    torch.testing.assert_close(
        mixture.log_prob(z), reference.log_prob(z), rtol=1e-4, atol=1e-3 if dtype == torch.float32 else 1e-9
    )
    torch.testing.assert_close(mixture.mean, reference.mean)
    torch.testing.assert_close(mixture.variance, reference.variance)
    assert (mixture.batch_shape, mixture.event_shape) == ((), (D,))


def test_mixture_holds_no_tensor_of_points_components_and_dimensions() -> None:
    from bench.judge.evidence import LargestTensor

    mixture, z = Mixture(normal(torch.randn(500, 40), torch.ones(500, 40))), torch.randn(100, 40)
    largest = LargestTensor()
    with largest:
        mixture.log_prob(z)
    assert largest.numbers <= 100 * 500


def families(count: int) -> dict[str, object]:
    loc, root = 2 * double(count, 2), double(count, 2, 2)
    chain = Chain(
        normal(2 * double(count, 1), double(count, 1).exp()),
        lambda a: normal(a.tanh(), torch.ones_like(a)),
        (1, 1),
        upward=True,
    )
    full = MultivariateNormal(loc, root @ root.mT + 0.1 * torch.eye(2, dtype=torch.float64))
    return {"diagonal": normal(loc, double(count, 2).exp()), "full": full, "chain": chain}


@pytest.mark.parametrize("family", ["diagonal", "full", "chain"])
def test_mixture_integrates_to_one_and_its_draws_follow_it(family: str) -> None:
    mixture = Mixture(families(3)[family])  # type: ignore[arg-type]
    line = torch.linspace(-6, 6, 801, dtype=torch.float64).sinh() / 4
    step = torch.linspace(-6, 6, 801, dtype=torch.float64).cosh() / 4 * (12 / 800)
    points = torch.cartesian_prod(line, line)
    mass = mixture.log_prob(points).exp() * torch.cartesian_prod(step, step).prod(-1)
    assert mass.sum().item() == pytest.approx(1, abs=1e-3)
    draws = mixture.sample(torch.Size([20_000]))
    assert draws.shape == (20_000, 2)
    for statistic in (points.tanh, lambda: (points[:, 0] * points[:, 1]).tanh().unsqueeze(-1)):
        expected = mass @ statistic()
        seen = draws.tanh() if statistic == points.tanh else (draws[:, 0] * draws[:, 1]).tanh().unsqueeze(-1)
        assert ((seen.mean(0) - expected).abs() < 4 * seen.std(0) / math.sqrt(20_000) + 1e-3).all()


def test_mixture_of_one_is_that_one() -> None:
    component, z = normal(double(1, D), double(1, D).exp()), double(7, D)
    torch.testing.assert_close(Mixture(component).log_prob(z), component.log_prob(z))


# ---------------------------------------------------------------------------------------------------------------------
# VampPrior


def test_vamp_prior_of_one_pseudo_input_is_its_posterior() -> None:
    model, z = assemble(GREY, latent=3, prior="vamp", pseudo_inputs=1).double().eval(), double(6, 3)
    q = model.infer(model.prior.inputs())
    torch.testing.assert_close(model.prior().log_prob(z), q.log_prob(z))
    # And where that is N(0, I) the model is the vanilla one.
    nn.init.zeros_(model.posterior.loc.bias)
    for head in (model.posterior.loc, model.posterior.log_scale):
        nn.init.zeros_(head.weight)
    nn.init.zeros_(model.posterior.log_scale.bias)
    torch.testing.assert_close(
        model.prior().log_prob(z), normal(torch.zeros(3).double(), torch.ones(3).double()).log_prob(z)
    )


def test_vamp_prior_is_the_mean_of_the_posteriors_of_its_pseudo_inputs() -> None:
    for posterior in ("diagonal", "full", "low_rank", "bottom_up"):
        model, z = (
            assemble(GREY, latent=4, prior="vamp", pseudo_inputs=7, posterior=posterior).double().eval(),
            double(6, 4),
        )
        with torch.no_grad():
            inputs = model.prior.inputs()
            assert inputs.min() >= 0
            assert inputs.max() <= 1
            by_hand = torch.stack([model.infer(u[None]).log_prob(z).exp() for u in inputs]).mean(0).log()
            torch.testing.assert_close(model.prior().log_prob(z), by_hand)


def test_upper_vamp_prior_is_the_mean_of_the_upper_posteriors() -> None:
    model, z = build("hierarchical_vamp", GREY, latent=5, top=2, pseudo_inputs=7).double().eval(), double(6, 5)
    with torch.no_grad():
        q = model.infer(model.prior.second())
        by_hand = torch.stack(
            [normal(m, s).log_prob(z[:, 3:]) for m, s in zip(q.root.mean, q.root.stddev, strict=True)]
        )
        expected = by_hand.logsumexp(0) - math.log(7) + model.prior.first(z[:, 3:]).log_prob(z[:, :3])
        torch.testing.assert_close(model.prior().log_prob(z), expected)


def test_pseudo_inputs_start_as_published_and_keep_to_the_range_of_the_data() -> None:
    weight = assemble(DataSpec((1, 28, 28), "binary", 40), prior="vamp").prior.inputs.weight
    assert weight.shape == (500, 1, 28, 28)
    assert weight.mean().item() == pytest.approx(0.05, abs=1e-4)
    assert weight.std().item() == pytest.approx(0.01, abs=1e-4)
    for data, kept in (
        (REAL, [-3.0, 0.25, 3.0]),
        (GREY, [0.0, 0.25, 1.0]),
        (DataSpec((6,), "counts", 40), [0.0, 0.25, 3.0]),
    ):
        inputs = assemble(data, prior="vamp", pseudo_inputs=2).prior.inputs
        for start, expected in zip((-3.0, 0.25, 3.0), kept, strict=True):
            nn.init.constant_(inputs.weight, start)
            assert inputs().unique().tolist() == [expected]


@pytest.mark.parametrize("name", ["vamp_prior", "hierarchical_vamp"])
def test_no_parameter_is_held_twice(name: str) -> None:
    model = build(name, GREY, latent=4, pseudo_inputs=3)
    held = [*model.parameters(), *model.buffers()]
    assert len({id(tensor) for tensor in held}) == len(held) >= len(model.state_dict())
    assert [k for k in model.state_dict() if k.startswith("prior.")].count("prior.inputs.weight") <= 1
    assert not any("infer" in key or key.count("posterior") > 1 for key in model.state_dict())
    # A copy infers with its own encoder.
    twin = copy.deepcopy(model)
    nn.init.zeros_(twin.posterior.loc.weight) if hasattr(twin.posterior, "loc") else nn.init.zeros_(
        twin.posterior.second.loc.weight
    )
    z = torch.randn(5, 4)
    assert not torch.equal(twin.prior().log_prob(z), model.prior().log_prob(z))


@pytest.mark.parametrize(("name", "calls"), [("vanilla", [4]), ("vamp_prior", [4, 9]), ("hierarchical_vamp", [4, 9])])
def test_one_pass_of_the_pseudo_inputs_a_step(name: str, calls: list[int]) -> None:
    options = {} if name == "vanilla" else {"pseudo_inputs": 9}
    model = build(name, GREY, latent=4, **options)
    seen: list[int] = []
    model.encoder.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    model.loss(torch.rand(4, *GREY.shape)).mean().backward()
    assert seen == calls
    if name != "vanilla":
        inputs = model.prior.inputs if isinstance(model.prior, Vamp) else model.prior.second
        assert (inputs.weight.grad.flatten(1).abs().sum(1) > 0).all()


def test_vamp_prior_refuses() -> None:
    with pytest.raises(ValueError, match="pseudo_inputs must be a whole number of at least 1, got 0"):
        assemble(GREY, prior="vamp", pseudo_inputs=0)
    with pytest.raises(ValueError, match="pseudo-inputs need the option data_spec"):
        Vamp(3)
    for posterior in ("diagonal", "bottom_up"):
        with pytest.raises(ValueError, match=r"needs a posterior that knows q\(z2\|x\): choose posterior=top_down"):
            build("hierarchical_vamp", GREY, posterior=posterior).prior()


# ---------------------------------------------------------------------------------------------------------------------
# The parts


def test_layers_split() -> None:
    assert split(150, 50) == (100, 50)
    assert split(20, None) == (14, 6)
    assert split(2, None) == (1, 1)
    with pytest.raises(ValueError, match="two layers need a latent size of at least 2, got 1"):
        split(1, None)
    with pytest.raises(ValueError, match="top, the size of the upper layer, must be below the latent size 5, got 5"):
        split(5, 5)
    with pytest.raises(ValueError, match="top must be a whole number of at least 1, got 0"):
        split(5, 0)
    with pytest.raises(ValueError, match="top_prior must be standard_normal or vamp, got 'normal'"):
        Hierarchical(5, top_prior="normal")
    with pytest.raises(ValueError, match="skip must be true or false"):
        Hierarchical(5, skip=1)  # type: ignore[arg-type]


def widths(module: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


def test_burdas_two_layers() -> None:
    """784-200-200-100, 100-100-100-50, and the same backwards."""
    options = {"latent": 150, "top": 50, "hidden": (200, 200), "top_hidden": (100, 90), "activation": "tanh"}
    model = build("hierarchical", DataSpec((1, 28, 28), "binary"), **options)
    assert widths(model.encoder) == [(784, 200), (200, 200)]
    assert widths(model.posterior) == [(200, 100)] * 2 + [(100, 100), (100, 90)] + [(90, 50)] * 2
    assert widths(model.prior) == [(50, 90), (90, 100)] + [(100, 100)] * 2
    assert widths(model.decoder) == [(100, 200), (200, 200), (200, 784)]
    assert not any(isinstance(m, nn.ReLU) for m in model.modules())
    z = torch.randn(3, 150)
    moved = torch.cat([z[:, :100], torch.randn(3, 50)], 1)
    assert torch.equal(model.decoder(z), model.decoder(moved))


def test_with_a_skip_the_decoder_sees_both_layers() -> None:
    model = build("hierarchical_top_down", REAL, latent=5, top=2)
    z = torch.randn(3, 5)
    for part in (slice(0, 3), slice(3, 5)):
        moved = z.clone()
        moved[:, part] += 1
        assert not torch.equal(model.decoder(z), model.decoder(moved))


def test_a_context_is_that_of_the_joined_input() -> None:
    layer, h, a = Conditional(2, 3, (4,), "tanh", context=5), torch.randn(6, 5), torch.randn(7, 6, 2)
    joined = nn.Linear(7, 4)
    with torch.no_grad():
        joined.weight.copy_(torch.cat([layer.context.weight, layer.first.weight], 1))
        joined.bias.copy_(layer.first.bias)
    hidden = joined(torch.cat([h.expand(7, 6, 5), a], -1)).tanh()
    q = layer.given(h)(a)
    torch.testing.assert_close(q.mean, layer.loc(hidden))
    torch.testing.assert_close(q.stddev, layer.log_scale(hidden).exp())


def test_a_conditional_starts_with_a_sigma_of_one_whatever_it_is_given() -> None:
    layer = Conditional(2, 3, (4,), "tanh", context=5)
    for q in (layer(torch.randn(7, 2)), layer.given(torch.randn(7, 5))(torch.randn(7, 2))):
        torch.testing.assert_close(q.stddev, torch.ones(7, 3))


def test_gated_layers() -> None:
    linear, gate = dense([5, 3], "gated")
    x = torch.randn(4, 5)
    h, g = linear(x).chunk(2, dim=1)
    torch.testing.assert_close(gate(linear(x)), h * torch.sigmoid(g))
    model = build("gated", GREY, hidden=(30, 20), latent=4)
    assert widths(model.encoder) == [(35, 60), (30, 40)]
    assert widths(model.decoder) == [(4, 40), (20, 60), (30, 35)]


def test_diagonal_of_the_lower_layer_starts_as_elsewhere() -> None:
    assert isinstance(build("hierarchical", REAL, latent=5).posterior.first, Diagonal)


def test_a_training_step_is_one_graph() -> None:
    """Chains, mixtures and the prior's way to the encoder compile, to the same numbers."""
    x = torch.rand(6, *GREY.shape)
    losses = []
    for compiled in (False, True):
        model = seeded("hierarchical_vamp", GREY, 0, latent=4, hidden=(8,), pseudo_inputs=3, activation="gated")
        model.loss(x)  # the formula of a KL is looked up once, which is no part of the graph
        loss = torch.compile(model.loss, backend="aot_eager", fullgraph=True) if compiled else model.loss
        torch.manual_seed(0)
        losses.append(loss(x))
        losses[-1].mean().backward()
        assert all(p.grad is not None for p in model.parameters())
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("refusal", [TypeError, RuntimeError, torch.OutOfMemoryError])
def test_numbers_stay_as_they_are_where_there_is_no_double_precision(
    monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    given = torch.tensor([0.5]), torch.tensor([2.0, 3.0])
    assert [each.dtype for each in wide(*given)] == [torch.float64] * 2

    def refuse(_: Tensor) -> Tensor:
        raise refusal("not here")

    monkeypatch.setattr(Tensor, "double", refuse)
    if refusal is torch.OutOfMemoryError:
        with pytest.raises(torch.OutOfMemoryError):
            wide(*given)
    else:
        assert wide(*given) == given


@pytest.mark.parametrize("upward", [True, False])
def test_the_kl_of_a_layer_stands_in_its_place(upward: bool) -> None:
    """Two chains that differ in the root alone: z1 of an upward one, z2 of a downward one."""
    sizes = (D1, D2) if upward else (D2, D1)
    roots = [normal(torch.full((1, sizes[0]), mean), torch.ones(1, sizes[0])) for mean in (0.0, 1.0)]
    q, p = (
        Chain(
            root, lambda z: normal(z.new_zeros(*z.shape[:-1], sizes[1]), torch.ones(sizes[1])), (D1, D2), upward=upward
        )
        for root in roots
    )
    parts = q.kl_parts(p, q.sample(torch.Size([4])))
    assert parts is not None
    wanted = [0.5 * sizes[0], 0.0] if upward else [0.0, 0.5 * sizes[0]]
    assert parts[0].tolist() == pytest.approx(wanted, abs=1e-6)
