"""What distributions of our own say of themselves is what their draws and their densities say."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from variants.core import Blocks, Mixture, OneHots, RelaxedOneHots, closed_form_kl
from variants.core.rotated import RotatedNormal
from variants.parts.posteriors import Diagonal, Full, LowRank, Posterior

DRAWS = 20_000


def normal(*shape: int) -> Independent[Normal]:
    return Independent(Normal(torch.randn(*shape), (0.7 * torch.randn(*shape)).exp()), 1)


def made(name: str) -> Distribution:
    torch.manual_seed(5)
    root = torch.randn(3, 2, 2)
    full = MultivariateNormal(2 * torch.randn(3, 2), root @ root.mT + 0.1 * torch.eye(2))
    return {
        "blocks": lambda: Blocks([normal(3), OneHots(torch.randn(2, 3))]),
        "one-hots": lambda: OneHots(torch.randn(4, 3)),
        "rotated": lambda: RotatedNormal(torch.randn(1, 4), torch.randn(1, 4).exp(), torch.randn(1, 3, 4)),
        "mixture": lambda: Mixture(normal(3, 4)),
        "mixture of weights": lambda: Mixture(normal(3, 4), torch.tensor([1.5, 0.0, -1.0])),
        "mixture of correlated": lambda: Mixture(full, torch.tensor([1.5, 0.0, -1.0])),
    }[name]()


NAMES = ("blocks", "one-hots", "rotated", "mixture", "mixture of weights", "mixture of correlated")


def near(values: Tensor, stated: Tensor) -> None:
    """The mean of draws `[DRAWS, ...]` is `stated`, as nearly as so many can tell."""
    error = values.std(0) / math.sqrt(DRAWS)
    assert ((values.mean(0) - stated).abs() <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("name", NAMES)
def test_moments_and_entropy_are_those_of_the_draws(name: str) -> None:
    d = made(name)
    draws = d.sample(torch.Size([DRAWS]))
    near(draws, d.mean)
    near((draws - d.mean).square(), d.variance)
    if not isinstance(d, Mixture):  # whose entropy nobody knows
        near(-d.log_prob(draws), d.entropy())  # type: ignore[no-untyped-call]


def test_blocks_have_what_all_of_them_have() -> None:
    gaussian, points, relaxed = normal(3), OneHots(torch.randn(1, 2)), RelaxedOneHots(torch.randn(1, 2), 0.7)
    for blocks, has_path, has_density in (
        ([gaussian, gaussian], True, True),
        ([gaussian, points], False, True),
        ([gaussian, relaxed], True, False),
    ):
        assert (Blocks(blocks).has_rsample, Blocks(blocks).has_density) == (has_path, has_density)
    both = Blocks([gaussian, points])
    drawn = both.rsample([6])
    assert both.support.check(drawn).all()
    assert not both.support.check(drawn.flip(-1)).all()
    # A KL by blocks is one of equal blocks, each of which has a closed form.
    mixture = Mixture(normal(2, 3))
    assert closed_form_kl(both, Blocks([normal(4), points])) is None
    assert closed_form_kl(both, Blocks([mixture, points])) is None
    assert closed_form_kl(both, both).abs() < 1e-6  # type: ignore[union-attr]


def test_a_rotated_gaussian_has_the_covariance_of_its_draws() -> None:
    d = made("rotated")
    away = d.sample(torch.Size([DRAWS])) - d.mean
    covariance = d.covariance_matrix  # type: ignore[attr-defined]
    near(away.unsqueeze(-1) * away.unsqueeze(-2), covariance)
    torch.testing.assert_close(covariance.diagonal(dim1=-2, dim2=-1), d.variance)


@pytest.mark.parametrize("kind", [Diagonal, Full, LowRank])
def test_sigma_scales_its_axis_and_turns_nothing(kind: type[Posterior]) -> None:
    """Cov = diag(sigma) M diag(sigma), with an M that knows no sigma: correlated noise shrinks with the posterior."""
    posterior = kind(7, 3).double()
    h, log_factor = torch.randn(4, 7, dtype=torch.float64), torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.normal_()

    def covariance() -> Tensor:
        q = posterior(h)
        found: Tensor = q.variance.diag_embed() if isinstance(q, Independent) else q.covariance_matrix
        return found

    before = covariance()
    head = posterior.log_scale
    with torch.no_grad():
        head.bias += log_factor / head.gain  # type: ignore[union-attr,operator]
    factor = log_factor.exp()
    torch.testing.assert_close(covariance(), factor.unsqueeze(-1) * before * factor)
