"""What runs on an accelerator, on the one that this machine has: `test_pretend.py` gives it a pretended one."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench as vb
from bench import data, device
from bench.cells import clock
from bench.cells.run import run_cell
from bench.errors import MachineError
from bench.resume import checkpoint
from bench.resume.checkpoint import Checkpoint
from bench.settings import Budget
from tests.helpers import call, cell, fit, refused, throughput_cell
from tests.oracle.tiny import TINY
from tests.performance import device as benchmark
from tests.resume.test_checkpoint import Stopped, StoppedAfter
from tests.sweeps.test_oracle_suite import toml
from tests.variants.test_conformance import SMALLER
from variants import registry

DEVICE = device.accelerator() or "none"
pytestmark = pytest.mark.skipif(DEVICE == "none", reason="no accelerator; test_pretend.py makes one up")

# A variant for each way to draw, to optimise and to be judged, and each kind of part.
VARIANTS = (
    "adversarial",
    "autoencoder",
    "batch_norm_posterior",
    "bernoulli_vimco",
    "beta_tc",
    "conv_full_covariance",
    "flow_prior",
    "geco",
    "gumbel_softmax",
    "hamiltonian",
    "hierarchical_vamp",
    "hyperspherical",
    "iterative",
    "iwae_dreg",
    "lagging",
    "ladder",
    "poincare",
    "reweighted_wake_sleep",
    "spline_flow",
    "student_t",
    "two_stage",
    "vanilla",
    "vq_ema",
)
BUDGET = {"epochs": 3, "batch_size": 40, "train_size": 100, "patience": 1}
MEASURE = {"elbo_samples": 2, "nll_samples": 4, "nll_points": 6, "mi_points": 8, "probe_points": 20}
# The long measurements, of a diagonal posterior and a full one.
LONG = {"gap_points": 2, "gap_steps": 2, "ais_points": 2, "ais_steps": 3, "ais_chains": 2}
MEASURED_LONG = ("conv_full_covariance", "vanilla")


TINY_SUITE = """
variants = ["vanilla"]
datasets = ["digits"]
seeds = 1

[budget]
epochs = 2
train_size = 100

[measure]
elbo_samples = 2
nll_samples = 2
nll_points = 5

[throughput]
blocks = 0
"""


def quality(variant: str, where: str) -> dict[str, Any]:
    overrides = json.loads(json.dumps(SMALLER.get(variant, {})))
    measure = MEASURE | (LONG if variant in MEASURED_LONG else {})
    return cell(variant, overrides=overrides, device=where, budget=BUDGET, measure=measure)


def test_a_device_keeps_its_rules() -> None:
    """Else the other tests would say little."""
    here, there = torch.ones(3, 4, device=DEVICE), torch.ones(3, 4)
    for mixed in (
        lambda: here + there,
        lambda: there @ here.T,
        lambda: torch.cat([here, there]),
        lambda: there.add_(here),
        lambda: torch.rand(3, device=DEVICE, generator=torch.Generator()),
        lambda: torch.rand(3, generator=torch.Generator(DEVICE)),
    ):
        with pytest.raises(RuntimeError):
            mixed()
    with pytest.raises(TypeError, match="numpy"):
        here.numpy()
    assert (here + torch.ones(()))[0, 0].item() == 2  # a number may come from anywhere


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_trained_and_judged(variant: str) -> None:
    made, pictures = run_cell("quality", quality(variant, DEVICE), {"commit": "abc"})
    assert made.status == "ok", made.traceback or made.reason
    assert made.provenance.device_name == device.describe(DEVICE)
    assert pictures is not None
    assert made.no_pictures is None
    if DEVICE == "pretend":  # its kernels and its random numbers are those of the CPU
        expected, _ = run_cell("quality", quality(variant, "cpu"), {"commit": "abc"})
        assert {name for name, value in made.metrics.items() if value is None} == {
            name for name, value in expected.metrics.items() if value is None
        }
        for name, value in made.metrics.items():
            assert value is None or value == pytest.approx(expected.metrics[name], rel=1e-3, abs=1e-4), name


# The last pass has no better validation ELBO than some pass before it, whose weights are then the result.
EARLY = Budget(epochs=4, batch_size=50, lr=0.3, train_size=100, patience=4)


def trained(variant: str, checkpoint: Checkpoint | None) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    loaded = data.load("digits", train_size=100, device=DEVICE)
    model = registry.seeded(variant, loaded.spec, 0).to(DEVICE)
    curve = fit(model, loaded, EARLY, seed=3, device=DEVICE, checkpoint=checkpoint)
    return curve, {name: tensor.cpu() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("variant", ["vanilla", "adversarial", "batch_norm_posterior"])
def test_a_training_that_was_stopped_goes_on(variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)
    curve, weights = trained(variant, None)
    with pytest.raises(Stopped):
        trained(variant, StoppedAfter(5, tmp_path / "kept"))
    again = Checkpoint(tmp_path / "kept")
    resumed = trained(variant, again)
    assert again.provenance["resumed"] == 1
    if DEVICE == "pretend":  # atomic additions of a real one come in any order
        assert resumed[0] == curve
        assert all(torch.equal(tensor, weights[name]) for name, tensor in resumed[1].items())
    else:
        assert [row["valid_elbo_nats"] for row in resumed[0]] == pytest.approx(
            [row["valid_elbo_nats"] for row in curve], rel=1e-3
        )


def test_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "pretend":
        monkeypatch.setattr(clock, "ROWS", 64)
    made, _ = run_cell("throughput", throughput_cell("vanilla", device=DEVICE), {"commit": "abc"})
    assert made.status == "ok", made.traceback or made.reason
    assert made.metrics["train_samples_per_s"].median > 0
    assert made.metrics["train_mfu"] > 0
    assert made.provenance.processor_share is None  # the processor waits for the device


def test_a_run_in_processes_and_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_SUITE, encoding="utf-8")
    words = ["run", tmp_path / "tiny.toml", "--out", tmp_path / "out", "--json"]
    code, out, err = call(capsys, *words)
    assert code == 0, err
    assert [(row["device"], row["ok"]) for row in json.loads(out)["rows"]] == [(DEVICE, 1)]
    code, _, err = call(capsys, *words, "--device", DEVICE)
    assert code == 0, err
    assert "nothing to do" in err


def test_what_the_device_lacks_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if DEVICE != "pretend":
        pytest.skip("it may lack nothing")
    words = ["run", "quick", "--out", tmp_path, "--precision", "bf16"]
    assert "device 'pretend' has no bf16: use --precision fp32" in refused(capsys, 4, *words)
    words = ["run", "oracle", "--out", tmp_path, "--device", DEVICE]
    assert "double precision, which pretend does not have: use --device cpu" in refused(capsys, 4, *words)


def test_python(tmp_path: Path) -> None:
    digits = vb.data("digits")
    model = vb.fit("vanilla", digits, epochs=1, train_size=100, hidden=[8], latent=2)
    assert model.device.type == DEVICE
    x = next(digits.eval_batches("test", 20))[0].numpy()
    z = model.embed(x)
    assert isinstance(z, np.ndarray)
    assert isinstance(model.sample(3), np.ndarray)
    assert model.reconstruct(torch.from_numpy(x)).device.type == "cpu"
    assert math.isfinite(vb.evaluate(model, digits, nll_samples=2)["elbo_nats"])
    model.save(tmp_path / "model")
    np.testing.assert_allclose(vb.load(tmp_path / "model").embed(x), z, rtol=1e-5)
    np.testing.assert_allclose(vb.load(tmp_path / "model", device="cpu").embed(x), z, rtol=1e-3, atol=1e-4)


def test_the_oracle_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        device.require_float64(DEVICE)
    except MachineError as error:
        pytest.skip(str(error))
    (tmp_path / "tiny.toml").write_text(toml(TINY), encoding="utf-8")
    words = ["run", tmp_path / "tiny.toml", "--out", tmp_path / "out", "--engine", "debug", "--device", DEVICE]
    code, out, err = call(capsys, *words)
    assert code == 0, out + err


def test_the_benchmark_of_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "pretend":
        monkeypatch.setattr(clock, "ROWS", 64)
    monkeypatch.setattr(benchmark, "BATCHES", (4, 8))
    monkeypatch.setattr(benchmark, "HOWS", ("fp32",))
    source = benchmark.here()
    for part in ("speed", "compile"):
        benchmark.work(part, tmp_path, ["vanilla"])
    points = benchmark.read(tmp_path, source)
    assert [(each["part"], each["device"], each["batch"]) for each in points] == [
        *(("speed", where, batch) for where in (DEVICE, "cpu") for batch in (4, 8)),
        *(("compile", DEVICE, batch) for batch in (4, 8)),
    ]
    assert all(each["per_s"][0] > 0 and each["mfu"] > 0 for each in points)
    benchmark.work("speed", tmp_path, ["vanilla"])  # nothing is missing
    assert benchmark.read(tmp_path, source) == points
