"""A kept model says what it is, and refuses code, data and files that do not fit."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import nn

import bench as vb
from bench.api import saved
from bench.api.written import answers_of
from bench.errors import BenchError, DataError, MachineError, UsageError
from bench.records.store import read_all
from bench.resume import checkpoint
from tests.fake_records import quality, write
from tests.stats.test_tuning import both
from variants import DataSpec

HOW: dict[str, Any] = {"latent": 3, "hidden": [16], "epochs": 2, "batch_size": 100, "train_size": 200, "device": "cpu"}


@pytest.fixture(scope="module")
def x() -> Any:
    return next(vb.data("digits").eval_batches("test", 20))[0].numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    model = vb.fit("vanilla", "digits", out=out, **HOW)
    vb.evaluate(model, "digits", nll_samples=5)
    model.save(out)
    return out


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def change(folder: Path, **keys: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | keys))


def test_it_needs_nothing_but_its_folder(folder: Path, x: Any) -> None:
    model, again = vb.fit("vanilla", "digits", **HOW), vb.load(folder, device="cpu")
    assert np.array_equal(again.embed(x), model.embed(x))
    assert np.array_equal(again.elbo(x), model.elbo(x))
    assert again.curve == model.curve
    assert again.scores["nll_is5_nats"] is not None
    assert again.about.data["sha256"] == vb.data("digits").checksum
    assert vb.from_pretrained(folder, device="cpu").about == again.about
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}


def test_the_card_says_what_it_is(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for words in ("vanilla (hidden=[16], latent=3)", "digits, binary", "Kingma and Welling", "| elbo_nats |", "CC BY"):
        assert words in card, words
    assert f"torch {torch.__version__.split('+')[0]}" in card
    about = vb.load(folder, device="cpu").about
    value, errors = about.scores["elbo_nats"], about.errors["elbo_nats"]
    for line in (
        f"| elbo_nats | {value:.6g} | {errors['mc']:.2g} | {errors['test']:.2g} |",
        "| binarisation | dynamic |",
        "| budget | epochs 2, batch_size 100, ",
        "| seed | 0 |",
        " Training data: digits, CC BY 4.0 ",
    ):
        assert line in card, line


def test_what_makes_a_folder_a_model_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    monkeypatch.setattr("bench.api.written.write_bytes", lambda path, content: order.append((path.name, bool(content))))
    model = vb.build("vanilla", DataSpec((4,), "real", 10), latent=2, hidden=[3], device="cpu")
    model.save(tmp_path)
    assert sorted(order[:2]) == [("README.md", True), ("model.safetensors", True)]
    assert order[2:] == [("config.json", True)]


def test_a_model_of_a_class_is_kept_with_its_classes(tmp_path: Path) -> None:
    model = vb.build("conditional", vb.data("digits", labelled=20), latent=13, hidden=[8], device="cpu")
    again = vb.load(model.save(tmp_path), device="cpu")
    assert (again.spec.classes, again.spec.labelled) == (10, 20)
    x = np.eye(8)[None, None]
    assert np.array_equal(again.embed(x, [3]), model.embed(x, [3]))
    assert "z = model.embed(x, c)" in (tmp_path / "README.md").read_text()
    assert "Not measured: `bench.evaluate` has not been asked." in (tmp_path / "README.md").read_text()
    with pytest.raises(UsageError, match="holds one model: leave the variant out"):
        vb.load(tmp_path, "conditional")


def test_of_several_data_sets_one_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [quality(dataset=name) for name in ("mnist", "digits")], images=False)
    monkeypatch.setattr(saved, "_model_of", lambda folder, record, device: record.cell["dataset"])  # noqa: ARG005
    assert [saved._of_run(tmp_path, "vanilla", 0, name, "cpu") for name in ("mnist", "digits")] == ["mnist", "digits"]
    with pytest.raises(UsageError, match=r"name one of digits-dynamic_vanilla_s0_\w+, mnist-dynamic_vanilla_s0_\w+"):
        saved._of_run(tmp_path, "vanilla", 0, None, "cpu")


def test_a_training_that_is_finished_is_read_and_another_refused(folder: Path, copied: Path, x: Any) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it was trained again")

    again = vb.fit("vanilla", "digits", out=folder, callbacks=[refuse], **HOW)
    assert np.array_equal(again.embed(x), vb.load(folder, device="cpu").embed(x))
    for changed in ({"epochs": 3}, {"latent": 4}, {"seed": 1}):
        with pytest.raises(UsageError, match="other settings or data"):
            vb.fit("vanilla", "digits", out=copied, **HOW | changed)


def test_a_finished_training_on_other_data_of_the_same_name_is_refused(tmp_path: Path) -> None:
    few, more = (vb.data("linear_gaussian", n=n) for n in (500, 600))
    assert few.name == more.name
    vb.fit("vanilla", few, out=tmp_path, **HOW)
    with pytest.raises(UsageError, match="other settings or data"):
        vb.fit("vanilla", more, out=tmp_path, **HOW)


def test_a_finished_training_on_other_values_of_the_user_s_is_refused(tmp_path: Path) -> None:
    first, second = (vb.data(np.random.default_rng(seed).random((80, 6)), name="mine") for seed in (0, 1))
    vb.fit("vanilla", first, out=tmp_path, **HOW)
    with pytest.raises(UsageError, match="other settings or data"):
        vb.fit("vanilla", second, out=tmp_path, **HOW)


def test_a_finished_training_on_the_same_data_binarised_otherwise_is_refused(tmp_path: Path) -> None:
    bits, grey = (vb.data("digits", binarise=how) for how in ("threshold", "none"))
    assert bits.checksum == grey.checksum
    vb.fit("vanilla", bits, out=tmp_path, **HOW)
    with pytest.raises(UsageError, match="other settings or data"):
        vb.fit("vanilla", grey, out=tmp_path, **HOW)


def test_a_training_that_was_stopped_goes_on(
    tmp_path: Path, folder: Path, x: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    epochs = []

    def stop(epoch: int, *_: Any) -> None:
        epochs.append(epoch)
        if epochs == [1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vb.fit("vanilla", "digits", out=tmp_path, callbacks=[stop], **HOW)
    model = vb.fit("vanilla", "digits", out=tmp_path, callbacks=[stop], **HOW)
    assert "training goes on" in capsys.readouterr().out
    assert np.array_equal(model.embed(x), vb.load(folder, device="cpu").embed(x))
    assert not (tmp_path / "training.checkpoint").exists()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"answers": [0.0, 0.0, 0.0, 0.0]}, "other numbers: use vaebench 0.1.0 and torch"),
        ({"format": 2}, "has the format 2, and this code knows 1"),
        ({"sha256": "0"}, "is not the file that config.json speaks of"),
        ({"parts": {"network": "conv"}}, "this code builds another network"),
        ({"about": {"variant": "gone"}}, "cannot be built here: unknown variant 'gone'"),
        ({"about": {"overrides": {"latent": 4}}}, "the weights are those of another model, they differ in"),
        ({"about": {"data": {"shape": [1, 9, 8]}}}, "the weights are those of another model"),
        ({"about": 3}, "about must be"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(copied: Path, keys: dict[str, Any], words: str) -> None:
    config = json.loads((copied / "config.json").read_text())
    for key, value in keys.items():
        if key == "about" and isinstance(value, dict):
            for inner, changed in value.items():
                old = config["about"][inner]
                config["about"][inner] = old | changed if isinstance(changed, dict) else changed
        else:
            config[key] = value
    change(copied, **config)
    with pytest.raises(BenchError) as error:
        vb.load(copied)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("factor", "count", "same"), [(1 + 1e-5, 4, True), (1.01, 4, False), (1, 3, False)])
def test_answers_may_differ_by_rounding_alone(copied: Path, factor: float, count: int, same: bool) -> None:
    answers = json.loads((copied / "config.json").read_text())["answers"]
    change(copied, answers=[factor * each for each in answers][:count])
    if same:
        vb.load(copied, device="cpu")
        return
    with pytest.raises(UsageError, match="with this code the model gives other numbers"):
        vb.load(copied, device="cpu")


def test_answers_tell_of_every_network() -> None:
    model = vb.build("vanilla", DataSpec((4,), "real", 10), latent=2, hidden=[3], device="cpu")
    before = answers_of(model)
    for network in (model.vae.encoder, model.vae.decoder):
        with torch.no_grad():
            next(network.parameters()).mul_(2)
        assert answers_of(model) != before
        before = answers_of(model)


def test_damaged_files(copied: Path, tmp_path: Path) -> None:
    (copied / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"model\.safetensors cannot be read"):
        vb.load(copied)
    (copied / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json cannot be read"):
        vb.load(copied)
    with pytest.raises(UsageError, match="holds no model"):
        vb.load(tmp_path / "nowhere")


def test_networks_of_ones_own_are_given_again(tmp_path: Path) -> None:
    spec = DataSpec((1, 4, 4), "binary", 10)

    def pair() -> dict[str, nn.Module]:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU())
        return {"encoder": encoder, "decoder": nn.Linear(2, 16)}

    model = vb.assemble(spec, latent=2, posterior="full", device="cpu", **pair())
    model.save(tmp_path)
    x = np.eye(4)[None, None]
    assert np.array_equal(vb.load(tmp_path, device="cpu", **pair()).embed(x), model.embed(x))
    with pytest.raises(UsageError, match="give its own networks as encoder= and decoder="):
        vb.load(tmp_path, device="cpu")


def test_any_run_of_a_results_folder(tmp_path: Path, x: Any) -> None:
    how = HOW | {"out": tmp_path, "seeds": 2, "nll_samples": 0, "jobs": 2}
    vb.compare(["vanilla", ("vanilla", {"latent": 2})], "digits", **how)
    (record,) = [r for r in read_all(tmp_path)[0] if r.cell["seed"] == 1 and r.cell["overrides"]["latent"] == 3]
    assert record.weights is not None
    assert (tmp_path / "weights" / record.weights).is_file()
    model = vb.load(tmp_path, "vanilla (hidden=[16], latent=3)", seed=1, device="cpu")
    assert np.array_equal(model.embed(x), vb.fit("vanilla", "digits", seed=1, **HOW).embed(x))
    assert model.scores["elbo_nats"] == record.metrics["elbo_nats"]
    assert (model.curve, model.about.errors) == (record.curve, record.errors)
    assert (model.about.training["seed"], model.about.training["budget"]) == (1, record.cell["budget"])
    other = structs.replace(record, provenance=structs.replace(record.provenance, data_sha256="0" * 64))
    with pytest.raises(UsageError, match="was trained on other data than digits holds now"):
        saved._model_of(tmp_path, other, "cpu")
    model.save(tmp_path / "one")
    assert np.array_equal(vb.load(tmp_path / "one", device="cpu").embed(x), model.embed(x))
    assert np.array_equal(vb.load(tmp_path, record.id, device="cpu").embed(x), model.embed(x))
    for words, call in (
        (rf"name one of .*{record.id}", {"variant": "vanilla", "seed": 1}),
        ("no run of 'conv' with seed 0", {"variant": "conv"}),
        ("name the variant, one of vanilla", {}),
    ):
        with pytest.raises(UsageError, match=words):
            vb.load(tmp_path, device="cpu", **call)  # type: ignore[arg-type]
    (tmp_path / "weights" / record.weights).unlink()
    with pytest.raises(UsageError, match="has no weights here"):
        vb.load(tmp_path, "vanilla (hidden=[16], latent=3)", seed=1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where huggingface_hub keeps what it had; without a network it looks nowhere else."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub has it")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_to_a_hub_and_back(folder: Path, cache: Path, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is a folder: what is uploaded lies where the library keeps what it had from there."""
    import huggingface_hub

    api = create_autospec(huggingface_hub.HfApi, instance=True)  # refuses a call that the library would refuse

    def upload(*, repo_id: str, folder_path: str) -> str:
        kept = cache / f"models--{repo_id.replace('/', '--')}"
        shutil.copytree(folder_path, kept / "snapshots" / ("0" * 40))
        (kept / "refs").mkdir()
        (kept / "refs" / "main").write_text("0" * 40)
        return f"hub/{repo_id}"

    api.upload_folder.side_effect = upload
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    model = vb.load(folder, device="cpu")
    assert model.push_to_hub("me/my-vae", private=True) == "hub/me/my-vae"
    api.create_repo.assert_called_once_with("me/my-vae", exist_ok=True, private=True)
    for again in (vb.load("hf://me/my-vae", device="cpu"), vb.from_pretrained("me/my-vae", device="cpu")):
        assert np.array_equal(again.embed(x), model.embed(x))
        assert again.about == model.about


@pytest.mark.usefixtures("cache")
def test_what_the_hub_has_not_is_one_line(folder: Path) -> None:
    for name in ("me/gone", "no name/of/a/repository"):
        with pytest.raises(DataError, match=r"is no folder here, and cannot be had from huggingface\.co") as error:
            vb.from_pretrained(name)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"me/my-vae: cannot be uploaded to huggingface\.co"):
        vb.load(folder, device="cpu").push_to_hub("me/my-vae")


def test_without_a_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for ask in (lambda: vb.load(folder, device="cpu").push_to_hub("me/my-vae"), lambda: vb.load("hf://me/my-vae")):
        with pytest.raises(MachineError, match=r"pip install 'vaebench\[hub\]'"):
            ask()


def test_a_variant_s_name_alone_means_its_defaults_where_it_was_tuned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, both(), images=False)
    monkeypatch.setattr(saved, "_model_of", lambda folder, record, device: record.cell)  # noqa: ARG005
    for name, tuned in (("vanilla", False), ("vanilla (lr=0.002)", True)):
        cell: Any = saved._of_run(tmp_path, name, 1, None, "cpu")
        assert (cell["variant"], cell["seed"], "tuning" in cell) == ("vanilla", 1, tuned)
