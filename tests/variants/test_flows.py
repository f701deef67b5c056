"""Normalising-flow posteriors: densities that integrate to one, equal forwards and backwards, and known Gaussians."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian
from torch.distributions import Independent, MultivariateNormal, Normal

from variants import DataSpec, build
from variants.core import Terms, closed_form_kl
from variants.core.rotated import RotatedNormal, reflections
from variants.parts import assemble
from variants.parts.flows import (
    AutoregressiveStep,
    Flow,
    Householder,
    InverseAutoregressive,
    MaskedNetwork,
    Planar,
    PlanarStep,
)
from variants.parts.posteriors import Posterior
from variants.registry import seeded

H, B = 6, 3
GREY = DataSpec((1, 6, 7), "unit", 40)
FLOWS = {"planar": Planar, "inverse_autoregressive": InverseAutoregressive}
ALL = {**FLOWS, "householder": Householder}


def strong(name: str, latent: int, seed: int = 0, **options: Any) -> Posterior:
    """Far from where training starts: every map bends."""
    torch.manual_seed(seed)
    if name == "inverse_autoregressive":
        options = {"flow_width": 16} | options
    posterior = ALL[name](H, latent, **({"flows": 4} | options)).double()
    with torch.no_grad():
        for key, parameter in posterior.named_parameters():
            if key.startswith("log_scale"):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
            elif not key.startswith("loc"):
                parameter.copy_(torch.randn_like(parameter) * (0.15 if "out" in key else 0.5))
        for module in posterior.modules():
            if hasattr(module, "gain"):
                module.gain = 1.0  # a pace is for training
    return posterior


def features(seed: int = 1) -> Tensor:
    return torch.randn(B, H, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("name", "latent"), [("planar", 1), ("householder", 1), *((name, 2) for name in ALL)])
@pytest.mark.parametrize("seed", [0, 1])
def test_density_integrates_to_one(name: str, latent: int, seed: int) -> None:
    q = strong(name, latent, seed)(features())
    with torch.no_grad():
        t = torch.linspace(-6, 6, 20001 if latent == 1 else 401, dtype=torch.float64)
        axis, weight = 0.4 * t.sinh(), 0.4 * t.cosh() * (t[1] - t[0])
        points = torch.cartesian_prod(*[axis] * latent).reshape(-1, 1, latent)
        weights = torch.cartesian_prod(*[weight] * latent).reshape(-1, latent).prod(-1)
        total = (weights[:, None] * q.log_prob(points).exp()).sum(0)
    # Where a planar map is steep its density has ridges that are narrower than a grid in two dimensions.
    close = 2e-3 if latent == 1 or name != "planar" else 2e-2
    torch.testing.assert_close(total, torch.ones(B, dtype=torch.float64), rtol=0, atol=close)


@pytest.mark.parametrize("latent", [2, 5])
@pytest.mark.parametrize("name", FLOWS)
def test_density_of_a_sample_is_the_change_of_variables(name: str, latent: int) -> None:
    """log q(z) = log N(z_0) - log |det dz/dz_0|, the Jacobian by automatic differentiation of the whole chain."""
    q = strong(name, latent)(features())
    torch.manual_seed(5)
    z = q.rsample(torch.Size([1]))
    torch.manual_seed(5)
    start = q.base.rsample(torch.Size([1]))
    pushed, _ = q._push(start)
    torch.testing.assert_close(pushed, z)
    full = jacobian(lambda s: q._push(s)[0][0], start.detach())[:, :, 0]
    blocks = torch.stack([full[b, :, b] for b in range(B)])
    torch.testing.assert_close(q.log_prob(z)[0], q.base.log_prob(start)[0] - torch.linalg.slogdet(blocks)[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ALL)
def test_a_copy_of_a_sample_has_the_density_of_the_sample(name: str, dtype: torch.dtype) -> None:
    q = strong(name, 8).to(dtype)(features().to(dtype))
    z = q.rsample(torch.Size([50]))
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    torch.testing.assert_close(q.log_prob(z.clone()), q.log_prob(z), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ALL)
def test_densities_of_pairs(name: str) -> None:
    """Every point under every component, as the aggregated posterior wants them."""
    q = strong(name, 4)(features())
    z = torch.randn(7, 1, 4, dtype=torch.float64)
    pairs = q.log_prob(z)
    assert pairs.shape == (7, B)
    for b in range(B):
        torch.testing.assert_close(pairs[:, b], strong(name, 4)(features()[b : b + 1]).log_prob(z)[:, 0])


def test_a_point_out_of_reach_has_no_density() -> None:
    """Gates near zero, latent after latent, take its preimage out of the range of numbers: -inf, and never NaN."""
    posterior = strong("inverse_autoregressive", 8).float()
    with torch.no_grad():
        for network in posterior.networks:
            network.out.bias[8:] = -12.0
    q = posterior(features().float())
    log_prob = q.log_prob(100 * torch.randn(50, B, 8))
    assert (log_prob == -math.inf).any()
    assert not log_prob.isnan().any()
    assert torch.logsumexp(log_prob, 1).isnan().sum() == 0


@pytest.mark.parametrize("name", ALL)
def test_derivatives_of_the_density_at_any_point(name: str) -> None:
    posterior, h = strong(name, 3, flows=2), features()
    z = torch.randn(2, B, 3, dtype=torch.float64, requires_grad=True)
    parameters = [p for p in posterior.parameters() if p.numel() < 500]

    def log_prob(z: Tensor, *_: Tensor) -> Tensor:
        return posterior(h).log_prob(z)

    assert gradcheck(log_prob, (z, *parameters), eps=1e-6, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("name", FLOWS)
def test_what_was_drawn_without_gradients_has_them_when_asked(name: str) -> None:
    posterior = strong(name, 4)
    q = posterior(features())
    z = q.sample(torch.Size([2]))
    gradients = torch.autograd.grad(q.log_prob(z).sum(), list(posterior.parameters()))
    assert all(g.any() for g in gradients)
    with torch.no_grad():
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))


@pytest.mark.parametrize("name", FLOWS)
def test_mean_and_variance_are_those_of_the_samples(name: str) -> None:
    q = strong(name, 4)(features())
    state = torch.get_rng_state()
    mean, variance = q.mean, q.variance
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(q.mean, mean)
    with torch.no_grad():
        z = q.sample(torch.Size([100_000]))
    # 64 pairs: a few hundredths of a standard deviation, and a tenth of a variance or two.
    assert ((mean - z.mean(0)).abs() < 0.25 * z.std(0)).all()
    assert ((variance / z.var(0)).log().abs() < 0.7).all()


def test_mean_of_an_affine_flow_is_exact() -> None:
    class Doubling:
        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * z + 1, torch.full_like(z[..., 0], z.shape[-1] * math.log(2))

        def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
            return (y - 1) / 2, torch.full_like(y[..., 0], y.shape[-1] * math.log(2))

    loc, scale = torch.randn(B, 4, dtype=torch.float64), torch.rand(B, 4, dtype=torch.float64) + 0.5
    q = Flow(loc, scale, [Doubling()])
    torch.testing.assert_close(q.mean, 2 * loc + 1)
    z = torch.randn(5, B, 4, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), Independent(Normal(2 * loc + 1, 2 * scale), 1).log_prob(z))


# ---------------------------------------------------------------------------------------------------------------------
# Where training starts


def test_householder_starts_at_the_diagonal() -> None:
    x = torch.rand(4, *GREY.shape, dtype=torch.float64)
    diagonal, turned = (seeded(name, GREY, 4, latent=5).double().infer(x) for name in ("vanilla", "householder_flow"))
    torch.testing.assert_close(turned.rotation, torch.eye(5, dtype=torch.float64).expand(4, 5, 5), rtol=0, atol=1e-7)
    torch.testing.assert_close(turned.mean, diagonal.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(turned.variance, diagonal.variance, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "scales"), [("planar_flow", (0.6, 1.6)), ("inverse_autoregressive_flow", (0.6, 1.0))])
def test_flows_start_near_a_diagonal_gaussian(name: str, scales: tuple[float, float]) -> None:
    """Its scale is that of the base, for an inverse autoregressive flow times the gates' sigmoid(2)^2 = 0.78."""
    q = seeded(name, GREY, 4).infer(torch.rand(64, *GREY.shape))
    ratio = q.stddev / q.base.stddev
    assert scales[0] < ratio.min()
    assert ratio.max() < scales[1]
    assert ((q.mean - q.base.mean).abs() < q.base.stddev).all()


# ---------------------------------------------------------------------------------------------------------------------
# Planar


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
def test_planar_maps_can_be_inverted_whatever_their_parameters(size: float) -> None:
    torch.manual_seed(3)
    u, w = (size * torch.randn(2, 500, 4, dtype=torch.float64) for _ in range(2))
    for step in PlanarStep.chain(u, w, size * torch.randn(2, 500, dtype=torch.float64)):
        torch.testing.assert_close((step.w * step.u).sum(-1), step.slope, rtol=1e-6, atol=1e-6)
        assert step.slope.min() >= -(1 - PlanarStep.MARGIN)
        z = 3 * torch.randn(20, 500, 4, dtype=torch.float64)
        image, log_det = step.forward(z)
        assert log_det.isfinite().all()
        back, same = step.inverse(image)
        # Where the map is nearly flat its inverse is steep, by a thousand at most.
        torch.testing.assert_close(back, z, rtol=0, atol=1e-7 * max(1.0, size))
        torch.testing.assert_close(same, log_det, rtol=0, atol=1e-6 * max(1.0, size))


def test_a_planar_map_with_u_at_zero_is_the_identity() -> None:
    w = torch.randn(1, 5, 4, dtype=torch.float64)
    (step,) = PlanarStep.chain(torch.zeros_like(w), w, torch.randn(1, 5, dtype=torch.float64))
    z = torch.randn(5, 4, dtype=torch.float64)
    image, log_det = step.forward(z)
    torch.testing.assert_close(image, z)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det))


def test_planar_maps_may_be_shared_by_all_x() -> None:
    q = Planar(H, 4, flows=3, shared_flow=True)(features().float())
    for step in q.steps:
        assert torch.equal(step.u, step.u[:1].expand(B, 4))
    q = Planar(H, 4, flows=3)(features().float())
    assert not torch.equal(q.steps[0].u, q.steps[0].u[:1].expand(B, 4))


@pytest.mark.parametrize("shared", [False, True])
def test_planar_maps_can_be_learnt_from_where_they_start(shared: bool) -> None:
    """With both u and w at zero neither would have a gradient."""
    torch.manual_seed(0)
    posterior = Planar(H, 4, flows=3, shared_flow=shared)
    posterior(features().float()).rsample().square().sum().backward()
    for parameter in posterior.maps.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


# ---------------------------------------------------------------------------------------------------------------------
# Inverse autoregressive


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("width", [4, 7, 16])
def test_outputs_see_the_latents_before_them_and_no_others(backwards: bool, width: int) -> None:
    torch.manual_seed(0)
    latent = 5
    network = MaskedNetwork(H, latent, width, backwards).double()
    nn.init.normal_(network.out.weight)
    context = network.context(features())
    z = torch.randn(B, latent, dtype=torch.float64)
    before = torch.ones(latent, latent).tril(-1)
    before = before.flip(0, 1) if backwards else before
    for output in (0, 1):
        seen = jacobian(lambda z, output=output: network(z, context)[output].sum(0), z).abs().sum(1)
        assert ((seen > 0) == (before > 0)).all()
        of_features = jacobian(lambda h, output=output: network(z, network.context(h))[output].sum(0), features())
        assert (of_features.abs().sum((1, 2)) > 0).all()
    # No hidden unit is for nothing: each sees a latent, and is seen by an output.
    assert network.inner.any(1).all()
    assert network.outer.any(0).all()


def test_every_other_map_goes_backwards() -> None:
    orders = [network.order for network in InverseAutoregressive(H, 3, flows=3).networks]
    assert orders == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]


# ---------------------------------------------------------------------------------------------------------------------
# Householder


def by_reflecting(vectors: Tensor) -> Tensor:
    """U of one example, one reflection after the other."""
    identity = torch.eye(vectors.shape[-1], dtype=vectors.dtype)
    u = identity
    for v in vectors:
        u = (identity - 2 * torch.outer(v, v)) @ u
    return u


@pytest.mark.parametrize(("t", "latent"), [(1, 3), (2, 3), (5, 4), (12, 4), (3, 1)])
def test_a_product_of_reflections(t: int, latent: int) -> None:
    vectors = nn.functional.normalize(torch.randn(B, t, latent, dtype=torch.float64), dim=-1)
    u = reflections(vectors)
    torch.testing.assert_close(u, torch.stack([by_reflecting(v) for v in vectors]))
    torch.testing.assert_close(u @ u.mT, torch.eye(latent, dtype=torch.float64).expand_as(u))
    torch.testing.assert_close(torch.linalg.det(u), torch.full((B,), (-1.0) ** t, dtype=torch.float64))


def test_equal_reflections_are_a_safe_start_in_single_precision() -> None:
    vectors = nn.functional.normalize(torch.randn(B, 1, 20), dim=-1).expand(B, 20, 20)
    torch.testing.assert_close(reflections(vectors), torch.eye(20).expand(B, 20, 20), rtol=0, atol=1e-4)


def test_an_autoregressive_step_is_a_weighted_mean_of_the_point_and_its_shift() -> None:
    """g z + (1 - g) m lies between z and m, whatever the gate: where m is z itself nothing moves."""
    z, m, s = torch.randn(3, 6, 4).double(), torch.randn(3, 6, 4).double(), torch.randn(3, 6, 4).double()
    still, _ = AutoregressiveStep(lambda point, _: (point, s), None).forward(z)  # type: ignore[arg-type]
    torch.testing.assert_close(still, z)
    moved, log_det = AutoregressiveStep(lambda *_: (m, s), None).forward(z)  # type: ignore[arg-type]
    share = (moved - m) / (z - m)
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(share.log().sum(-1), log_det)


def test_householder_is_the_gaussian_with_covariance_u_s_ut() -> None:
    posterior = strong("householder", 4, flows=5)
    h = features()
    q = posterior(h)
    unit = nn.functional.normalize(posterior.vectors(h).reshape(B, 5, 4), dim=-1)
    u = torch.stack([by_reflecting(v) for v in unit])
    loc, variance = posterior.loc(h), (2 * posterior.log_scale(h)).exp()
    covariance = u @ variance.diag_embed() @ u.mT
    truth = MultivariateNormal((u @ loc.unsqueeze(-1)).squeeze(-1), covariance)
    torch.testing.assert_close(q.covariance_matrix, covariance)
    torch.testing.assert_close(q.variance, covariance.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(q.mean, truth.mean)
    torch.testing.assert_close(q.entropy(), truth.entropy())
    z = torch.randn(6, B, 4, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), truth.log_prob(z))
    # Some correlation is there to be got wrong.
    assert (covariance - covariance.diagonal(dim1=-2, dim2=-1).diag_embed()).abs().amax((1, 2)).min() > 0.01
    seen = torch.stack([torch.cov(q.sample(torch.Size([200_000]))[:, b].T) for b in range(B)])
    torch.testing.assert_close(seen, covariance.detach(), rtol=0, atol=0.03 * covariance.max().item())


def test_kl_of_a_rotated_gaussian() -> None:
    """To N(0, I) it is that of the Gaussian before the rotation; to any diagonal Gaussian that of its covariance."""
    q = strong("householder", 4, flows=5)(features())
    standard = Independent(Normal(torch.zeros(4, dtype=torch.float64), 1.0), 1)
    kl = closed_form_kl(q, standard)
    assert kl is not None
    torch.testing.assert_close(kl, closed_form_kl(Independent(q.base, 1), standard))
    other = Independent(Normal(torch.randn(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.5), 1)
    same = MultivariateNormal(q.mean, q.covariance_matrix)
    torch.testing.assert_close(closed_form_kl(q, other), closed_form_kl(same, other))
    z = q.rsample(torch.Size([20_000]))
    terms = Terms(x=torch.zeros(B, 1), z=z, q=q, p=other, log_px_z=torch.zeros(20_000, B))
    ratio = terms.log_qz_x - terms.log_pz
    assert ((ratio.mean(0) - terms.kl).abs() < 4 * ratio.std(0) / math.sqrt(20_000)).all()
    assert terms.kl_method == "closed_form"


def test_total_correlation_knows_the_marginals_of_a_rotated_gaussian() -> None:
    model = build("beta_tc", GREY, posterior="householder", latent=4)
    assert model.loss(torch.rand(5, *GREY.shape)).isfinite().all()
    with pytest.raises(ValueError, match="which posterior planar does not know"):
        build("beta_tc", GREY, posterior="planar", latent=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"posterior": "planar", "flows": 0}, "flows must be a whole number of at least 1, got 0"),
        ({"posterior": "planar", "shared_flow": 1}, "shared_flow must be true or false, got 1"),
        ({"posterior": "householder", "flows": 0}, "flows must be a whole number of at least 1, got 0"),
        ({"posterior": "inverse_autoregressive", "flows": 0}, "flows must be a whole number of at least 1, got 0"),
        ({"posterior": "inverse_autoregressive", "flow_width": 0}, "flow_width must be a whole number"),
        ({"posterior": "inverse_autoregressive", "latent": 1}, "needs a latent size of at least 2, got 1"),
    ],
)
def test_bad_values(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assemble(GREY, **options)


def test_a_rotated_normal_takes_vectors_of_any_length() -> None:
    loc, scale, v = torch.randn(B, 4), torch.rand(B, 4) + 0.5, torch.randn(B, 3, 4)
    torch.testing.assert_close(RotatedNormal(loc, scale, v).rotation, RotatedNormal(loc, scale, 7 * v).rotation)


def test_a_planar_map_of_a_small_w_is_moved_by_little() -> None:
    """u moves along w by a small difference over |w|^2."""
    for size in (1e-4, 1e-6, 1e-7):
        w = torch.full((1, 1, 1), size, requires_grad=True)
        (step,) = PlanarStep.chain(torch.full((1, 1, 1), 0.3), w, torch.zeros(1, 1))
        step.u.sum().backward()
        assert step.u.item() == pytest.approx(0.3 * (1 - PlanarStep.MARGIN) * (1 - 1 / math.e), rel=1e-3)
        assert w.grad is not None
        assert abs(w.grad.item()) < 1
