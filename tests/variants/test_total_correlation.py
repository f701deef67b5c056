"""beta-TCVAE: stratified sampling against enumeration, the total correlation against closed forms and by hand."""

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

import bench.data as data
from variants import DataSpec, build
from variants.core import VAE, Terms, elbo
from variants.parts import OptionError, assemble
from variants.parts.objectives import Elbo, TotalCorrelation
from variants.parts.objectives.aggregate import marginals, stratified_weights, total_correlation
from variants.registry import seeded

REAL = DataSpec((5,), "real", 40)
POSTERIORS = ["diagonal", "full", "low_rank"]


def model_of(posterior: str) -> VAE:
    """Posteriors that differ from one x to the next, in the mean and in the correlations."""
    model = seeded("vanilla", REAL, 0, latent=3, posterior=posterior).double()
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, dtype=torch.float64))
    return model


def terms_of(posterior: str, batch: int, samples: int = 2) -> Terms:
    return model_of(posterior).terms(torch.randn(batch, *REAL.shape, dtype=torch.float64), samples)


def log_densities(terms: Terms, weights: Tensor) -> tuple[Tensor, Tensor]:
    """log q(z) `[K, B]` and log q(z_j) `[K, B, D]`, one sample, one mixture component and one dimension at a time."""
    k, b, d = terms.z.shape
    mean = terms.q.mean
    cov = getattr(terms.q, "covariance_matrix", None)
    cov = terms.q.variance.diag_embed() if cov is None else cov
    joint, single = torch.zeros_like(terms.log_px_z), torch.zeros_like(terms.z)
    for s in range(k):
        for i in range(b):
            z = terms.z[s, i]
            for m in range(b):
                joint[s, i] += weights[i, m] * MultivariateNormal(mean[m], cov[m]).log_prob(z).exp()
                for j in range(d):
                    density = Normal(mean[m, j], cov[m, j, j].sqrt()).log_prob(z[j]).exp()
                    single[s, i, j] += weights[i, m] * density
    return joint.log(), single.log()


# The sampling matrix


@pytest.mark.parametrize(
    ("data_size", "batch"),
    [(1, 1), (2, 1), (2, 2), (3, 3), (7, 1), (7, 2), (7, 6), (7, 7), (128, 128), (50_000, 1), (50_000, 80)],
)
def test_rows_of_the_sampling_matrix_sum_to_one(data_size: int, batch: int) -> None:
    weights = stratified_weights(batch, data_size, dtype=torch.float64)
    assert weights.shape == (batch, batch)
    torch.testing.assert_close(weights.sum(1), torch.ones(batch, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (weights > 0).all()
    if batch > 1:
        torch.testing.assert_close(weights.diag(), torch.full((batch,), 1 / data_size, dtype=torch.float64))


@pytest.mark.parametrize(("data_size", "batch"), [(2, 2), (3, 2), (5, 3), (6, 4), (5, 5)])
def test_the_sampling_is_unbiased(data_size: int, batch: int) -> None:
    """Every batch that holds example i is equally likely; over all of them the estimate is the mean over the data."""
    density = torch.rand(data_size, dtype=torch.float64)
    weights = stratified_weights(batch, data_size, dtype=torch.float64)
    for i in range(data_size):
        batches = [c for c in combinations(range(data_size), batch) if i in c]
        estimates = torch.stack([weights[c.index(i)] @ density[list(c)] for c in batches])
        torch.testing.assert_close(estimates.mean(), density.mean())


@pytest.mark.parametrize(("data_size", "batch"), [(2, 2), (7, 2), (7, 4), (7, 7), (50_000, 128)])
def test_it_is_the_mean_of_the_published_matrix_over_the_order(data_size: int, batch: int) -> None:
    n, m = data_size, batch - 1
    published = torch.full((m, m), 1 / m, dtype=torch.float64).fill_diagonal_((n - m) / (n * m))
    others = stratified_weights(batch, n, dtype=torch.float64)[0, 1:]
    torch.testing.assert_close(others, published.mean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_batch_of_all_the_data_is_exact(posterior: str) -> None:
    terms = terms_of(posterior, 6)
    log_qz, log_qz_j = log_densities(terms, torch.full((6, 6), 1 / 6))
    torch.testing.assert_close(total_correlation(terms, 6), (log_qz - log_qz_j.sum(-1)).mean(0))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 3 examples cannot be drawn from a data_size of 2"):
        total_correlation(terms_of("diagonal", 3), 2)


# The total correlation


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize(("data_size", "batch"), [(40, 5), (40, 2), (40, 1), (1000, 4)])
def test_the_estimate_by_hand(posterior: str, data_size: int, batch: int) -> None:
    terms = terms_of(posterior, batch)
    log_qz, log_qz_j = log_densities(terms, stratified_weights(batch, data_size, dtype=torch.float64))
    torch.testing.assert_close(total_correlation(terms, data_size), (log_qz - log_qz_j.sum(-1)).mean(0))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_a_gaussian_aggregate_has_minus_half_log_det_of_its_correlations(correlation: float) -> None:
    """Means on a normal grid with covariance S - s^2 I and posteriors N(mean, s^2 I) make q(z) = N(0, S), all but."""
    side, s2 = 24, 0.1
    covariance = torch.tensor([[2.0, correlation * math.sqrt(2.0)], [correlation * math.sqrt(2.0), 1.0]]).double()
    places = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    normal = Normal(0.0, 1.0).icdf(places)
    grid = torch.cartesian_prod(normal, normal) / normal.square().mean().sqrt()
    mean = grid @ torch.linalg.cholesky(covariance - s2 * torch.eye(2)).T
    q = Independent(Normal(mean, math.sqrt(s2)), 1)
    tc = torch.cat(
        [total_correlation(Terms(mean, q.rsample(torch.Size([1])), q, q, mean), len(mean)) for _ in range(4)]
    )
    expected, error = -0.5 * math.log(1 - correlation**2), (tc.std() / math.sqrt(len(tc))).item()
    assert error < 0.02
    assert abs(tc.mean().item() - expected) < 4 * error + 5e-3


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_it_does_not_depend_on_the_order_of_the_batch(posterior: str) -> None:
    model, x = model_of(posterior), torch.randn(5, *REAL.shape, dtype=torch.float64)
    terms, order = model.terms(x, 2), torch.tensor([3, 0, 4, 1, 2])
    turned = Terms(x[order], terms.z[:, order], model.infer(x[order]), model.prior(), terms.log_px_z[:, order])
    torch.testing.assert_close(total_correlation(turned, 40), total_correlation(terms, 40)[order])


def test_marginals_of_any_product() -> None:
    loc, scale = torch.randn(4, 3), torch.rand(4, 3)
    q = Independent(torch.distributions.Laplace(loc, scale), 1)
    z = torch.randn(4, 3)
    torch.testing.assert_close(marginals(q).log_prob(z), torch.distributions.Laplace(loc, scale).log_prob(z))


def test_other_posteriors_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="Delta is neither Independent nor Gaussian") as refusal:
        marginals(build("autoencoder", REAL).infer(torch.zeros(2, 5)))
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="which posterior deterministic does not know") as refusal:
        build("beta_tc", REAL, posterior="deterministic")
    assert "\n" not in str(refusal.value)


# The objective


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_it_is_the_published_loss_with_its_kl_in_closed_form(posterior: str, beta: float) -> None:
    """-log p(x|z) + I(n; z) + beta TC + sum_j KL(q(z_j) || p(z_j)), up to E_q[log q(z|x) - log p(z)] against the KL."""
    terms = terms_of(posterior, 4, samples=3)
    log_qz, log_qz_j = log_densities(terms, stratified_weights(4, 40, dtype=torch.float64))
    information = (terms.log_qz_x - log_qz).mean(0)
    tc = (log_qz - log_qz_j.sum(-1)).mean(0)
    dimensions = (log_qz_j.sum(-1) - terms.log_pz).mean(0)
    published = -terms.log_px_z.mean(0) + information + beta * tc + dimensions
    noise = (terms.log_qz_x - terms.log_pz).mean(0) - terms.kl
    torch.testing.assert_close(TotalCorrelation(data_size=40, beta=beta)(terms, 0.0), published - noise)
    if beta == 1:
        torch.testing.assert_close(published, -terms.log_weights.mean(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 4])
def test_beta_one_is_the_elbo(batch: int) -> None:
    terms = terms_of("full", batch)
    torch.testing.assert_close(TotalCorrelation(data_size=40, beta=1.0)(terms, 0.0), Elbo()(terms, 0.0))


def test_of_a_single_example_a_diagonal_posterior_has_no_total_correlation() -> None:
    terms = terms_of("diagonal", 1)
    torch.testing.assert_close(TotalCorrelation(data_size=40)(terms, 0.0), Elbo()(terms, 0.0))


def test_warmup_phases_in_all_but_the_reconstruction() -> None:
    terms = terms_of("full", 4)
    reconstruction = -terms.log_px_z.mean(0)
    whole = TotalCorrelation(data_size=40, beta=3.0)(terms, 0.0) - reconstruction
    for epoch, weight in ((0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)):
        loss = TotalCorrelation(data_size=40, beta=3.0, warmup_epochs=4)(terms, epoch)
        torch.testing.assert_close(loss, reconstruction + weight * whole)


def test_samples_are_averaged() -> None:
    terms, objective = terms_of("full", 4, samples=3), TotalCorrelation(data_size=40, samples=3)
    assert objective.samples == 3
    each = [
        objective(Terms(terms.x, terms.z[k : k + 1], terms.q, terms.p, terms.log_px_z[k : k + 1]), 0.0)
        for k in range(3)
    ]
    torch.testing.assert_close(objective(terms, 0.0), torch.stack(each).mean(0))


def test_training_on_it_lowers_the_total_correlation() -> None:
    """Free Gaussians q(z|x_n) with correlated means: the gradient of the penalty alone takes TC away."""
    mean = torch.randn(64, 1, dtype=torch.float64) @ torch.ones(1, 2, dtype=torch.float64)
    mean = (mean + 0.3 * torch.randn(64, 2, dtype=torch.float64)).requires_grad_()
    optim = torch.optim.Adam([mean], lr=0.05)
    values = []
    for _ in range(100):
        q = Independent(Normal(mean, 0.5), 1)
        tc = total_correlation(Terms(mean, q.rsample(torch.Size([4])), q, q, mean), 64).mean()
        optim.zero_grad()
        tc.backward()
        optim.step()
        values.append(tc.item())
    assert sum(values[:5]) / 5 > 0.3
    assert sum(values[-5:]) / 5 < 0.1


# The number of training examples


def test_the_number_of_examples_comes_with_the_data() -> None:
    assert build("beta_tc", REAL).objective.data_size == 40
    assert build("beta_tc", REAL, data_size=9).objective.data_size == 9
    assert build("vanilla", REAL, objective="total_correlation").objective.beta == 6.0


def test_an_unknown_number_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="needs the number of training examples") as refusal:
        build("beta_tc", DataSpec((5,), "real"))
    assert "\n" not in str(refusal.value)
    for bad in (0, 2.0, True):
        with pytest.raises(ValueError, match="data_size must be a whole number of at least 1"):
            build("beta_tc", REAL, data_size=bad)


def test_only_parts_that_take_the_number_know_it() -> None:
    assert not hasattr(build("beta", REAL).objective, "data_size")
    with pytest.raises(OptionError, match="data_size"):
        assemble(REAL, data_size=40)


def test_the_number_is_part_of_the_spec() -> None:
    assert DataSpec((5,), "real", 40) == REAL
    assert hash(DataSpec((5,), "real", 40)) == hash(REAL)
    assert DataSpec((5,), "real").size is None
    assert DataSpec((5,), "real") != REAL
    assert "size=40" in repr(REAL)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="size must be a whole number"):
            DataSpec((5,), "real", bad)  # type: ignore[arg-type]


def test_the_bench_counts_what_is_trained_on() -> None:
    options = {"n": 57, "d": 4, "k": 2}
    loaded = data.load("linear_gaussian", **options)
    assert data.spec("linear_gaussian", **options) == loaded.spec
    assert loaded.spec.size == loaded.splits["train"] == 47
    assert data.load("linear_gaussian", train_size=20, **options).spec.size == 20
    assert data.spec("mnist").size == 50_000


# The whole variant


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_last_batch_of_one_trains(posterior: str) -> None:
    model = build("beta_tc", REAL, posterior=posterior, latent=3)
    loss = model.loss(torch.randn(1, *REAL.shape))
    assert loss.shape == (1,)
    loss.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_judge_does_not_see_beta() -> None:
    x = torch.randn(6, *REAL.shape)

    def judged(model: VAE) -> Tensor:
        torch.manual_seed(4)
        return elbo(model.terms(x, 3))

    model, base = seeded("beta_tc", REAL, 0, beta=50.0), seeded("vanilla", REAL, 0)
    assert torch.equal(judged(model), judged(base))
    assert not torch.allclose(model.loss(x), base.loss(x), rtol=0.01)
