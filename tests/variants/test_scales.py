"""Likelihoods on the real line that fit their own scale: the best sigma of a batch, and Student's t."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from variants import DataSpec, build
from variants.parts.initialisation import initialise
from variants.parts.likelihoods import Gaussian
from variants.parts.student_t import StudentT, log_constant

REAL = DataSpec((5,), "real")


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_sigma_vae_is_trained_on_the_logarithm_of_the_mean_squared_error() -> None:
    """The mean gets the gradient of d/2 log MSE, for the gradient in the best sigma vanishes."""
    likelihood = build("sigma_vae", REAL).likelihood.double().train()
    x, h = double(4, 5), double(3, 4, 5, seed=1).requires_grad_()
    (ours,) = torch.autograd.grad(-likelihood.log_prob(h, x).mean(), h)
    (logarithm,) = torch.autograd.grad(0.5 * 5 * (x - h).square().mean().log(), h)
    torch.testing.assert_close(ours, logarithm)
    root = (x - h).square().mean().sqrt()
    torch.testing.assert_close(likelihood.sigma, root.detach())
    # No other sigma fits the batch better.
    near = [Gaussian(REAL, sigma=f * root.item()).double().log_prob(h, x).mean() for f in (0.99, 1.0, 1.01)]
    assert near[0] < near[1] > near[2]


def test_sigma_vae_judges_by_a_sigma_that_knows_nothing_of_the_example() -> None:
    likelihood = build("sigma_vae", REAL).likelihood.double().train()
    likelihood.log_prob(double(1, 8, 5), double(8, 5, seed=1))
    kept = likelihood.sigma.item()
    x, h = double(4, 5, seed=2), double(1, 4, 5, seed=3)
    log_prob = likelihood.eval().log_prob(h, x)
    torch.testing.assert_close(log_prob, torch.distributions.Normal(h, kept).log_prob(x).sum(-1))


@pytest.mark.parametrize("df", [2.1, 5.0, 40.0])
def test_student_t_is_the_textbook_density(df: float) -> None:
    likelihood = StudentT(DataSpec((1,), "real"), df=df, sigma=0.7).double()
    h = torch.tensor([[[0.3]]], dtype=torch.float64)
    t = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    x, weight = 0.3 + t.sinh(), t.cosh() * (t[1] - t[0])
    log_prob = likelihood.log_prob(h.expand(1, len(x), 1), x[:, None])[0]
    torch.testing.assert_close(log_prob, torch.from_numpy(stats.t(df, 0.3, 0.7).logpdf(x.numpy())), rtol=0, atol=1e-6)
    assert (weight * log_prob.exp()).sum().item() == pytest.approx(1, abs=1e-7)
    density = likelihood(h[0, 0])
    assert density.mean.item() == pytest.approx(0.3)
    assert density.variance.item() == pytest.approx(0.7**2 * df / (df - 2), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_student_t_tends_to_the_gaussian(dtype: torch.dtype) -> None:
    """The difference is (t^4 - 2 t^2 - 1) / (4 df), to first order; and single precision keeps all of its digits."""
    x, h = double(4, 5).to(dtype), double(3, 4, 5, seed=1).to(dtype)
    gaussian = Gaussian(REAL, sigma=0.75).to(dtype).log_prob(h, x)
    t = (x - h) / 0.75
    first_order = (t**4 - 2 * t**2 - 1).sum(-1) / 4
    for df in (1e3, 1e4, 1e7):
        difference = StudentT(REAL, df=df, sigma=0.75).to(dtype).log_prob(h, x) - gaussian
        close = 1e-4 if dtype == torch.float32 else 1e-9
        torch.testing.assert_close(difference, first_order / df, rtol=0, atol=close + 50 * (20 / df) ** 2)


def test_the_constant_of_student_t_has_the_right_slope() -> None:
    df = torch.tensor([2.2, 3.0, 5.0, 11.0, 1e3], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_constant(df).sum(), df)
    expected = 0.5 * (torch.digamma((df + 1) / 2) - torch.digamma(df / 2) - 1 / df)
    torch.testing.assert_close(slope, expected.detach(), rtol=1e-6, atol=1e-12)


def test_an_outlier_costs_a_logarithm_of_its_distance() -> None:
    likelihood = StudentT(DataSpec((1,), "real"), df=5.0, sigma=1.0).double()
    far = likelihood.log_prob(torch.zeros(1, 2, 1).double(), torch.tensor([[1e4], [1e5]]).double())[0]
    assert (far[0] - far[1]).item() == pytest.approx(6 * math.log(10), abs=1e-5)


def test_student_t_learns_its_scale_and_its_tails() -> None:
    """Draws of t(4; 0, 0.5): both parameters, found by maximum likelihood, end within four standard errors."""
    torch.manual_seed(0)
    n = 20_000
    x = 0.5 * torch.distributions.StudentT(torch.tensor(4.0)).sample(torch.Size([n, 1]))
    likelihood = StudentT(DataSpec((1,), "real"))
    assert likelihood.df.item() == pytest.approx(5.0)
    optimiser = torch.optim.LBFGS(likelihood.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -likelihood.log_prob(torch.zeros(1, n, 1), x).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    # Standard errors of one fit to n draws, by simulation: 0.005 of sigma and 0.13 of df.
    assert likelihood.sigma.item() == pytest.approx(0.5, abs=0.02)
    assert likelihood.df.item() == pytest.approx(4.0, abs=0.5)


def test_a_transposed_convolution_starts_by_its_inputs() -> None:
    layer = nn.ConvTranspose2d(8, 64, 3)
    initialise(layer, "he")
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (8 * 9)), rel=0.05)
