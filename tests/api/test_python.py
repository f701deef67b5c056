"""`import bench as vb`: what a notebook does is what the command line does, with the same numbers."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench as vb
from bench import seeds
from bench.api.sweep import _choice
from bench.api.training import on
from bench.cells.run import run_cell
from bench.engines.local import Local
from bench.errors import BenchError, DataError, UsageError
from bench.judge import bounds, evidence
from bench.pages import blocks, tables
from bench.records import store
from bench.suites import suite
from tests import fake_records as fake
from tests.helpers import ROOT, cell
from variants import DataSpec
from variants.core import Batch

SMALL = {"latent": 3, "hidden": [16]}
BUDGET = {"epochs": 2, "batch_size": 100, "train_size": 200}


@pytest.fixture(scope="module")
def digits() -> Any:
    return vb.data("digits")


@pytest.fixture(scope="module")
def model(digits: Any) -> vb.Model:
    return vb.fit("vanilla", digits, device="cpu", **BUDGET, **SMALL)


@pytest.fixture(scope="module")
def x(digits: Any) -> Any:
    return next(digits.eval_batches("test", 250))[0].numpy()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("compared")
    variants = ["vanilla", "beta (beta=4)"]
    how = {"out": folder, "seeds": 3, "device": "cpu", "jobs": 2, "nll_samples": 5} | BUDGET | SMALL
    return vb.compare(variants, "digits", **how), how, variants  # type: ignore[arg-type]


def test_a_fit_is_the_run_of_a_suite(model: vb.Model, digits: Any) -> None:
    measure = {"elbo_samples": 2, "nll_samples": 5, "nll_points": 20}
    budget = {"epochs": 2, "batch_size": 100, "train_size": 200, "lr": 3e-3, "schedule": "cosine"}
    record, _ = run_cell("quality", cell(overrides=SMALL, budget=budget, measure=measure), {"commit": None})
    assert record.status == "ok", record.reason
    assert model.curve == record.curve
    scores = vb.evaluate(model, digits, **measure)
    assert dict(scores) == dict(record.metrics)
    assert scores.errors == record.errors
    mc, test = (scores.errors["elbo_nats"][kind] for kind in ("mc", "test"))
    shown = f"<td>elbo_nats</td><td>{scores['elbo_nats']:.5g}</td><td>mc {mc:.2g}, test {test:.2g}</td>"
    assert shown in scores._repr_html_()


def test_scores_of_single_examples_are_the_judges(model: vb.Model, digits: Any, x: Any) -> None:
    scores = vb.evaluate(model, digits, elbo_samples=4, nll_samples=30)
    assert model.elbo(x, samples=4).mean() == pytest.approx(scores["elbo_nats"], rel=1e-12)
    assert model.log_prob(x, samples=30).mean() == pytest.approx(-scores["nll_is30_nats"], rel=1e-12)
    assert np.array_equal(model.elbo(x[:9], seed=1), model.elbo(x[:9], seed=1))
    assert not np.array_equal(model.elbo(x[:9], seed=1), model.elbo(x[:9]))
    assert model.elbo(x).shape == model.log_prob(x, samples=2).shape == (250,)
    assert model.log_prob(x, samples=300).mean() > model.elbo(x).mean()


def test_arrays_go_in_and_come_out(model: vb.Model, x: Any) -> None:
    z = model.embed(x)
    assert isinstance(z, np.ndarray)
    assert z.shape == (250, 3)
    assert np.array_equal(z, model.encode(x).mean.numpy())
    assert np.allclose(model.decode(z), model.reconstruct(x), atol=1e-6)
    assert model.reconstruct(x).shape == x.shape
    tensor = torch.from_numpy(x)
    assert torch.equal(model.embed(tensor), torch.from_numpy(z))
    assert torch.allclose(model(tensor), torch.from_numpy(model.reconstruct(x)), atol=1e-6)
    assert model(tensor).requires_grad
    locked = x.copy()
    locked.flags.writeable = False
    assert np.array_equal(model.embed(locked), z), "what a data frame gives may not be written to"
    assert np.array_equal(model.embed(x[:, 0]), z), "grey images need no axis of channels"
    whole = model.embed(np.repeat(x, 3, axis=0))
    assert np.allclose(whole, np.repeat(z, 3, axis=0), atol=1e-6), "batches are put together in order"


def test_a_model_of_a_class_is_given_it(digits: Any) -> None:
    """What a method gives of x and c is what the judge has of them; a class of choice is sampled, and all else told."""
    conditional = vb.fit("conditional", digits, device="cpu", **BUDGET, latent=13, hidden=[16])
    (x, c), *_ = digits.eval_batches("test", 250)
    z = conditional.embed(x, c)
    assert torch.equal(z[:, -10:].argmax(-1), c)
    assert torch.equal(z, conditional.encode(x, c.tolist()).mean)
    assert torch.equal(conditional.embed(x[:3], 7), conditional.embed(x[:3], [7, 7, 7]))
    assert torch.allclose(conditional.decode(z), conditional.reconstruct(x, c), atol=1e-6)
    judged = bounds.scores(conditional.vae, [(x, c)], samples=10, seed=seeds.JUDGE).elbo
    assert torch.equal(conditional.elbo(x, c=c), judged)
    assert (conditional.elbo(x, c=(c + 1) % 10) - judged).abs().mean() > 0.01
    again = evidence.importance_weights(conditional.vae, Batch(x[:2], c=c[:2]), 50)["log_px"]
    assert torch.allclose(conditional.log_prob(x[:2], samples=50, c=c[:2]), again, atol=3)
    made = conditional.sample(10, c=range(10))
    assert np.array_equal(made[3:4], conditional.sample(10, c=3)[3:4])
    assert not np.array_equal(made[3:4], conditional.sample(10, c=4)[3:4])
    for call, words in (
        (lambda: conditional.embed(x), "give c, the class of each example"),
        (lambda: conditional.elbo(x, c=c[:4]), "c must be one whole number from 0 to 9 for each of 250 examples"),
        (lambda: conditional.sample(2, c=10), "from 0 to 9"),
        (lambda: conditional.sample(2, c=[0.5, 1.0]), "from 0 to 9"),
        (lambda: conditional.traverse(x[0]), "latents hold the class"),
        (lambda: conditional.export("nowhere"), "its encoder needs the class"),
        (lambda: vb.build("vanilla", digits, device="cpu", **SMALL).embed(x, c), "leave c out"),
    ):
        with pytest.raises(BenchError, match=words):
            call()


def test_samples_and_walks_through_the_latents(model: vb.Model, x: Any) -> None:
    before = torch.get_rng_state()
    samples = model.sample(5)
    assert samples.shape == (5, 1, 8, 8)
    assert np.array_equal(samples, model.sample(5))
    assert not np.array_equal(samples, model.sample(5, seed=1))
    assert set(np.unique(model.sample(5, noise=True))) <= {0.0, 1.0}
    line = model.interpolate(x[0], x[1], steps=4)
    ends = model.reconstruct(x[:2])
    assert np.allclose(line[[0, -1]], ends, atol=1e-6)
    walks = model.traverse(x[0], axes=2, steps=5)
    assert walks.shape == (2, 5, 1, 8, 8)
    z = model.embed(x[:1])
    variances = model.encode(x[:1]).variance[0].numpy()
    narrowest = int(variances.argmin())
    for axis, walk in zip(np.argsort(variances), walks, strict=False):
        for place, value in enumerate((-3.0, -1.5, 0.0, 1.5, 3.0)):
            moved = z.copy()
            moved[0, axis] = value
            assert np.allclose(walk[place], model.decode(moved)[0], atol=1e-6)
    moved = z.copy()
    moved[0, 1] = 0.5
    assert np.allclose(model.traverse(x[0], axes=[1], steps=3, span=0.5)[0, -1], model.decode(moved)[0], atol=1e-6)
    first, last = model.embed(x[:2])
    assert np.allclose(line[1], model.decode((first + (last - first) / 3)[None])[0], atol=1e-6)
    assert np.array_equal(model.traverse(x[0], axes=[narrowest], steps=5)[0], walks[0])
    assert torch.equal(before, torch.get_rng_state()), "nobody's random numbers were used up"


def test_a_model_of_a_bare_spec_learns_what_its_data_are(digits: Any) -> None:
    model = vb.build("vanilla", DataSpec((1, 8, 8), "binary", 200), device="cpu", **SMALL)
    assert "name" not in model.about.data
    vb.fit(model, digits, device="cpu", **BUDGET | {"epochs": 1})
    assert model.about.data["name"] == "digits"
    assert model.about.data["sha256"] == digits.checksum
    table = vb.data(np.random.default_rng(0).normal(50, 9, (60, 3)))
    assert table.options == {"scale": "standard"}
    model = vb.build("vanilla", DataSpec((3,), "real", 48), device="cpu", **SMALL)
    vb.fit(model, table, device="cpu", epochs=1)
    assert model.scaling is table.scaling


def test_the_mode_of_a_model_stays(model: vb.Model, x: Any) -> None:
    model.vae.train()
    model.vae.encoder.eval()  # as of a part that is not trained on
    model.embed(x[:2])
    assert model.vae.training
    assert model.vae.decoder.training
    assert not model.vae.encoder.training
    model.vae.eval()


def test_parts_that_are_put_together_begin_as_a_variant_of_that_seed() -> None:
    spec = DataSpec((1, 8, 8), "binary", 200)
    state = torch.get_rng_state()
    made = [vb.assemble(spec, seed=seed, device="cpu", **SMALL) for seed in (0, 0, 1)]
    made.append(vb.build("vanilla", spec, seed=1, device="cpu", **SMALL))
    assert torch.equal(state, torch.get_rng_state())
    first, again, other, built = (torch.cat([p.flatten() for p in model.parameters()]) for model in made)
    assert torch.equal(first, again)
    assert torch.equal(other, built)
    assert not torch.equal(first, other)
    assert not any(model.vae.training for model in made)
    assert [model.about.overrides for model in made] == [SMALL] * 4


def test_a_training_is_asked_for_as_its_words_say(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def train(_: Any, loaded: Any, budget: Any, **how: Any) -> list[Any]:
        asked.update(how, loaded=loaded, budget=budget, tf32=torch.backends.cudnn.allow_tf32)
        return []

    monkeypatch.setattr("bench.api.training.train", train)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    state = torch.get_rng_state()
    made = vb.fit("vanilla", digits, seed=5, precision="bf16", device="cpu", lr=0.1, **BUDGET, **SMALL)
    assert torch.equal(state, torch.get_rng_state())
    assert (asked["seed"], asked["precision"], asked["device"], asked["tf32"]) == (5, "bf16", "cpu", False)
    assert torch.backends.cudnn.allow_tf32
    assert (asked["loaded"].splits["train"], asked["budget"].lr) == (200, 0.1)
    assert (made.about.training["seed"], made.about.training["precision"]) == (5, "bf16")
    assert made.about.training["budget"] == asked["budget"].plain()


def test_bytes_are_grey_levels_zeros_and_ones_or_counts(model: vb.Model, x: Any) -> None:
    z = model.embed(x)
    assert np.array_equal(model.embed((255 * x).astype(np.uint8)), z)
    assert np.array_equal(model.embed(x.astype(np.uint8)), z)
    counting = vb.build("vanilla", DataSpec((3,), "counts", 10), device="cpu", **SMALL)
    counts = np.array([[0, 3, 200]], dtype=np.uint8)
    assert np.array_equal(counting.embed(counts), counting.embed(counts.astype(np.float64)))
    with pytest.raises(DataError, match="the model is for counts, and x goes from -1 to 3"):
        counting.embed([[-1.0, 3.0, 0.0]])


def test_what_a_model_cannot_tell_is_refused() -> None:
    spec = DataSpec((1, 8, 8), "binary", 200)
    x = np.zeros((2, 1, 8, 8))
    bits = vb.build("bernoulli_vimco", spec, device="cpu", **SMALL)
    for walk in (lambda: bits.interpolate(x[0], x[1]), lambda: bits.traverse(x[0])):
        with pytest.raises(UsageError, match="the latents are discrete"):
            walk()
    codes = vb.build("vq", spec, device="cpu", hidden=[8])
    with pytest.raises(UsageError, match="no number of its draws tells log p"):
        codes.log_prob(x)
    with pytest.raises(DataError, match=r"latents must have the shape \(N, D\), got \(3,\)"):
        bits.decode(np.zeros(3))


def test_a_notebook_sees_what_a_model_is(model: vb.Model, digits: Any) -> None:
    vb.evaluate(model, digits, elbo_samples=1, nll_samples=0)
    assert model.scores["parameters"] == 2294
    shown = model._repr_html_()
    assert "Kingma and Welling 2014" in shown
    assert "diagonal" in shown
    for words in (
        "parameters</th><td>2,294</td>",
        f"elbo_nats</th><td>{model.scores['elbo_nats']:.4g}</td>",
        "epochs trained</th><td>2</td>",
        "data</th><td>digits binary 1 x 8 x 8</td>",
        "latent</th><td>3</td>",
    ):
        assert words in shown, words
    assert repr(model).startswith("Model(vanilla of binary 1 x 8 x 8: ")
    assert "posterior=diagonal" in repr(model)


def test_callbacks_see_each_epoch_and_change_nothing(digits: Any, model: vb.Model) -> None:
    seen = []

    def callback(epoch: int, row: Any, now: vb.Model) -> None:
        torch.rand(7)
        now.vae.eval()
        seen.append((epoch, row["train_loss"], row["valid_elbo_nats"], now.curve[-1]["epoch"]))
        row.clear()

    again = vb.fit("vanilla", digits, device="cpu", callbacks=[callback], **BUDGET, **SMALL)
    assert again.curve == model.curve
    assert seen == [(row["epoch"], row["train_loss"], row["valid_elbo_nats"], row["epoch"]) for row in model.curve]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((2, 1, 8, 9)), "shape (N, 1, 8, 8), got (2, 1, 8, 9)"),
        (np.zeros((0, 1, 8, 8)), "got (0, 1, 8, 8)"),
        (np.full((2, 1, 8, 8), np.nan), "missing or infinite"),
        (np.full((2, 1, 8, 8), 200.0), "from 200 to 200"),
    ],
)
def test_examples_that_do_not_fit(model: vb.Model, values: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        model.embed(values)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_grey_values_have_no_probability_under_a_model_of_zeros_and_ones(model: vb.Model) -> None:
    with pytest.raises(DataError, match="binarise"):
        model.elbo(np.full((2, 1, 8, 8), 0.5))
    assert model.embed(np.full((2, 1, 8, 8), 0.5)).shape == (2, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: vb.build("vanila", d), "did you mean 'vanilla'"),
        (lambda d: vb.build("vanilla", d, latnt=3), "'latnt'"),
        (lambda _: vb.build("vanilla", (1, 8, 8)), "DataSpec"),
        (lambda d: vb.fit("vanilla", d, epochs=0), "epochs must be a whole number"),
        (lambda d: vb.evaluate(vb.build("vanilla", DataSpec((3,), "real")), d), "shape (3,), and digits has (1, 8, 8)"),
        (
            lambda d: vb.evaluate(vb.build("vanilla", DataSpec((1, 8, 8), "unit")), d),
            "kind unit, and digits has binary",
        ),
        (lambda d: vb.fit(vb.build("vanilla", d), d, latent=3), "latent is no key of the budget"),
        (lambda d: vb.build("autoencoder", d).elbo(np.zeros((1, 1, 8, 8))), "no ELBO"),
        (lambda d: vb.evaluate(vb.build("vanilla", d), d, nll_sample=3), "unknown key nll_sample"),
        (lambda d: vb.compare(["vanilla"], d, out="nowhere", seeds=0), "seeds must be a whole number"),
        (lambda d: vb.compare(["vanila"], d, out="nowhere"), "did you mean 'vanilla'"),
        (
            lambda d: vb.compare(["vanilla", ("vanilla", {"likelihood": "gaussian"})], d, out="nowhere"),
            "nats on different supports are different quantities",
        ),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(digits: Any, make: Any, words: str) -> None:
    with pytest.raises(BenchError) as error:
        make(digits)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_comparison_is_tidy_tables(compared: Any) -> None:
    found, _, _ = compared
    assert len(found.runs) == 6
    assert set(found.runs["status"]) == {"ok"}
    assert len(found.curves) == 12
    best = found.scores.query("metric == 'elbo_nats'").set_index("row")
    runs = found.runs.groupby("row")["elbo_nats"]
    assert best["mean"].to_dict() == pytest.approx(runs.mean().to_dict())
    pair = found.pairs.query("metric == 'elbo_nats'").set_index(["row", "other"])
    vanilla, beta = (f"{name} (hidden=[16], latent=3)" for name in ("vanilla", "beta"))
    beta = next(name for name in best.index if name.startswith("beta"))
    vanilla = next(name for name in best.index if name.startswith("vanilla"))
    gap = pair.loc[(vanilla, beta)]
    assert gap["difference"] == pytest.approx(best["mean"][vanilla] - best["mean"][beta])
    assert gap["difference"] == pytest.approx(-pair.loc[(beta, vanilla)]["difference"])
    assert gap["low"] < gap["difference"] < gap["high"]
    assert any(line.startswith(f"{beta} against {vanilla} on digits-dynamic") for line in found.pair("beta", "vanilla"))
    assert found.pair(beta, vanilla) == found.pair("beta", "vanilla")
    words = found.answer()
    assert words.startswith("digits-dynamic, binary likelihoods, after 2 epochs of 200 training examples:\n")
    assert "the best ELBO" in words
    ended = blocks.terminal(tables.answer(found.records), width=10_000)
    assert [line.strip() for line in ended.split("\n") if line] == [line.strip() for line in words.split("\n")]
    assert r"\toprule" in found.table("latex", columns=["elbo", "nll"])
    assert "beta" in found._repr_html_()
    assert found.report().files
    with pytest.raises(UsageError, match="there are beta"):
        found.pair("beta", "conv")
    with pytest.raises(UsageError, match="latex, markdown"):
        found.table("word")


def test_results_of_runs_that_all_failed_are_tables_too(tmp_path: Path) -> None:
    how = {"rank": 3, "latent": 2} | BUDGET
    made = [fake.quality("vanilla", seed, status="error", reason="boom", overrides=how) for seed in range(2)]
    for record in made:
        record.curve = []
        store.write(tmp_path, record)
    found = vb.results(tmp_path)
    assert list(found.runs["reason"]) == ["boom", "boom"]
    assert "boom" in found._repr_html_()
    assert found.scores.query("metric == 'elbo_nats'")["mean"].empty
    assert found.pairs.query("verdict == 'better'").empty
    assert found.curves["epoch"].empty
    assert "nothing to answer" in found.answer()
    assert found.report().files


def test_a_comparison_of_fewer_examples_says_so(digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []

    def execute(suite: Any, out: Path, **_: Any) -> None:
        chosen.append(suite)
        (out / "runs").mkdir(parents=True)

    monkeypatch.setattr("bench.api.sweep.execute", execute)
    for i, (data, settings) in enumerate([(digits, {}), (on(digits, "cpu", 99), {}), (digits, {"train_size": 5})]):
        with pytest.raises(UsageError, match="no records"):
            vb.compare(["vanilla"], data, out=tmp_path / str(i), seeds=[3, 1], **settings)
    assert [suite.budget.train_size for suite in chosen] == [None, 99, 5]
    assert {cell["seed"] for cell in chosen[0].cells("cpu")} == {1, 3}
    # Whoever gives fewer examples of one data set means no fewer of another.
    for other in (on(digits, "cpu", 98), digits):
        for data in ([on(digits, "cpu", 99), other], [other, on(digits, "cpu", 99)]):
            with pytest.raises(UsageError, match="one train_size for all"):
                vb.compare(["vanilla"], data, out=tmp_path)
    plain = {"digits": on(digits, "cpu", 99), "linear_gaussian": vb.dataset("linear_gaussian", n=200)}
    with pytest.raises(UsageError, match="no records"):
        vb.compare(["vanilla"], list(plain.values()), out=tmp_path / "given", train_size=50)
    assert chosen[-1].budget.train_size == 50


def test_a_comparison_is_asked_for_as_its_words_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def execute(suite: Any, out: Path, **how: Any) -> None:
        asked.update(how, suite=suite)
        (out / "runs").mkdir(parents=True)

    monkeypatch.setattr("bench.api.sweep.execute", execute)
    variants = [("beta (beta=4, latent=9)", {"latent": 3}), "vanilla"]
    words = {"precision": "bf16", "device": "cpu", "jobs": 3, "again": True, "epochs": 7, "nll_samples": 9}
    with pytest.raises(UsageError, match="no records"):
        vb.compare(variants, ["digits", "linear_gaussian"], out=tmp_path / "mine", latent=5, **words)  # type: ignore[arg-type]
    suite = asked["suite"]
    assert [(each.name, each.overrides) for each in suite.variants] == [
        ("beta", {"beta": 4, "latent": 3}),
        ("vanilla", {"latent": 5}),
    ]
    assert [each.name for each in suite.datasets] == ["digits", "linear_gaussian"]
    assert (suite.name, suite.precision, suite.throughput.blocks) == ("mine", "bf16", 0)
    assert (suite.budget.epochs, suite.measure.nll_samples) == (7, 9)
    assert (asked["device"], asked["jobs"], asked["again"]) == ("cpu", 3, True)
    assert isinstance(asked["engine"], Local)


def test_a_comparison_goes_on(compared: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found, how, variants = compared
    more = vb.compare(variants, "digits", **how | {"seeds": 4})
    assert "6 of 8 runs are finished" in capsys.readouterr().err
    assert len(more.runs) == 8
    assert set(found.runs["id"]) < set(more.runs["id"])


@pytest.mark.slow
def test_a_script_without_a_guard_compares(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    call = "vb.compare(['vanilla'], 'linear_gaussian', out='out', seeds=1, epochs=1, train_size=100, nll_samples=0)"
    script.write_text(f"print('begun')\nimport bench as vb\nprint(set({call}.runs['status']))\n")
    env = {"PYTHONPATH": f"{ROOT}:" + ":".join(sys.path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "begun\n{'ok'}\n", done.stderr


def test_data_go_to_another_device_or_size(digits: Any) -> None:
    assert on(digits, "cpu") is digits
    fewer = on(digits, "cpu", 100)
    assert fewer.spec.size == fewer.splits["train"] == 100
    assert fewer.checksum == digits.checksum


def test_data_of_ones_own_in_their_own_units(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    table = draws.normal(size=(120, 1)) @ [[30.0, 2.0, -1.0]] + draws.normal(size=(120, 3)) + [500.0, 0.0, 3.0]
    data = vb.data(table, kind="real", scale="standard", name="mine")
    how: dict[str, Any] = {"latent": 1, "hidden": [16], "device": "cpu", "batch_size": 20}
    model = vb.fit("vanilla", data, epochs=40, lr=1e-2, **how)
    assert np.abs(model.reconstruct(table) - table).mean(0)[0] < 10
    assert abs(model.sample(300).mean(0)[0] - 500) < 20
    scaled = next(data.eval_batches("test", 100))[0]
    assert torch.allclose(model.embed(data.scaling.undo(scaled)), model.vae.infer(scaled).mean, atol=1e-4)
    assert "standard, fitted on the training split" in (model.save(tmp_path / "kept") / "README.md").read_text()
    again = vb.load(tmp_path / "kept", device="cpu")
    assert np.array_equal(again.reconstruct(table), model.reconstruct(table))
    paths = model.export(tmp_path / "exported")
    encoder = torch.export.load(paths[0]).module()
    embedded = encoder(torch.tensor(table, dtype=torch.float32)).detach().numpy()
    assert np.allclose(embedded, model.embed(table), atol=1e-3)


def test_data_of_ones_own_are_compared(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    how = {"seeds": 1, "device": "cpu", "epochs": 1, "nll_samples": 0, "hidden": [8], "latent": 2}
    found = vb.compare(["vanilla"], vb.data(images, layout="NHW", name="mine"), out=tmp_path / "out", **how)  # type: ignore[arg-type]
    assert set(found.runs["status"]) == {"ok"}, list(found.runs["reason"])
    assert found.runs["dataset"][0].startswith("mine-")
    model = vb.load(tmp_path / "out", "vanilla", device="cpu")
    assert model.reconstruct(images).max() > 2, "in the units of the images"


def test_the_facade_names_what_it_has() -> None:
    assert set(vb.__all__) <= set(dir(vb))
    for name in vb.__all__:
        assert getattr(vb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vb.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["README.md", "docs/python.md"])
def test_the_documents_name_what_is_there(path: str, model: vb.Model, compared: Any) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, thing in (("vb", vb), ("model", model), ("r", compared[0])):
        for word in re.findall(rf"\b{name}\.(?!safetensors)([a-z]\w*)", text):
            assert hasattr(thing, word), f"{path}: {name}.{word}"
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, path, "exec")


@pytest.mark.parametrize("options", [{}, {"n": 500}, {"n": 10_000}])
def test_generated_data_are_those_of_the_command_line(options: dict[str, Any]) -> None:
    typed = {} if options == {"n": 10_000} else options  # what is usual
    choice, there = _choice(vb.data("moons", **options)), suite.dataset("moons", options=typed)
    assert choice == there


def test_data_with_few_labels_are_those_of_the_command_line() -> None:
    for options in ({"labelled": 100}, {"labelled": 0}):
        typed = {key: value for key, value in options.items() if value}
        assert _choice(vb.data("digits", **options)) == suite.dataset("digits", options=typed)
