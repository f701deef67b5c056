"""The KL in closed form against Monte Carlo and against the textbook formula, for every pair of Gaussian families."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    StudentT,
)

from variants.core import Terms, closed_form_kl
from variants.parts.posteriors import Deterministic, Diagonal, Full, LowRank
from variants.parts.priors import StandardNormal

D = 3
FAMILIES = ("diagonal", "full", "low_rank")


def gaussian(family: str, batch: tuple[int, ...]) -> Distribution:
    loc = torch.randn(*batch, D, dtype=torch.float64)
    if family == "diagonal":
        return Independent(Normal(loc, torch.rand_like(loc) + 0.5), 1)
    if family == "full":
        root = torch.randn(*batch, D, D, dtype=torch.float64)
        return MultivariateNormal(loc, root @ root.mT + 0.5 * torch.eye(D, dtype=torch.float64))
    return LowRankMultivariateNormal(loc, torch.randn(*batch, D, 2, dtype=torch.float64), torch.rand_like(loc) + 0.5)


def covariance(q: Distribution) -> Tensor:
    return q.variance.diag_embed() if isinstance(q, Independent) else q.covariance_matrix


def formula(q: Distribution, p: Distribution) -> Tensor:
    """1/2 [tr(C_p^-1 C_q) + (m_p - m_q)' C_p^-1 (m_p - m_q) - k + log|C_p| - log|C_q|]."""
    cq, cp = covariance(q), covariance(p)
    inverse = torch.linalg.inv(cp)
    difference = (p.mean - q.mean).unsqueeze(-1)
    trace = (inverse @ cq).diagonal(dim1=-2, dim2=-1).sum(-1)
    quadratic = (difference.mT @ inverse @ difference).flatten(-3)
    return 0.5 * (trace + quadratic - D + torch.logdet(cp) - torch.logdet(cq))


def terms_of(q: Distribution, p: Distribution, samples: int) -> Terms:
    z = q.rsample(torch.Size([samples]))
    return Terms(x=torch.zeros(4, 1), z=z, q=q, p=p, log_px_z=torch.zeros(samples, 4))


@pytest.mark.parametrize("prior_batch", [(), (4,)])
@pytest.mark.parametrize(("q_family", "p_family"), list(product(FAMILIES, FAMILIES)))
def test_closed_form(q_family: str, p_family: str, prior_batch: tuple[int, ...]) -> None:
    q, p = gaussian(q_family, (4,)), gaussian(p_family, prior_batch)
    kl = closed_form_kl(q, p)
    assert kl is not None
    torch.testing.assert_close(kl, formula(q, p), rtol=1e-9, atol=1e-9)
    assert (kl > 0).all()
    n = 20_000
    terms = terms_of(q, p, n)
    ratio = terms.log_qz_x - terms.log_pz
    assert ((ratio.mean(0) - kl).abs() < 4 * ratio.std(0) / math.sqrt(n)).all()
    assert terms.kl_method == "closed_form"
    assert terms.kl.shape == (4,)


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_only_for_equal_distributions(family: str) -> None:
    q = gaussian(family, (4,))
    torch.testing.assert_close(closed_form_kl(q, q), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)


def test_full_against_the_standard_normal() -> None:
    """KL = 1/2 (|L|_F^2 + |mu|^2 - k) - sum log L_ii; log q(mu + L eps) = -sum [1/2 (eps^2 + log 2 pi) + log L_ii]."""
    posterior, h = Full(5, D).double(), torch.randn(4, 5, dtype=torch.float64)
    nn.init.normal_(posterior.off_diagonal.weight)
    q, p = posterior(h), StandardNormal(D).double()()
    tril = q.scale_tril
    assert tril.triu(1).abs().max() == 0
    assert tril[:, posterior.below[0], posterior.below[1]].abs().min() > 0
    log_diagonal = tril.diagonal(dim1=-2, dim2=-1).log()
    by_hand = 0.5 * (tril.square().sum((-2, -1)) + q.mean.square().sum(-1) - D) - log_diagonal.sum(-1)
    torch.testing.assert_close(closed_form_kl(q, p), by_hand, rtol=0, atol=1e-9)
    eps = torch.randn(4, D, dtype=torch.float64)
    z = q.mean + (tril @ eps.unsqueeze(-1)).squeeze(-1)
    log_q = -(0.5 * (eps.square() + math.log(2 * math.pi)) + log_diagonal).sum(-1)
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=0, atol=1e-9)


def test_diagonal_against_the_standard_normal() -> None:
    posterior, h = Diagonal(5, D).double(), torch.randn(4, 5, dtype=torch.float64)
    mu, sigma = posterior.loc(h), posterior.log_scale(h).exp()
    by_hand = 0.5 * (mu.square() + sigma.square() - 1 - sigma.square().log()).sum(-1)
    torch.testing.assert_close(closed_form_kl(posterior(h), StandardNormal(D).double()()), by_hand)


def test_low_rank_covariance() -> None:
    posterior, h = LowRank(5, D, rank=2).double(), torch.randn(4, 5, dtype=torch.float64)
    factor, sigma = posterior.factor(h).reshape(4, D, 2), posterior.log_scale(h).exp().diag_embed()
    by_hand = sigma @ (torch.eye(D, dtype=torch.float64) + factor @ factor.mT) @ sigma
    torch.testing.assert_close(posterior(h).covariance_matrix, by_hand)


def test_pair_without_closed_form_is_estimated() -> None:
    loc = torch.randn(4, D, dtype=torch.float64)
    q, p = Independent(StudentT(5.0 * torch.ones_like(loc), loc), 1), StandardNormal(D).double()()
    assert closed_form_kl(q, p) is None
    terms = terms_of(q, p, 6)
    assert terms.kl_method == "monte_carlo"
    torch.testing.assert_close(terms.kl, (q.log_prob(terms.z) - p.log_prob(terms.z)).mean(0))
    assert terms.kl.shape == (4,)


def test_event_dimensions_that_are_not_diagonal_normal_have_no_closed_form() -> None:
    q = gaussian("full", (4,))
    loc = torch.zeros(D, dtype=torch.float64)
    assert closed_form_kl(q, Independent(StudentT(5.0 * torch.ones_like(loc), loc), 1)) is None


def test_point_mass_has_no_density() -> None:
    q = Deterministic(5, D)(torch.randn(4, 5))
    assert closed_form_kl(q, StandardNormal(D)()) is None
    with pytest.raises(NotImplementedError, match="no density"):
        q.log_prob(q.mean)
    assert torch.equal(q.sample(torch.Size([2])), q.mean.expand(2, 4, D))
    assert torch.equal(q.variance, torch.zeros(4, D))
