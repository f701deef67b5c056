"""What people attach: own networks and recipes, callbacks, exports, scikit-learn."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import bench as vb
from bench.errors import MachineError, UsageError
from bench.records import sources
from bench.sweeps import conformance
from bench.train.steps import Stepper
from tests.helpers import call, refused
from variants import DataSpec, RegistryError, registry
from variants.parts import assemble
from variants.testing import ConformanceError, check_variant

IMAGES = DataSpec((1, 4, 4), "binary", 10)
RECIPE = """
from torch import nn
from variants import register
from variants.parts import assemble


class Wide(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.layer = nn.Linear(d, {width})

    def forward(self, x):
        return self.layer(x.flatten(1)).relu()


@register(base="vanilla", changes="network", paper="me")
def of_a_file(data, *, latent=2):
    '''A file's variant.'''
    return assemble(data, latent=latent, encoder=Wide(data.dims), decoder=nn.Linear(latent, data.dims))


def no_vae(data):
    return assemble(data, latent=2).decoder
"""


@pytest.fixture
def _forget() -> Any:
    before = dict(registry._marked)
    yield
    registry._marked.clear()
    registry._marked.update(before)
    registry.recipes.cache_clear()
    for name in [name for name in sys.modules if name.startswith(registry.OF_FILES)]:
        del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_file.py"
    path.write_text(RECIPE.format(width=7))
    return path


class Flat(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.flatten(1)


@pytest.mark.parametrize("decoder", [nn.Linear(3, 16), nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)))])
def test_any_pair_of_modules_is_a_network(decoder: nn.Module) -> None:
    model = assemble(
        IMAGES, latent=3, posterior="full", encoder=nn.Sequential(Flat(), nn.Linear(16, 5)), decoder=decoder
    )
    assert model.encoder.features == 5
    assert model.sample(2).shape == (2, 1, 4, 4)
    assert model.decode(torch.zeros(2, 6, 3)).event_shape == (1, 4, 4)
    assert model.decode(torch.zeros(2, 6, 3)).batch_shape == (2, 6)


def test_a_pair_that_takes_batch_statistics_is_left_as_it_was() -> None:
    encoder = nn.Sequential(Flat(), nn.BatchNorm1d(16))
    assemble(IMAGES, latent=2, encoder=encoder, decoder=nn.Linear(2, 16))
    assert encoder.training
    assert encoder[1].num_batches_tracked == 0
    assemble(IMAGES, latent=2, encoder=encoder.eval(), decoder=nn.Linear(2, 16))
    assert not encoder.training


def test_a_pair_gives_as_many_numbers_for_each_value_as_the_likelihood_takes() -> None:
    parts = {"latent": 2, "encoder": Flat(), "likelihood": "heteroscedastic"}
    assert assemble(IMAGES, decoder=nn.Linear(2, 32), **parts).sample(3).shape == (3, 1, 4, 4)
    with pytest.raises(
        ValueError, match=r"the decoder gives \(2, 16\) for latents \(2, 2\), should be \(2, 2, 1, 4, 4\)"
    ):
        assemble(IMAGES, decoder=nn.Linear(2, 16), **parts)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"encoder": nn.Identity()}, "the encoder gives (2, 1, 4, 4) for examples (2, 1, 4, 4), should be (2, H)"),
        (
            {"encoder": nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 32)))},
            "the encoder gives (1, 32) for examples (2, 1, 4, 4), should be (2, H)",
        ),
        (
            {"decoder": nn.Sequential(nn.Flatten(0), nn.Linear(4, 16), nn.Unflatten(0, (1, 16)))},
            "the decoder gives (1, 16) for latents (2, 2), should be (2, 1, 4, 4)",
        ),
        ({"encoder": nn.Linear(3, 3)}, "the encoder cannot take (2, 1, 4, 4): RuntimeError"),
        ({"decoder": nn.Linear(2, 15)}, "the decoder gives (2, 15) for latents (2, 2), should be (2, 1, 4, 4)"),
        ({"decoder": nn.LSTM(2, 16)}, "the decoder gives a tuple, should be a tensor"),
        ({"decoder": None}, "give both encoder and decoder"),
    ],
)
def test_a_pair_that_does_not_fit(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="coder") as error:
        assemble(IMAGES, latent=2, **{"encoder": Flat(), "decoder": nn.Linear(2, 16)} | parts)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def mine(data: DataSpec, *, latent: int = 2) -> Any:
    """A recipe of this very file."""
    return assemble(data, latent=latent, hidden=[8])


@pytest.mark.usefixtures("_forget")
def test_a_recipe_that_is_registered_is_known_at_once() -> None:
    with pytest.raises(RegistryError):
        registry.get("mine")
    vb.register(paper="me")(mine)
    assert registry.get("mine").describe()["paper"] == "me"
    assert "mine" in registry.names()
    assert registry.known(mine) == "mine"
    before = sources.sums("mine")

    def another(data: DataSpec) -> Any:
        return assemble(data, latent=3)

    another.__name__ = another.__qualname__ = "mine"
    vb.register()(another)
    assert registry.get("mine").load() is another
    assert sources.sums("mine") != before, "a run says by which code it was made"
    with pytest.raises(RegistryError, match="write it as a function"):
        registry.known(lambda data: mine(data))


@pytest.mark.usefixtures("_forget")
def test_a_recipe_that_only_this_process_knows_is_run_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = []

    def execute(_: Any, out: Path, *, engine: Any, **_how: Any) -> None:
        engines.append(type(engine).__name__)
        (out / "runs").mkdir(parents=True)

    monkeypatch.setattr("bench.api.sweep.execute", execute)
    for i, choices in enumerate([["vanilla"], ["vanilla", mine], ["vanilla", (mine, {"latent": 3})]]):
        with pytest.raises(UsageError, match="no records"):
            vb.compare(choices, "digits", out=tmp_path / str(i))
    assert engines == ["Local", "Debug", "Debug"]


@pytest.mark.usefixtures("_forget")
def test_a_recipe_does_not_hide_a_built_in_one() -> None:
    def vanilla(data: DataSpec) -> Any:
        return mine(data)

    with pytest.raises(UsageError, match="'vanilla' is defined twice"):
        vb.build(vanilla, IMAGES)


@pytest.mark.usefixtures("_forget")
def test_a_recipe_of_a_file(file: Path) -> None:
    name = f"{file}:of_a_file"
    assert (
        registry.get(name).describe() | {"summary": "A file's variant.", "paper": "me"} == registry.get(name).describe()
    )
    assert registry.build(name, IMAGES).encoder.features == 7
    assert "of_a_file" not in registry.names()
    first = sources.sums(name)
    other = file.with_name("other.py")
    other.write_text(RECIPE.format(width=8))
    assert sources.sums(f"{other}:of_a_file") != first
    for wrong, words in (
        (f"{file}:of_no_file", "has no attribute 'of_no_file'"),
        (f"{file.parent}/gone.py:of_a_file", "there is no file"),
    ):
        with pytest.raises(RegistryError, match=words):
            registry.get(wrong).load()


@pytest.mark.slow
@pytest.mark.usefixtures("_forget")
def test_the_command_line_takes_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, out = f"{file}:of_a_file", file.parent / "out"
    words = ["run", "quick", "--datasets", "linear_gaussian", "--device", "cpu", "--out", out, "--seeds", "1"]
    words += ["--set", "epochs=1", "train_size=100", "nll_samples=0", "blocks=0", "latent=3", "--variants"]
    code, _, err = call(capsys, *words, name)
    assert code == 0, err
    model = vb.load(out, f"{name} (latent=3)", device="cpu")
    assert model.vae.encoder.features == 7  # type: ignore[union-attr]
    line = refused(capsys, 2, *words[:-2], "--variants", f"{file}:no_vae")
    assert "no_vae' cannot be trained" in line
    assert "returns a Decoder" in line


def test_a_recipe_without_a_mean_is_refused_before_training() -> None:
    class Meanless(torch.distributions.Independent):
        @property
        def mean(self) -> Any:
            raise NotImplementedError

    data = vb.data("digits", train_size=100)
    chosen = vb.build("vanilla", data, latent=2, device="cpu")
    posterior = chosen.vae.posterior.forward
    chosen.vae.posterior.forward = lambda h: Meanless(posterior(h).base_dist, 1)
    with pytest.raises(UsageError, match="Meanless, needs a mean"):
        vb.fit(chosen, data, epochs=1, device="cpu")


def test_a_last_batch_of_one_is_refused_where_it_would_end_the_training() -> None:
    data = vb.data("digits", train_size=101)
    model = vb.assemble(
        data, latent=2, device="cpu", encoder=nn.Sequential(Flat(), nn.BatchNorm1d(64)), decoder=nn.Linear(2, 64)
    )
    with pytest.raises(UsageError, match=r"the last has one.*batch_size=101"):
        vb.fit(model, data, epochs=1, batch_size=100, device="cpu")
    assert len(vb.fit(model, data, epochs=1, batch_size=101, device="cpu").curve) == 1


@pytest.mark.usefixtures("_forget")
def test_a_recipe_of_ones_own_is_held_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.add(mine)
    asked = []

    def check(name: str, **overrides: Any) -> None:
        asked.append((name, overrides))
        raise ConformanceError("variant 'mine' breaks a rule")

    assert check_variant is not None
    monkeypatch.setattr("variants.testing.check_variant", check)
    with pytest.raises(UsageError, match="cannot be trained: variant 'mine' breaks a rule"):
        vb.fit(mine, "digits", latent=3, device="cpu")
    conformance.check([("vanilla", {})])
    assert asked == [("mine", {"latent": 3})]


class Recorder:
    """In place of a package that is not installed: what was called, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.config = SimpleNamespace(update=lambda values: self.calls.append(("update", (values,), {})))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # torch asks all modules for their files

        def note(*words: Any, **options: Any) -> Any:
            self.calls.append((name, words, options))
            return None if name == "active_run" else self

        return note


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    for name in ("torch.utils.tensorboard", "mlflow", "wandb"):
        module = ModuleType(name)
        module.__getattr__ = lambda key: getattr(found, key)  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    return found


@pytest.mark.parametrize(
    ("make", "method", "step"),
    [
        (lambda: vb.TensorBoard("logs", samples=2), "add_scalar", None),
        (lambda: vb.MLflow("mine"), "log_metrics", "step"),
        (lambda: vb.WandB("mine"), "log", "step"),
    ],
)
def test_callbacks_send_every_figure(make: Any, method: str, step: str | None, recorder: Recorder) -> None:
    how = {"epochs": 2, "batch_size": 100, "hidden": [8], "latent": 2, "device": "cpu"}
    model = vb.fit("vanilla", vb.data("digits", train_size=100), callbacks=[make()], **how)
    sent = [entry for entry in recorder.calls if entry[0] == method]
    rows = [{k: v for k, v in row.items() if k != "epoch"} for row in model.curve]
    if step is None:
        assert [words for _, words, _ in sent] == [(k, v, i + 1) for i, row in enumerate(rows) for k, v in row.items()]
        assert [words[1].shape for name, words, _ in recorder.calls if name == "add_images"] == [(2, 1, 8, 8)] * 2
    else:
        assert [words[0] for _, words, _ in sent] == rows
        assert [options[step] for _, _, options in sent] == [1, 2]
        about = [words[0] for name, words, _ in recorder.calls if name in ("log_params", "update")]
        assert about == [{"variant": "vanilla", "hidden": [8], "latent": 2, "data": "digits"}]
    if method == "log":
        assert recorder.calls[0] == ("init", (), {"project": "mine", "mode": "offline"})
    recorder.calls.clear()
    make()(3, {"epoch": 3, "kl": 0.0, "valid_elbo": None}, model)  # a figure may be zero, and one may be missing
    sent = [words for name, words, _ in recorder.calls if name == method]
    assert sent == ([("kl", 0.0, 3)] if step is None else [({"kl": 0.0},)])


def test_callbacks_are_made_as_their_words_say(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = vb.build("vanilla", IMAGES, latent=2, hidden=[4], device="cpu")
    table = vb.build("vanilla", DataSpec((3,), "real", 10), latent=2, hidden=[4], device="cpu")
    row = {"epoch": 1, "kl": 2.0}

    def calls(make: Any, *models: vb.Model) -> list[Any]:
        recorder.calls.clear()
        callback = make()
        for each in models:
            callback(1, row, each)
        return [(name, *words) for name, words, _ in recorder.calls]

    made = calls(lambda: vb.MLflow("mine", uri=Path("store")), model, model)
    assert made[:4] == [("set_tracking_uri", "store"), ("set_experiment", "mine"), ("active_run",), ("start_run",)]
    assert [name for name, *_ in made[4:]] == ["log_params", "log_metrics", "log_metrics"]
    monkeypatch.setattr(recorder, "active_run", lambda: "theirs", raising=False)
    made = calls(vb.MLflow, model)
    assert [name for name, *_ in made] == ["log_params", "log_metrics"]
    assert made[0][1] == {"variant": "vanilla", "latent": 2, "hidden": [4], "data": None}
    parts = vb.assemble(IMAGES, latent=2, hidden=[4], device="cpu")
    assert calls(vb.MLflow, parts)[0][1]["variant"] == "own parts"
    made = calls(lambda: vb.TensorBoard(Path("logs"), samples=0), model)
    assert made == [("SummaryWriter", "logs"), ("add_scalar", "kl", 2.0, 1), ("flush",)]
    assert [name for name, *_ in calls(lambda: vb.TensorBoard("logs"), table)] == [
        "SummaryWriter",
        "add_scalar",
        "flush",
    ]
    calls(lambda: vb.WandB(mode="online", tags=["a"]))
    assert recorder.calls == [("init", (), {"project": "vaebench", "mode": "online", "tags": ["a"]})]


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (np.arange(40 * 3 * 4 * 4).reshape(40, 3, 4, 4) % 256, {"layout": "NCHW"}),
        (np.random.default_rng(0).normal(300, 50, (40, 2, 4, 4)), {"kind": "real", "layout": "NCHW"}),
        (np.random.default_rng(0).normal(300, 50, (40, 4, 4, 4)), {"kind": "real", "layout": "NCHW"}),
    ],
)
def test_tensorboard_has_pictures_in_0_to_1(given: Any, options: Any, recorder: Recorder) -> None:
    data = vb.data(given, **options)
    vb.fit("vanilla", data, callbacks=[vb.TensorBoard("logs")], epochs=1, hidden=[8], latent=2, device="cpu")
    ((_, images),) = [words[:2] for name, words, _ in recorder.calls if name == "add_images"]
    assert images.shape == (16, 1 if given.shape[1] == 2 else 3, 4, 4)
    assert images.min() >= 0
    assert 0.2 < images.mean() < 0.8
    assert images.max() <= 1


def test_a_callback_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MachineError, match=r"pip install 'vaebench\[wandb\]'"):
        vb.WandB()


@pytest.mark.parametrize(
    ("variant", "spec", "keywords"),
    [
        ("conv", DataSpec((1, 9, 8), "binary", 10), {"channels": [4], "width": 8}),
        ("full_covariance", DataSpec((5,), "real", 10), {"hidden": [8]}),
    ],
)
def test_an_exported_model_gives_the_same(variant: str, spec: DataSpec, keywords: Any, tmp_path: Path) -> None:
    model = vb.build(variant, spec, latent=3, device="cpu", **keywords)
    model.vae.train()
    checks = torch.distributions.Distribution._validate_args
    encoder, decoder = (torch.export.load(path).module() for path in model.export(tmp_path))
    assert model.vae.training, "a copy was exported"
    assert torch.distributions.Distribution._validate_args == checks
    for n in (1, 5):
        x = np.random.default_rng(0).integers(0, 2, (n, *spec.shape)).astype(np.float32)
        z = encoder(torch.from_numpy(x)).detach().numpy()
        assert np.allclose(z, model.embed(x), atol=1e-5)
        assert np.allclose(decoder(torch.from_numpy(z)).detach().numpy(), model.decode(z), atol=1e-5)
    with pytest.raises(UsageError, match="form must be one of torch, onnx"):
        model.export(tmp_path, "word")


def test_an_exported_model_takes_and_gives_values_as_the_user_has_them(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal([10, -5, 0], [3, 0.1, 1], size=(60, 3)).astype(np.float32)
    model = vb.build("vanilla", vb.data(table), latent=2, hidden=[8], device="cpu")
    assert model.scaling is not None
    encoder, decoder = (torch.export.load(path).module() for path in model.export(tmp_path))
    z = encoder(torch.from_numpy(table)).detach().numpy()
    assert np.allclose(z, model.embed(table), atol=1e-5)
    assert np.allclose(decoder(torch.from_numpy(z)).detach().numpy(), model.decode(z), atol=1e-5)


HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


@pytest.mark.skipif(not HAS_ONNX, reason="onnx, onnxscript and onnxruntime are not installed: the extra onnx has them")
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same(tmp_path: Path) -> None:
    import onnxruntime  # type: ignore[import-not-found, unused-ignore]

    spec = DataSpec((1, 8, 8), "binary", 10)
    model = vb.build("vanilla", spec, latent=3, hidden=[8], device="cpu")
    sessions = [onnxruntime.InferenceSession(path) for path in model.export(tmp_path, "onnx")]

    def run(session: Any, given: Any) -> Any:
        return session.run(None, {session.get_inputs()[0].name: given})[0]

    for n in (1, 5):
        x = np.random.default_rng(0).integers(0, 2, (n, *spec.shape)).astype(np.float32)
        z = run(sessions[0], x)
        assert np.allclose(z, model.embed(x), atol=1e-5)
        assert np.allclose(run(sessions[1], z), model.decode(z), atol=1e-5)


def test_onnx_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.api.export.find_spec", lambda _: None)
    with pytest.raises(MachineError, match=r"pip install 'vaebench\[onnx\]'"):
        vb.build("vanilla", IMAGES, device="cpu").export(tmp_path, "onnx")


@pytest.mark.filterwarnings("ignore")
def test_the_transformer_keeps_scikit_learns_contract() -> None:
    check_estimator(vb.VAETransformer(epochs=2, keywords={"hidden": [4]}, random_state=0))


def test_the_transformer_finds_what_columns_have_in_common() -> None:
    draws = np.random.default_rng(0)
    source = draws.normal(size=(300, 1))
    table = source @ [[3.0, -2.0, 1.0]] + 0.1 * draws.normal(size=(300, 3)) + [10.0, 0.0, -5.0]
    vae = vb.VAETransformer(n_components=1, epochs=60, batch_size=50, lr=1e-2, random_state=0)
    z = vae.fit_transform(table)
    assert abs(np.corrcoef(z[:, 0], source[:, 0])[0, 1]) > 0.95
    assert np.abs(vae.inverse_transform(z) - table).mean() < 0.5
    assert np.array_equal(z, vae.fit(table).transform(table))
    assert vae.get_feature_names_out().tolist() == ["vae0"]


def test_the_transformer_scales_columns_and_leaves_others_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "__call__", lambda *_: torch.rand(3))
    table = np.random.default_rng(0).normal(5, [1, 1, 7], size=(49, 3))
    table[:, 1] = 0.1  # whose computed deviation is not quite zero
    assert 0 < table.std(0)[1] < 1e-15
    state = torch.get_rng_state()
    vae = vb.VAETransformer(epochs=1, keywords={"hidden": [4]}, random_state=0).fit(table)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_allclose(vae.mean_, table.mean(0))
    np.testing.assert_allclose(vae.scale_, [table[:, 0].std(), 1, table[:, 2].std()])
    assert not vae.model_.training
    assert vae.get_feature_names_out().tolist() == ["vae0", "vae1"]
    first, again, other = (
        vb.VAETransformer(epochs=1, keywords={"hidden": [4]}, random_state=seed).fit_transform(table)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_transformer_trains_by_the_step_size_that_it_is_given() -> None:
    table = np.random.default_rng(0).normal(size=(49, 3))
    fast, slow = (
        vb.VAETransformer(epochs=2, lr=lr, keywords={"hidden": [4]}, random_state=0).fit_transform(table)
        for lr in (3e-2, 1e-3)
    )
    assert np.abs(fast - slow).max() > 1e-2


def test_the_transformer_sees_each_row_once_a_pass_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, Any]] = []
    monkeypatch.setattr(Stepper, "__call__", lambda _, x, epoch: seen.append((epoch, x)))
    table = np.random.default_rng(0).normal(size=(49, 3))
    vae = vb.VAETransformer(epochs=2, batch_size=16, keywords={"hidden": [4]}, random_state=0).fit(table)
    # The last one of 49 rows is no batch: it joins the one before.
    assert [len(x) for _, x in seen] == [16, 16, 17] * 2
    assert [epoch for epoch, _ in seen] == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
    passes = [torch.cat([x for _, x in part]) for part in (seen[:3], seen[3:])]
    scaled = torch.from_numpy((table - vae.mean_) / vae.scale_).float()
    orders = [(x[:, None] == scaled).all(-1).nonzero()[:, 1].tolist() for x in passes]
    assert all(sorted(order) == list(range(49)) for order in orders)
    assert orders[0] != orders[1]
    assert list(range(49)) not in orders
    seen.clear()
    vb.VAETransformer(epochs=1, batch_size=48, keywords={"hidden": [4]}, random_state=0).fit(table)
    assert [len(x) for _, x in seen] == [49]
