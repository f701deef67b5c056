"""Parts against the collapse of the posterior: means held apart by batch normalisation, and latents in every layer; and
a hierarchy in two stages, whose first knows nothing of the second."""

import pytest
import torch
from torch import Tensor, nn

from variants import DataSpec
from variants.core import closed_form_kl
from variants.parts import assemble
from variants.parts.networks import mlp, skip
from variants.parts.posteriors import BatchNorm
from variants.registry import seeded

REAL = DataSpec((6,), "real", 40)
D = 4


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---------------------------------------------------------------------------------------------------------------------
# Batch normalisation


def normed(g: float = 0.6) -> BatchNorm:
    torch.manual_seed(0)
    posterior = BatchNorm(8, D, bn_scale=g).double()
    nn.init.normal_(posterior.log_scale.weight)
    nn.init.normal_(posterior.shift, std=0.3)
    return posterior


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("g", [0.3, 0.6, 1.0])
def test_the_kl_of_a_training_batch_has_its_bound(g: float, size: float) -> None:
    """(D g^2 + |b|^2) / 2, attained where sigma = 1; whatever the features are."""
    posterior, h = normed(g), size * double(16, 8)
    p = assemble(REAL, latent=D).double().prior()
    bound = 0.5 * (D * g**2 + posterior.shift.square().sum().item())
    kl = closed_form_kl(posterior(h), p)
    assert kl is not None
    assert kl.mean().item() > bound * (1 - 1e-3 * (size < 1))
    with torch.no_grad():
        posterior.log_scale.weight.zero_()
    kl = closed_form_kl(posterior(h), p)
    assert kl is not None
    assert kl.mean().item() == pytest.approx(bound, rel=1e-3 if size < 1 else 1e-6)


def test_the_means_are_normalised_and_the_scales_are_not() -> None:
    posterior, h = normed(), double(16, 8)
    q = posterior(h)
    torch.testing.assert_close(q.mean.mean(0), posterior.shift.detach())
    torch.testing.assert_close(q.mean.std(0, correction=0), torch.full((D,), 0.6, dtype=torch.float64))
    torch.testing.assert_close(q.stddev, posterior.log_scale(h).exp())


def test_the_judge_sees_running_moments_that_follow_the_batches() -> None:
    posterior = normed()
    batches = [2 + 3 * double(64, 8, seed=k) for k in range(10)]
    for h in batches:
        posterior(h)
    loc = torch.cat([posterior.loc(h) for h in batches])
    # After ten batches a plain mean of them all.
    torch.testing.assert_close(posterior.running_mean, loc.mean(0).detach())
    within = torch.stack([posterior.loc(h).var(0, correction=0) for h in batches]).mean(0)
    torch.testing.assert_close(posterior.running_variance, within.detach())
    posterior.eval()
    kept = {name: value.clone() for name, value in posterior.named_buffers()}
    h = double(5, 8, seed=99)
    together, alone = posterior(h), posterior(h[:1])
    torch.testing.assert_close(together.mean[:1], alone.mean)
    expected = 0.6 * (posterior.loc(h) - kept["running_mean"]) / kept["running_variance"].sqrt() + posterior.shift
    torch.testing.assert_close(together.mean, expected)
    assert all(torch.equal(value, kept[name]) for name, value in posterior.named_buffers())


def test_a_batch_counts_for_a_twentieth_at_least_in_the_running_moments() -> None:
    posterior, kept = normed(), [torch.zeros(D).double(), torch.ones(D).double()]
    for n in range(1, 61):
        h = double(8, 8, seed=n)
        posterior(h)
        loc = posterior.loc(h).detach()
        for each, here in zip(kept, (loc.mean(0), loc.var(0, correction=0)), strict=True):
            each += (here - each) * max(1 / n, 0.05)
    torch.testing.assert_close([posterior.running_mean, posterior.running_variance], kept)


def test_a_batch_of_one_is_normalised_by_the_running_moments() -> None:
    posterior = normed()
    posterior(double(16, 8))
    h = double(1, 8, seed=1)
    trained = posterior.train()(h).mean
    torch.testing.assert_close(trained, posterior.eval()(h).mean)
    assert (trained - posterior.shift).abs().min() > 1e-6


# ---------------------------------------------------------------------------------------------------------------------
# Skips


@pytest.mark.parametrize("hidden", [(9,), (9, 7, 5)])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_skips_at_zero_are_the_mlp(hidden: tuple[int, ...], activation: str) -> None:
    torch.manual_seed(0)
    encoder, decoder = skip(REAL, D, hidden=hidden, activation=activation)
    theirs, plain = mlp(REAL, D, hidden=hidden, activation=activation)
    theirs.load_state_dict(encoder.state_dict())
    linear = [layer for layer in plain.body if isinstance(layer, nn.Linear)]
    assert len(decoder.body.skips) == len(hidden)
    for ours, layer in zip(decoder.body.layers, linear, strict=True):
        layer.load_state_dict(ours.state_dict())
    z, x = torch.randn(2, 3, D), torch.randn(3, 6)
    assert torch.equal(encoder(x), theirs(x))
    assert not torch.allclose(decoder(z), plain(z))
    for layer in decoder.body.skips:
        nn.init.zeros_(layer.weight)
    torch.testing.assert_close(decoder(z), plain(z))


def test_the_latents_reach_every_layer_past_a_dead_one() -> None:
    _, decoder = skip(REAL, D, hidden=(9, 7, 5))
    z = torch.randn(3, D, requires_grad=True)
    for dead in range(len(decoder.body.layers)):
        nn.init.zeros_(decoder.body.layers[dead].weight)
        (gradient,) = torch.autograd.grad(decoder(z).square().sum(), z)
        assert gradient.any(), f"after layer {dead} died"


# ---------------------------------------------------------------------------------------------------------------------
# Two stages


def _standard(latent: int) -> torch.distributions.Distribution:
    return assemble(REAL, latent=latent).double().prior()


def test_the_second_stage_gives_nothing_to_the_first() -> None:
    """With the first stage's terms taken away, only the layers between z1 and z2 are left with a gradient."""
    model = seeded("two_stage", REAL, 0, latent=5).double()
    x = double(4, 6)
    torch.manual_seed(1)
    terms = model.terms(x, 1)
    first = closed_form_kl(terms.q.root, _standard(4))
    assert first is not None
    torch.manual_seed(2)
    second = model.objective(terms, 0.0) + terms.log_px_z.mean(0) - first
    names = [name for name, _ in model.named_parameters()]
    found = torch.autograd.grad(second.sum(), list(model.parameters()), allow_unused=True)
    moved = {name for name, g in zip(names, found, strict=True) if g is not None and g.abs().max() > 1e-12}
    assert moved
    assert all(name.startswith(("posterior.second", "prior.first")) for name in moved), moved
    assert {name for name in names if name.startswith(("posterior.second", "prior.first"))} == moved


def test_the_first_stage_is_the_vanilla_vae_of_its_latents() -> None:
    """Encoder, q(z1|x) and decoder get, draw by draw, the gradient that the ELBO of z1 alone would give."""
    model = seeded("two_stage", REAL, 0, latent=6, top=2).double()
    x = double(4, 6)
    torch.manual_seed(1)
    terms = model.terms(x, 2)
    shared = [*model.encoder.parameters(), *model.posterior.first.parameters(), *model.decoder.parameters()]
    ours = torch.autograd.grad(model.objective(terms, 0.0).sum(), shared, retain_graph=True)
    kl = closed_form_kl(terms.q.root, _standard(4))
    assert kl is not None
    alone = torch.autograd.grad((kl - terms.log_px_z.mean(0)).sum(), shared)
    for a, b in zip(ours, alone, strict=True):
        torch.testing.assert_close(a, b)


def test_the_second_stage_is_a_density_of_codes() -> None:
    """Its scale is not driven to zero: at the spread of the codes its gradient vanishes, below it is of the other sign
    than above."""
    model = seeded("two_stage", REAL, 0, latent=6, top=2).double()
    x = double(64, 6)
    conditional = model.prior.first
    with torch.no_grad():
        for parameter in (*model.posterior.first.parameters(), *conditional.parameters()):
            parameter.zero_()
    # q(z1|x) = N(0, I) for all x, and p(z1|z2) = N(0, sigma^2 I): at sigma^2 = E z1^2 the likelihood is largest.
    torch.manual_seed(1)
    terms = model.terms(x, 50)
    best = terms.z[..., :4].square().mean().sqrt().log().item() / conditional.log_scale.gain
    slopes = []
    for log_scale in (best - 1, best, best + 1):
        with torch.no_grad():
            conditional.log_scale.bias.fill_(log_scale)
        (slope,) = torch.autograd.grad(
            model.objective(terms, 0.0).mean(), conditional.log_scale.bias, retain_graph=True
        )
        slopes.append(slope.sum().item())
    assert slopes[0] < -0.01
    assert abs(slopes[1]) < 1e-10
    assert slopes[2] > 0.01


def test_the_kl_of_the_first_stage_alone_is_phased_in_and_all_else_is_a_mean_over_draws() -> None:
    model = seeded("two_stage", REAL, 0, latent=6, top=2, samples=3, warmup_epochs=4).double()
    with torch.no_grad():
        for parameter in model.prior.first.parameters():
            parameter.zero_()  # p(z1|z2) = N(0, I) whatever z2 is, so that its draw does not matter
    terms = model.terms(double(4, 6), 3)
    z1 = terms.z[..., :4]
    first, second = closed_form_kl(terms.q.root, _standard(4)), closed_form_kl(terms.q.conditional(z1), _standard(2))
    assert first is not None
    assert second is not None
    rest = (second - _standard(4).log_prob(z1) - terms.log_px_z).mean(0)
    for epoch, weight in ((0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)):
        torch.testing.assert_close(model.objective(terms, epoch), weight * first + rest)


def test_the_second_stage_learns_from_its_reconstruction_of_codes_too() -> None:
    """Through the draw of z2, whose encoder its KL alone would leave without a word to say."""
    model = seeded("two_stage", REAL, 0, latent=6, top=2, samples=2).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    terms = model.terms(double(4, 6), 2)
    torch.manual_seed(3)
    loss = model.objective(terms, 0.0).sum()
    torch.manual_seed(3)
    z1 = terms.z[..., :4].detach()
    given = terms.q.conditional(z1)
    z2 = given.rsample()
    kl = closed_form_kl(given, _standard(2))
    assert kl is not None
    second = (kl - terms.p.conditional(z2).log_prob(z1)).mean(0).sum()
    weights = [*model.posterior.second.parameters(), *model.prior.first.parameters()]
    found, expected = (torch.autograd.grad(value, weights, retain_graph=True) for value in (loss, second))
    torch.testing.assert_close(found, expected)


def test_two_stages_need_a_decoder_that_sees_the_first_alone() -> None:
    with pytest.raises(ValueError, match="needs posterior=bottom_up and prior=hierarchical with skip=false"):
        seeded("two_stage", REAL, 0, skip=True)
    with pytest.raises(ValueError, match="needs posterior=bottom_up"):
        seeded("two_stage", REAL, 0, posterior="top_down")
