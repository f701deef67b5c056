"""Mutual information, marginal KL and the latent axes against quadrature, limits and sums."""

import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from bench.judge.surgery import latent_axes, log_prob_pairs, mutual_information
from variants import DataSpec, build
from variants.core import VAE, closed_form_kl
from variants.parts.heads import Constant

POSTERIORS = ["diagonal", "low_rank", "full"]
module = importlib.import_module("bench.judge.surgery")


def encoder(posterior: str, d: int, **options: Any) -> VAE:
    """A linear model whose latents are its d data dimensions, with a mean and a scale that depend on x."""
    if posterior == "low_rank":
        options["rank"] = 1
    model = build("linear", DataSpec((d,), "real"), latent=d, posterior=posterior, **options)
    for name, head in list(model.posterior.named_children()):
        if isinstance(head, Constant):
            continue
        # Without a pace and a bound, so that truth can be written down.
        setattr(model.posterior, name, nn.Linear(head.in_features, head.out_features))
    return model.double()


def spread(posterior: str, d: int, scale: float, slope: float = 0.0) -> VAE:
    """q(z|x) = N(x, diag(scale exp(slope x))^2) in every family."""
    model = encoder(posterior, d)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()
        model.posterior.loc.weight.copy_(torch.eye(d))
        model.posterior.log_scale.weight.copy_(slope * torch.eye(d))
        model.posterior.log_scale.bias.fill_(math.log(scale))
    return model


def random(posterior: str, d: int) -> VAE:
    model = encoder(posterior, d)
    for name, parameter in model.posterior.named_parameters():
        nn.init.normal_(parameter, std=0.4 if "loc" not in name else 1.0)
    return model


def information(model: VAE, x: Tensor, components: Tensor, batch: int = 100) -> Tensor:
    return mutual_information(model, x, components.split(batch))["mutual_information"]


class Peaked(nn.Module):
    """A posterior that is no Gaussian."""

    has_density = True

    def forward(self, h: Tensor) -> Independent[Laplace]:
        return Independent(Laplace(h, torch.full_like(h, 0.3)), 1)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_three_points_against_quadrature(posterior: str) -> None:
    model, x = spread(posterior, 1, 0.6, 0.4), torch.tensor([[-1.0], [0.2], [1.5]], dtype=torch.float64)
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    q = Normal(x, 0.6 * (0.4 * x).exp())
    log_q = q.log_prob(z)
    log_mixture = log_q.logsumexp(0) - math.log(3)

    def integral(f: Tensor) -> float:
        return float(torch.trapezoid(f, z, dim=-1).mean())

    exact = integral(log_q.exp() * (log_q - log_mixture))
    marginal_kl = integral(log_mixture.exp() * (log_mixture - Normal(0, 1).log_prob(z)))
    kl = kl_divergence(q, Normal(0, 1)).mean().item()
    assert exact + marginal_kl == pytest.approx(kl, abs=1e-9)

    found = information(model, x.repeat(4000, 1), x, batch=2)
    error = found.std().item() / math.sqrt(len(found))
    assert found.mean().item() == pytest.approx(exact, abs=4 * error)
    assert kl - found.mean().item() == pytest.approx(marginal_kl, abs=4 * error)
    # What leaving out the own component would give, integrated exactly, is so far off that the first line would see it.
    others = torch.stack([log_q[[m for m in range(3) if m != n]].logsumexp(0) - math.log(2) for n in range(3)])
    assert abs(integral(log_q.exp() * (log_q - others)) - exact) > 20 * error


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_separated_posteriors_tell_log_n_and_no_more(posterior: str, dtype: torch.dtype) -> None:
    x = 10.0 * torch.arange(257, dtype=dtype).unsqueeze(-1) + torch.zeros(2, dtype=dtype)
    found = information(spread(posterior, 2, 0.1).to(dtype), x[::3], x)
    assert (found.dtype, found.shape) == (torch.float64, (86,))
    torch.testing.assert_close(
        found, torch.full_like(found, math.log(257)), rtol=0, atol=1e-6 if dtype.itemsize == 8 else 1e-3
    )
    assert found.max() <= math.log(257)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_collapsed_posteriors_tell_nothing(posterior: str) -> None:
    model = spread(posterior, 2, 0.7)
    with torch.no_grad():
        model.posterior.loc.weight.zero_()
        model.posterior.loc.bias.fill_(0.5)
    x = torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(information(model, x, x), torch.zeros(50, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_between_zero_and_both_of_its_bounds(posterior: str) -> None:
    model, x = random(posterior, 3), torch.randn(300, 3, dtype=torch.float64)
    found = information(model, x, x)
    assert found.max() <= math.log(300)
    kl = closed_form_kl(model.infer(x), model.prior())
    assert kl is not None
    assert 0.5 < found.mean() < min(math.log(300), kl.mean().item())


def test_batches_of_components_do_not_matter() -> None:
    model, x = random("full", 3), torch.randn(31, 3, dtype=torch.float64)
    found = []
    for batch in (1, 7, 31):
        torch.manual_seed(3)
        found.append(information(model, x[::5], x, batch))
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=1e-9)
    torch.testing.assert_close(found[1], found[2], rtol=0, atol=1e-9)
    torch.manual_seed(4)
    assert not torch.equal(information(model, x[::5], x), found[2])


def test_what_makes_no_sense_is_refused() -> None:
    x = 10.0 * torch.arange(20, dtype=torch.float64).unsqueeze(-1)
    model = spread("diagonal", 1, 0.1)
    with pytest.raises(ValueError, match="among the components"):
        information(model, x[:1], x[1:])
    with pytest.raises(ValueError, match="without a bound"):
        information(build("autoencoder", DataSpec((1,), "real"), latent=1).double(), x, x)


@pytest.mark.parametrize("posterior", [*POSTERIORS, "peaked"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_log_density_of_all_pairs_is_that_of_torch(
    posterior: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random("diagonal" if posterior == "peaked" else posterior, 4)
    if posterior == "peaked":
        model.posterior = Peaked()
    q, z = model.to(dtype).infer(torch.randn(9, 4, dtype=dtype)), torch.randn(13, 4, dtype=dtype)
    expected = torch.stack([q.log_prob(point) for point in z]).double()
    for numbers in (2**21, 4 * 9 * 5, 1):
        monkeypatch.setattr(module, "CHUNK_NUMBERS", numbers)
        pairs = log_prob_pairs(q, z)
        assert (pairs.shape, pairs.dtype) == ((13, 9), torch.float64)
        torch.testing.assert_close(pairs, expected, rtol=1e-9 if dtype == torch.float64 else 1e-4, atol=1e-4)


def test_axes_of_a_diagonal_posterior_sum_to_the_kl() -> None:
    model, x = random("diagonal", 3), torch.randn(41, 3, dtype=torch.float64)
    axes, q = latent_axes(model, x.split(10)), model.infer(x)
    assert axes is not None
    each = 0.5 * (q.variance + q.mean.square() - 1 - q.variance.log()).mean(0)
    torch.testing.assert_close(torch.tensor(axes["kl_per_dim"], dtype=torch.float64), each.detach())
    kl = closed_form_kl(q, model.prior())
    assert kl is not None
    assert sum(axes["kl_per_dim"]) == pytest.approx(kl.mean().item(), rel=1e-12)
    centred = q.mean - q.mean.mean(0)
    assert axes["mean_variance"] == pytest.approx((centred.square().sum(0) / 40).tolist())


@pytest.mark.parametrize("posterior", ["low_rank", "full"])
def test_axes_of_a_correlated_posterior_lack_its_total_correlation(posterior: str) -> None:
    model, x = random(posterior, 3), torch.randn(41, 3, dtype=torch.float64)
    axes, q = latent_axes(model, x.split(10)), model.infer(x)
    kl = closed_form_kl(q, model.prior())
    assert axes is not None
    assert kl is not None
    correlation = 0.5 * (q.variance.log().sum(-1) - torch.logdet(q.covariance_matrix)).mean().item()
    assert correlation > 0.1
    assert sum(axes["kl_per_dim"]) == pytest.approx(kl.mean().item() - correlation, abs=1e-9)


def test_axes_need_closed_forms() -> None:
    x = torch.randn(5, 2, dtype=torch.float64)
    model = random("diagonal", 2)
    model.posterior = Peaked()
    axes, kl = latent_axes(model, [x]), closed_form_kl(model.infer(x), model.prior())
    assert axes is not None
    assert kl is not None
    assert sum(axes["kl_per_dim"]) == pytest.approx(kl.mean().item())
    assert latent_axes(build("vamp_prior", DataSpec((2,), "real"), latent=2).double(), [x]) is None
    assert latent_axes(build("autoencoder", DataSpec((2,), "real"), latent=2).double(), [x]) is None
    model = random("diagonal", 2)
    loc, scale = torch.tensor([1.0, 0.0]).double(), torch.tensor([2.0, 0.5]).double()
    model.prior.forward = lambda: Independent(Normal(loc, scale), 1)
    axes = latent_axes(model, [x])
    assert axes is not None
    expected = kl_divergence(model.infer(x).base_dist, Normal(loc, scale)).mean(0).tolist()
    assert axes["kl_per_dim"] == pytest.approx(expected)
    model.prior.forward = lambda: MultivariateNormal(loc, torch.eye(2).double())
    assert latent_axes(model, [x]) is None
