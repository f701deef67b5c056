"""What `evaluate` makes of the measurements of single examples: which examples, which sign, which error."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.judge import evaluate, evidence, surgery
from bench.settings import Measure
from tests.helpers import Held
from variants import DataSpec, build
from variants.core import VAE

N = 12


@pytest.fixture
def held() -> Held:
    return Held(torch.randn(N, 5, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return build("linear", DataSpec((5,), "real"), latent=2)


def columns(log_px: Tensor, variance: float) -> dict[str, Tensor]:
    one = torch.ones(len(log_px), dtype=torch.float64)
    return {"log_px": log_px.double(), "log_px_var": variance * one, "acceptance": 0.5 * one}


@pytest.mark.parametrize("points", [4, N])
def test_the_sandwich_is_of_test_examples_from_below_and_of_simulated_ones_from_both_sides(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    drawn = torch.full((points, 5), 7.0), torch.full((points, 2), 3.0)

    def weights(_: VAE, x: Tensor, __: int) -> Any:
        return {"elbo": x[:, 0].double() - 2, "elbo_var": torch.full((len(x),), 0.25, dtype=torch.float64)}

    def reverse(_: VAE, x: Tensor, z: Tensor, **__: Any) -> Any:
        assert torch.equal(x, drawn[0][: len(x)])
        assert torch.equal(z, drawn[1][: len(x)])
        return columns(x[:, 0] + 2, 0.09)

    monkeypatch.setattr(evidence, "importance_weights", weights)
    monkeypatch.setattr(evidence, "simulate", lambda _, n: tuple(each[:n] for each in drawn))
    monkeypatch.setattr(evidence, "annealed", lambda _, x, **__: columns(x[:, 0], 0.04))
    monkeypatch.setattr(evidence, "reverse", reverse)
    judged = evaluate(model, held, Measure(3, 0, ais_points=points, ais_chains=2, ais_steps=3))  # type: ignore[arg-type]
    found, errors = judged.metrics, judged.errors
    # log p(x) is two nats above the ELBO of each test example.
    assert found["nll_ais_nats"] == pytest.approx(-found["elbo_nats"] - 2)
    assert (found["bdmc_lower_nats"], found["bdmc_upper_nats"], found["bdmc_gap_nats"]) == (7, 9, 2)
    assert found["ais_acceptance"] == 0.5
    mc = {name: errors[name]["mc"] for name in errors}
    elbo = mc["elbo_nats"]
    assert elbo is not None
    assert mc["nll_ais_nats"] == pytest.approx(math.sqrt(elbo**2 + (0.04 + 0.25) / points))
    assert mc["bdmc_lower_nats"] == pytest.approx(math.sqrt(0.04 / points))
    assert mc["bdmc_upper_nats"] == pytest.approx(math.sqrt(0.09 / points))
    assert mc["bdmc_gap_nats"] == pytest.approx(math.sqrt((0.04 + 0.09) / points))


@pytest.mark.parametrize("points", [4, N])
def test_the_error_of_a_mutual_information_is_that_of_the_examples_that_were_asked(
    held: Held, model: VAE, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    values = torch.linspace(0, 1, points, dtype=torch.float64)

    def information(_: VAE, x: Tensor, components: Any) -> dict[str, Tensor]:
        assert len(x) == points
        assert sum(map(len, components)) == N
        return {"mutual_information": values}

    monkeypatch.setattr(surgery, "mutual_information", information)
    judged = evaluate(model, held, Measure(2, 0, mi_points=points))  # type: ignore[arg-type]
    error = {"mc": pytest.approx((values.var() / points).sqrt().item()), "test": None}
    assert judged.metrics["mutual_information_nats"] == pytest.approx(0.5)
    assert judged.metrics["marginal_kl_nats"] == pytest.approx(judged.metrics["kl_nats"] - 0.5)
    assert judged.errors["mutual_information_nats"] == judged.errors["marginal_kl_nats"] == error
