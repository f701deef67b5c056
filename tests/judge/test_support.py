"""The judge measures on R^D only what lives there, and sums over latents that can be counted."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Binomial, Distribution, Independent

from bench.judge import evaluate, evidence
from bench.judge.gaps import gaps
from bench.settings import Measure
from tests.helpers import Held
from variants import DataSpec
from variants.parts import assemble
from variants.parts.likelihoods import Likelihood
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior

SPEC = DataSpec((6,), "binary", 40)


class Straight(Independent):
    """Bits whose draws pretend to have a gradient, so that nothing raises where they do not belong."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        probs = self.mean
        return probs + (self.sample(torch.Size(sample_shape)) - probs).detach()


class Bits(Posterior):
    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Distribution:
        return Straight(Bernoulli(logits=self.logits(h), validate_args=False), 1, validate_args=False)


class FairBits(Prior):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Bernoulli(logits=self.logits, validate_args=False), 1, validate_args=False)


def bits(latent: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    return assemble(SPEC, latent=latent, posterior=Bits, prior=FairBits, hidden=(8,), **options)


def held(n: int = 24) -> Held:
    return Held(torch.rand(n, 6, generator=torch.Generator().manual_seed(1)).round())


def test_gaps_and_annealing_are_left_out_where_latents_are_no_points_of_r_d() -> None:
    """T1, T2. A Gaussian q* has log p(z) at real z, and HMC the logit as its gradient: finite, and about nothing."""
    metrics = evaluate(
        bits(), held(), Measure(2, 5, None, gap_points=8, gap_steps=3, ais_points=8, ais_steps=3)
    ).metrics
    theirs = [name for name in metrics if "gap_" in name or "optimised" in name or name.startswith(("ais_", "bdmc_"))]
    assert {"approximation_gap_nats", "nll_optimised_nats", "bdmc_gap_nats", "ais_acceptance"} <= set(theirs)
    assert {name: metrics[name] for name in [*theirs, "nll_ais_nats"] if name != "inference_gap_nats"} == dict.fromkeys(
        name for name in [*theirs, "nll_ais_nats"] if name != "inference_gap_nats"
    )
    assert metrics["elbo_nats"] is not None
    metrics = evaluate(bits(), held(), Measure(2, 0, None, gap_points=8, gap_steps=3, gap_split="train")).metrics
    assert metrics["train_elbo_nats"] is metrics["train_nll_optimised_nats"] is None


def test_where_the_prior_alone_is_a_density_on_r_d_there_is_annealing_and_there_are_no_gaps() -> None:
    torch.manual_seed(0)
    model = assemble(SPEC, latent=3, posterior=Bits, hidden=(8,))
    how = Measure(2, 0, None, gap_points=4, gap_steps=2, ais_points=4, ais_steps=3, ais_chains=2)
    metrics = evaluate(model, held(), how).metrics
    assert metrics["approximation_gap_full_nats"] is None
    assert metrics["bdmc_gap_nats"] is not None
    with pytest.raises(ValueError, match=r"q\(z\|x\) lives on .*not on R\^D"):
        gaps(model, held().x[:4], steps=2)


@pytest.mark.parametrize(
    "measurement",
    [partial(gaps, steps=2), partial(evidence.annealed, chains=2, steps=3)],
    ids=["gaps", "annealed"],
)
def test_asked_for_directly_they_refuse(measurement: Any) -> None:
    with pytest.raises(ValueError, match=r"the prior lives on .*not on R\^D"):
        measurement(bits(), held().x[:4])


class Levels(Likelihood):
    """Three levels 0, 1, 2 a pixel: a probability, on a support of another name than "binary"."""

    support = "levels"  # type: ignore[assignment]

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.dims = len(data.shape)

    def forward(self, h: Tensor) -> Distribution:
        return Independent(Binomial(2, logits=h, validate_args=False), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self(h).log_prob(x)


def test_a_probability_has_bits_whatever_its_support_is_called() -> None:
    """T4."""
    torch.manual_seed(0)
    model = assemble(SPEC, latent=2, likelihood=Levels, hidden=(8,))
    metrics = evaluate(model, held(), Measure(1, 3, None)).metrics
    assert metrics["bits_per_dim"] == pytest.approx(metrics["nll_is3_nats"] / (6 * 0.6931471805599453))
