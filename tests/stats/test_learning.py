"""Verdicts that longer training reverses: few on simulated curves, and all that is said of a verdict held back."""

import math
from collections import Counter

import numpy as np
import pytest

from bench.pages import blocks, tables
from bench.stats import differences, frame, groups, intervals, learning, metrics
from tests import fake_records as fake
from tests.stats import curves

JUDGED = ("better", "worse")


def trained(levels: tuple[float, ...], *looks: float, loss: float | None = None) -> curves.Row:
    """A row whose seeds end at `levels`, and whose curves stood that far below at the looks before."""
    row = curves.Row(dict(enumerate(levels)), {})
    for seed, level in enumerate(levels):
        row.curves[seed] = [{"valid_elbo_nats": level - below} for below in (*looks, 0.0)]
        row.curves[seed][0]["train_loss"] = math.nan if loss is None else loss - level
    return row


FLAT, AHEAD, LEVEL = (0.1, 0.0, 0.0, 0.0), (-97.0, -97.1, -96.9), (-100.0, -100.2, -99.8)


def verdict(a: curves.Row, b: curves.Row) -> str:
    return learning.compare(a, b, "elbo_nats").verdict


def test_gain_by_hand() -> None:
    rising = [{"valid_elbo_nats": value, "train_loss": 150.0} for value in (-130.0, -120.0, -112.0, -108.0)]
    assert learning.gain(rising, "elbo_nats") == learning.Gain(12.0, 4)
    assert learning.gain(rising[:3], "elbo_nats") == learning.Gain(18 / math.log2(3), 3)
    # The end of the one pass against the mean over it.
    assert learning.gain(rising[:1], "elbo_nats") == learning.Gain(20.0, 1)
    assert learning.gain(rising, "recon_nats") is None
    assert learning.gain([], "elbo_nats") is None
    assert learning.gain([*rising[:3], {"valid_elbo_nats": math.inf}], "elbo_nats") is None


def test_what_has_converged_is_judged_and_what_will_cross_is_held_back() -> None:
    ahead, behind = trained(AHEAD, *FLAT), trained(LEVEL, *FLAT)
    assert (verdict(ahead, behind), verdict(behind, ahead)) == ("better", "worse")
    # Two looks ago it was six nats further behind than now: at this pace it overtakes.
    catching_up = trained(LEVEL, 12.0, 6.0, 1.0)
    found = learning.compare(ahead, catching_up, "elbo_nats")
    assert (found.verdict, found.reach) == ("still learning", pytest.approx(6 * math.log2(10)))
    # The same drift the other way only widens the difference.
    assert verdict(trained(AHEAD, 12.0, 6.0, 1.0), behind) == "better"
    # Both gain alike, and so much that what they differ in is small beside it.
    assert verdict(trained(AHEAD, 24.0, 12.0, 5.0), trained(LEVEL, 24.0, 12.0, 5.0)) == "still learning"


def test_a_seed_of_which_no_curve_tells_holds_the_verdict_back() -> None:
    ahead, behind = trained(AHEAD, *FLAT), trained(LEVEL, *FLAT)
    for row in (ahead, behind):
        kept = dict(row.curves)
        row.curves[2] = []
        assert verdict(ahead, behind) == verdict(behind, ahead) == "still learning"
        row.curves = kept
    assert verdict(ahead, behind) == "better"


def test_after_one_look_the_scale_is_what_the_pass_gained() -> None:
    assert verdict(trained(AHEAD, loss=5.0), trained(LEVEL, loss=5.0)) == "better"
    assert verdict(trained(AHEAD, loss=20.0), trained(LEVEL, loss=5.0)) == "still learning"
    # A loss below the bound is none of its pass, and nothing else says how much there is yet to gain.
    assert verdict(trained(AHEAD, loss=-5.0), trained(LEVEL, loss=5.0)) == "still learning"
    assert verdict(trained(AHEAD), trained(LEVEL)) == "still learning"


def test_the_verdict_is_mirrored_and_knows_no_order_of_seeds() -> None:
    draw, seen = np.random.default_rng(5), Counter[str]()
    for a, b in curves.pairs(60, draw):
        one, other = a.train(3, 4, draw), b.train(3, 4, draw)
        there, back = learning.compare(one, other, "elbo_nats"), learning.compare(other, one, "elbo_nats")
        assert (there.difference, there.reach) == (pytest.approx(-back.difference), back.reach)  # type: ignore[operator]
        mirror = {"better": "worse", "worse": "better"}
        assert back.verdict == mirror.get(there.verdict, there.verdict)
        turned = curves.Row(dict(reversed(one.elbo.items())), dict(reversed(one.curves.items())))
        assert learning.compare(turned, other, "elbo_nats") == there
        seen[there.verdict] += 1
    assert min(seen[word] for word in (*JUDGED, "still learning")) >= 5


@pytest.mark.parametrize(
    ("epochs", "reversed_at_most", "given_at_least"), [(1, 0.03, 0.15), (2, 0.01, 0.5), (10, 0.01, 0.75)]
)
def test_simulated_verdicts_outlast_training_ten_times_longer(
    epochs: int, reversed_at_most: float, given_at_least: float
) -> None:
    draw = np.random.default_rng(epochs)
    plain, given = Counter[bool](), Counter[bool]()
    for a, b in curves.pairs(400, draw):
        one, other = a.train(epochs, 3, draw), b.train(epochs, 3, draw)
        first = intervals.paired(one.elbo, other.elbo, higher_better=True).verdict
        if first in JUDGED:
            holds = (first == "better") == (a.at(10 * epochs) > b.at(10 * epochs))
            plain[holds] += 1
            given[holds] += verdict(one, other) == first
    assert plain[False] > 0.02 * plain.total()
    assert given[False] <= reversed_at_most * given.total()
    assert given[True] >= given_at_least * plain[True]


def moving(*below: float) -> list[fake.Record]:
    """`vanilla` ahead of `conv`, which stood that far below its end at each look before; `beta` far behind both."""
    records = []
    for seed in range(3):
        for variant, level, looks in (
            ("vanilla", -100.0, FLAT[:3]),
            ("conv", -102.0, below),
            ("beta", -150.0, FLAT[:3]),
        ):
            record = fake.thorough(variant, seed, elbo=level + 0.1 * seed * seed * (variant == "conv"), epochs=4)
            end = record.metrics["elbo_nats"]
            for row, under in zip(record.curve, (*looks, 0.0), strict=True):
                row["valid_elbo_nats"] = end - under
            record.metrics["mse_per_pixel"] = {"vanilla": 0.01, "conv": 0.02, "beta": 0.05}[variant] + 1e-4 * seed**2
            records.append(record)
    return records


def of(found: list[differences.Difference], variant: str) -> dict[str, str]:
    return {each.metric: each.comparison["verdict"] for each in found if each.variant == variant}


def test_every_metric_is_held_back_by_the_curve_that_speaks_of_it() -> None:
    still = of(differences.differences(moving(30.0, 12.0, 5.0), "vanilla"), "conv")
    settled = of(differences.differences(moving(*FLAT[:3]), "vanilla"), "conv")
    for metric in ("elbo_nats", "nll_is500_nats", "bits_per_dim", "mse_per_pixel"):
        assert (still[metric], settled[metric]) == ("still learning", "worse"), metric
    # After one look no likelihood speaks for the classes that a code tells apart.
    records = moving(*FLAT[:3])
    for record in records:
        record.curve = record.curve[-1:]
        record.curve[0]["train_loss"] = 0.5 - record.metrics["elbo_nats"]
        record.metrics["probe_accuracy"] = 0.9 + 0.05 * (record.cell["variant"] == "conv") + 1e-4 * record.cell["seed"]
    once = of(differences.differences(records, "vanilla"), "conv")
    assert (once["elbo_nats"], once["mse_per_pixel"], once["probe_accuracy"]) == ("worse", "worse", "still learning")


def test_a_metric_without_a_curve_is_judged_where_the_curves_move_less_than_the_seeds_or_cannot_reverse() -> None:
    def squared(records: list[fake.Record]) -> str:
        return of(differences.differences(records, "vanilla"), "conv")["mse_per_pixel"]

    # As good in ELBO but for noise, and at rest.
    level = moving(*FLAT[:3])
    far = moving(30.0, 12.0, 5.0)
    for records, elbo in ((level, -100.0), (far, -200.0)):
        for record in records:
            if record.cell["variant"] == "conv":
                record.metrics["elbo_nats"] = elbo + (0.5, -0.5, 0.1)[record.cell["seed"]]
    assert of(differences.differences(level, "vanilla"), "conv")["elbo_nats"] == "not distinguishable"
    assert squared(level) == "worse"
    # Still moving, but a hundred nats behind.
    assert squared(far) == "worse"
    # Beside a row without a bound the reconstruction speaks.
    for record in level:
        if record.cell["variant"] == "conv":
            record.metrics = {name: value for name, value in record.metrics.items() if name != "elbo_nats"}
    assert squared(level) == "worse"


def test_the_reach_in_bits_is_that_in_nats_of_a_value_of_an_example() -> None:
    records = moving(30.0, 12.0, 5.0)
    found = {
        d.metric: d.comparison["reach"] for d in differences.differences(records, "vanilla") if d.variant == "conv"
    }
    dims = records[0].model.data_dims
    assert dims
    assert found["elbo_nats"] == found["nll_is500_nats"] > 0
    assert found["bits_per_dim"] == pytest.approx(found["elbo_nats"] / (dims * math.log(2)))


def test_no_best_is_marked_where_the_verdict_is_held_back() -> None:
    for records, best, undecided in (
        (moving(*FLAT[:3]), {"vanilla"}, set()),
        (moving(30.0, 12.0, 5.0), set(), {"vanilla", "conv"}),
    ):
        (group,) = groups.groups(records)
        assert group.marks["elbo_nats"] == (best, undecided)
        _, lines = tables.quality_grid(group, ["elbo_nats"])
        assert {line[0].text for line in lines if line[2].best} == best
        assert {line[0].text for line in lines if line[2].text.endswith(" †")} == undecided
        table = frame.frame(records).set_index("label")
        assert set(table.index[table["elbo_nats_best"]]) == best
        assert set(table.index[table["elbo_nats_learning"]]) == undecided
        word = "still learning" if undecided else "worse"
        assert table["elbo_nats_verdict"].dropna().to_dict() == {"conv": word, "beta": "worse"}
        text = blocks.markdown(tables.blocks(records, "mnist-dynamic"))
        assert "Against vanilla, after 4 epochs of the whole training split:" in text
        assert ("| still learning |" in text) == bool(undecided)
        assert "still learning" in " ".join(blocks.terminal(tables.screen(records)).split())


def test_one_look_at_one_of_two_rows_tells_of_no_drift() -> None:
    once, often = trained(AHEAD, loss=5.0), trained(LEVEL, *FLAT)
    comparison = intervals.paired(once.values("elbo_nats"), often.values("elbo_nats"), higher_better=True)
    assert learning.reach(once, often, comparison, "elbo_nats") == math.inf
    assert verdict(once, often) == verdict(often, once) == "still learning"
    assert learning.compare(once, often, "elbo_nats").reach is None  # no number of nats would be true
    falls = trained(LEVEL, -1.0, -0.5)
    assert verdict(once, falls) == "still learning"


@pytest.mark.parametrize("without", ["vanilla", "conv"])
def test_the_reconstruction_speaks_where_either_row_has_no_bound(without: str) -> None:
    records = moving(*FLAT[:3])
    for record in records:
        if record.cell["variant"] == without:
            record.metrics = {name: value for name, value in record.metrics.items() if name != "elbo_nats"}
    assert of(differences.differences(records, "vanilla"), "conv")["mse_per_pixel"] == "worse"


@pytest.mark.parametrize("ahead", ["a", "b"])
def test_in_another_unit_the_one_that_is_behind_may_catch_up(ahead: str) -> None:
    """Behind in ELBO and gaining: at its pace it overtakes, whichever of the two rows it is."""
    first, second = trained(AHEAD, *FLAT), trained(LEVEL, 4.0, 2.0, 0.0)
    first.elbo = {seed: value + 2 for seed, value in first.elbo.items()}
    first, second = (first, second) if ahead == "a" else (second, first)
    entry = metrics.metric("mse_per_pixel")
    assert not learning._settled(first, second, entry)
    # As far behind and at rest it is settled, and so it is where the one that is ahead gains.
    at_rest, gaining = trained(LEVEL, *FLAT), trained(AHEAD, 4.0, 2.0, 0.0)
    assert learning._settled(*((gaining, at_rest) if ahead == "a" else (at_rest, gaining)), entry)


def test_of_the_accuracies_of_a_code_one_look_at_either_row_says_nothing() -> None:
    once, often = trained(AHEAD, loss=5.0), trained(LEVEL, 1.0, 0.5)
    squared, probe = metrics.metric("mse_per_pixel"), metrics.metric("probe_accuracy")
    for pair in ((once, often), (often, once)):
        assert learning._settled(*pair, squared)
        assert not learning._settled(*pair, probe)
    assert learning._settled(trained(AHEAD, *FLAT), often, probe)


@pytest.mark.parametrize("name", ["mig", "dci_completeness", "probe_accuracy", "knn_accuracy"])
def test_what_a_code_tells_apart_is_not_settled_by_one_look(name: str) -> None:
    once, other = trained(AHEAD, loss=5.0), trained(LEVEL, loss=5.0)
    assert learning._settled(once, other, metrics.metric("ssim"))
    assert not learning._settled(once, other, metrics.metric(name))


def test_the_reach_is_no_less_than_a_share_of_what_either_row_still_gains() -> None:
    """Gains of 2 nats a doubling ahead and of 0.5 behind: the difference widens, and may yet differ by 0.3 times 2."""
    gaining, slow = trained(AHEAD, 4.0, 2.0, 0.0), trained(LEVEL, 1.0, 0.5, 0.0)
    for a, b in ((gaining, slow), (slow, gaining)):
        comparison = intervals.paired(a.values("elbo_nats"), b.values("elbo_nats"), higher_better=True)
        assert learning.reach(a, b, comparison, "elbo_nats") == pytest.approx(0.6)


def test_an_interval_and_a_reach_are_independent_errors() -> None:
    """3 and 4 make 5, on either side of zero."""
    for difference, outlasts in ((5.01, True), (4.99, False), (-5.01, True), (-4.99, False)):
        comparison = intervals.Comparison(3, difference, difference - 3, difference + 3, "better")
        assert learning._outlasts(comparison, 4.0) == outlasts
