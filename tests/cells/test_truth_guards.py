"""What other tests would leave unnoticed: each test here fails when one of `tests.mistakes` is made."""

import math
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from bench import data, judge, seeds
from bench.cells.run import run_cell
from bench.settings import Budget, Measure
from bench.stats.groups import groups as grouped
from bench.train import steps
from tests import fake_records as fake
from tests.helpers import Held, fit, simulated
from variants import DataSpec, build, registry
from variants.parts.likelihoods import Gaussian
from variants.parts.posteriors import Diagonal, Full, LowRank

SMALL = {"latent": 2, "hidden": [8]}


@pytest.mark.parametrize("posterior", [Diagonal, Full, LowRank])
@pytest.mark.parametrize("log_scale", [-12.0, 12.0])
def test_no_posterior_clamps_its_scale(posterior: type[nn.Module], log_scale: float) -> None:
    made: Any = posterior(3, 2).double()
    with torch.no_grad():
        made.log_scale.weight.zero_()
        made.log_scale.bias.fill_(log_scale / made.log_scale.gain)
        if posterior is LowRank:
            made.factor.weight.zero_()
            made.factor.bias.zero_()
    q = made(torch.randn(4, 3, dtype=torch.float64))
    torch.testing.assert_close(q.stddev.log(), torch.full((4, 2), log_scale, dtype=torch.float64))
    at_mean = torch.full((4,), -2 * (0.5 * math.log(2 * math.pi) + log_scale), dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(q.mean), at_mean)


@pytest.mark.parametrize("log_sigma", [-12.0, 12.0])
def test_a_gaussian_likelihood_does_not_clamp_its_sigma(log_sigma: float) -> None:
    likelihood = Gaussian(DataSpec((3,), "real")).double()
    nn.init.constant_(likelihood.log_sigma, log_sigma)
    zero = torch.zeros(1, 1, 3, dtype=torch.float64)
    expected = -3 * (0.5 * math.log(2 * math.pi) + log_sigma)
    assert likelihood.log_prob(zero, zero[0]).item() == pytest.approx(expected)


def test_the_kl_of_terms_has_no_floor() -> None:
    """Free bits train a model; they are no part of what it is scored by. This KL is far below one nat."""
    model = build("vanilla", DataSpec((6,), "real"), latent=2, hidden=[4]).double()
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.mul_(0.1)
    terms = model.terms(torch.randn(5, 6, dtype=torch.float64))
    mu, sigma = terms.q.mean, terms.q.stddev
    by_hand = 0.5 * (mu.square() + sigma.square() - 1 - sigma.square().log()).sum(-1)
    assert by_hand.max() < 0.1
    torch.testing.assert_close(terms.kl, by_hand)


@pytest.fixture(scope="module")
def digits() -> Any:
    return data.load("digits", train_size=200)


def test_a_rising_loss_ends_nothing_and_the_last_weights_stand(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss rises because the KL is phased in: nothing may be chosen by it."""
    model = registry.seeded("beta", digits.spec, 0, **SMALL, beta=40.0, warmup_epochs=6)
    last: dict[str, Tensor] = {}
    step = steps.Stepper.__call__

    def spy(*args: Any) -> Tensor:
        loss = step(*args)
        last.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return loss

    monkeypatch.setattr(steps.Stepper, "__call__", spy)
    budget = Budget(epochs=6, batch_size=50, lr=1e-4, schedule="constant", train_size=200)
    curve = fit(model, digits, budget, seed=0, device="cpu")
    losses = [row["train_loss"] for row in curve]
    assert losses[-1] > min(losses)  # else this test shows nothing
    assert len(curve) == 6
    assert all(torch.equal(tensor, last[name]) for name, tensor in model.state_dict().items())


class NanFor(nn.Module):
    """The encoder it is given, with features that are not numbers for examples whose first pixel is 7.

    Args:
        inner: the encoder.
        largest: in larger batches it is as it was.
    """

    def __init__(self, inner: nn.Module, largest: int = 1000) -> None:
        super().__init__()
        self.inner, self.largest = inner, largest

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.inner(x)
        return torch.where(x[:, :1] == 7, math.nan, h) if len(x) <= self.largest else h


def test_one_example_that_is_not_a_number_makes_every_mean_one() -> None:
    model = build("linear", data.spec("linear_gaussian", d=4), latent=2)
    model.encoder = NanFor(model.encoder)
    x = torch.randn(503, 4)
    x[501, 0] = 7
    scores = judge.scores(model, Held(x).eval_batches("test", 250), samples=2, seed=0)
    assert math.isnan(scores.means()["elbo_nats"])  # type: ignore[arg-type]
    assert math.isnan(scores.means()["recon_nats"])  # type: ignore[arg-type]


def test_an_nll_with_an_example_that_is_not_a_number_is_none() -> None:
    model = build("linear", data.spec("linear_gaussian", d=4), latent=2)
    model.encoder = NanFor(model.encoder, largest=100)  # the ELBO's batches are larger
    x = torch.randn(120, 4)
    x[110, 0] = 7
    metrics = judge.evaluate(model, Held(x), Measure(2, 5, None)).metrics  # type: ignore[arg-type]
    assert math.isnan(metrics["nll_is5_nats"])  # type: ignore[arg-type]


def test_what_is_reported_is_of_the_test_split(digits: Any) -> None:
    model = registry.seeded("vanilla", digits.spec, 0, **SMALL)
    metrics = judge.evaluate(model, digits, Measure(1, 0)).metrics
    errors = {}
    for split in ("train", "valid", "test"):
        x = torch.cat([x for x, _ in digits.eval_batches(split, 500)])
        with torch.no_grad():
            errors[split] = (x - model.reconstruct(x)).double().square().mean().item()
    assert metrics["mse_per_pixel"] == pytest.approx(errors["test"], rel=1e-6)
    assert len({round(value, 6) for value in errors.values()}) == 3  # else this test shows nothing


def test_what_the_elbo_loses_adds_up() -> None:
    """KL = mutual information + marginal KL, and log p(x) - ELBO = approximation gap + amortisation gap."""
    model = build("linear", data.spec("linear_gaussian", d=4), latent=2).double()
    torch.nn.init.orthogonal_(model.decoder.body.weight)  # the best diagonal posterior is exact; the encoder's is not
    how = Measure(100, 5000, None, mi_points=30, gap_points=30, gap_steps=100)
    metrics: Any = judge.evaluate(model, Held(torch.randn(30, 4, dtype=torch.float64)), how).metrics  # type: ignore[arg-type]
    assert metrics["kl_nats"] == pytest.approx(metrics["mutual_information_nats"] + metrics["marginal_kl_nats"])
    assert metrics["mutual_information_nats"] > 0
    assert metrics["amortisation_gap_nats"] > 0.3
    for family in ("", "diagonal_", "full_"):
        assert metrics[f"approximation_gap_{family}nats"] == pytest.approx(0, abs=0.02)
    lost = metrics["approximation_gap_nats"] + metrics["amortisation_gap_nats"]
    assert lost == pytest.approx(-metrics["nll_is5000_nats"] - metrics["elbo_nats"], abs=0.1)
    assert lost == pytest.approx(metrics["inference_gap_nats"], abs=0.1)


def test_the_judge_scores_the_network_as_it_is_at_evaluation(digits: Any) -> None:
    model = registry.seeded("vanilla", digits.spec, 0, **SMALL)
    model.encoder.body = nn.Sequential(nn.Dropout(0.5), model.encoder.body)

    def scores() -> judge.Scores:
        return judge.scores(model, digits.eval_batches("valid", 100), samples=1, seed=0)

    model.train()
    in_training = scores()
    model.eval()
    in_evaluation = scores()
    assert torch.equal(in_training.recon, in_evaluation.recon)


def test_of_the_runs_seed_comes_the_model_and_no_draw_of_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else models are judged with different random numbers, and the seed spread holds all of the judge's error."""
    derive, axes = seeds.derive, dict[int, set[str]]()

    def spy(seed: int, axis: str) -> int:
        axes.setdefault(seed, set()).add(axis)
        return derive(seed, axis)

    monkeypatch.setattr(seeds, "JUDGE", seeds.JUDGE)  # as it was, whatever happens
    monkeypatch.setattr(seeds, "derive", spy)
    result, _ = run_cell("quality", simulated("vanilla", overrides=SMALL, seed=3), {"commit": None, "versions": {}})
    assert result.status == "ok", result.reason
    own = axes.pop(3)
    assert own == {"init", "check", "order", "binarise", "noise", "pictures"}
    assert axes.keys() == {seeds.JUDGE}
    assert len(axes[seeds.JUDGE]) >= 2
    # The run whose seed is the judge's draws nothing that the judge draws again.
    assert not own & axes[seeds.JUDGE]


def three(variant: str, level: float) -> list[fake.Record]:
    return [fake.quality(variant, seed, elbo=level + 0.1 * seed) for seed in range(3)]


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "0.9"},
        {"cell": {"data_options": {"padding": 2}}},
        {"cell": {"measure": {"elbo_samples": 1}}},
    ],
)
def test_nothing_is_ranked_across_what_makes_numbers_differ(other: dict[str, Any]) -> None:
    records = three("vanilla", -100)
    for record in three("linear", -130):
        records.append(replace(record, **other | {"cell": record.cell | other.get("cell", {})}))
    groups = grouped(records)
    assert sorted([row.label for row in group.rows] for group in groups) == [["linear"], ["vanilla"]]
    assert not any(mark for group in groups for marks in group.marks.values() for mark in marks)
