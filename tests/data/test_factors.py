"""Data that are made from factors, and points whose density is known."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import bench.data as data
from bench.data import affine, generated, plane, solids, sprites, teacher
from bench.data.batches import Data
from bench.data.factors import Factor, Rendered, checksum, combinations
from bench.data.gaussian import LinearGaussian
from bench.errors import UsageError
from bench.judge import evaluate
from bench.oracle.truth import at_truth
from bench.settings import Measure
from variants import build

N = 400
# Of each generated set the first six examples of train and of test, weighed by sines, and the first eight labels.
KNOWN: list[tuple[str, dict[str, Any], float, float, str]] = [
    ("linear_gaussian", {}, -7.44976, -10.97566, "00000000"),
    ("flow_data", {}, -11.00603, 8.14649, "00000000"),
    ("tiny_sbn", {}, -3.65995, 3.49326, "00000000"),
    ("teacher", {}, 0.64710, -4.42646, "00000000"),
    ("gaussian_mixture", {}, -4.58818, -9.26560, "00104443"),
    ("counts", {}, 397.79587, -156.55148, "76060646"),
    ("moons", {}, 2.24590, 1.17629, "00001111"),
    ("rings", {}, -0.93891, -2.16525, "00102222"),
    ("pinwheel", {}, 2.85097, 0.03059, "00104443"),
    ("eight_gaussians", {}, 1.79232, 1.31397, "10207775"),
    ("spiral", {}, -0.97055, 2.04294, "00001111"),
    ("sprites", {}, -1.33908, 0.50734, "01122022"),
    ("sprites", {"pairs": 1}, 7.42009, 0.50734, "01112021"),
    ("xy_squares", {}, 4288.24317, -3525.56630, "00000000"),
    ("xy_squares", {"pairs": 1}, 2044.13912, -3525.56630, "00000000"),
    ("solids", {}, 2684.06319, 1765.48031, "23233220"),
    ("solids", {"pairs": 1}, -888.96088, 1765.48031, "22223322"),
]


@pytest.mark.parametrize(("name", "options", "train", "test", "labels"), KNOWN)
def test_generated_examples_are_these_for_everybody(
    name: str, options: dict[str, Any], train: float, test: float, labels: str
) -> None:
    """A change of these figures makes old results incomparable: it needs another name."""
    raw = data.load(name, n=60, **options).raw
    for split, known in (("train", train), ("test", test)):
        x = np.stack([raw.images[split][i] for i in range(6)]).astype(np.float64).ravel()
        assert x @ np.sin(np.arange(x.size)) == pytest.approx(known, abs=2e-5, rel=1e-6)
    assert "".join(map(str, raw.labels["train"][:8])) == labels


def test_splits_hold_out_combinations_of_factors() -> None:
    loaded = data.load("sprites", n=N)
    assert loaded.factors is not None
    rows = {split: {tuple(row) for row in loaded.factors.values[split]} for split in loaded.splits}
    assert (
        {split: len(each) for split, each in rows.items()} == loaded.splits == {"train": 320, "valid": 40, "test": 40}
    )
    assert len(set.union(*rows.values())) == N
    assert [factor.ordered for factor in loaded.factors.table] == [False, True, True, True, True]
    for i, factor in enumerate(loaded.factors.table):
        seen = np.unique(loaded.factors.values["train"][:, i])
        assert (seen == np.arange(factor.size)).all()


def test_factors_follow_the_examples_in_use() -> None:
    loaded = data.load("sprites", n=N, train_size=30)
    assert loaded.factors is not None
    assert len(loaded.factors.values["train"]) == 30
    x, y = next(loaded.eval_batches("test", 100, limit=7))
    rows = loaded.factors.values["test"][loaded.places("test", 7)]
    assert (x.numpy() == np.stack([sprites.sprite(row) for row in rows])).all()
    assert (y.numpy() == rows[:, 0]).all()
    assert data.load("digits").factors is None
    held = loaded.raw.images["train"]
    of_training = [sprites.sprite(row) for row in loaded.factors.values["train"]]
    assert all((held[i] == image).all() for i, image in enumerate(of_training))


def test_a_checksum_tells_factors_and_images_apart() -> None:
    made = combinations({"a": 7, "*b": 7}, 40, 0)
    assert made.table == (Factor("a", 7), Factor("b", 7, ordered=False))
    plain = checksum(made, lambda row: row)
    for split, rows in made.values.items():
        turned = np.concatenate([rows[:1], rows[:0:-1]])  # all but the first, whose image is drawn
        assert checksum(replace(made, values={**made.values, split: turned}), lambda row: row) != plain
        first = rows[0]
        assert checksum(made, lambda row, first=first: row + (row == first).all()) != plain


def test_no_two_sprites_are_one_image() -> None:
    """A square that is turned by a quarter is itself again: two labels would then have one image."""
    stamps = sprites._stamps()
    assert len({stamp.tobytes() for stamp in stamps.reshape(-1, sprites.STAMP**2)}) == math.prod(stamps.shape[:3])
    assert not stamps[..., 0, :].any()
    assert not stamps[..., -1].any()  # none is cut off at the edge of its stamp


@pytest.mark.parametrize("name", ["sprites", "xy_squares", "solids", "affine_digits"])
def test_made_again_it_is_the_same(name: str) -> None:
    first, second, more = (data.load(name, n=n) for n in (100, 100, 200))
    assert first.checksum == second.checksum != more.checksum
    assert first.spec == data.spec(name, n=100)
    assert torch.equal(next(first.eval_batches("test", 5))[0], next(second.eval_batches("test", 5))[0])
    sizes = {"sprites": generated.SPRITES, "xy_squares": generated.SQUARES, "solids": generated.SOLIDS}
    most = math.prod(sizes.get(name, generated.AFFINE).values())
    with pytest.raises(UsageError, match=f"n must be at most {most:,}"):
        data.load(name, n=most + 1)


def test_squares_are_drawn_as_they_are_needed_and_equally_far_from_each_other() -> None:
    loaded = data.load("xy_squares", n=100)
    assert loaded.streamed
    assert isinstance(loaded.raw.images["train"], Rendered)
    x, _ = next(loaded.eval_batches("train", 80))
    assert x.shape == (80, 3, 64, 64)
    assert (x.sum((2, 3)) == 64).all()
    assert set(x.unique().tolist()) == {0.0, 1.0}
    # Where one square moves, by however much, the distance is the same.
    moved = [sprites.squares(np.array([a, 0, 1, 1, 2, 2])).astype(float) for a in range(8)]
    assert {np.abs(moved[0] - other).sum() for other in moved[1:]} == {2 * 64 * 255.0}


def test_no_two_solids_are_one_image_and_each_factor_changes_some_pixels() -> None:
    loaded = data.load("solids", n=300)
    assert loaded.streamed
    images = [image for x, _ in loaded.eval_batches("train", 240) for image in x]
    assert loaded.raw.factors is not None
    shapes = loaded.raw.factors.values["train"][:, list(generated.SOLIDS).index("*shape")]
    assert loaded.raw.labels["train"].tolist() == shapes.tolist()
    assert len({image.numpy().tobytes() for image in images}) == 240
    assert images[0].shape == (3, 64, 64)
    row = np.array([1, 4, 7, 3, 0, 7])
    for shape in range(generated.SOLIDS["*shape"]):
        row[4] = shape
        for i, size in enumerate(generated.SOLIDS.values()):
            line = np.tile(row, (size, 1))
            line[:, i] = np.arange(size)
            assert len({solids.solid(each).tobytes() for each in line}) == size
    # The three hues colour parts of their own.
    parts = [
        np.abs(solids.solid(row + step).astype(int) - solids.solid(row)).any(0) for step in np.eye(6, dtype=int)[:3]
    ]
    assert all(part.any() for part in parts)
    assert not (parts[0] & parts[1]).any()
    assert not (parts[1] & parts[2]).any()


def test_digits_are_where_their_map_says() -> None:
    loaded = data.load("affine_digits", n=200)
    mnist = data.load("mnist", binarise="none")
    assert loaded.factors is not None
    assert [factor.name for factor in loaded.factors.table] == ["digit", "rotation", "scale", "shear", "x", "y"]
    assert loaded.factors.values["train"][0].tolist() == [5, 5, 5, 0, 7, 2], "the same for everybody"
    x, y = next(loaded.eval_batches("test", 20))
    digits, labels = next(mnist.eval_batches("test", 20))
    assert torch.equal(y, labels)
    assert (loaded.factors.values["test"][:, 0] == y.numpy()).all()
    dot = np.zeros((28, 28), dtype=np.uint8)
    dot[13:15, 13:15] = 255

    def centre(row: list[int]) -> tuple[float, float]:
        image = affine.warped(dot, np.array(row))[0].astype(float)
        down, across = np.mgrid[:40, :40]
        return (across * image).sum() / image.sum(), (down * image).sum() / image.sum()

    # The middle of a digit is moved by the shift alone, x to the right and y down.
    for shift, place in ((0, 19.5 - affine.SHIFT), (7, 19.5 + affine.SHIFT)):
        assert centre([3, 2, 1, shift, 0]) == pytest.approx((place, 19.5 - affine.SHIFT), abs=0.05)
        assert centre([9, 4, 5, 0, shift]) == pytest.approx((19.5 - affine.SHIFT, place), abs=0.05)
    # A dot beside the middle is sheared to the right as far as it lies below, then turned against the clock.
    for below, right in ((0, 6), (6, 0)):
        beside = np.roll(dot, (below, right), (0, 1))
        for turned, sheared in ((0, 2), (11, 2), (4, 0), (4, 5)):
            angle = np.deg2rad(affine.TURN * (2 * turned / 11 - 1))
            across = right + affine.SHEAR * (2 * sheared / 5 - 1) * below
            wanted = np.array([across, below]) @ [
                [np.cos(angle), -np.sin(angle)],
                [np.sin(angle), np.cos(angle)],
            ]
            image = affine.warped(beside, np.array([turned, 3, sheared, 0, 0]))[0].astype(float)
            down, along = np.mgrid[:40, :40]
            place = np.array([(along * image).sum(), (down * image).sum()]) / image.sum() - (19.5 - affine.SHIFT)
            assert place == pytest.approx(wanted, abs=0.1)
    whole = (255 * digits[0, 0]).numpy().astype(np.uint8)
    ink = [affine.warped(whole, np.array([6, size, 3, 4, 4])).sum() for size in range(6)]
    assert (np.diff(ink) > 0).all()
    assert ink[5] / ink[0] == pytest.approx((affine.LARGEST / affine.SMALLEST) ** 2, rel=0.1)
    assert x.shape == (20, 1, 40, 40)


PLANE = sorted(generated.PLANE)


@pytest.mark.parametrize("name", PLANE)
def test_a_density_of_the_plane_integrates_to_one_and_is_that_of_its_examples(name: str) -> None:
    raw, truth = getattr(plane, name)(5000)
    step = 0.02
    axis = torch.arange(-4.5, 4.5, step, dtype=torch.float64) + step / 3
    log_p = truth.log_prob(torch.cartesian_prod(axis, axis))
    assert log_p.exp().sum().item() * step**2 == pytest.approx(1, abs=2e-3)
    # The mean of log p over examples is minus the entropy.
    drawn = truth.log_prob(torch.from_numpy(raw.images["train"]))
    expected = torch.special.entr(log_p.exp()).sum().item() * -(step**2)
    assert abs(drawn.mean().item() - expected) < 4 * drawn.std().item() / len(drawn) ** 0.5 + 0.01


@pytest.mark.parametrize("name", [*PLANE, "gaussian_mixture", "teacher"])
def test_examples_follow_their_density(name: str) -> None:
    """E log p(x) is minus the entropy: draws of each half agree, and noise that is added makes them less likely."""
    loaded = data.load(name, n=2000)
    assert loaded.truth is not None
    x = torch.cat([x for x, _ in loaded.eval_batches("train", 2000)])
    log_p = loaded.truth.log_prob(x)
    assert (log_p.shape, log_p.dtype) == ((1600,), torch.float64)
    first, second = log_p.chunk(2)
    assert stats.ttest_ind(first, second).pvalue > 1e-3
    torch.manual_seed(0)
    assert loaded.truth.log_prob(x + 0.3 * torch.randn_like(x)).mean() < log_p.mean() - 0.1


def test_rings_by_their_radius() -> None:
    loaded = data.load("rings", n=5000)
    x, ring = next(loaded.eval_batches("train", 4000))
    radius = x.norm(dim=1).numpy()
    for which in range(3):
        assert stats.kstest(radius[ring == which], stats.norm(which + 1, 0.1).cdf).pvalue > 1e-3
    assert stats.kstest(np.arctan2(*x.numpy().T), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


def test_a_mixture_is_the_sum_of_its_gaussians() -> None:
    _, truth = plane.mixture(3, 4, 10)
    assert isinstance(truth, plane.Mixture)
    x = np.random.default_rng(0).standard_normal((5, 3))
    each = [
        stats.multivariate_normal(mean, scale @ scale.T).pdf(x)
        for mean, scale in zip(truth.means, truth.scales, strict=True)
    ]
    np.testing.assert_allclose(truth.log_prob(torch.from_numpy(x)), np.log(np.mean(each, axis=0)), atol=1e-10)


def test_examples_of_a_gaussian_have_its_mean_and_its_covariance() -> None:
    raw, truth = plane.mixture(3, 2, 20_000)
    assert isinstance(truth, plane.Mixture)
    for which, (mean, scale) in enumerate(zip(truth.means, truth.scales, strict=True)):
        white = np.linalg.solve(scale, (raw.images["train"][raw.labels["train"] == which] - mean).T)
        far = 5 / math.sqrt(white.shape[1])
        assert np.abs(white.mean(1)).max() < far
        np.testing.assert_allclose(np.cov(white), np.eye(3), rtol=0, atol=1.5 * far)


def test_the_teacher_s_integral() -> None:
    """A finer rule gives the same, and so do draws of z."""
    raw, truth = teacher.make(3, 0.3, 50)
    x = torch.from_numpy(raw.images["test"]).double()
    log_p = truth.log_prob(x)
    torch.testing.assert_close(truth.log_prob(x, step=0.04), log_p, rtol=0, atol=1e-6)
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((200_000, 2)))
    normal = torch.distributions.Normal(truth.decode(z), math.sqrt(0.3))
    drawn = torch.stack([normal.log_prob(row).sum(-1).logsumexp(0) - math.log(len(z)) for row in x])
    torch.testing.assert_close(drawn, log_p, rtol=0, atol=0.05)


@pytest.mark.parametrize("name", ["linear_gaussian", "flow_data", "gaussian_mixture", "teacher"])
def test_examples_are_as_wide_as_their_density(name: str) -> None:
    """E x' grad log p(x) = -d, by parts: examples that are spread further, or less far, fail it."""
    loaded = data.load(name, d=4, n=500)
    assert loaded.truth is not None
    x = torch.cat([x for x, _ in loaded.eval_batches("train", 400)]).double()
    slope = (loaded.truth.log_prob(1.001 * x) - loaded.truth.log_prob(0.999 * x)) / 0.002
    assert abs(slope.mean().item() + 4) < 5 * slope.std().item() / len(x) ** 0.5


def test_the_teacher_s_grid_reaches_far_enough() -> None:
    """Where z says nothing of x, the integral over z is one to the last digits."""
    _, truth = teacher.make(3, 0.3, 10)
    x = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(4, 3)
    blind = replace(truth, V=torch.zeros_like(truth.V))
    noise = torch.distributions.Normal(torch.zeros(3, dtype=torch.float64), math.sqrt(0.3))
    torch.testing.assert_close(blind.log_prob(x), noise.log_prob(x).sum(1), rtol=0, atol=1e-8)


def test_the_teacher_s_grid_is_fine_enough_for_the_least_noise() -> None:
    raw, truth = teacher.make(16, generated.LEAST_NOISE, 20)
    x = torch.from_numpy(raw.images["test"]).double()
    torch.testing.assert_close(truth.log_prob(x, step=0.01), truth.log_prob(x), rtol=0, atol=1e-4)
    with pytest.raises(UsageError, match=r"noise \(a variance\) must be at least 0.01"):
        data.load("teacher", noise=0.001)


def test_the_judge_says_what_a_model_misses() -> None:
    loaded = data.load("linear_gaussian", d=4, k=2, n=4000)
    assert isinstance(loaded.truth, LinearGaussian)
    judgement = evaluate(at_truth(loaded.truth, "full").float(), loaded, Measure(2, 50, None))
    log_px = loaded.truth.log_prob(loaded_test(loaded))
    assert judgement.metrics["nll_truth_nats"] == pytest.approx(-log_px.mean().item(), abs=1e-9)
    assert judgement.metrics["nll_excess_nats"] == pytest.approx(0, abs=1e-4)
    assert judgement.errors["nll_excess_nats"]["test"] is None
    wide = LinearGaussian(loaded.truth.W, loaded.truth.mean, 4 * loaded.truth.noise_variance)
    excess = evaluate(at_truth(wide, "full").float(), loaded, Measure(2, 50, None)).metrics["nll_excess_nats"]
    assert excess == pytest.approx((log_px - wide.log_prob(loaded_test(loaded))).mean().item(), abs=1e-4)
    assert (
        "nll_excess_nats"
        not in evaluate(build("vanilla", data.spec("digits")), data.load("digits"), Measure(1, 2)).metrics
    )


def loaded_test(loaded: Data) -> torch.Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches("test", 400)])
