"""Best local posteriors against the linear model, where log p(x), every best Gaussian and every gap are known."""

import importlib
import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Independent,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from bench import judge
from bench.judge import evidence
from bench.judge.gaps import gaps, local_posterior, own_family, scale_tril
from bench.settings import Measure
from variants import DataSpec, build
from variants.core import VAE

module = importlib.import_module("bench.judge.gaps")
D, K, N, S2 = 6, 3, 30, 0.5
WRONG = 0.8  # standard deviation of the wrong encoder's N(0, WRONG^2 I)
NAMES = ("log_px", "elbo", "elbo_own", "elbo_diagonal", "elbo_full")


class Truth:
    """x = W z + m + N(0, S2 I) with a W of correlated columns, N examples of it, and what is known of them."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.w, self.m, z, e = (
            torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((D, K), (D,), (N, K), (N, D))
        )
        self.x = z @ self.w.T + self.m + math.sqrt(S2) * e
        covariance = self.w @ self.w.T + S2 * torch.eye(D, dtype=torch.float64)
        self.log_px = MultivariateNormal(self.m, covariance).log_prob(self.x)
        self.precision = torch.eye(K, dtype=torch.float64) + self.w.T @ self.w / S2
        self.posterior = MultivariateNormal(
            (self.x - self.m) @ self.w @ torch.linalg.inv(self.precision) / S2, precision_matrix=self.precision
        )
        self.diagonal_gap = 0.5 * (self.precision.diagonal().log().sum() - torch.logdet(self.precision)).item()


TRUTH = Truth()


def decoding(posterior: str = "diagonal", **options: Any) -> VAE:
    """The true decoder, and an encoder that says N(0, WRONG^2 I) whatever x is."""
    model = build("linear", DataSpec((D,), "real"), latent=K, posterior=posterior, **options).double()
    with torch.no_grad():
        model.decoder.body.weight.copy_(TRUTH.w)
        model.decoder.body.bias.copy_(TRUTH.m)
        model.likelihood.log_sigma.fill_(0.5 * math.log(S2))
        for parameter in model.posterior.parameters():
            parameter.zero_()
        head = model.posterior.log_scale
        shared = options.get("shared_covariance")
        (head.value if shared else head.bias).fill_(math.log(WRONG) / (1 if shared else head.gain))
    return model


def exact() -> VAE:
    """The true decoder and the true posterior."""
    model = decoding("full", shared_covariance=True)
    lower, head = TRUTH.posterior.scale_tril[0], model.posterior
    v = TRUTH.posterior.covariance_matrix[0] @ TRUTH.w.T / S2
    with torch.no_grad():
        head.loc.weight.copy_(v)
        head.loc.bias.copy_(-v @ TRUTH.m)
        head.log_scale.value.copy_(lower.diagonal().log())
        unit = lower / lower.diagonal().unsqueeze(-1)
        head.off_diagonal.value.copy_(unit[head.below[0], head.below[1]])
    return model


class TwoHumps(nn.Module):
    """A posterior that is no Gaussian: a mixture of two."""

    has_density = True

    def forward(self, h: Tensor) -> Any:
        loc = torch.tensor([[-1.0] * K, [1.0] * K], dtype=h.dtype).expand(len(h), 2, K)
        humps = Independent(Normal(loc, torch.ones_like(loc)), 1)
        mixture = MixtureSameFamily(torch.distributions.Categorical(logits=torch.zeros_like(loc[..., 0])), humps)
        mixture.rsample = mixture.sample  # type: ignore[method-assign]
        return mixture


GAPS = {
    "inference": ("log_px", "elbo"),
    "approximation": ("log_px", "elbo_own"),
    "amortisation": ("elbo_own", "elbo"),
    "approximation_diagonal": ("log_px", "elbo_diagonal"),
    "approximation_full": ("log_px", "elbo_full"),
}


def error(columns: dict[str, Tensor], name: str) -> float:
    """Standard error of the mean over the examples."""
    return float(columns[f"{name}_var"].sum().sqrt() / N)


@pytest.mark.parametrize(("posterior", "dtype"), [("diagonal", torch.float64), ("full", torch.float32)])
def test_gaps_of_a_wrong_encoder_are_what_the_truth_says(posterior: str, dtype: torch.dtype) -> None:
    columns = gaps(decoding(posterior).to(dtype), TRUTH.x.to(dtype), steps=250, samples=8, evidence_samples=300)
    assert set(columns) == {f"{n}{v}" for n in (*NAMES, *GAPS) for v in ("", "_var")}
    assert {(c.shape, c.dtype) for c in columns.values()} == {((N,), torch.float64)}
    wrong = MultivariateNormal(torch.zeros(N, K).double(), WRONG**2 * torch.eye(K).double())
    known = {
        "log_px": TRUTH.log_px,
        "elbo": TRUTH.log_px - kl_divergence(wrong, TRUTH.posterior),
        "elbo_diagonal": TRUTH.log_px - TRUTH.diagonal_gap,
        "elbo_full": TRUTH.log_px,
    }
    known["elbo_own"] = known[f"elbo_{posterior}"]
    assert TRUTH.diagonal_gap > 0.2
    assert (known["elbo_own"] - known["elbo"]).min() > 1
    for name, value in known.items():
        off = (columns[name] - value).mean().item()
        # What the optimisation leaves below the best is thousandths of a nat; the rest is noise that the columns know.
        assert -4 * error(columns, name) - 5e-3 < off < 4 * error(columns, name) + 1e-4, name
    assert bool((columns["elbo_full"] <= columns["log_px"]).all())
    for lower, upper in (("elbo", "elbo_diagonal"), ("elbo_diagonal", "elbo_full")):
        slack = 4 * (columns[f"{lower}_var"] + columns[f"{upper}_var"]).sqrt()
        assert bool((columns[lower] <= columns[upper] + slack).all()), (lower, upper)
    assert error(columns, "elbo_full") < 5e-3
    assert error(columns, "elbo_diagonal") < 0.02


def test_stated_variances_are_those_of_repetitions() -> None:
    model = exact()
    with torch.no_grad():
        model.posterior.log_scale.value.add_(0.2)  # wide enough for importance weights of small variance
    columns = gaps(model, TRUTH.x[:1].expand(2000, D), steps=0, evidence_samples=50)
    for name in ("elbo", "elbo_full", "log_px"):
        stated, spread = columns[f"{name}_var"].mean().item(), columns[name].var().item()
        assert stated == pytest.approx(spread, rel=0.15), name


def test_own_family_costs_no_further_optimisation_where_it_is_one_of_the_two() -> None:
    for posterior in ("diagonal", "full"):
        columns = gaps(decoding(posterior), TRUTH.x, steps=5, evidence_samples=10)
        torch.testing.assert_close(columns["elbo_own"], columns[f"elbo_{posterior}"], rtol=0, atol=0)


@pytest.mark.parametrize("family", ["diagonal", "full", "low_rank"])
def test_a_search_begins_at_its_start_and_moves_in_units_of_its_scales(family: str) -> None:
    """Log-scales r turn the covariance S of the start into diag(e^r) S diag(e^r), whatever the family."""
    module = importlib.import_module("bench.judge.gaps")
    scale, v = torch.tensor([[0.5, 2.0, 1.5]]), torch.tensor([[[0.3], [-1.0], [0.6]]])
    start: Any = {
        "diagonal": Independent(Normal(torch.ones(1, 3), scale), 1),
        "full": MultivariateNormal(torch.ones(1, 3), torch.eye(3) + v @ v.mT),
        "low_rank": LowRankMultivariateNormal(torch.ones(1, 3), scale.unsqueeze(-1) * v, scale.square()),
    }[family]
    parameters, build = module._FAMILIES[family](start)
    log_ratio = torch.tensor([[0.4, -0.7, 1.1]])
    ends = (build(parameters), build([parameters[0], log_ratio, *parameters[2:]]))
    at_start, moved = (tril @ tril.mT for tril in map(scale_tril, ends))
    first = scale_tril(start)
    torch.testing.assert_close(at_start, first @ first.mT)
    torch.testing.assert_close(moved, log_ratio.exp().unsqueeze(-1) * at_start * log_ratio.exp().unsqueeze(-2))


def test_low_rank_lies_between_diagonal_and_full() -> None:
    model = decoding("low_rank", rank=1)
    with torch.no_grad():
        model.posterior.factor.bias.copy_(torch.tensor([0.5, 0.0, 0.5]))  # at zero the gradient of V is zero
    best = local_posterior(model, TRUTH.x, "own", steps=5)
    assert isinstance(best, LowRankMultivariateNormal)
    assert best.cov_factor.shape == (N, K, 1)
    columns = gaps(model, TRUTH.x, steps=250, evidence_samples=300)
    own, diagonal, full = (columns[f"elbo_{f}"].mean().item() for f in ("own", "diagonal", "full"))
    assert diagonal + 0.05 < own < full + 4 * error(columns, "elbo_own")


def test_a_posterior_that_is_no_gaussian_has_no_own_column_but_the_others() -> None:
    model = decoding()
    model.posterior = TwoHumps()
    columns = gaps(model, TRUTH.x, steps=250, evidence_samples=300)
    own = {"elbo_own", "approximation", "amortisation"}
    assert set(columns) == {f"{n}{v}" for n in {*NAMES, *GAPS} - own for v in ("", "_var")}
    assert columns["elbo_full"].mean().item() == pytest.approx(TRUTH.log_px.mean().item(), abs=0.02)
    with pytest.raises(ValueError, match="no Gaussian"):
        local_posterior(model, TRUTH.x, "own")
    assert own_family(model.infer(TRUTH.x)) is None
    with pytest.raises(ValueError, match="no Gaussian"):
        scale_tril(model.infer(TRUTH.x))


def test_a_model_without_a_bound_is_refused() -> None:
    model = build("autoencoder", DataSpec((D,), "real"), latent=K)
    with pytest.raises(ValueError, match="without a bound"):
        gaps(model, TRUTH.x.float())


def test_diagonal_starts_from_a_full_posterior_at_its_best_diagonal() -> None:
    q = local_posterior(exact(), TRUTH.x, "diagonal", steps=0)
    torch.testing.assert_close(q.variance, TRUTH.precision.diagonal().reciprocal().expand(N, K))
    torch.testing.assert_close(q.mean, TRUTH.posterior.mean)


@pytest.mark.parametrize("posterior", ["diagonal", "low_rank", "full"])
def test_full_starts_at_the_encoders_own_posterior(posterior: str) -> None:
    model = build("linear", DataSpec((D,), "real"), latent=K, posterior=posterior).double()
    if posterior == "full":
        nn.init.normal_(model.posterior.off_diagonal.weight)
    amortised, start = model.infer(TRUTH.x), local_posterior(model, TRUTH.x, "full", steps=0)
    assert isinstance(start, MultivariateNormal)
    torch.testing.assert_close(start.mean, amortised.mean)
    z = torch.randn(5, N, K, dtype=torch.float64)
    torch.testing.assert_close(start.log_prob(z), amortised.log_prob(z))
    torch.testing.assert_close(start.scale_tril, scale_tril(amortised))


def test_an_exact_posterior_has_no_gap_and_no_noise_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "TENSOR_NUMBERS", 7 * TRUTH.x.numel())
    columns = gaps(exact(), TRUTH.x, steps=3, evidence_samples=25)
    for name in ("log_px", "elbo"):
        torch.testing.assert_close(columns[name], TRUTH.log_px, rtol=0, atol=1e-2 if name == "log_px" else 1e-9)
    assert columns["elbo_var"].max() < 1e-18


def test_a_failed_optimisation_gives_back_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model = exact()
    monkeypatch.setattr(module, "LR", 50.0)
    q = local_posterior(model, TRUTH.x, "own", steps=7)
    torch.testing.assert_close(q.mean, TRUTH.posterior.mean)
    torch.testing.assert_close(scale_tril(q), TRUTH.posterior.scale_tril)


def test_each_example_has_the_better_of_its_own_start_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second search finds the best diagonal Gaussian, and the others are lost far away."""
    found = (torch.arange(N) % 2 == 0).unsqueeze(1)
    mean, scale = TRUTH.posterior.mean, TRUTH.precision.diagonal().rsqrt()
    ends = [torch.where(found, mean / WRONG, 100.0), torch.where(found, (scale / WRONG).log(), 0.0)]
    monkeypatch.setattr(module, "_maximise", lambda *_: ends)
    q = local_posterior(decoding(), TRUTH.x, "diagonal")
    torch.testing.assert_close(q.mean, torch.where(found, mean, 0.0))
    torch.testing.assert_close(q.stddev, torch.where(found, scale, WRONG))


def test_one_broken_example_does_not_touch_the_others() -> None:
    x = TRUTH.x.clone()
    x[3] = math.nan
    columns = gaps(exact(), x, steps=20, evidence_samples=20)
    others = torch.arange(N) != 3
    assert bool(columns["elbo_full"][3].isnan())
    torch.testing.assert_close(columns["elbo_full"][others], TRUTH.log_px[others], rtol=0, atol=0.05)


def test_the_model_stays_as_it_was_and_draws_alone_decide() -> None:
    model = decoding("full").train()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(gaps(model, TRUTH.x, steps=10, evidence_samples=10))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), kept[name], rtol=0, atol=0)
        assert parameter.grad is not None
        assert bool((parameter.grad == 2).all()), name
    assert not model.training
    for name in NAMES:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=0, atol=0)
        assert not torch.equal(found[0][name], found[2][name]), name
    q = local_posterior(model, TRUTH.x, "full", steps=2)
    assert not q.rsample().requires_grad


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_gaps_are_differences_and_their_variances_those_of_repeats(
    monkeypatch: pytest.MonkeyPatch, posterior: str
) -> None:
    model, found = decoding(posterior), []
    # One q* for all repeats: what is left is the noise of the estimates, not of the search.
    best = {family: local_posterior(model, TRUTH.x, family, steps=200) for family in ("diagonal", "full")}  # type: ignore[arg-type]
    monkeypatch.setattr(module, "local_posterior", lambda _model, _x, family, **_: best[family])
    for _ in range(60):
        found.append(gaps(model, TRUTH.x, evidence_samples=100))
    for name, (upper, lower) in GAPS.items():
        torch.testing.assert_close(found[0][name], found[0][upper] - found[0][lower])
        said = torch.stack([columns[f"{name}_var"] for columns in found]).mean()
        seen = torch.stack([columns[name] for columns in found]).var(0).mean()
        assert 0.6 * seen < said < 1.6 * seen, name


def test_asked_without_numbers_gaps_are_searched_for_as_finely_as_a_suite_does() -> None:
    def defaults(function: Any) -> dict[str, Any]:
        parameters = inspect.signature(function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    search = {"steps": Measure().gap_steps, "samples": judge.GAP_SAMPLES}
    assert defaults(local_posterior) == search
    assert defaults(gaps) == search | {"evidence_samples": judge.GAP_EVIDENCE}
    for annealing in (evidence.annealed, evidence.reverse):
        assert defaults(annealing)["leapfrog"] == 10
    assert (Measure().ais_steps, Measure().ais_chains, Measure().nll_samples, Measure().elbo_samples) == (
        500,
        16,
        500,
        10,
    )


def test_a_search_takes_as_many_steps_and_draws_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    terms = module._terms
    monkeypatch.setattr(module, "_terms", lambda *words: (asked.append(words[-1]), terms(*words))[1])
    local_posterior(decoding(), TRUTH.x, "diagonal", steps=3, samples=5)
    assert asked[:3] == [5, 5, 5]
    assert 5 not in asked[3:]  # what decides between start and end has draws of its own
