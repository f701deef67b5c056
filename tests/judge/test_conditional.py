"""A model of p(x|c): judged with the class of each example, in a group of its own."""

from typing import Any

import pytest
import torch
from msgspec.structs import replace

import bench.data as data
from bench.cells.run import run_cell
from bench.judge import evaluate, evidence
from bench.records.record import Model
from bench.settings import Measure
from bench.stats import groups
from tests import fake_records
from tests.helpers import cell
from variants import build
from variants.core import VAE, Batch

SMALL: dict[str, Any] = {"latent": 12, "hidden": (8,), "class_hidden": (5,)}


@pytest.fixture(scope="module")
def digits() -> Any:
    return data.load("digits", binarise="fixed")


@pytest.fixture(scope="module")
def model(digits: Any) -> VAE:
    torch.manual_seed(0)
    return build("conditional", digits.spec, **SMALL)


def test_every_figure_is_of_the_class_that_an_example_has(model: VAE, digits: Any) -> None:
    metrics = evaluate(model, digits, Measure(2, 20, 30)).metrics
    x, y = next(digits.eval_batches("test", 250))
    with torch.no_grad():
        torch.manual_seed(1)
        terms = model.terms(Batch(x, c=y), 200)
        expected = terms.log_px_z.mean(0).mean() - terms.kl.mean()
        squares = (x - model.reconstruct(Batch(x, c=y))).square().mean()
    assert metrics["elbo_nats"] == pytest.approx(expected.item(), abs=0.05)
    assert metrics["kl_nats"] == pytest.approx(terms.kl.mean().item(), abs=1e-4)
    assert metrics["mse_per_pixel"] == pytest.approx(squares.item(), rel=1e-5)
    nll = metrics["nll_is20_nats"]
    assert nll is not None
    assert -nll >= metrics["elbo_nats"] - 0.05


def test_importance_sampling_is_given_the_class_of_each(model: VAE, digits: Any) -> None:
    x, y = next(digits.eval_batches("test", 40, limit=40))
    one = evidence.importance_weights(model, Batch(x, c=y), 50)
    other = evidence.importance_weights(model, Batch(x, c=(y + 1) % 10), 50)
    assert one["log_px"].shape == (40,)
    with torch.no_grad():
        torch.manual_seed(2)
        bound = model.terms(Batch(x, c=y), 400).log_weights.mean(0).double()
    assert (one["elbo"] - bound).abs().max() < 2
    assert (one["log_px"] != other["log_px"]).all()


def test_what_would_tell_of_the_class_is_a_dash(model: VAE, digits: Any) -> None:
    everything = Measure(1, 5, 10, mi_points=20, gap_points=4, ais_points=4, probe_points=50, factor_points=50)
    metrics = evaluate(model, digits, replace(everything, sample_points=20)).metrics
    for name in ("mutual_information_nats", "probe_accuracy", "live_axes", "active_units", "nll_ais_nats", "frechet"):
        assert metrics.get(name) is None, name
    assert metrics["elbo_nats"] is not None


def test_nats_of_x_given_c_have_a_group_of_their_own_that_says_so() -> None:
    plain = fake_records.quality("vanilla", 0)
    given = fake_records.quality("conditional", 0)
    given.model.conditional = True
    found = groups.groups([plain, given])
    assert [[row.variant for row in group.rows] for group in found] in (
        [["vanilla"], ["conditional"]],
        [["conditional"], ["vanilla"]],
    )
    told = {group.rows[0].variant: group for group in found}
    assert told["conditional"].settings["support"] == "conditional binary"
    assert "log p(x|c)" in told["conditional"].title
    assert told["vanilla"].settings["support"] == "binary"
    assert "log p(x|c)" not in told["vanilla"].title
    # A run that failed before its model was built is beside those of its kind that did not.
    failed = fake_records.quality("conditional", 1, status="error", reason="no")
    failed.model = Model()
    assert len(groups.groups([plain, given, failed])) == 2


@pytest.mark.parametrize(
    ("variant", "choice", "options"),
    [
        ("conditional", "digits", {}),
        ("semi_supervised", "digits", {"labelled": 40}),
        ("ada_gvae", "sprites", {"n": 200, "pairs": 1}),
        ("pixel_decoder", "digits", {}),
    ],
)
def test_a_cell_of_each_trains_and_is_judged(
    variant: str, choice: str, options: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    small = {"pixel_decoder": {"pixel_filters": 4}, "ada_gvae": {}}.get(variant, {"class_hidden": [5]})
    made = cell(variant, overrides={"latent": 12, "hidden": [8]} | small, budget={"epochs": 2})
    made |= {"dataset": choice, "data_options": options}
    if choice == "sprites":
        made["binarise"], made["budget"]["train_size"] = "none", 100
    result, artefacts = run_cell("quality", made, {"commit": None, "versions": {}})
    assert (result.status, result.reason) == ("ok", None), result.traceback
    assert result.no_pictures is None
    assert artefacts is not None
    assert result.metrics["elbo_nats"] is not None
    assert result.curve[1]["train_loss"] < result.curve[0]["train_loss"]
    assert result.model.conditional == (True if variant == "conditional" else None)
    assert not recwarn.list
