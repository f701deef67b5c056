"""The binary set that is simulated, its exact probabilities, and the judge held against them."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

import bench.data as data
from bench.data.belief import BeliefNetwork
from bench.judge import counted, evaluate, evidence
from bench.settings import Measure
from tests.helpers import Held
from variants import build
from variants.core import VAE, OneHots
from variants.parts.posteriors import Posterior

N = 400


@pytest.fixture(scope="module")
def loaded() -> Any:
    return data.load("tiny_sbn", d=5, bits=3, n=10 * N)


def rows(loaded: Any, split: str = "test") -> Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, 512)])


def test_log_prob_is_a_distribution_over_all_data(loaded: Any) -> None:
    truth = loaded.truth
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)))
    log_px = truth.log_prob(x)
    assert (log_px.shape, log_px.dtype) == ((32,), torch.float64)
    assert log_px.exp().sum().item() == pytest.approx(1, abs=1e-12)
    # By the definition, one z at a time.
    expected = torch.zeros(32, dtype=torch.float64)
    for z in truth.states():
        p_z = Bernoulli(logits=truth.prior).log_prob(z).sum()
        expected += (p_z + Bernoulli(logits=truth.W @ z + truth.bias).log_prob(x.double()).sum(-1)).exp()
    torch.testing.assert_close(log_px, expected.log(), rtol=0, atol=1e-10)
    posterior = truth.posterior(x)
    torch.testing.assert_close(posterior.sum(1), torch.ones(32, dtype=torch.float64))
    torch.testing.assert_close(truth.joint(x) - posterior.log(), log_px.unsqueeze(1).expand(-1, 8))


def test_the_data_follow_the_truth(loaded: Any) -> None:
    x = rows(loaded, "train")
    assert len(x) == 8 * N
    assert ((x == 0) | (x == 1)).all()
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)))
    p = loaded.truth.log_prob(every).exp()
    seen = (x.unsqueeze(1) == every).all(-1).double().mean(0)
    assert ((seen - p).abs() < 5 * (p * (1 - p) / len(x)).sqrt() + 1e-12).all()
    again, more = data.load("tiny_sbn", d=5, bits=3, n=10 * N), data.load("tiny_sbn", d=5, bits=3, n=20 * N)
    assert again.checksum == loaded.checksum != more.checksum
    assert torch.equal(again.truth.W, more.truth.W)


class Exact(Posterior):
    """q(z|x) = p(z|x): one variable whose classes are all the states of the bits."""

    has_path = False
    latents = "one-hot"

    def __init__(self, features: int, latent: int, *, sbn: BeliefNetwork) -> None:  # noqa: ARG002
        super().__init__()
        assert 2 ** len(sbn.prior) == latent
        self.sbn = sbn

    def forward(self, h: Tensor) -> Distribution:
        # The encoder of `network=linear` is the identity.
        return OneHots(self.sbn.posterior(h).log().unsqueeze(-2).to(h.dtype))


def at_truth(truth: BeliefNetwork, logits: Tensor | None = None) -> VAE:
    """The network itself as a VAE of bits, with q(z|x) = prod_j Bernoulli(logits_j), the prior's by default."""
    spec = data.spec("tiny_sbn", d=5, bits=3)
    made = build("bernoulli_vimco", spec, network="linear", centre=False, latent=3).double()
    with torch.no_grad():
        made.decoder.body.weight.copy_(truth.W)
        made.decoder.body.bias.copy_(truth.bias)
        made.prior.logits.copy_(truth.prior)
        made.posterior.logits.weight.zero_()
        made.posterior.logits.bias.copy_(truth.prior if logits is None else logits)
    return made


def test_the_judge_counts_the_latents_of_the_truth(loaded: Any) -> None:
    truth = loaded.truth
    held = Held(rows(loaded).double())
    log_px = truth.log_prob(held.x)
    found = counted.enumerated(at_truth(truth), held.x)["log_px"]
    torch.testing.assert_close(found, log_px, rtol=0, atol=1e-9)
    # In several turns, where not all states fit in memory with an example.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counted, "rows_at_once", lambda _: 3)
        turns = counted.enumerated(at_truth(truth), held.x[:9])["log_px"]
    torch.testing.assert_close(turns, log_px[:9], rtol=0, atol=1e-9)
    judgement = evaluate(at_truth(truth), held, Measure(20, 50, None))
    metrics = judgement.metrics
    assert metrics["nll_exact_nats"] == pytest.approx(-log_px.mean().item(), abs=1e-9)
    assert judgement.errors["nll_exact_nats"]["mc"] == 0.0
    # A poor posterior: its bounds lie below the truth, by the KL that is known.
    assert metrics["elbo_nats"] < -metrics["nll_is50_nats"] < -metrics["nll_exact_nats"] + 0.05
    posterior = truth.posterior(held.x)
    q = (Independent(Bernoulli(logits=truth.prior), 1).log_prob(truth.states())).unsqueeze(0)
    gap = (q.exp() * (q - posterior.log())).sum(1).mean().item()
    assert -metrics["nll_exact_nats"] - metrics["elbo_nats"] == pytest.approx(gap, abs=0.15)
    part = evaluate(at_truth(truth), held, Measure(100, 50, 100))
    error = part.errors["nll_exact_nats"]["test"]
    assert error is not None
    assert abs(part.metrics["nll_exact_nats"] + log_px.mean().item()) < 4 * error < 2


def test_every_bound_is_tight_at_the_exact_posterior_of_a_countable_latent(loaded: Any) -> None:
    """One variable of all eight states: q(z|x) is exact, so ELBO = IWAE = log p(x) for every draw."""
    truth = loaded.truth
    spec = data.spec("tiny_sbn", d=5, bits=3)
    options = {"prior": "one_hots", "objective": "vimco", "classes": 8, "latent": 8, "network": "linear"}
    made = build("vanilla", spec, posterior=Exact, sbn=truth, centre=False, **options).double()
    uniform = BeliefNetwork(truth.W, truth.bias, torch.zeros(3, dtype=torch.float64))
    made.posterior.sbn = uniform
    with torch.no_grad():
        made.decoder.body.weight.copy_((truth.states() @ truth.W.T + truth.bias).T)
        made.decoder.body.bias.zero_()
    held = Held(rows(loaded).double()[:50])
    log_px = uniform.log_prob(held.x).mean().item()
    metrics = evaluate(made, held, Measure(3, 4, None)).metrics
    assert metrics["nll_exact_nats"] == pytest.approx(-log_px, abs=1e-9)
    assert metrics["nll_is4_nats"] == pytest.approx(-log_px, abs=1e-9)


def test_too_many_latents_are_not_counted(loaded: Any) -> None:
    spec = data.spec("tiny_sbn", d=5, bits=3)
    torch.manual_seed(0)
    many = build("bernoulli_vimco", spec, latent=15, hidden=(4,)).double()
    held = Held(rows(loaded).double()[:20])
    assert evaluate(many, held, Measure(1, 2, None)).metrics["nll_exact_nats"] is None
    assert (
        "nll_exact_nats" not in evaluate(build("vanilla", spec, latent=2).double(), held, Measure(1, 2, None)).metrics
    )
    with pytest.raises(ValueError, match="at most 16384 points, and here are 32768"):
        counted.enumerated(many, held.x)
    # More rows than are held at once.
    few = build("bernoulli_vimco", spec, latent=12, hidden=(4,)).double()
    found = counted.enumerated(few, held.x)["log_px"]
    bound = evidence.importance_weights(few, held.x, 20_000)["log_px"]
    torch.testing.assert_close(found, bound, rtol=0, atol=0.1)
    assert math.isfinite(found.sum().item())


def test_as_many_states_are_counted_as_may_be(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = at_truth(loaded.truth), rows(loaded).double()[:3]
    count = 2 ** len(loaded.truth.prior)
    monkeypatch.setattr(counted, "MOST_STATES", count)
    assert counted.enumerated(model, x)["log_px"].isfinite().all()
    monkeypatch.setattr(counted, "MOST_STATES", count - 1)
    with pytest.raises(ValueError, match=f"at most {count - 1} points, and here are {count}"):
        counted.enumerated(model, x)
