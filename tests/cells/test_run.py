"""One cell -> one record: what a variant may do wrong, and what the record then says."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import data
from bench.cells import prepare, weights
from bench.cells import run as run_module
from bench.cells.run import run_cell
from bench.errors import UsageError
from bench.pages import doubts, tables
from bench.records import record, schema
from bench.settings import Clock
from bench.sweeps import progress
from bench.text import DASH
from tests.helpers import cell, simulated, telling, throughput_cell
from variants import registry

PROVENANCE = {"commit": None, "versions": {}}
SMALL = {"latent": 2, "hidden": [8]}


pytestmark = pytest.mark.usefixtures("misbehaving")


def run(kind: str = "quality", **config: Any) -> tuple[dict[str, Any], bytes | None]:
    made = cell(**config) if kind == "quality" else throughput_cell(**config)
    return run_cell(kind, made, PROVENANCE)


@pytest.mark.parametrize("variant", ["vanilla", "autoencoder", "full_covariance", "iwae"])
def test_a_cell_gives_a_complete_record(variant: str) -> None:
    epochs: list[int] = []
    made = cell(variant, overrides=SMALL, budget={"epochs": 2})
    result, artefacts = run_cell("quality", made, PROVENANCE, tell=telling(epochs=epochs.append))
    assert (result.status, result.reason) == ("ok", None)
    assert result.schema == record.SCHEMA
    assert result.protocol == record.PROTOCOL
    assert result.id == record.record_id("quality", made)
    assert result.cell == made
    assert epochs == [row["epoch"] for row in result.curve] == [1, 2]
    assert set(result.metrics) == {
        "elbo_nats",
        "recon_nats",
        "kl_nats",
        "mse_per_pixel",
        "nll_is5_nats",
        "inference_gap_nats",
        "active_units",
        "bits_per_dim",
        "parameters",
    }
    bound = variant != "autoencoder"
    assert (result.metrics["elbo_nats"] is not None) == bound
    expected = {"latent": 2, "has_bound": bound, "data_dims": 64, "network": "mlp"}
    assert {key: getattr(result.model, key) for key in expected} == expected
    assert result.model.kl_method == ("closed_form" if bound else None)
    assert result.model.support == ("binary" if bound else "real")
    assert result.provenance.data_sha256 == data.load("digits").checksum
    assert set(result.timing) == {"train_s", "measure_s"}
    assert schema.of(json.loads(json.dumps(record.plain(result), allow_nan=False))) == result
    assert artefacts is not None


@pytest.mark.parametrize("variant", ["vanilla", "autoencoder", "full_covariance"])
def test_artefacts(variant: str) -> None:
    _, artefacts = run(variant=variant, overrides={"latent": 3, "hidden": [8]})
    assert artefacts is not None
    with np.load(io.BytesIO(artefacts), allow_pickle=False) as file:
        arrays = dict(file)
    kinds = {name: (array.shape, array.dtype.kind) for name, array in arrays.items()}
    expected = {
        "inputs": ((8, 1, 8, 8), "u"),
        "reconstructions": ((8, 1, 8, 8), "u"),
        "samples": ((32, 1, 8, 8), "u"),
        "latent_mean": ((250, 2), "f"),
        "latent_cov": ((250, 2, 2), "f"),
        "latent_axes": ((2,), "i"),
        "labels": ((250,), "i"),
    }
    assert {name: kinds[name] for name in expected} == expected
    assert {"traversals", "interpolations_great_circle", "aggregate_norms", "worst_inputs"} < set(arrays)
    assert set(np.unique(arrays["inputs"])) == {0, 255}
    assert set(arrays["labels"]) == set(range(10))
    off_diagonal = arrays["latent_cov"][:, 0, 1]
    if variant == "autoencoder":
        assert not arrays["latent_cov"].any()
    else:
        assert (np.linalg.eigvalsh(arrays["latent_cov"]) > 0).all()
        assert off_diagonal.any() == (variant == "full_covariance")
    loaded = data.load("digits")
    test = np.concatenate([y.numpy() for _, y in loaded.eval_batches("test", 100)])
    assert (arrays["labels"] == test).all()


def test_only_the_first_seed_leaves_artefacts() -> None:
    assert run(overrides=SMALL, seed=1)[1] is None


def test_one_cell_twice_gives_the_same_bytes() -> None:
    config = cell(overrides=SMALL, budget={"epochs": 2})
    runs = [run_cell("quality", config, PROVENANCE) for _ in range(2)]
    first, second = (json.dumps([result.metrics, result.curve, repr(result.model)]) for result, _ in runs)
    assert first == second
    assert runs[0][1] == runs[1][1]


def test_training_and_measuring_are_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only they move."""
    now = [0.0]

    def takes(seconds: float, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            result = work(*given)
            now[0] += seconds
            return result

        return timed

    trained, evaluate = prepare.trained, run_module.judge.evaluate
    monkeypatch.setattr(run_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(prepare, "trained", takes(1000.0, lambda *given: trained(*given) | {"train_s": 1000.0}))
    monkeypatch.setattr(run_module.judge, "evaluate", takes(7.0, evaluate))
    assert run(overrides=SMALL)[0].timing == {"train_s": 1000.0, "measure_s": 7.0}


def test_skipped_steps_are_those_of_all_epochs() -> None:
    budget = {"epochs": 3, "batch_size": 100, "train_size": 400, "grad_skip": 1e-9}
    result, _ = run_cell("quality", cell(budget=budget), {"commit": None})
    assert result.status == "ok", result.reason
    assert result.metrics["skipped_steps"] == 12


def test_evaluation_finer_or_coarser_leaves_training_alone() -> None:
    coarse = run(overrides=SMALL)[0]
    fine = run(overrides=SMALL, measure={"elbo_samples": 9, "nll_samples": 0})[0]
    assert fine.curve == coarse.curve
    assert "nll_is5_nats" not in fine.metrics


@pytest.mark.parametrize(
    ("variant", "status", "reason"),
    [
        ("raises_at_build", "error", "RuntimeError: no way to build this"),
        ("raises_at_forward", "error", "RuntimeError: no way forward"),
        ("raises_in_training", "error", "RuntimeError: training broke"),
        ("exits", "error", "SystemExit: I quit"),
        ("no_vae", "error", "TypeError: the recipe returned Linear, not a VAE"),
        ("wrong_shape", "error", "ValueError: the loss has shape () where (2,) belongs (K = 3, B = 2)"),
        ("nan_in_training", "diverged", "training loss is nan in epoch 1"),
        ("nan_in_evaluation", "diverged", "valid_elbo_nats is nan after epoch 1"),
        ("nan_on_the_test_split", "diverged", "not finite at evaluation: elbo_nats, recon_nats"),
        ("no_such_variant", "error", "unknown variant 'no_such_variant'"),
    ],
)
def test_what_a_variant_does_wrong_becomes_a_status_and_one_line(variant: str, status: str, reason: str) -> None:
    result, artefacts = run(variant=variant)
    assert result.status == status
    assert result.reason.startswith(reason)
    assert "\n" not in result.reason
    assert artefacts is None
    assert result.metrics == {}
    json.dumps(record.plain(result), allow_nan=False)
    if variant.startswith("raises"):
        assert "vae_misbehaving.py" in result.traceback


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"budget": {"train_size": 5000}}, "train_size 5000 is more than digits has"),
        ({"dataset": "nowhere.npz", "binarise": "none"}, "nowhere.npz: no such file"),
        ({"overrides": {"latent": 0}}, "ValueError: latent must be a whole number of at least 1, got 0"),
        ({"overrides": {"nonsense": 1}}, "OptionError: no chosen part takes the option 'nonsense'"),
    ],
)
def test_a_cell_that_cannot_be_is_an_error_record(changes: dict[str, Any], reason: str) -> None:
    result, _ = run(**changes)
    assert (result.status, result.metrics) == ("error", {})
    assert result.reason.startswith(reason)


def test_throughput_cell() -> None:
    result, artefacts = run("throughput", overrides=SMALL)
    assert (result.status, artefacts, result.curve) == ("ok", None, [])
    assert {"train_samples_per_s", "peak_memory_mb"} < set(result.metrics)
    json.dumps(record.plain(result), allow_nan=False)
    assert 0 < result.provenance.processor_share < 1.1
    assert run("throughput", variant="exits")[0].reason == "SystemExit: I quit"


@pytest.mark.parametrize(("used", "busy"), [(4.0, True), (9.9, False)])
def test_the_share_of_a_processor_is_what_the_thread_had_of_the_time(
    monkeypatch: pytest.MonkeyPatch, used: float, busy: bool
) -> None:
    wall, own, told = iter([3.0, 13.0]), iter([1.0, 1.0 + used]), list[Any]()
    clocks = SimpleNamespace(perf_counter=lambda: next(wall), thread_time=lambda: next(own))
    monkeypatch.setattr(run_module, "time", clocks)
    monkeypatch.setattr(run_module.clock, "throughput", lambda *_, **__: {"parameters": 1})
    made = throughput_cell(overrides=SMALL)
    result = record.new("throughput", made, {})
    run_module._throughput(made, result, told.append)
    assert result.provenance.processor_share == pytest.approx(used / 10)
    assert [each.line for each in told] == (
        ["this processor had other work: the speed is that of 40% of a core; repeat when it is idle"] if busy else []
    )


EVERYTHING = {
    "mi_points": 20,
    "gap_points": 4,
    "gap_steps": 2,
    "probe_points": 50,
    "ais_points": 2,
    "ais_steps": 3,
    "ais_chains": 2,
}
LAYERS = {"active_units_layer1", "active_units_layer2"}
NO_GAUSSIAN = {"approximation_gap_nats", "amortisation_gap_nats"}


@pytest.mark.parametrize(
    ("variant", "overrides", "missing"),
    [
        ("gated", {}, LAYERS),
        ("vamp_prior", {"pseudo_inputs": 9}, LAYERS),
        ("vamp_prior", {"pseudo_inputs": 9, "posterior": "full"}, LAYERS),
        ("vamp_prior", {"pseudo_inputs": 9, "posterior": "bottom_up"}, NO_GAUSSIAN),
        ("hierarchical", {"objective": "iwae"}, NO_GAUSSIAN),
        ("hierarchical_top_down", {}, NO_GAUSSIAN),
        ("hierarchical_vamp", {"pseudo_inputs": 9}, NO_GAUSSIAN),
    ],
)
def test_everything_is_measured_of_models_beyond_the_plain_one(
    variant: str, overrides: dict[str, Any], missing: set[str]
) -> None:
    result, artefacts = run(variant=variant, overrides={"latent": 3, "hidden": [8], **overrides}, measure=EVERYTHING)
    assert (result.status, result.reason) == ("ok", None)
    assert result.model.kl_method == ("closed_form" if variant == "gated" else "monte_carlo")
    metrics = result.metrics
    every = {"elbo_nats", "nll_is5_nats", "mutual_information_nats", "approximation_gap_full_nats", "nll_ais_nats"}
    every |= {"bdmc_gap_nats", "probe_accuracy", "active_units"} | LAYERS | NO_GAUSSIAN
    assert {name for name in every if metrics.get(name) is None} == missing
    assert metrics["nll_is5_nats"] <= -metrics["elbo_nats"] + 0.5
    assert artefacts is not None
    assert result.no_pictures is None
    with np.load(io.BytesIO(artefacts)) as arrays:
        assert arrays["samples"].shape == (32, 1, 8, 8)
        assert (np.linalg.eigvalsh(arrays["latent_cov"]) > 0).all()


def test_one_latent_dimension_has_one_axis() -> None:
    _, artefacts = run(overrides={"latent": 1, "hidden": [8]})
    assert artefacts is not None
    with np.load(io.BytesIO(artefacts), allow_pickle=False) as arrays:
        assert (arrays["latent_mean"].shape, arrays["latent_cov"].shape) == ((250, 1), (250, 1, 1))
        assert arrays["latent_axes"].tolist() == [0]


def test_a_seed_is_where_weights_begin_and_shared_parts_begin_alike() -> None:
    def start(seed: int, variant: str = "vanilla") -> dict[str, torch.Tensor]:
        made = cell(variant, overrides=SMALL, seed=seed)
        model, _ = prepare.build(made, record.new("quality", made, PROVENANCE), seed, 200)
        return model.state_dict()

    first, again, other, beta = start(0), start(0), start(1), start(0, "beta")
    drawn = [name for name in first if name.startswith(("encoder", "decoder")) and name.endswith("weight")]
    assert drawn
    for name in drawn:
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], beta[name])
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("key", ["code_sha256", "versions", "cpu_kernels", "matmul_precision"])
def test_what_was_measured_otherwise_is_measured_again(tmp_path: Path, key: str) -> None:
    """A stopped measurement goes on with the same code, libraries and kernels alone."""
    made = cell(overrides=SMALL)
    kept = weights.path(tmp_path, made)
    kept.parent.mkdir()
    kept.write_bytes(b"weights")
    result = record.new("quality", made, PROVENANCE)
    notes = run_module._notes(kept, result, lambda _: None)
    assert notes is not None
    assert run_module._notes(kept, result, lambda _: None) == notes
    notes.write_bytes(b"half")
    setattr(result.provenance, key, {"torch": "0"} if key == "versions" else "other")
    told: list[str] = []
    assert run_module._notes(kept, result, telling(note=told.append)) != notes
    assert not notes.exists()
    assert len(told) == 1


def test_a_cell_whose_last_batch_is_of_one_is_refused_before_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    build = prepare.build

    def normed(*given: Any) -> Any:
        model, loaded = build(*given)
        model.encoder.body.append(torch.nn.BatchNorm1d(8))  # type: ignore[operator,union-attr]
        return model, loaded

    monkeypatch.setattr(prepare, "build", normed)
    monkeypatch.setattr(prepare, "trained", lambda *_: pytest.fail("it was trained"))
    budget = {"train_size": 129, "batch_size": 128}
    result, _ = run_cell("quality", cell("vanilla", overrides=SMALL, budget=budget), PROVENANCE)
    assert result.status == "error"
    assert "of 129 examples in batches of 128 the last has one" in str(result.reason)


def test_a_speed_whose_blocks_never_agree_is_a_dash_and_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.cells.clock.time_blocks", lambda *_: [1.0, 9.0, 1.0, 99.0])
    notes: list[str] = []
    result, _ = run_cell("throughput", throughput_cell(overrides=SMALL), PROVENANCE, telling(note=notes.append))
    names = "train_samples_per_s, eval_samples_per_s, sample_samples_per_s, latency_b1_ms, matrix_peak_gflops"
    assert notes[0] == f"no figure for {names}, whose blocks did not agree: repeat when the machine is idle"
    assert any(f" has no {names}, for blocks did not agree" in line for line in doubts.problems([result]))
    assert {tables.block_text(result.metrics[name], 0) for name in names.split(", ")} == {DASH}
    assert progress._result(result) == f"trains {DASH} samples/s"


@pytest.mark.parametrize("size", [1, 127, 128, 129, 256, 257])
def test_a_last_batch_of_one_is_refused_where_layers_need_two(size: int) -> None:
    model = registry.seeded("vanilla", data.spec("digits"), 0, **SMALL)
    prepare.check_batches(model, size, 128)
    model.encoder.body.append(torch.nn.BatchNorm1d(8))  # type: ignore[operator,union-attr]
    if size % 128 == 1:
        with pytest.raises(
            ValueError, match=rf"of {size} examples in batches of 128 the last has one, .* batch_size=129"
        ):
            prepare.check_batches(model, size, 128)
    else:
        prepare.check_batches(model, size, 128)


SHAPES = {
    "the mean of q(z|x)": (2, 4),
    "z": (3, 2, 4),
    "log p(x|z)": (3, 2),
    "the mean of p(x|z)": (3, 2, 5),
    "the loss": (2,),
    "log p(z)": (3, 2),
    "log q(z|x)": (3, 2),
    "the KL": (2,),
}


@pytest.mark.parametrize("wrong", [None, *SHAPES])
def test_every_shape_is_looked_at(wrong: str | None) -> None:
    made = {name: torch.zeros(*shape, *([1] if name == wrong else [])) for name, shape in SHAPES.items()}
    terms = SimpleNamespace(
        q=SimpleNamespace(event_shape=torch.Size([4]), mean=made["the mean of q(z|x)"]),
        z=made["z"],
        log_px_z=made["log p(x|z)"],
        log_pz=made["log p(z)"],
        log_qz_x=made["log q(z|x)"],
        kl=made["the KL"],
    )
    model: Any = SimpleNamespace(
        conditional=False,
        has_bound=True,
        terms=lambda *_: terms,
        decode=lambda _: SimpleNamespace(mean=made["the mean of p(x|z)"]),
        loss=lambda _: made["the loss"],
    )
    x, y = torch.zeros(2, 5), torch.zeros(2)
    if wrong is None:
        prepare.check_shapes(model, x, y)
    else:
        with pytest.raises(ValueError, match=re.escape(f"{wrong} has shape {(*SHAPES[wrong], 1)} where")):
            prepare.check_shapes(model, x, y)


@pytest.mark.parametrize(("elbo", "status"), [(-1e99, "ok"), (-1e101, "diverged")])
def test_a_record_has_the_feature_space_and_the_weights_and_no_number_that_it_cannot_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elbo: float, status: str
) -> None:
    judgement = run_module.judge.Judgement({"elbo_nats": elbo, "kl_nats": None}, features_sha256="abc")
    monkeypatch.setattr(run_module.judge, "evaluate", lambda *_: judgement)
    made = simulated("vanilla", overrides=SMALL)
    result, _ = run_cell("quality", made, PROVENANCE, out=tmp_path)
    assert (result.status, result.weights) == (status, weights.path(tmp_path, made).name)
    assert result.provenance.features_sha256 == "abc"
    if status == "diverged":
        assert result.reason == "not finite at evaluation: elbo_nats"


def test_pictures_that_cannot_be_made_cost_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> bytes:
        raise NotImplementedError("no variance")

    monkeypatch.setattr(run_module, "artefacts_of", refuses)
    result, artefacts = run_cell("quality", simulated("vanilla", overrides=SMALL), PROVENANCE)
    assert (result.status, artefacts, result.no_pictures) == ("ok", None, "NotImplementedError: no variance")


def test_a_speed_is_measured_as_its_cell_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(run_module.clock, "throughput", lambda *a, **how: asked.append((a[2], how)) or {})
    made = simulated("vanilla", "throughput", overrides=SMALL, blocks=4, block_s=0.002, batch_size=50, precision="bf16")
    result, _ = run_cell("throughput", made, PROVENANCE)
    assert result.status == "ok", result.reason
    assert asked == [(Clock(blocks=4, block_s=0.002, batch_size=50), {"seed": 0, "device": "cpu", "precision": "bf16"})]


def test_a_cell_is_of_the_data_that_it_names_in_their_units(tmp_path: Path) -> None:
    made = cell(overrides=SMALL, binarise="fixed")
    _, loaded = prepare.build(made, record.new("quality", made, PROVENANCE), 0, 200)
    assert (loaded.name, loaded.binarise) == ("digits", "fixed")
    file = tmp_path / "mine.npz"
    np.savez(file, train=np.random.default_rng(0).random((120, 3, 2), dtype=np.float32))
    made = cell("linear", dataset=str(file), binarise="none", overrides={"latent": 2})
    result = record.new("quality", made, PROVENANCE)
    _, loaded = prepare.build(made, result, 0, None)
    assert result.model.units == loaded.units is not None


@pytest.mark.parametrize("kind", ["quality", "throughput", "oracle"])
def test_no_cell_runs_on_sources_that_have_changed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def changed(variant: str, provenance: dict[str, Any]) -> None:
        assert provenance["code_sha256"] == "before"
        raise UsageError(f"{variant}: its sources changed")

    monkeypatch.setattr(run_module.sources, "check", changed)
    made = simulated("vanilla", kind, overrides=SMALL)
    result, _ = run_cell(kind, made, PROVENANCE | {"code_sha256": "before"})
    assert (result.status, result.reason) == ("error", "vanilla: its sources changed")
