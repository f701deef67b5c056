"""Parts: shared weights under one seed, shapes for every image size, and one line for every bad value."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from tests.variants.beside import BESIDE, BITS, data_for
from variants import DataSpec, build
from variants.core import closed_form_kl
from variants.parts import PARTS, OptionError, assemble, options_of, part_names
from variants.parts.heads import PACE, Head
from variants.parts.networks import ACTIVATIONS, conv, linear, mlp
from variants.parts.posteriors import Diagonal, Full, LowRank
from variants.parts.priors import StandardNormal
from variants.registry import seeded

BINARY, GREY, REAL = DataSpec((1, 6, 7), "binary", 40), DataSpec((1, 6, 7), "unit", 40), DataSpec((9,), "real", 40)
LEVELS, COUNTS = DataSpec((1, 2, 3), "levels", 40, levels=4), DataSpec((9,), "counts", 40)
# Of likelihoods that are for one kind of data.
KINDS = (
    {"bernoulli": BINARY}
    | dict.fromkeys(("discretised_logistic", "categorical_pixels", "beta_binomial"), LEVELS)
    | dict.fromkeys(("poisson", "negative_binomial", "zero_inflated_negative_binomial"), COUNTS)
)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("other", ["beta", "iwae", "full_covariance", "low_rank", "autoencoder"])
def test_shared_parts_start_with_the_same_weights(other: str) -> None:
    ours, theirs = seeded("vanilla", GREY, 4), seeded(other, GREY, 4)
    assert same_weights(ours.encoder, theirs.encoder)
    assert same_weights(ours.decoder, theirs.decoder)
    assert not same_weights(ours.encoder, seeded("vanilla", GREY, 5).encoder)


@pytest.mark.parametrize("other", ["beta", "iwae"])
def test_shared_posteriors_start_with_the_same_weights(other: str) -> None:
    assert same_weights(seeded("vanilla", GREY, 4).posterior, seeded(other, GREY, 4).posterior)


@pytest.mark.parametrize("shared_covariance", [False, True])
def test_full_posterior_starts_at_the_diagonal(shared_covariance: bool) -> None:
    x, options = torch.rand(3, *GREY.shape), {"latent": 5, "shared_covariance": shared_covariance}
    diagonal = seeded("vanilla", GREY, 4, **options).infer(x)
    full = seeded("full_covariance", GREY, 4, **options).infer(x)
    assert torch.equal(full.mean, diagonal.mean)
    assert torch.equal(full.scale_tril, diagonal.base_dist.scale.diag_embed())


def test_full_posterior_with_one_latent_is_the_diagonal() -> None:
    x = torch.rand(3, *GREY.shape)
    diagonal, full = (seeded(name, GREY, 4, latent=1).infer(x) for name in ("vanilla", "full_covariance"))
    torch.testing.assert_close(closed_form_kl(full, diagonal), torch.zeros(3), rtol=0, atol=1e-6)


def test_building_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    seeded("vanilla", GREY, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_part_has_a_random_stream_of_its_own() -> None:
    """However much one part draws, the others draw the same; and no two draw alike."""
    drawn: dict[str, list[float]] = {}

    class Posterior(Diagonal):
        def __init__(self, features: int, latent: int) -> None:
            drawn["posterior"] = torch.rand(3).tolist()
            super().__init__(features, latent)

    class Prior(StandardNormal):
        def __init__(self, latent: int) -> None:
            drawn["prior"] = torch.rand(3).tolist()
            super().__init__(latent)

    def network(data: DataSpec, latent: int, *, draws: int = 3) -> object:
        drawn["network"] = torch.rand(draws).tolist()[:3]
        return mlp(data, latent)

    seen = []
    for draws in (3, 300):
        torch.manual_seed(0)
        assemble(GREY, network=network, posterior=Posterior, prior=Prior, draws=draws)
        seen.append(dict(drawn))
    assert seen[0] == seen[1]
    assert len({tuple(values) for values in drawn.values()}) == 3


def test_shared_covariance_is_the_same_for_all_x() -> None:
    for posterior in (Diagonal(4, 3, shared_covariance=True), Full(4, 3, shared_covariance=True)):
        q = posterior(torch.randn(5, 4))
        assert torch.equal(q.variance, q.variance[:1].expand(5, 3))
        assert not torch.equal(q.mean, q.mean[:1].expand(5, 3))


def test_full_head_has_every_entry_of_the_covariance() -> None:
    d = 4
    posterior = Full(6, d)
    outputs = sum(head.out_features for head in (posterior.loc, posterior.log_scale, posterior.off_diagonal))
    assert outputs == d * (d + 3) // 2
    nn.init.normal_(posterior.off_diagonal.weight)
    correlation = torch.stack([torch.corrcoef(row) for row in posterior(torch.randn(2, 6)).scale_tril])
    assert (correlation.abs() > 0).all()


def test_standard_normal_prior() -> None:
    p = StandardNormal(3)()
    assert (p.batch_shape, p.event_shape) == ((), (3,))
    assert torch.equal(p.mean, torch.zeros(3))
    assert torch.equal(p.variance, torch.ones(3))


SIZES = [(side, side) for side in range(1, 34)] + [(1, 33), (33, 2), (5, 8), (17, 30), (28, 27)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_conv_reproduces_every_shape(height: int, width: int) -> None:
    for channels in (1, 3):
        data = DataSpec((channels, height, width), "unit")
        encoder, decoder = conv(data, 3, channels=(2, 4), width=5)
        h = encoder(torch.rand(2, *data.shape))
        assert h.shape == (2, encoder.features)
        assert decoder(torch.randn(4, 2, 3)).shape == (4, 2, *data.shape)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_conv_of_any_depth(depth: int) -> None:
    data = DataSpec((3, 13, 10), "unit")
    encoder, decoder = conv(data, 3, channels=(4,) * depth, width=5)
    assert encoder(torch.rand(2, *data.shape)).shape == (2, 5)
    assert decoder(torch.randn(2, 3)).shape == (2, *data.shape)


def test_every_pixel_of_a_conv_decoder_sees_the_latents() -> None:
    """Cropping an odd image must not leave an edge that is only a bias."""
    data = DataSpec((1, 7, 9), "unit")
    _, decoder = conv(data, 3, channels=(8, 8), width=32, activation="tanh")
    images = decoder(torch.randn(64, 3))
    assert (images.std(0) > 1e-4).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_decoders_end_without_an_activation(activation: str) -> None:
    for network, data in ((mlp, REAL), (conv, GREY)):
        _, decoder = network(data, 3, activation=activation)
        assert isinstance(
            [m for m in decoder.modules() if any(True for _ in m.parameters(recurse=False))][-1], nn.Module
        )
        out = decoder(20 * torch.randn(50, 3))
        assert out.min() < 0 < out.max()


def test_an_activation_is_the_function_of_its_name() -> None:
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    above, below = x.clamp(min=0), x.clamp(max=0)
    expected = {
        "relu": above,
        "tanh": (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
        "elu": above + below.exp() - 1,
        "silu": x / (1 + (-x).exp()),
        "gelu": x * torch.distributions.Normal(0.0, 1.0).cdf(x),
        "leaky_relu": above + 0.01 * below,
    }
    assert {*expected, "gated"} == ACTIVATIONS.keys()
    for name, values in expected.items():
        torch.testing.assert_close(ACTIVATIONS[name]()(x), values)


def kinds(module: nn.Module) -> list[str]:
    """Layers in their order, but for those that only move or drop numbers."""
    layers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, *(kind for kind in ACTIVATIONS.values()))
    return [type(m).__name__ for m in module.modules() if isinstance(m, layers)]


def test_an_activation_stands_after_every_layer_but_the_last_of_the_decoder() -> None:
    encoder, decoder = conv(GREY, 3, channels=(2, 4, 4), width=5, activation="silu")
    assert kinds(encoder) == ["Conv2d", "SiLU"] * 3 + ["Linear", "SiLU"]
    assert kinds(decoder) == ["Linear", "SiLU"] * 2 + ["ConvTranspose2d", "SiLU"] * 2 + ["ConvTranspose2d"]
    encoder, decoder = mlp(GREY, 3, hidden=(7, 5), activation="tanh")
    assert kinds(encoder) == ["Linear", "Tanh"] * 2
    assert kinds(decoder) == ["Linear", "Tanh"] * 2 + ["Linear"]


@pytest.mark.parametrize("network", PARTS["network"])
def test_what_is_added_to_the_last_bias_is_added_to_all_that_a_decoder_gives(network: str) -> None:
    """Nothing bends what a likelihood is given. (The state of `conv_ladder` has 32 numbers at 3 x 4 places.)"""
    latent = 3 * 4 * 32 if network == "conv_ladder" else 3
    _, decoder = PARTS["network"][network](GREY, latent)
    last, z = [m for m in decoder.modules() if getattr(m, "bias", None) is not None][-1], torch.randn(2, latent)
    before = decoder(z)
    with torch.no_grad():
        last.bias -= 100
    torch.testing.assert_close(decoder(z), before - 100, rtol=0, atol=1e-4)


def test_mlp_mirrors_its_widths() -> None:
    encoder, decoder = mlp(GREY, 3, hidden=(30, 20))
    widths = [[m.out_features for m in part.modules() if isinstance(m, nn.Linear)] for part in (encoder, decoder)]
    assert widths == [[30, 20], [20, 30, GREY.dims]]
    assert encoder.features == 20


def test_linear_network_is_linear() -> None:
    encoder, decoder = linear(REAL, 3)
    x, z = torch.randn(2, 9), torch.randn(2, 3)
    assert torch.equal(encoder(x), x)
    torch.testing.assert_close(decoder(z[0]) + decoder(z[1]), decoder(z.sum(0)) + decoder(torch.zeros(3)))


def test_linear_recipe_is_affine_with_one_covariance() -> None:
    model = build("linear", DataSpec((1, 2, 3), "unit"), latent=2)
    assert not model.likelihood.squash
    assert model.posterior.shared_covariance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent must be a whole number of at least 1, got 0"),
        ({"latent": 2.5}, "latent must be a whole number of at least 1, got 2.5"),
        ({"latent": True}, "latent must be a whole number of at least 1, got True"),
        ({"hidden": ()}, r"hidden must be a list of whole numbers, got \(\)"),
        ({"hidden": "40"}, "hidden must be a list of whole numbers, got '40'"),
        ({"hidden": (40, 0)}, "hidden must be a whole number of at least 1, got 0"),
        ({"activation": "rely"}, "activation must be one of .*relu.*, got 'rely'"),
        ({"network": "mpl"}, "network must be one of .*, got 'mpl'; did you mean 'mlp'"),
        ({"network": "conv", "channels": (0,)}, "channels must be a whole number"),
        ({"network": "conv", "width": 0}, "width must be a whole number"),
        ({"posterior": "ful"}, "posterior must be one of .*, got 'ful'; did you mean 'full'"),
        ({"posterior": "low_rank", "rank": 0}, "rank must be a whole number of at least 1, got 0"),
        ({"posterior": "low_rank", "rank": 21}, "rank must be at most the latent size 20, got 21"),
        ({"posterior": "full", "shared_covariance": 1}, "shared_covariance must be true or false, got 1"),
        ({"init": "golrot"}, "init must be one of torch, glorot, he, got 'golrot'"),
        ({"prior": "normal"}, "prior must be one of .*standard_normal.*, got 'normal'"),
        ({"prior": 3}, "prior must be one of .*standard_normal.*, got 3"),
        ({"likelihood": "gaussian", "sigma": 0}, "sigma must be a number above 0, got 0"),
        ({"likelihood": "gaussian", "sigma": float("nan")}, "sigma must be a number above 0, got nan"),
        ({"likelihood": "gaussian", "sigma": float("inf")}, "sigma must be a number above 0, got inf"),
        (
            {"likelihood": "gaussian", "sigma": "best"},
            "sigma must be a number above 0, 'learned' or 'optimal', got 'best'",
        ),
        ({"likelihood": "gaussian", "squash": "yes"}, "squash must be true or false, got 'yes'"),
        ({"likelihood": "bernoulli"}, "a Bernoulli likelihood needs binary data, not 'unit'"),
        ({"likelihood": "student_t", "df": 2.0}, "df must be a number above 2 or 'learned', got 2.0"),
        ({"likelihood": "student_t", "sigma": "optimal"}, "sigma must be a number above 0 or 'learned', got 'optimal'"),
        ({"posterior": "sylvester", "columns": 21}, "columns must be at most the latent size 20, got 21"),
        ({"posterior": "sylvester", "latent": 1}, "needs a latent size of at least 2, got 1: choose posterior=planar"),
        ({"posterior": "spline", "latent": 1}, "a coupling flow needs a latent size of at least 2, got 1"),
        ({"posterior": "spline", "spline_bins": 1}, "spline_bins must be a whole number of at least 2, got 1"),
        ({"posterior": "spline", "spline_bins": 100}, "spline_bins must be below 100, got 100"),
        ({"objective": "beta", "beta": -1}, "beta must be a number of at least 0, got -1"),
        ({"objective": "iwae", "samples": 0}, "samples must be a whole number of at least 1, got 0"),
        ({"warmup_epochs": -1}, "warmup_epochs must be a number of at least 0, got -1"),
        ({"warmup_epochs": True}, "warmup_epochs must be a number of at least 0, got True"),
    ],
)
def test_bad_values_are_named_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        assemble(GREY, **options)
    assert "\n" not in str(caught.value)


def test_conv_refuses_vectors() -> None:
    with pytest.raises(ValueError, match=r"a conv network needs images \(C, H, W\), not data of shape \(9,\)"):
        assemble(REAL, network="conv")


@pytest.mark.parametrize("shape", [(), (0,), (1, -2, 3)])
def test_data_spec_refuses_bad_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape must be"):
        DataSpec(shape, "unit")


def test_data_spec() -> None:
    assert DataSpec((3, 4, 5), "unit").dims == 60
    with pytest.raises(ValueError, match="kind must be one of binary, unit, real, levels, counts, got 'gray'"):
        DataSpec((3,), "gray")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"bta": 2}, {"beta": 2.0}, {"rank": 3}, {"sigma": 1.0}, {"channels": (3,)}])
def test_option_that_no_part_takes(options: dict[str, object]) -> None:
    with pytest.raises(
        OptionError, match=f"no chosen part takes the option '{next(iter(options))}'; these are taken: .*hidden"
    ) as refused:
        build("vanilla", GREY, **options)
    assert refused.value.option == next(iter(options))
    taken = str(refused.value).split("are taken: ")[1].split(", ")
    assert taken == sorted(taken)


def test_options_reach_their_part() -> None:
    model = assemble(REAL, latent=4, hidden=(8,), posterior="low_rank", rank=3, sigma=0.5, objective="beta", beta=2.0)
    assert (model.posterior.rank, model.objective.beta, model.likelihood.sigma.item()) == (3, 2.0, 0.5)
    assert model.encoder.features == 8


@pytest.mark.parametrize(("role", "name"), [(role, name) for role in PARTS for name in PARTS[role]])
def test_every_named_part_builds_and_goes_by_its_name(role: str, name: str) -> None:
    data = KINDS.get(name, data_for(name)) if role == "likelihood" else data_for(name)
    others = BESIDE.get(name, {}) if name == "conv_ladder" or role not in ("network", "likelihood") else {}
    assert part_names(assemble(data, **(others | {role: name})))[role] == name


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"posterior": "bernoulli"}, "posterior bernoulli has binary latents and prior standard_normal has real ones"),
        (
            {"prior": "joint"},
            "posterior diagonal has real latents and prior joint has joint ones: choose two of a kind",
        ),
        ({"posterior": "concrete", "prior": "bernoulli"}, "has relaxed binary latents and prior bernoulli has binary"),
        (BITS | {"objective": "elbo"}, "objective elbo differentiates through z, and posterior bernoulli has no path"),
        ({"objective": "disarm"}, "objective disarm is for binary latents, and posterior diagonal has real ones"),
        (BESIDE["one_hots"] | {"classes": 3}, "latent size of N times K classes: 20 is not N times 3"),
        (BESIDE["one_hots"] | {"latent": 13}, "13 has no K up to 10"),
        (BESIDE["joint"] | {"classes": 20}, "joint latents need 2 classes or more and a Gaussian latent beside them"),
        (
            {"posterior": "batch_norm", "prior": "vamp"},
            "prior vamp is made of posteriors, and those of batch_norm depend",
        ),
        ({"objective": "staged"}, "objective staged needs posterior=bottom_up and prior=hierarchical"),
        ({"objective": "vimco", "samples": 1}, "samples must be a whole number of at least 2, got 1"),
    ],
)
def test_parts_that_cannot_work_together_are_refused_in_one_line(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        assemble(GREY, **parts)
    assert "\n" not in str(refused.value)


def test_given_parts_are_taken_as_they_are() -> None:
    class Narrow(Diagonal):
        pass

    model = assemble(GREY, posterior=partial(Narrow, shared_covariance=True))
    assert part_names(model)["posterior"] == "narrow"
    assert model.posterior.shared_covariance


def test_likelihood_fits_the_data_by_default() -> None:
    chosen = [part_names(assemble(data))["likelihood"] for data in (BINARY, GREY, REAL, LEVELS, COUNTS)]
    assert chosen == ["bernoulli", "continuous_bernoulli", "gaussian", "discretised_logistic", "poisson"]


@pytest.mark.parametrize("part", [mlp, Full, LowRank, partial(Diagonal, shared_covariance=True)])
def test_options_of_a_part_are_its_keywords(part: Callable[..., object]) -> None:
    expected = {
        "mlp": {"hidden": (400,), "activation": "relu", "centre": True, "corruption": 0.0, "numbers": 1},
        "Full": {"shared_covariance": False, "pace": PACE},
        "LowRank": {"rank": None, "pace": PACE},
        "partial": {"shared_covariance": True, "pace": PACE},
    }
    assert options_of(part) == expected[getattr(part, "__name__", "partial")]


def layers_of(model: nn.Module) -> list[nn.Linear]:
    """Without heads that start at zero, and stay there."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear) and not isinstance(layer, Head)]


def test_glorot_weights_and_zero_biases() -> None:
    for layer in layers_of(assemble(BINARY, hidden=[300, 200], latent=50, init="glorot")):
        rows, columns = layer.weight.shape
        bound = (6 / (rows + columns)) ** 0.5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert not layer.bias.any()


def test_he_weights() -> None:
    for layer in layers_of(assemble(BINARY, hidden=[300, 200], latent=50, init="he")):
        assert layer.weight.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.05)


def test_what_starts_at_zero_stays_there_under_every_initialisation() -> None:
    model = assemble(BINARY, posterior="full", latent=5, init="glorot")
    assert not any(p.any() for p in model.posterior.off_diagonal.parameters())


def test_an_initialisation_is_paired_across_variants_too() -> None:
    diagonal, full = (seeded("vanilla", BINARY, 3, posterior=p, init="glorot") for p in ("diagonal", "full"))
    for a, b in zip(diagonal.encoder.parameters(), full.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_init_reaches_convolutions() -> None:
    model = assemble(DataSpec((1, 28, 28), "binary"), network="conv", init="he", channels=[64], latent=2)
    conv_layer = next(layer for layer in model.encoder.modules() if isinstance(layer, nn.Conv2d))
    assert conv_layer.weight.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    # The way back has 64 channels to sum over.
    back = next(layer for layer in model.decoder.modules() if isinstance(layer, nn.ConvTranspose2d))
    assert back.weight.std().item() == pytest.approx((2 / (64 * 16)) ** 0.5, rel=0.1)
    assert conv_layer.bias is not None
    assert not conv_layer.bias.any()
    assert back.bias is not None
    assert not back.bias.any()


@pytest.mark.parametrize("training", [True, False])
def test_networks_of_one_s_own_stay_in_their_mode(training: bool) -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 4)).train(training)
    decoder = nn.Linear(2, 6).train(training)
    assemble(DataSpec((6,), "real", 40), encoder=encoder, decoder=decoder, latent=2)
    assert (encoder.training, decoder.training) == (training, training)


def test_the_size_of_the_data_may_be_said() -> None:
    for options, size in (({}, 40), ({"data_size": 7}, 7)):
        model = assemble(DataSpec((6,), "real", 40), latent=2, objective="total_correlation", **options)
        assert model.objective.data_size == size
