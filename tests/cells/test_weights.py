"""Kept weights: they come back as they were or not at all, and what was trained once is not trained again."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from bench.cells import prepare, weights
from bench.cells.run import run_cell
from bench.engines.debug import Debug
from bench.pages import page, report
from bench.records import provenance, sources, store
from bench.resume import sealed
from bench.suites import suite
from bench.sweeps import execute
from tests.helpers import BUDGET, MEASURE, cell, simulated, telling
from variants import DataSpec, registry
from variants.core import VAE

PROVENANCE = {"commit": None, "versions": {}}
SOURCE = {"code": "1", "libraries": {"torch": "2"}}
TRAINING: dict[str, Any] = {
    "curve": [{"epoch": 1, "train_loss": 1 / 3, "valid_elbo_nats": None}],
    "train_s": 0.1,
    "provenance": {"commit": "abc", "started": "2024-01-01", "dirty": None},
    "source": SOURCE,
}
SPEC = DataSpec((6,), "real")


def model_of(seed: int = 0, **options: Any) -> VAE:
    return registry.seeded("vanilla", SPEC, seed, **{"latent": 2, "hidden": [4]} | options)


def state(model: VAE) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a)


# With the optimal sigma there are buffers to keep as well.
@pytest.mark.parametrize("options", [{}, {"likelihood": "gaussian", "sigma": "optimal"}, {"posterior": "full"}])
def test_round_trip(tmp_path: Path, options: dict[str, Any]) -> None:
    model, fresh = model_of(0, **options).train(), model_of(1, **options)
    model.loss(torch.randn(5, 6))  # moves the buffers
    weights.write(tmp_path / "deep" / "w", model, TRAINING)
    assert not same(state(model), state(fresh))
    assert weights.read(tmp_path / "deep" / "w", fresh, SOURCE) == TRAINING
    assert same(state(model), state(fresh))


def test_parts_that_share_a_tensor_are_kept(tmp_path: Path) -> None:
    model, fresh = model_of(), model_of(1)
    for made in (model, fresh):
        made.posterior.log_scale = made.posterior.loc
    weights.write(tmp_path / "w", model, TRAINING)
    assert weights.read(tmp_path / "w", fresh, SOURCE) == TRAINING
    assert same(state(model), state(fresh))


def refused(file: Path) -> str:
    """Why; and the model is as it was."""
    model = model_of(1)
    before = state(model)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        weights.read(file, model, SOURCE)
    assert same(before, state(model))
    return str(caught.value)


@pytest.mark.parametrize("options", [{"latent": 3}, {"posterior": "full"}, {"sigma": 1.0}, None])
def test_another_models_weights_are_refused(tmp_path: Path, options: dict[str, Any] | None) -> None:
    other = model_of().double() if options is None else model_of(0, **options)
    weights.write(tmp_path / "w", other, TRAINING)
    assert refused(tmp_path / "w") == "holds those of another model"


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = model_of()
    with torch.no_grad():
        model.posterior.loc.bias[1] = float("nan")
    weights.write(tmp_path / "w", model, TRAINING)
    assert refused(tmp_path / "w") == "holds some that are not finite"


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    weights.write(tmp_path / "w", model_of(), TRAINING)
    content = (tmp_path / "w").read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "w").write_bytes(content[:length])
        assert refused(tmp_path / "w") == "cannot be read", length


def test_one_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    weights.write(tmp_path / "w", model_of(), TRAINING)
    content = (tmp_path / "w").read_bytes()
    tensors = 8 + int.from_bytes(content[:8], "little")
    for place in range(0, len(content), 37):
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        (tmp_path / "w").write_bytes(flipped)
        assert refused(tmp_path / "w") in (("is damaged",) if place >= tensors else ("is damaged", "cannot be read"))


class Harmful:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_what_is_no_such_file_is_refused_and_never_run(tmp_path: Path) -> None:
    file, mark = tmp_path / "w", tmp_path / "it_ran"
    assert refused(file) == "cannot be read"  # there is none
    for content in (b"\xff" * 64, b"hello", pickle.dumps(Harmful(mark)), (1 << 60).to_bytes(8, "little") + b"{}"):
        file.write_bytes(content)
        assert refused(file) == "cannot be read", content
    torch.save({"state": Harmful(mark)}, file)
    assert refused(file) == "cannot be read"
    file.unlink()
    file.mkdir()
    assert refused(file) == "cannot be read"
    assert not mark.exists()


@pytest.mark.parametrize("text", ["no json", "[]", "3", "NaN", "{}", '{"curve": 3}', "[" * 100_000])
def test_weights_that_tell_nothing_of_their_training_are_refused(tmp_path: Path, text: str) -> None:
    tensors = state(model_of())
    for seal in (sealed.digest(tensors, text), sealed.digest(tensors, "")):
        (tmp_path / "w").write_bytes(save(tensors, metadata={"kept": text, "sha256": seal}))
        assert refused(tmp_path / "w").startswith(("cannot be read", "is damaged", sealed.WRONG))


def test_weights_without_a_digest_are_refused(tmp_path: Path) -> None:
    """As they were kept before there was one."""
    tensors, text = state(model_of()), json.dumps(TRAINING)
    for metadata in (None, {"training": text}, {"kept": text}):
        (tmp_path / "w").write_bytes(save(tensors, metadata=metadata))
        assert refused(tmp_path / "w") == "cannot be read"


@pytest.mark.parametrize(
    "changes",
    [
        *({key: value} for key in TRAINING for value in (None, "1", -1, [[]])),
        {"train_s": float("inf")},
        {"curve": []},
        {"curve": [{"epoch": 2}]},
        {"curve": [{"epoch": 1, "train_loss": "1"}]},
        {"curve": [{"epoch": 1, "train_loss": float("nan")}]},
        {"provenance": {"commit": "abc"}},
        {"provenance": TRAINING["provenance"] | {"resumed": "often"}},
    ],
)
def test_a_forged_header_is_not_used(tmp_path: Path, changes: dict[str, Any]) -> None:
    tensors, text = state(model_of()), json.dumps(TRAINING | changes)
    metadata = {"kept": text, "sha256": sealed.digest(tensors, text)}
    (tmp_path / "w").write_bytes(save(tensors, metadata=metadata))
    assert refused(tmp_path / "w").startswith(
        (sealed.WRONG, "cannot be read", "was written with other code, libraries")
    )


def test_the_place_depends_on_all_that_training_depends_on_and_on_nothing_else() -> None:
    out, plain = Path("out"), cell()
    places = {weights.path(out, plain)}
    for key in weights.TRAINING_KEYS:
        changed = {**plain[key], "more": 1} if isinstance(plain[key], dict) else f"{plain[key]}1"
        places.add(weights.path(out, plain | {key: changed}))
    assert len(places) == 1 + len(weights.TRAINING_KEYS)
    assert weights.path(out, plain | {"measure": {"elbo_samples": 99}}) in places
    assert set(plain) == {*weights.TRAINING_KEYS, "measure"}


def figures(result: dict[str, Any]) -> str:
    assert result.status == "ok", result.reason
    return json.dumps([getattr(result, key) for key in ("metrics", "errors", "latent", "curve")])


def test_kept_training_gives_the_same_bytes_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = simulated("vanilla", overrides={"latent": 2, "hidden": [8]})
    alone, _ = run_cell("quality", made, PROVENANCE)
    first, pictures = run_cell("quality", made, PROVENANCE | {"commit": "abc"}, out=tmp_path)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(prepare, "train", never)
    epochs: list[int] = []
    again, same_pictures = run_cell("quality", made, PROVENANCE, tell=telling(epochs=epochs.append), out=tmp_path)
    assert figures(alone) == figures(first) == figures(again)
    assert pictures == same_pictures
    assert again.timing["train_s"] == first.timing["train_s"]
    assert again.provenance.trained == first.provenance.trained
    assert again.provenance.trained.commit == "abc"
    # Measured in another way, it is the same model still.
    coarser, _ = run_cell("quality", made | {"measure": MEASURE | {"nll_samples": 0}}, PROVENANCE, out=tmp_path)
    assert coarser.curve == first.curve
    assert coarser.metrics["elbo_nats"] == first.metrics["elbo_nats"]


def test_again_trains_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda out, reference: page.Report(out, (), (), ""))  # noqa: ARG005
    source = {
        "variants": [{"name": "vanilla", "set": {"latent": 2, "hidden": [8]}}],
        "datasets": [{"name": "linear_gaussian", "options": {"n": 1000}}],
        "seeds": 1,
        "budget": BUDGET,
        "measure": MEASURE,
        "throughput": {"blocks": 0},
    }
    made = suite.parse("mine", source)
    (trained,) = execute.execute(made, tmp_path, engine=Debug(), device="cpu").records
    # Other weights in their place show which weights are used.
    kept = weights.path(tmp_path, trained.cell)
    origin = provenance.provenance() | sources.sums("vanilla")
    other, _ = run_cell("quality", trained.cell | {"seed": 1}, origin, out=tmp_path / "other")
    weights.path(tmp_path / "other", other.cell).replace(kept)
    (tmp_path / "runs" / f"{trained.id}.json").unlink()
    (reused,) = execute.execute(made, tmp_path, engine=Debug(), device="cpu").records
    assert figures(reused) == figures(other) != figures(trained)
    (retrained,) = execute.execute(made, tmp_path, engine=Debug(), device="cpu", again=True).records
    assert figures(retrained) == figures(trained)
    assert store.finished(tmp_path, retrained.id)


def test_weights_that_were_trained_on_other_data_are_not_used(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.npz", tmp_path / "out"
    generator = np.random.default_rng(0)
    for epochs_run in ([1], [1], []):
        epochs: list[int] = []
        if epochs_run:
            np.savez(file, train=generator.random((120, 3, 2), dtype=np.float32))
        made = cell("linear", dataset=str(file), binarise="none", overrides={"latent": 2}, budget={"train_size": None})
        result, _ = run_cell("quality", made, PROVENANCE, tell=telling(epochs=epochs.append), out=out)
        assert (result.status, epochs) == ("ok", epochs_run), result.reason
        assert result.provenance.trained is not None
        assert result.provenance.trained.data_sha256 == result.provenance.data_sha256
        # Nor does training begin from them.
        assert figures(result) == figures(run_cell("quality", made, PROVENANCE)[0])


def stop(*_: object) -> None:
    raise KeyboardInterrupt


ANEW = "training starts anew, for the file of its kept weights was written with other"
JUDGED_ANEW = "measuring starts anew, for what was measured is of other weights, code, libraries or kernels"
ORIGIN = PROVENANCE | {"training_sha256": "1", "code_sha256": "1"}


@pytest.mark.parametrize(
    ("changes", "told", "epochs"),
    [
        ({}, [], []),
        # Other code that judges leaves the weights, and measures anew.
        ({"code_sha256": "2"}, [JUDGED_ANEW], []),
        # Other code that trains, after a kill between training and measuring or in measuring, trains anew.
        ({"training_sha256": "2", "code_sha256": "2"}, [f"{ANEW} code", JUDGED_ANEW], [1]),
        ({"versions": {"torch": "1"}}, [f"{ANEW} libraries", JUDGED_ANEW], [1]),
    ],
)
def test_what_other_code_or_libraries_have_left_is_not_used_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: list[str], epochs: list[int]
) -> None:
    monkeypatch.setattr(sources, "check", lambda *_: None)  # the sums are made up
    made = simulated("vanilla", overrides={"latent": 2, "hidden": [8]})
    with pytest.raises(KeyboardInterrupt):
        run_cell("quality", made, ORIGIN, tell=telling(measured=stop), out=tmp_path)
    notes: list[str] = []
    trained: list[int] = []
    known = ORIGIN | changes
    result, _ = run_cell("quality", made, known, tell=telling(epochs=trained.append, note=notes.append), out=tmp_path)
    assert (notes, trained) == (told, epochs)
    assert result.provenance.trained.training_sha256 == known["training_sha256"]
    assert figures(result) == figures(run_cell("quality", made, known)[0])
    assert list((tmp_path / "weights").glob("*.notes.json")) == []


def test_damaged_weights_are_trained_again_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "check", lambda *_: None)
    made = simulated("vanilla", overrides={"latent": 2, "hidden": [8]})
    first, _ = run_cell("quality", made, ORIGIN, out=tmp_path)
    kept = weights.path(tmp_path, made)
    content = kept.read_bytes()
    kept.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    notes: list[str] = []
    again, _ = run_cell("quality", made, ORIGIN, tell=telling(note=notes.append), out=tmp_path)
    assert notes == ["training starts anew, for the file of its kept weights is damaged"]
    assert figures(again) == figures(first)
    assert all(torch.equal(tensor, load(content)[name]) for name, tensor in load(kept.read_bytes()).items())


def test_whatever_training_depends_on_is_in_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cell()
    other = {
        "variant": "beta",
        "overrides": {"latent": 3},
        "dataset": "mnist",
        "data_options": {"n": 5},
        "binarise": "fixed",
        "seed": 1,
        "budget": BUDGET | {"epochs": 9},
        "device": "cuda",
        "threads": 2,
        "precision": "bf16",
    }
    paths = [weights.path(tmp_path, plain), *(weights.path(tmp_path, plain | {key: other[key]}) for key in other)]
    assert set(other) == plain.keys() - {"measure"}
    assert len(set(paths)) == len(paths)
    assert weights.path(tmp_path, plain | {"measure": {}}) == paths[0]
    monkeypatch.setattr(weights, "PROTOCOL", "0.0")
    assert weights.path(tmp_path, plain) not in paths
