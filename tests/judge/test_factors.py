"""Scores of disentanglement: 1 where each axis is a factor, near 0 for noise, and what must not change them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import bench.data as data
from bench.data.factors import Factor, Factors
from bench.judge import evaluate, factors
from bench.judge.factors import Coded
from bench.settings import Measure
from tests.helpers import Held
from variants import build

N = 600
SIZES = (3, 4, 8)
ORDERED = (False, True, True)
# Chance of these is one over the number of factors.
VOTED = ("beta_vae_score", "factor_vae_score")


def rows(seed: int, sizes: tuple[int, ...] = SIZES, n: int = N) -> Any:
    random = np.random.default_rng(seed)
    return np.stack([random.integers(size, size=n) for size in sizes], axis=1)


def judged(code: Any, *, n: int = N) -> dict[str, Any]:
    """Scores of codes that are a function of the factors and of noise."""
    train, test = (
        Coded(code(v, np.random.default_rng(10 + i)), v, ORDERED) for i, v in enumerate((rows(0, n=n), rows(1, n=n)))
    )
    return factors.of_codes(train, test, np.random.default_rng(0))


def own_axes(v: Any, random: Any) -> Any:
    """Each axis is a factor, with some noise."""
    return v / np.array(SIZES) + 0.003 * random.standard_normal(v.shape)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factors, "TREES", 15)
        yield


@pytest.fixture(scope="module")
def perfect() -> dict[str, Any]:
    return judged(own_axes)


def test_an_axis_for_each_factor_scores_one(perfect: dict[str, Any]) -> None:
    low = {name: value for name, value in perfect.items() if value < 0.95}
    assert not low.keys() - {"explicitness", "mig_dlib"}
    assert perfect["explicitness"] > 0.85  # a linear rule
    assert max(perfect.values()) <= 1 + 1e-9


def test_noise_scores_nothing() -> None:
    found = judged(lambda v, random: random.standard_normal((len(v), 4)))
    for name, value in found.items():
        chance = 1 / 3 if name in VOTED else 0.0
        # disentanglement_lib's plug-in information is above zero for independent numbers.
        assert abs(value - chance) < (0.12 if name in VOTED else 0.08), name


def test_order_and_sign_and_stretching_of_axes_change_nothing(perfect: dict[str, Any]) -> None:
    found = judged(lambda v, random: own_axes(v, random)[:, [2, 0, 1]] * np.array([-1.0, 3.0, -0.5]))
    for name, value in found.items():
        # IRS weighs axes by how far they move.
        assert value == pytest.approx(perfect[name], abs=0.02), name


def test_a_rotation_is_no_such_thing(perfect: dict[str, Any]) -> None:
    half = math.sqrt(0.5)
    turn = np.array([[1, 0, 0], [0, half, half], [0, -half, half]])
    found = judged(lambda v, random: own_axes(v, random) @ turn)
    for name in ("mig", "mig_dlib", "dci_disentanglement", "dci_completeness", "sap", "modularity", "irs"):
        assert found[name] < perfect[name] - 0.04, name


def test_an_axis_twice_has_no_gap_but_is_no_less_modular(perfect: dict[str, Any]) -> None:
    found = judged(lambda v, random: np.repeat(own_axes(v, random), 2, axis=1))
    assert found["mig"] == pytest.approx(0, abs=1e-9)
    assert found["sap"] == pytest.approx(0, abs=1e-9)
    assert found["modularity"] == pytest.approx(perfect["modularity"], abs=1e-9)
    assert found["dci_completeness"] < 0.8 < found["dci_disentanglement"]


def test_one_axis_alone() -> None:
    """Nothing is second best, and an entropy to base one is none."""
    found = judged(lambda v, random: own_axes(v, random)[:, 2:])
    assert found["mig"] == pytest.approx(1 / 3, abs=0.05)
    assert found["dci_completeness"] == 1
    assert found["modularity"] > 0.95
    assert 0 < found["factor_vae_score"] < 0.6


def test_a_perfect_code_of_many_values_reaches_one_with_fine_bins_only() -> None:
    v = np.arange(6400)[:, None] % 32
    coded = Coded(v.astype(float), v, (True,))
    information, most, _ = factors.informations(coded)
    assert (information / most).item() == pytest.approx(1, abs=1e-9)
    # 12 of 20 bins hold two of 32 values.
    assert factors.mig_dlib(coded) == pytest.approx(1 - 24 / 32 * math.log(2) / math.log(32), abs=1e-9)
    noisy = Coded(v + 0.05 * np.random.default_rng(0).standard_normal(v.shape), v, (True,))
    information, most, _ = factors.informations(noisy)
    assert (information / most).item() > 0.97


def test_information_of_independent_numbers_is_none_on_average() -> None:
    random = np.random.default_rng(0)
    found, plain = [], []
    for _ in range(20):
        v = random.integers(16, size=(1000, 1))
        coded = Coded(random.standard_normal((1000, 1)), v, (True,))
        information, _, noise = factors.informations(coded)
        found.append(information.item() / noise.item())
        plain.append(factors.mig_dlib(coded))
    assert abs(np.mean(found)) < 1.0
    assert np.std(found) == pytest.approx(1, abs=0.4)
    assert np.mean(plain) > 0.02  # what is not corrected


def test_bins_are_of_equal_width_and_there_are_as_many_as_asked_for() -> None:
    inner = np.bincount(factors.binned(np.linspace(-3, 5, 10_000), 20), minlength=20)
    assert len(inner) == 20
    assert abs(inner - 500).max() < 60


def test_bins_are_half_as_wide_as_the_values_of_a_factor_are_apart_on_average() -> None:
    """Values of which every second one is nearer to the next are still told apart."""
    v = np.arange(6400)[:, None] % 32
    codes = v - 0.4 * (v % 2) + 1e-3 * np.random.default_rng(0).standard_normal(v.shape)
    information, most, _ = factors.informations(Coded(codes, v, (True,)))
    assert (information / most).item() == pytest.approx(1, abs=1e-9)


def test_an_outlier_does_not_stretch_the_bins() -> None:
    v = rows(0)[:, 2:]
    codes = v + 0.05 * np.random.default_rng(0).standard_normal(v.shape)
    codes[0] = 1000.0
    information, most, _ = factors.informations(Coded(codes, v, (True,)))
    assert (information / most).item() > 0.95
    assert factors.mig_dlib(Coded(codes, v, (True,))) < 0.1


def test_an_ordered_factor_is_separated_by_the_share_of_variance_that_a_line_explains() -> None:
    v = rows(3)
    noise = np.random.default_rng(4).standard_normal(len(v))
    coded = Coded(np.stack([v[:, 0] + 0.8 * noise, noise], 1), v[:, :1], (True,))
    left = v[:, 0] - np.polyval(np.polyfit(coded.mu[:, 0], v[:, 0], 1), coded.mu[:, 0])
    assert factors.separability(coded)[0, 0] == pytest.approx(1 - left.var() / v[:, 0].var())


def test_a_factor_without_an_order_is_separated_by_its_nearest_class_mean() -> None:
    """Values that a line cannot follow: the middle one lies at an end."""
    v = np.arange(300)[:, None] % 3
    axis = np.array([0.0, 5.0, 1.0])[v] + 1e-3 * np.random.default_rng(0).standard_normal(v.shape)
    assert factors.separability(Coded(axis, v, (False,)))[0, 0] == 1
    assert factors.separability(Coded(axis, v, (True,)))[0, 0] == pytest.approx(np.corrcoef(axis.T, v.T)[0, 1] ** 2)


@pytest.mark.parametrize(("right", "skill"), [(0.5, 0.0), (0.69, 0.0), (0.71, 0.42), (1.0, 1.0), (0.2, 0.0)])
def test_a_skill_counts_from_chance_and_beyond_luck(right: float, skill: float) -> None:
    """One value in two by chance: of a hundred examples four standard deviations are twenty more."""
    assert factors._skill(right, np.arange(100) % 2) == pytest.approx(skill)


def test_explicitness_weighs_factors_alike_however_many_values_they_have() -> None:
    v = rows(0)
    coded = Coded(own_axes(v, np.random.default_rng(0))[:, [0, 2]] + 0.3 * rows(5)[:, :2], v, ORDERED)
    each = [factors.explicitness(*[Coded(coded.mu, v[:, [k]], ORDERED[k : k + 1])] * 2) for k in range(3)]
    assert max(each) - min(each) > 0.1
    assert factors.explicitness(coded, coded) == pytest.approx(np.mean(each))


def test_what_stands_out_from_the_noise_counts_as_modular_and_nothing_else() -> None:
    noise = np.full((2, 2), 0.01)
    assert factors.modularity(np.array([[0.039, 0.0], [0.0, 0.041]]), noise) == pytest.approx(0.5)
    assert factors.modularity(np.array([[1.0, 0.039], [0.039, 1.0]]), noise) == pytest.approx(1)


def test_an_axis_is_as_robust_as_it_is_on_average_over_the_values_of_a_factor() -> None:
    """Held at one value it moves by a half, at the other not at all, whatever the number of examples."""
    v = np.array([0, 0, 1, 1, 1, 1])[:, None]
    mu = np.array([-1.5, -0.5, 0.5, 0.5, 0.5, 0.5])[:, None]
    moves = np.quantile(np.abs(mu - mu.mean()), factors.SUPREMUM)
    assert factors.irs(Coded(mu, v, (True,))) == pytest.approx(1 - (0.5 + 0.0) / 2 / moves)


def test_dci_of_importances_that_are_known() -> None:
    """By hand: axis 0 tells factor 0, axis 1 both factors alike."""
    assert factors.dci(np.eye(3)) == (1, 1)
    assert factors.dci(np.ones((3, 3))) == pytest.approx((0, 0), abs=1e-12)
    assert factors.dci(np.zeros((2, 3))) == (0, 0)
    mixed = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert factors.dci(mixed) == pytest.approx((1 / 3, 1 / 3))
    assert factors.dci(7 * mixed) == pytest.approx(factors.dci(mixed))
    assert factors.dci(np.array([[1.0, 0.0]]))[1] == 1


def test_a_factor_that_nothing_tells_has_no_importance() -> None:
    def code(v: Any, random: Any) -> Any:
        return np.stack([v[:, 2] / 8.0, random.standard_normal(len(v))], axis=1)

    train, test = (Coded(code(v, np.random.default_rng(i)), v, ORDERED) for i, v in enumerate((rows(0), rows(1))))
    importances, skills = factors.forest_importances(train, test, 0)
    assert skills[2] == 1
    assert (skills[:2] < 0.1).all()
    np.testing.assert_allclose(importances.sum(0), skills)
    assert factors.dci(importances)[0] > 0.9


def test_a_small_axis_wins_no_votes() -> None:
    v = rows(0)
    mu = own_axes(v, np.random.default_rng(0))
    found = [
        factors.factor_vae(coded, coded, np.random.default_rng(0))
        for coded in (Coded(mu, v, ORDERED), Coded(mu * [1e-4, 1.0, 1.0], v, ORDERED))
    ]
    assert found == [1, 1]
    # Of an axis that never varies 0/0 would be the least.
    still = Coded(np.concatenate([np.zeros((len(v), 1)), mu], axis=1), v, ORDERED)
    assert factors.factor_vae(still, still, np.random.default_rng(0)) == 1


def test_modularity_by_hand() -> None:
    information = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.01, 0.01, 0.0]])
    noise = np.full((3, 3), 0.01)
    assert factors.modularity(information, noise) == pytest.approx((1 - 0.25 / 2 + 1 + 0) / 3)


def test_irs_by_hand() -> None:
    """Two values of a factor that each hold the axis within half of its range."""
    v = np.array([0, 0, 1, 1])[:, None]
    mu = np.array([-1.5, -0.5, 0.5, 1.5])[:, None]
    assert factors.irs(Coded(mu, v, (True,))) == pytest.approx(1 - 0.5 / np.quantile([0.5, 0.5, 1.5, 1.5], 0.99))
    assert factors.irs(Coded(0 * mu, v, (True,))) == 0


def test_an_axis_weighs_by_how_far_it_moves_in_the_robustness() -> None:
    v = rows(0)[:, :1]
    random = np.random.default_rng(1)
    first, second = v + 0.1 * random.standard_normal(v.shape), random.standard_normal(v.shape)
    one, other = (factors.irs(Coded(axis, v, (True,))) for axis in (first, second))
    moves = [np.quantile(np.abs(axis - axis.mean()), factors.SUPREMUM) for axis in (first, second)]
    for scale in (0.1, 1.0, 10.0):
        both = factors.irs(Coded(np.hstack([first, scale * second]), v, (True,)))
        assert both == pytest.approx((one * moves[0] + other * scale * moves[1]) / (moves[0] + scale * moves[1]))


def test_total_correlation_of_a_gaussian() -> None:
    random = np.random.default_rng(0)
    z = random.standard_normal((200_000, 2))
    mixed = np.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], axis=1)
    assert factors.gaussian_tc(mixed) == pytest.approx(-0.5 * math.log(1 - 0.64), abs=5e-3)
    assert factors.gaussian_tc(mixed * [5.0, -0.1]) == pytest.approx(factors.gaussian_tc(mixed))
    assert factors.gaussian_tc(z[:, :1]) == 0


class Codes(torch.nn.Module):
    """An encoder that hands on the examples: they are their own codes."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Split(Held):
    """Held data, the training split being the same rows turned round."""

    def eval_batches(self, split: str, batch_size: int, limit: int | None = None) -> Any:
        for x, y in super().eval_batches("test", batch_size, limit):
            yield (x.flip(0), y) if split == "train" else (x, y)

    def places(self, split: str, limit: int | None = None) -> torch.Tensor:  # noqa: ARG002
        n = len(self.x)
        count = n if limit is None else min(limit, n)
        return torch.arange(count) * n // count


def identity(d: int) -> Any:
    """A model whose posterior means are x itself."""
    model = build("linear", data.unread(replace(Held(torch.zeros(4, d)).spec)), latent=d, network="linear")
    with torch.no_grad():
        model.posterior.loc.weight.copy_(torch.eye(d))
        model.posterior.loc.bias.zero_()
    return model


def test_dead_axes_and_constant_factors_are_left_out() -> None:
    v = rows(0, n=240)
    codes = torch.from_numpy(own_axes(v, np.random.default_rng(0))).float()
    dead = torch.cat([codes, torch.full((240, 1), 0.3), 0.001 * torch.randn(240, 2)], dim=1)

    def found(x: torch.Tensor, values: Any) -> dict[str, Any]:
        held: Any = Split(x)
        table = tuple(Factor(str(i), 9) for i in range(values.shape[1]))
        held.factors = Factors(table, {"train": values, "test": values})
        return factors.scores(identity(x.shape[1]), held, 240)

    plain = found(codes, v)
    assert plain["live_axes"] == 3
    assert found(dead, v) == plain
    assert found(codes, np.concatenate([v, np.full((240, 1), 4)], axis=1)) == plain | {"live_axes": 3}
    # Where all axes are dead there is no code to speak of.
    collapsed = found(0.001 * codes, v)
    assert (collapsed["live_axes"], collapsed["mig"], collapsed["dci_informativeness"], collapsed["irs"]) == (
        0,
        0,
        0,
        0,
    )
    assert collapsed["factor_vae_score"] == pytest.approx(1 / 3)
    assert found(codes, 0 * v)["mig"] is None
    # A factor that varies in either split alone can be neither learnt nor judged by.
    still = np.concatenate([v, np.arange(240)[:, None] % 2], axis=1)
    for split in ("train", "test"):
        held: Any = Split(codes)
        values = {"train": still, "test": still} | {split: np.concatenate([v, np.zeros((240, 1), int)], axis=1)}
        held.factors = Factors(tuple(Factor(str(i), 9) for i in range(4)), values)
        assert factors.scores(identity(3), held, 240) == plain


def test_of_some_examples_the_factors_are_those_of_the_same_ones() -> None:
    v = rows(0, n=2 * N)
    held: Any = Held(torch.from_numpy(own_axes(v, np.random.default_rng(0))).float())
    inner = held.eval_batches
    held.eval_batches = lambda _, size, limit=None: inner("test", size, limit)
    held.places = lambda _, limit: torch.arange(limit) * len(v) // limit
    held.factors = Factors(tuple(Factor(str(i), size) for i, size in enumerate(SIZES)), {"train": v, "test": v})
    found = factors.scores(identity(len(SIZES)), held, N)
    assert found["mig"] > 0.9
    assert found["dci_informativeness"] > 0.9


def test_the_judge_asks_for_them_and_they_are_the_same_every_time() -> None:
    loaded = data.load("sprites", n=300)
    model = build("vanilla", loaded.spec, latent=3, hidden=(16,))
    first = evaluate(model, loaded, Measure(1, 0, factor_points=60)).metrics
    assert first.keys() >= {*factors.NAMES, "gaussian_tc_nats", "live_axes"}
    torch.manual_seed(5)
    assert evaluate(model, loaded, Measure(1, 0, factor_points=60)).metrics == first
    assert first["mig"] is not None
    digits = data.load("digits")
    told = evaluate(build("vanilla", digits.spec, hidden=(16,)), digits, Measure(1, 0, factor_points=60)).metrics
    assert [told[name] for name in factors.NAMES] == [None] * len(factors.NAMES)
    assert told["gaussian_tc_nats"] is not None
    assert "mig" not in evaluate(model, loaded, Measure(1, 0)).metrics


def test_the_beta_vae_score_classifies_mean_absolute_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of standard normal codes, which know no factor, E |a - b| is 2 / sqrt(pi), with a variance of 2 - 4 / pi."""
    seen: list[Any] = []

    class Seen(factors.LogisticRegression):
        def fit(self, x: Any, y: Any) -> Any:  # type: ignore[override]
            seen.append(x)
            return super().fit(x, y)

    monkeypatch.setattr(factors, "LogisticRegression", Seen)
    monkeypatch.setattr(factors, "StandardScaler", lambda: "passthrough")
    v = rows(0, n=4000)
    coded = Coded(np.random.default_rng(3).standard_normal((len(v), 2)), v, ORDERED)
    factors.beta_vae(coded, coded, np.random.default_rng(0))
    (differences,) = seen
    assert differences.shape == (factors.VOTES, 2)
    assert differences.mean() == pytest.approx(2 / math.sqrt(math.pi), abs=0.05)
    assert differences.std() == pytest.approx(math.sqrt((2 - 4 / math.pi) / factors.GROUP), rel=0.15)


def test_what_is_learnt_on_one_split_is_judged_on_the_other_and_the_rest_is_of_the_latter(
    perfect: dict[str, Any],
) -> None:
    first, second = rows(0), rows(1)
    good = (
        Coded(own_axes(first, np.random.default_rng(10)), first, ORDERED),
        Coded(own_axes(second, np.random.default_rng(11)), second, ORDERED),
    )
    noise = [
        replace(each, mu=np.random.default_rng(20 + i).standard_normal(each.mu.shape)) for i, each in enumerate(good)
    ]
    unlearnt = factors.of_codes(noise[0], good[1], np.random.default_rng(0))
    unfounded = factors.of_codes(good[0], noise[1], np.random.default_rng(0))
    alone = ("mig", "mig_dlib", "sap", "modularity", "irs")
    assert {name: unlearnt[name] for name in alone} == {name: perfect[name] for name in alone}
    for found in (unlearnt, unfounded):
        for name, value in found.items():
            if name in VOTED:
                assert value < 0.6, name
            elif name not in alone or found is unfounded:
                assert value < 0.35, name


def test_a_value_that_no_example_to_judge_by_has_is_left_out() -> None:
    v = rows(0)
    train = Coded(own_axes(v, np.random.default_rng(0)), v, ORDERED)
    few = v[:, 2] < 7
    test = Coded(train.mu[few], v[few], ORDERED)
    assert 0.85 < factors.explicitness(train, test) <= 1


def test_codes_that_are_one_number_but_for_a_few_have_bins_of_equal_width() -> None:
    """Neither tail reaches beyond that number."""
    found = factors.binned(np.concatenate([np.zeros(10_000), np.arange(1.0, 26.0)]), 20)
    assert found.tolist() == [0] * 10_000 + [min(19, i * 20 // 25) for i in range(1, 26)]


def test_of_one_factor_there_is_nothing_to_find() -> None:
    coded = Coded(own_axes(rows(0), np.random.default_rng(0)), rows(0)[:, :1], ORDERED[:1])
    found = factors.of_codes(coded, coded, np.random.default_rng(0))
    assert [found[name] for name in VOTED] == [1, 1]


def test_a_total_correlation_without_end_is_a_dash_and_orders_stay_with_their_factors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    v = np.concatenate([np.full((240, 1), 4), rows(0, n=240)], axis=1)
    held: Any = Split(torch.from_numpy(own_axes(v[:, 1:], np.random.default_rng(0))).float())
    table = tuple(Factor(str(i), 9, ordered=ordered) for i, ordered in enumerate((True, *ORDERED)))
    held.factors = Factors(table, {"train": v, "test": v})
    seen: list[Coded] = []
    monkeypatch.setattr(factors, "of_codes", lambda train, test, _: seen.extend((train, test)) or {})
    monkeypatch.setattr(factors, "gaussian_tc", lambda _: math.inf)
    assert factors.scores(identity(3), held, 240)["gaussian_tc_nats"] is None
    assert [coded.ordered for coded in seen] == [ORDERED, ORDERED]


def test_votes_are_of_all_factors_and_of_all_their_values_alike() -> None:
    """However rare a value is."""
    v = np.stack([np.arange(1000) < 50, np.arange(1000) % 4], axis=1).astype(np.int64)
    k, chosen = factors._alike(Coded(np.zeros((1000, 1)), v, (True, True)), 4000, 20, np.random.default_rng(0))
    held = v[chosen, k[:, None]]
    assert held.shape == (4000, 20)
    assert (held == held[:, :1]).all()
    assert np.bincount(k) / 4000 == pytest.approx([0.5, 0.5], abs=0.05)
    for factor, values in enumerate((2, 4)):
        shares = np.bincount(held[k == factor, 0]) / (k == factor).sum()
        assert shares == pytest.approx([1 / values] * values, abs=0.05)
