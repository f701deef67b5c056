"""Generated examples beside real ones: closed forms, limits, and what tells copies from examples."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from torch.nn.functional import cross_entropy

import bench as vb
import bench.data as data
from bench import seeds
from bench.errors import DataError, UsageError
from bench.judge import evaluate, features, samples
from bench.pages import doubts
from bench.settings import Measure
from tests import fake_records as fake
from tests.helpers import Held
from variants import build

N = 1000


def normal(seed: int, n: int = N, d: int = 4) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d))


def test_frechet_distance_in_closed_form() -> None:
    x = normal(0)
    shift = np.array([1.0, 0.0, 2.0, 0.0])
    assert samples.frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert samples.frechet(x, x + shift) == pytest.approx(5, abs=1e-9)
    # Commuting covariances: the sum of the squared differences of standard deviations.
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), (x - x.mean(0)).T).T
    a, b = np.array([1.0, 2.0, 3.0, 0.0]), np.array([2.0, 2.0, 1.0, 1.0])
    assert samples.frechet(white * a, white * b) == pytest.approx(np.square(a - b).sum(), abs=1e-6)
    rotated = np.linalg.qr(normal(1, 4)).Q
    assert samples.frechet(x @ rotated, (2 * x + shift) @ rotated) == pytest.approx(samples.frechet(x, 2 * x + shift))


def test_the_kernel_distance_is_unbiased_and_sees_a_shift() -> None:
    found = [samples.kid(normal(2 * i, 200), normal(2 * i + 1, 200)) for i in range(40)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0
    assert samples.kid(normal(0), normal(1) + 0.5) > 5 * np.std(found)
    # By hand: no example beside itself.
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    assert samples.kid(a, b) == pytest.approx(27 + 1 - 2 * (1 + 8 + 1 + 27) / 4)


def test_the_kernel_distance_in_blocks_is_that_at_once() -> None:
    x, y = normal(0, 1500, 2), normal(1, 1200, 2)

    def kernel(a: Any, b: Any) -> Any:
        return (a @ b.T / 2 + 1) ** 3

    own = sum((kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y))
    assert samples.kid(x, y) == pytest.approx(own - 2 * kernel(x, y).mean())


def test_neighbourhoods_of_the_same_distribution() -> None:
    """Naeem et al. 2020, Lemmas 1 and 2: the density is 1 on average, the coverage 1 - 2^-5."""
    found = [samples.neighbourhoods(normal(2 * i), normal(2 * i + 1)) for i in range(6)]
    assert np.mean([each["density"] for each in found]) == pytest.approx(1, abs=0.05)
    expected = 1 - np.prod([(N - i) / (2 * N - i) for i in range(1, samples.NEIGHBOURS + 1)])
    assert np.mean([each["coverage"] for each in found]) == pytest.approx(expected, abs=0.01)
    assert min(each["precision"] for each in found) > 0.85


def test_neighbourhoods_in_blocks_are_those_at_once() -> None:
    fake, real = 1.5 * normal(0, 300), np.concatenate([normal(1, 200), normal(2, 100) + 2])
    at_once = samples.neighbourhoods(fake, real)
    with sklearn.config_context(working_memory=0.1):
        assert samples.neighbourhoods(fake, real) == at_once


def test_what_precision_and_recall_tell_apart() -> None:
    real = np.concatenate([normal(0, 300), normal(1, 300) + 20])
    one_mode = samples.neighbourhoods(normal(2, 600), real)
    assert one_mode["precision"] > 0.9 > 0.6 > one_mode["recall"]
    assert one_mode["coverage"] < 0.55
    half_bad = samples.neighbourhoods(np.concatenate([normal(3, 300), normal(4, 300) - 50]), normal(5, 600))
    assert half_bad["recall"] > 0.8 > 0.6 > half_bad["precision"]
    far = samples.neighbourhoods(normal(0) + 100, normal(1))
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_radii_do_not_count_the_example_itself_and_copies_have_none() -> None:
    line = np.arange(20.0)[:, None]
    assert samples._radii(line)[10] == 3  # 1, 1, 2, 2, 3
    copies = np.zeros((20, 2))
    # Strictly within a ball of radius 0.
    assert set(samples.neighbourhoods(copies, copies).values()) == {0}


def test_told_apart() -> None:
    assert samples.told_apart(normal(0), normal(1)) == pytest.approx(0.5, abs=0.06)
    assert samples.told_apart(normal(0) + 50, normal(1)) == 1
    # Copies lie nearer to what they copy than anything of their own kind.
    assert samples.told_apart(normal(1) + 1e-9, normal(1)) == 0


@pytest.mark.parametrize(("generated", "tested"), [(200, 600), (600, 200)])
def test_where_one_kind_is_rarer_as_many_of_either_are_told_apart(generated: int, tested: int) -> None:
    """Else most of the others would be of the kind that is more frequent, and half of them no longer a coin's toss."""
    fake, real = normal(0, 600), normal(1, 600)
    few = min(generated, tested)
    found = samples.told_apart(fake[:generated], real[:tested])
    assert found == samples.told_apart(fake[:few], real[:few])
    assert found == pytest.approx(0.5, abs=0.08)


def test_each_figure_is_of_the_generated_ones_beside_the_real_ones() -> None:
    """Of few generated ones within many real ones, so that exchanged sides would be seen."""
    fake, real, train = 0.5 * normal(0, 60), normal(1, 90) + 0.5, normal(2, 120)
    found = samples.compare(fake, real, train)
    assert tuple(found) == samples.NAMES
    assert found["frechet"] == samples.frechet(fake, real)
    assert found["kid"] == samples.kid(fake, real)
    assert {name: found[name] for name in ("precision", "recall", "density", "coverage")} == samples.neighbourhoods(
        fake, real
    )
    assert found["told_apart"] == samples.told_apart(fake, real)
    assert found["memorisation"] == samples.memorisation(fake, real, train)
    assert samples.neighbourhoods(fake, real) != samples.neighbourhoods(real, fake)


@pytest.mark.parametrize(("train", "test", "told"), [(40, 5, False), (40, 6, True), (11, 40, False), (12, 40, True)])
def test_with_no_more_examples_than_neighbours_there_are_no_figures(
    monkeypatch: pytest.MonkeyPatch, train: int, test: int, told: bool
) -> None:
    """Of the training split one half is to be memorised, and the other plays what is generated."""
    monkeypatch.setattr(samples, "_samplers", lambda _: [])
    x = torch.from_numpy(normal(0, 40)).float()
    held: Any = Held(x)
    held.splits = {"train": train, "test": test}
    held.eval_batches = lambda split, _, limit: iter([(x[: min(limit, held.splits[split])], None)])
    figures, _ = samples.scores(build("linear", held.spec, latent=2), held, 50, lambda x: x)
    assert [figures[f"frechet{ending}"] is not None for ending in ("", "_means", "_floor", "_ceiling")] == [told] * 4


def test_memorisation() -> None:
    train, test = normal(0), normal(1)
    fresh = samples.memorisation(normal(2), test, train)
    copied = samples.memorisation(train[::2] + 1e-6, test, train)
    far = samples.memorisation(normal(3) * 3, test, train)
    assert fresh is not None
    assert copied is not None
    assert far is not None
    assert abs(fresh) < 3
    assert copied < -8
    assert far > 5
    for few, many in ((10, 10), (10, N), (N, 10)):
        assert samples.memorisation(normal(0, few), normal(1, many), train) is None


def test_a_cell_weighs_as_many_test_examples_as_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two heaps, in one of which the generated examples are too wide."""
    monkeypatch.setattr(samples, "CELLS", 2)
    train, real, fake = (
        [normal(seed, few), normal(seed + 1, many) + 100]
        for seed, few, many in ((0, 200, 200), (2, 30, 170), (4, 90, 90))
    )
    fake[0] = 3 * fake[0]
    scores = []
    for heap, test, made in zip(train, real, fake, strict=True):
        near, far = (np.linalg.norm(each[:, None] - heap, axis=2).min(1) for each in (made, test))
        scores.append(samples._mann_whitney(near, far))
    assert abs(scores[0] - scores[1]) > 3
    found = samples.memorisation(*map(np.concatenate, (fake, real, train)))
    assert found == pytest.approx((30 * scores[0] + 170 * scores[1]) / 200)


def test_the_standard_score_is_that_of_mann_and_whitney() -> None:
    from scipy.stats import mannwhitneyu, norm

    a, b = normal(0, 40, 1)[:, 0] - 0.2, normal(1, 60, 1)[:, 0]
    p = mannwhitneyu(a, b, alternative="less", use_continuity=False, method="asymptotic").pvalue
    assert norm.cdf(samples._mann_whitney(a, b)) == pytest.approx(p)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(features, "STEPS", 200)
    monkeypatch.setattr(samples, "FLOW_STEPS", 60)
    return data.load("digits")


def test_the_feature_space_is_trained_once_and_is_the_same(loaded: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = features.space(loaded)
    assert first is not None
    assert torch.equal(torch.get_rng_state(), before)
    assert first.accuracy > 0.6
    (file,) = (tmp_path / "features").iterdir()
    kept = file.read_bytes()
    again = features.space(loaded)
    assert again is not None
    assert again.sha256 == first.sha256
    file.write_bytes(b"broken")
    anew = features.space(loaded)
    assert anew is not None
    assert (anew.sha256, file.read_bytes()) == (first.sha256, kept)
    x, _ = next(loaded.eval_batches("train", 500))
    assert np.square(features.features(first.network, x)).mean() == pytest.approx(1, abs=0.1)
    # Its accuracy is that of the classifier as it was trained, on the test split.
    x, y = next(loaded.eval_batches("test", 250))
    found = first.network.head(first.network.body(x)).argmax(1) == y
    assert first.accuracy == pytest.approx(found.double().mean().item())
    assert features.space(data.load("linear_gaussian", n=100)) is None
    # Of other values it is another space.
    fixed = features.space(data.load("digits", binarise="none"))
    assert fixed is not None
    assert fixed.sha256 != first.sha256


def test_a_feature_space_is_that_of_the_examples_that_it_is_trained_on(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another number of them, or other values, is another file; asked for again it is the same one."""
    trained: list[int] = []
    monkeypatch.setattr(features, "_train", lambda _, held: trained.append(held.splits["train"]))
    for _ in range(2):
        for options in ({}, {"train_size": 100}, {"binarise": "none"}):
            assert features.space(data.load("digits", **options)) is not None  # type: ignore[arg-type]
    assert trained == [loaded.splits["train"], 100, loaded.splits["train"]]
    assert len(list((tmp_path / "features").iterdir())) == 3


def test_the_judge_shows_them_between_two_anchors(loaded: Any) -> None:
    model = build("vanilla", loaded.spec, hidden=(16,))
    judgement = evaluate(model, loaded, Measure(1, 0, sample_points=200))
    found = judgement.metrics
    for name in ("frechet", "kid"):
        assert found[f"{name}_floor"] < found[f"{name}_ceiling"]
        assert found[f"{name}_floor"] < found[name]
    assert found["coverage_ceiling"] < found["coverage_floor"]
    assert "frechet_means" not in found  # binary data compare draws
    assert judgement.features_sha256 is not None
    torch.manual_seed(7)
    assert evaluate(model, loaded, Measure(1, 0, sample_points=200)).metrics == found
    grey = data.load("digits", binarise="none")
    of_grey = evaluate(build("vanilla", grey.spec, hidden=(16,)), grey, Measure(1, 0, sample_points=50)).metrics
    assert of_grey["frechet_means"] is not None
    without = data.load("linear_gaussian", n=100)
    told = evaluate(build("linear", without.spec), without, Measure(1, 0, sample_points=10))
    assert (told.metrics["frechet"], told.features_sha256) == (None, None)


def test_features_of_one_s_own_from_python(loaded: Any) -> None:
    """Those of our classifier, given as one's own, give the same figures; pixels need no classes."""
    network = features.space(loaded).network  # type: ignore[union-attr]
    model = vb.build("vanilla", loaded, device="cpu", hidden=[16])
    how = {"nll_samples": 0, "sample_points": 100}
    known = vb.evaluate(model, loaded, **how)
    own = vb.evaluate(model, loaded, features=lambda x: features.features(network, x), **how)
    assert {name: value for name, value in own.items() if name != "feature_accuracy"} == {
        name: value for name, value in known.items() if name != "feature_accuracy"
    }
    simulated = data.load("linear_gaussian", n=200)
    linear = vb.build("linear", simulated, device="cpu")
    assert vb.evaluate(linear, simulated, features=lambda x: x, **how)["frechet"] > 0
    with pytest.raises(UsageError, match="give sample_points"):
        vb.evaluate(linear, simulated, features=lambda x: x)
    with pytest.raises(DataError, match="a row for each of"):
        vb.evaluate(linear, simulated, features=lambda x: x.sum(0), **how)


def test_what_plays_the_generated_examples_is_none_that_could_have_been_memorised(
    loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, Any]] = []
    monkeypatch.setattr(samples, "compare", lambda a, _, train: given.append((a, train)) or {})
    samples.scores(build("vanilla", loaded.spec, hidden=(16,)), loaded, 60)
    assert len(given) == 5  # draws, those of codes fitted in two ways, and both anchors
    for generated, train in given:
        known = {row.tobytes() for row in train}
        assert len(known) == 60
        assert not any(row.tobytes() in known for row in generated)


def test_independent_pixels_keep_what_single_pixels_are() -> None:
    torch.manual_seed(0)
    x = torch.randn(250, 1) + 0.1 * torch.randn(250, 6)
    held: Any = Held(x)
    held.eval_batches = lambda split, size, limit=None: Held.eval_batches(held, "test", size, limit)  # noqa: ARG005
    held.splits["train"] = 250
    model = build("linear", held.spec)
    (made,) = samples.generated(model, held, "independent", 250)
    assert torch.equal(made.sort(0).values, x.sort(0).values)
    assert np.abs(np.corrcoef(made.numpy().T) - np.eye(6)).max() < 0.25
    assert np.corrcoef(x.numpy().T).min() > 0.9


def test_draws_are_drawn_and_means_are_of_the_same_latents(loaded: Any) -> None:
    model = build("vanilla", loaded.spec, hidden=(16,))
    draws, means = (torch.cat(list(samples.generated(model, loaded, kind, 600))) for kind in ("draws", "means"))
    assert draws.shape == means.shape == (600, 1, 8, 8)
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert not set(means.unique().tolist()) <= {0.0, 1.0}
    assert len(means.unique(dim=0)) == 600
    # Draws of these means, and not of others.
    noise = (means * (1 - means)).mean().item()
    assert (draws - means).square().mean().item() == pytest.approx(noise, rel=0.1)


def test_draws_lie_where_data_can(loaded: Any) -> None:  # noqa: ARG001
    """A Gaussian's draws leave [0, 1], and are brought back for images alone."""
    for name, options, low in (("digits", {"binarise": "none"}, 0), ("linear_gaussian", {"n": 100}, -math.inf)):
        other = data.load(name, **options)  # type: ignore[arg-type]
        model = build("vanilla", other.spec, hidden=(16,), likelihood="gaussian")
        made = torch.cat(list(samples.generated(model, other, "draws", 60)))
        assert made.min() >= low
        assert (made.min() < -0.01) == (low < 0)


@pytest.mark.parametrize("kind", ["fitted", "fitted_flow"])
def test_codes_that_the_prior_does_not_have_are_sampled_by_a_fitted_density(loaded: Any, kind: str) -> None:
    """Codes far from p(z) in two heaps: the fitted draws have their moments, the same each time, and decode to data."""
    model: Any = build("vanilla", loaded.spec, latent=2, hidden=(16,))
    with torch.no_grad():
        model.posterior.loc.bias.fill_(30.0)
        model.posterior.loc.weight.mul_(20)
        model.posterior.log_scale.bias.fill_(-1.0)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    z = samples.SAMPLERS[kind](model, loaded, 2000)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(z, samples.SAMPLERS[kind](model, loaded, 2000))
    assert not z.requires_grad
    with torch.no_grad():
        q = [model.infer(x) for x, _ in loaded.eval_batches("train", 250)]
    means, variances = (torch.cat([getattr(each, name) for each in q]) for name in ("mean", "variance"))
    spread = means.var(0) + variances.mean(0)
    assert ((z.mean(0) - means.mean(0)).abs() < 6 * (spread / 2000).sqrt()).all()
    assert ((z.var(0) / spread).log().abs() < (0.15 if kind == "fitted" else 0.3)).all()
    # What is fitted are draws of q(z|x), not its means.
    left = (samples._codes(model, loaded) - means) / variances.sqrt()
    assert left.std().item() == pytest.approx(1, abs=0.1)
    # Any part of them is like the whole.
    assert ((z[:500].mean(0) - means.mean(0)).abs() < 6 * (spread / 500).sqrt()).all()
    made = torch.cat(list(samples.generated(model, loaded, kind, 300)))
    assert made.shape == (300, 1, 8, 8)


def test_any_part_of_the_fitted_draws_is_of_all_components(monkeypatch: pytest.MonkeyPatch) -> None:
    heaps = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)) + 20 * (torch.arange(4000) % 4).view(-1, 1)
    monkeypatch.setattr(samples, "_codes", lambda *_: heaps)
    none: Any = None
    for part in samples.fitted_codes(none, none, 2000).split(500):
        shares = torch.bincount((part.mean(1) / 20).round().long(), minlength=4) / len(part)
        assert (shares - 0.25).abs().max() < 0.1


def test_the_fitted_flow_finds_a_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its moments alone a Gaussian has a radius anywhere; three in four of the flow's draws lie on the ring."""
    random = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(4000, 1, generator=random)
    ring = torch.cat([3 * angle.cos(), 3 * angle.sin() + 40], dim=-1) + 0.2 * torch.randn(4000, 2, generator=random)
    monkeypatch.setattr(samples, "_codes", lambda *_: ring)
    none: Any = None

    def on_the_ring(z: Any) -> float:
        return float((((z - torch.tensor([0.0, 40.0])).norm(dim=-1) - 3).abs() < 0.6).double().mean())

    z = samples.fitted_flow_codes(none, none, 4000)
    assert on_the_ring(ring) > 0.99
    assert on_the_ring(z) > 0.75
    assert on_the_ring(ring.mean(0) + ring.std(0) * torch.randn(4000, 2, generator=random)) < 0.5


def test_fitted_samples_stand_beside_the_models_own_and_need_latents_on_r_d(loaded: Any) -> None:
    found = evaluate(build("autoencoder", loaded.spec, hidden=(16,)), loaded, Measure(1, 0, sample_points=100)).metrics
    assert found["frechet_fitted"] is not None
    assert found["frechet_fitted_flow"] is not None
    assert len({found[name] for name in ("frechet", "frechet_fitted", "frechet_fitted_flow")}) == 3
    assert found["elbo_nats"] is None
    bits = evaluate(build("bernoulli_vimco", loaded.spec, latent=4), loaded, Measure(1, 0, sample_points=100)).metrics
    assert (bits["frechet_fitted"], bits["frechet_fitted_flow"]) == (None, None)
    assert samples._samplers(build("vanilla", loaded.spec, latent=1)) == ["fitted"]
    assert bits["frechet"] is not None


def test_a_page_warns_of_two_feature_spaces() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    for i, record in enumerate(records):
        record.provenance.features_sha256 = str(i)
    assert any("2 different feature spaces" in line for line in doubts.problems(records))


def test_features_of_one_s_own_are_finite_numbers_a_row_for_each_whatever_their_shape() -> None:
    x = torch.from_numpy(normal(0, 6)).float()
    assert samples._of_one_s_own(lambda x: x.reshape(-1, 2, 2), x).shape == (6, 4)
    for wrong in (math.nan, math.inf):
        with pytest.raises(DataError, match="finite numbers"):
            samples._of_one_s_own(lambda x, wrong=wrong: torch.where(x > 0, x, wrong), x)


def test_a_feature_space_that_cannot_be_kept_is_used_all_the_same(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "STEPS", 2)
    (tmp_path / "features").write_text("no folder")
    assert features.space(loaded) is not None


def test_every_fitted_draw_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beyond the first batch of them."""
    monkeypatch.setitem(samples.SAMPLERS, "fitted", lambda _model, _data, n: torch.arange(float(n)).view(-1, 1))
    held: Any = Held(torch.zeros(4, 3))
    model: Any = build("linear", held.spec, latent=1)
    seen: list[float] = []
    decode = model.decode
    model.decode = lambda z: (seen.extend(z.flatten().tolist()), decode(z))[1]
    made = torch.cat(list(samples.generated(model, held, "fitted", 600)))
    assert made.shape == (600, 3)
    assert seen == list(range(600))


def test_a_feature_space_is_what_plain_training_gives(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Three steps, of which a pass over a hundred examples has two."""
    monkeypatch.setattr(features, "STEPS", 3)
    few = data.load("digits", train_size=100)
    found = features.space(few)
    assert found is not None
    with seeds.stream(seeds.JUDGE, "features", "cpu"):
        plain = features.Classifier(few.spec.shape, 10)
    optimiser = torch.optim.Adam(plain.parameters(), 1e-3)
    for x, y in (2 * list(few.eval_batches("train", 64)))[:3]:
        gradients = torch.autograd.grad(cross_entropy(plain.head(plain.body(x)), y), list(plain.parameters()))
        for parameter, gradient in zip(plain.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
    with torch.no_grad():
        plain.scale.copy_(plain.body(next(few.eval_batches("train", 100))[0]).square().mean().sqrt())
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[name], tensor, msg=name)


@pytest.mark.parametrize("kind", ["fitted", "fitted_flow", "independent"])
def test_what_is_fitted_or_mixed_is_of_training_examples(
    loaded: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(samples, "FLOW_STEPS", 1)
    asked: list[tuple[str, int | None]] = []
    inner = loaded.eval_batches
    loaded.eval_batches = lambda split, size, limit=None: (asked.append((split, limit)), inner(split, size, limit))[1]
    model = build("vanilla", loaded.spec, latent=2, hidden=(8,))
    list(samples.generated(model, loaded, kind, 60))
    assert asked == [("train", 60 if kind == "independent" else samples.CODES)]
