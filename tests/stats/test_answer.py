"""What a group answers is what its marks and comparisons say, in their words."""

import pytest

from bench.records.record import Record, Timed
from bench.stats import answer, frame
from bench.stats.differences import sentence
from bench.stats.groups import Group, _seed_text, by_dataset, distinctions, groups
from bench.stats.learning import compare
from bench.stats.ranks import Ranks, critical_difference, ranks
from bench.stats.speeds import throughput
from tests import fake_records as fake


def answered(records: list[Record]) -> tuple[Group, dict[str, answer.Answer]]:
    (group,) = (group for group in groups(records) if group.settings["support"] == "binary")
    return group, {each.goal: each for each in answer.answers(group, throughput(records, group.dataset))}


def test_the_best_and_its_ties_are_those_that_are_marked() -> None:
    levels = {"conv": -97.0, "iwae": -97.01, "vanilla": -100.0, "linear": -131.0}
    records = [
        fake.quality(name, seed, elbo=level + 0.1 * (-1) ** seed) for name, level in levels.items() for seed in range(4)
    ]
    records += [fake.quality("iwae", 4, elbo=-97.3)]
    # Of two seeds nothing is said, so that the best is not held against it.
    records += [fake.quality("beta", seed, elbo=-97.005) for seed in range(2)]
    group, found = answered(records)
    best = found["the best ELBO"]
    assert set(best.take) == group.marks["elbo_nats"].best
    assert best.take[0] == "conv"
    assert not best.learning
    rows = {row.label: row for row in group.rows}
    behind = rows["iwae"]
    words = sentence(compare(rows["conv"], behind, "elbo_nats"), "conv", behind.label, "X", "elbo_nats")
    assert words.replace(" on X", "") in best.sure
    assert best.sure.startswith("ELBO ")
    assert best.cost == ""


def test_samples_are_a_model_s_own_draws() -> None:
    """Not those of a density that was fitted to its codes afterwards, however good."""
    records = [fake.quality(name, seed) for name in ("vanilla", "conv") for seed in range(3)]
    for place, record in enumerate(records):
        record.metrics |= {"kid": 0.1 + 0.01 * place, "kid_means": 0.0, "kid_fitted": 0.0, "kid_fitted_flow": -place}
    _, found = answered(records)
    assert found["the best samples"].metric == "kid"
    assert found["the best samples"].take == ("vanilla",)


@pytest.mark.parametrize("count", [2, 5])
def test_what_is_still_learning_is_no_answer(count: int) -> None:
    names = ("conv", "vanilla", "iwae", "full_covariance", "low_rank")[:count]
    records = [
        fake.quality(name, seed, epochs=1, elbo=-97.0 - place) for place, name in enumerate(names) for seed in range(3)
    ]
    group, found = answered(records)
    assert len(group.marks["elbo_nats"].learning) == count
    assert found["the best ELBO"].take == ()
    assert found["the best ELBO"].sure.startswith(
        "Still learning, no ranking: longer training may reverse the order of "
    )
    assert "The highest mean so far: conv, ELBO -97.00 ± 0.00 nats over 3 seeds." in found["the best ELBO"].sure
    assert "The lowest mean so far: conv, NLL (IS-500) 92.60 ± 0.00 nats" in found["the best likelihood"].sure


def test_those_ahead_of_all_others_are_named_while_their_order_is_open() -> None:
    levels = {"conv": -97.0, "conv_full_covariance": -97.2, "linear": -500.0}
    records = [fake.quality(name, seed, epochs=1, elbo=level) for name, level in levels.items() for seed in range(3)]
    _, found = answered(records)
    best = found["the best ELBO"]
    assert best.take == ("conv", "conv_full_covariance")
    assert best.learning


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([fake.quality("vanilla", seed) for seed in range(3)], "Only vanilla, ELBO"),
        ([fake.quality(name, 0) for name in ("vanilla", "conv")], "Too few seeds: a verdict needs 3"),
        (
            [fake.quality(name, s, elbo=-100.0 + s) for name in ("vanilla", "conv") for s in range(3)],
            "No row can be told",
        ),
    ],
)
def test_why_there_is_no_answer(records: list[Record], words: str) -> None:
    _, found = answered(records)
    assert found["the best ELBO"].take == ()
    assert found["the best ELBO"].sure.startswith(words)


def at_speed(variant: str, speed: float, spread: float = 0.0) -> Record:
    """A timing whose quartiles lie this share of the speed beside it."""
    made = fake.throughput(variant)
    made.metrics = {"train_samples_per_s": Timed(speed, (1 - spread) * speed, (1 + spread) * speed, [speed] * 5)}
    return made


def test_the_fastest_is_the_best_of_those_whose_quartiles_overlap() -> None:
    speeds = {"vanilla": 1000.0, "beta": 1010.0, "conv": 250.0}
    records = [fake.quality(name, seed) for name in speeds for seed in range(3)]
    for name, speed in speeds.items():
        records.append(at_speed(name, speed, spread=0.05))
    _, found = answered(records)
    fastest = found[answer.SPEED]
    assert fastest.take == ("vanilla", "beta")  # beta is 6 nats worse
    assert fastest.sure == "1,000 examples/s, median of 5 timed blocks. Quartiles overlap: vanilla and beta."
    assert fastest.cost.startswith("4.0 times as fast as conv. vanilla against conv: NLL (IS-500) +")
    assert found["the best ELBO"].cost == "Trains 250 examples/s; vanilla is 4.0 times as fast."
    assert found["the best ELBO"].short.endswith(" nats over 3 seeds; vanilla is 4.0 times as fast")


@pytest.mark.parametrize(
    ("low", "take"), [(1049.0, ("vanilla", "beta")), (1050.0, ("vanilla", "beta")), (1051.0, ("beta",))]
)
def test_speeds_are_alike_where_the_upper_quartile_reaches_the_fastest_ones_lower(
    low: float, take: tuple[str, ...]
) -> None:
    quartiles = {"vanilla": (950.0, 1000.0, 1050.0), "beta": (low, 1100.0, 1150.0)}
    records = [fake.quality(name, seed) for name in quartiles for seed in range(3)]
    for name, (q1, median, q3) in quartiles.items():
        timed = fake.throughput(name)
        timed.metrics = {"train_samples_per_s": Timed(median, q1, q3, [median] * 5)}
        records.append(timed)
    assert answered(records)[1][answer.SPEED].take == take


def test_speeds_are_compared_within_one_precision_and_on_one_machine() -> None:
    names = ("vanilla", "beta", "conv")
    for precision in ("fp32", "bf16"):
        records = [fake.quality(name, seed, precision=precision) for name in names for seed in range(3)]
        for name, machine, how, speed in (
            *(("vanilla", "B", "fp32", 1000.0), ("beta", "B", "fp32", 900.0)),
            *(("vanilla", "A", "bf16", 9.0), ("conv", "A", "bf16", 8.0), ("conv", "A", "fp32", 30000.0)),
        ):
            records.append(at_speed(name, speed))
            records[-1].cell["precision"], records[-1].provenance.device_name = how, machine
        group, _ = answered(records)
        found = answer.training_speeds(group, throughput(records, group.dataset))
        expected = {"fp32": {"vanilla": 1000.0, "beta": 900.0}, "bf16": {"vanilla": 9.0, "conv": 8.0}}[precision]
        assert {row.label: speed.median for row, speed in found.items()} == expected


def test_of_several_conditions_that_which_times_most_rows_tells_how_fast_a_row_is() -> None:
    """Rows that it times are compared under one condition, whatever others there are."""
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    for name, batch, speed in (("vanilla", 128, 1000.0), ("beta", 128, 2000.0), ("vanilla", 512, 9000.0)):
        records.append(at_speed(name, speed))
        records[-1].cell["batch_size"] = batch
    assert answered(records)[1][answer.SPEED].take == ("beta",)


def test_a_share_is_said_in_per_cent_and_a_ratio_with_two_digits() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(3)]
    for record in records:
        record.metrics |= {"probe_accuracy": 0.9 + 0.01 * record.cell["seed"]}
    (row,) = groups(records)[0].rows
    half = row.summary("probe_accuracy").half_width  # type: ignore[union-attr]
    assert answer.figure(row, "probe_accuracy") == f"Probe accuracy 91.00 ± {100 * half:.2f} % over 3 seeds"  # type: ignore[operator]
    assert [answer.times(fast, 10) for fast in (15, 99, 100, 123)] == ["1.5 times", "9.9 times", "10 times", "12 times"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_row_is_as_fast_as_on_its_own_device(device: str) -> None:
    names = ("vanilla", "beta")
    records = [fake.quality(name, seed) for name in names for seed in range(3)]
    records += [fake.throughput(name, device=device) for name in names]
    _, found = answered(records)
    assert (answer.SPEED in found) == (device == "cpu")
    assert bool(found["the best ELBO"].cost) == (device == "cpu")


def test_ranks_and_the_critical_difference() -> None:
    levels = {"vanilla": (-100.0, -200.0), "conv": (-97.0, -190.0), "beta": (-100.0, -250.0), "iwae": (-90.0, None)}
    records = [
        fake.quality(name, seed, elbo=level, dataset=dataset)
        for name, each in levels.items()
        for dataset, level in zip(("a", "b"), each, strict=True)
        for seed in range(2)
        if level is not None
    ]
    found = ranks(groups(records), "elbo_nats")
    assert found is not None
    assert found.ranks == {"conv": [1, 1], "vanilla": [2.5, 2], "beta": [2.5, 3]}
    assert [found.borda(label) for label in found.ranks] == [4, 1.5, 0.5]
    # Lower is better there: the same rows are ahead.
    by_nll = ranks(groups(records), "nll_is500_nats")
    assert by_nll is not None
    assert by_nll.ranks == found.ranks
    assert ranks(groups(records)[:1], "elbo_nats") is None
    assert found.critical == pytest.approx(critical_difference(3, 2))
    assert found.tied == [(0, 2)]
    # Demsar 2006, table 5 and section 3.2.2: q of 2 to 10 classifiers; 4 of them on 14 data sets differ by 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)
    assert critical_difference(2, 1) == pytest.approx(1.960, abs=0.001)


def test_rows_are_tied_where_no_two_of_a_stretch_differ() -> None:
    def tied(*means: float) -> list[tuple[int, int]]:
        return Ranks("elbo_nats", (), {str(place): [mean] for place, mean in enumerate(means)}, 1.0).tied

    assert tied(1, 1.5, 1.9, 2.2, 4) == [(0, 2), (1, 3)]
    assert tied(1, 2, 3) == []
    assert tied(1, 1.99) == [(0, 1)]
    assert tied(1, 1.5, 1.9, 3, 3.5) == [(0, 2), (3, 4)]


def test_many_names_are_cut() -> None:
    assert answer.listed([]) == ""
    assert answer.listed(["a"]) == "a"
    assert answer.listed(["a", "b"]) == "a and b"
    assert answer.listed(list("abcdef")) == "a, b, c, d and 2 more"
    assert answer.listed(list("abcde")) == "a, b, c, d and 1 more"


def test_of_several_numbers_of_samples_the_most_tell() -> None:
    """log p(x) is the less too low the more samples it is of."""
    records = [fake.quality(variant, seed) for variant in ("vanilla", "beta") for seed in range(3)]
    for record in records:
        nll = record.metrics["nll_is500_nats"]
        record.metrics |= {f"nll_is{k}_nats": nll for k in (5, 50, 5000)}
    _, answers = answered(records)
    assert answers["the best likelihood"].metric == "nll_is5000_nats"


def test_codes_are_judged_by_the_probe_and_disentanglement_by_the_gap_where_both_were_measured() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    for record in records:
        ahead = 0.1 * (record.cell["variant"] == "beta")
        record.metrics |= {"knn_accuracy": 0.9 - ahead, "dci_disentanglement": 0.5 - ahead}
    one = {goal: each.metric for goal, each in answered(records)[1].items()}
    assert (one["the best codes"], one["the best disentanglement"]) == ("knn_accuracy", "dci_disentanglement")
    for record in records:
        record.metrics |= {"probe_accuracy": 0.9, "mig": 0.5}
    both = {goal: each.metric for goal, each in answered(records)[1].items()}
    assert (both["the best codes"], both["the best disentanglement"]) == ("probe_accuracy", "mig")
    assert both["the best reconstructions"] == "mse_per_pixel"


@pytest.mark.parametrize(("ahead", "learning", "named"), [(1, False, True), (3, True, True), (4, False, False)])
def test_many_that_lead_while_still_learning_are_no_answer(ahead: int, learning: bool, named: bool) -> None:
    """Up to three are named, and only where others are behind them."""
    names = ["conv", "vanilla", "iwae", "full_covariance", "low_rank", "linear"]
    levels = [-97.0 - 0.1 * place if place < ahead else -500.0 - place for place in range(len(names))]
    records = [
        fake.quality(name, seed, epochs=1, elbo=level)
        for name, level in zip(names, levels, strict=True)
        for seed in range(3)
    ]
    best = answered(records)[1]["the best ELBO"]
    assert (best.learning, bool(best.take)) == (learning, named)


def test_the_fastest_says_what_it_loses_to_a_row_that_was_not_timed() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta", "conv") for seed in range(3)]
    for name, speed in (("vanilla", 1000.0), ("beta", 100.0)):
        records.append(at_speed(name, speed))
    _, found = answered(records)
    assert found[answer.SPEED].cost.startswith("vanilla against conv: NLL (IS-500) +")
    assert found["the best ELBO"].cost == ""


def test_rows_of_equal_ranks_stand_by_alphabet() -> None:
    records = [
        fake.quality(name, seed, elbo=-100.0, dataset=dataset)
        for name in ("vanilla", "conv", "beta", "iwae", "linear")
        for dataset in ("a", "b")
        for seed in range(2)
    ]
    found = ranks(groups(records), "elbo_nats")
    assert found is not None
    assert list(found.ranks.items()) == [(name, [3, 3]) for name in ("beta", "conv", "iwae", "linear", "vanilla")]


def test_what_runs_answer_is_told_of_groups_of_two_rows_and_more() -> None:
    def lines(names: tuple[str, ...], epochs: int = 10) -> list[tuple[str, list[str]]]:
        levels = {"conv": (-97.0, -96.99, -96.98), "beta": (-97.0, -96.98, -96.9901)}
        levels |= {"vanilla": (-110.0, -109.9, -110.1), "iwae": (-110.5, -110.4, -110.6)}
        return answer.told(
            [fake.quality(name, s, elbo=levels[name][s], epochs=epochs) for name in names for s in range(3)]
        )

    assert lines(("conv",)) == []
    ((about, told),) = lines(("conv", "vanilla"))
    assert about == "mnist-dynamic, binary likelihoods, after 10 epochs of the whole training split:"
    assert any(line.startswith("the best ELBO: conv. ELBO -96.99 ") for line in told)
    ((_, tied),) = lines(("conv", "beta", "vanilla"))
    assert any(line.startswith("the best likelihood: conv and beta. ") for line in tied)
    ((_, waiting),) = lines(("vanilla", "iwae"), epochs=1)
    assert waiting[-1].startswith("still learning, no answer yet: the best likelihood, the best ELBO")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([0], "seed 0"),
        ([0, 1], "seeds 0, 1"),
        ([4, 5, 6], "seeds 4 to 6"),
        ([0, 1, 3], "seeds 0, 1, 3"),
        ([], "no seeds"),
    ],
)
def test_seeds_are_a_range_where_none_is_missing(seeds: list[int], words: str) -> None:
    assert _seed_text(seeds).startswith(words)


def test_a_speed_says_of_its_conditions_what_differs_on_its_device() -> None:
    def timed(variant: str, **changes: object) -> Record:
        made = fake.throughput(variant, device=str(changes.get("device", "cpu")))
        made.cell |= changes
        return made

    same = [timed("vanilla"), timed("beta"), timed("vanilla", device="cuda")]
    assert list(throughput(same, "mnist-dynamic").columns) == ["cpu", "cuda"]
    found = throughput([*same, timed("beta", device="cuda", batch_size=512)], "mnist-dynamic").columns
    assert list(found) == ["cpu", "cuda, batch 128", "cuda, batch 512"]
    assert {label: sorted(column) for label, column in found.items()} == {
        "cpu": ["beta", "vanilla"],
        "cuda, batch 128": ["vanilla"],
        "cuda, batch 512": ["beta"],
    }
    threads = throughput([*same, timed("vanilla", threads=8)], "mnist-dynamic").columns
    assert list(threads) == ["cpu, 1 thread", "cpu, 8 threads", "cuda"]
    # A precision other than fp32 is named though nothing else stands beside it.
    assert list(throughput([timed("vanilla", precision="bf16")], "mnist-dynamic").columns) == ["cpu, bf16"]


def test_a_run_that_failed_early_takes_the_support_of_its_own_data_and_settings() -> None:
    failed = [
        fake.quality("vanilla", 1, status="error"),
        fake.quality("vanilla", 0, status="error", dataset="b"),
        fake.quality("vanilla", 0, status="error", overrides={"likelihood": "gaussian"}),
        fake.quality("beta", 0, status="error"),
        fake.quality("vanilla", 0, status="error", binarise="none"),
        fake.quality("vanilla", 0, status="error", dataset="c"),
    ]
    failed[-1].cell["data_options"] = {"n": 5}
    found = groups([fake.quality("vanilla", 0), fake.quality("vanilla", 2, dataset="c"), *failed])
    supports = {
        (group.dataset, row.label, len(row.records)): group.settings["support"] for group in found for row in group.rows
    }
    assert supports == {
        ("mnist-dynamic", "vanilla", 2): "binary",
        ("b-dynamic", "vanilla", 1): "unknown",
        ("mnist-dynamic", "vanilla (likelihood=gaussian)", 1): "unknown",
        ("mnist-dynamic", "beta", 1): "unknown",
        ("mnist-none", "vanilla", 1): "unknown",
        ("c-dynamic", "vanilla", 1): "binary",
        ("c-dynamic-n=5", "vanilla", 1): "unknown",
    }


def test_groups_with_a_bound_stand_before_others_of_their_data() -> None:
    records = [fake.quality("autoencoder", 0, support="binary"), fake.quality("vanilla", 0, support="real")]
    records += [fake.quality("vanilla", 0, status="error", dataset="a"), fake.quality("beta", 0, dataset="a")]
    assert [(group.dataset, group.settings["support"]) for group in groups(records)] == [
        ("a-dynamic", "binary"),
        ("a-dynamic", "unknown"),
        ("mnist-dynamic", "real"),
        ("mnist-dynamic", "binary"),
    ]


def test_the_price_of_the_best_is_that_of_its_speed_beside_the_fastest() -> None:
    def cost(**speeds: float) -> str:
        records = [fake.quality(name, seed) for name in ("vanilla", "beta", "conv") for seed in range(3)]
        for name, speed in speeds.items():
            records.append(at_speed(name, speed, spread=0.05))
        best = answered(records)[1]["the best ELBO"]
        assert best.take == ("conv",)
        return best.cost

    assert cost(vanilla=100.0, conv=1000.0) == "Trains 1,000 examples/s, the fastest."
    assert cost(vanilla=1010.0, conv=1000.0) == "Trains 1,000 examples/s, among the fastest."
    assert cost(vanilla=1000.0, beta=5000.0, conv=250.0) == "Trains 250 examples/s; beta is 20 times as fast."
    assert cost(vanilla=1000.0) == ""


def test_rows_of_equal_figures_are_named_by_alphabet() -> None:
    levels = {"vanilla": (-97.0, 0.01), "beta": (-103.0, 0.01), "conv": (-150.0, 0.5)}
    records = [fake.quality(name, seed, elbo=level) for name, (level, _) in levels.items() for seed in range(3)]
    for record in records:
        record.metrics |= {"mse_per_pixel": levels[record.cell["variant"]][1] * (1 + 0.01 * record.cell["seed"])}
    assert answered(records)[1]["the best reconstructions"].take == ("beta", "vanilla")
    equal = [fake.quality(name, seed, elbo=-100.0) for name in ("vanilla", "beta", "conv") for seed in range(3)]
    for order in (equal, equal[::-1]):
        assert [row.label for row in groups(order)[0].rows] == ["beta", "conv", "vanilla"]


def test_a_line_of_the_table_says_of_its_row_also_what_failed() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    records[4] = fake.quality("beta", 1, status="diverged", reason="the loss is nan")
    table = frame.frame(records).set_index("label")
    line = table.loc["beta"]
    assert (line["ok"], line["total"], line["count"], line["seeds"]) == (2, 3, "2/3 ok (1 diverged)", "0 1 2")
    assert line["baseline"] == "vanilla"
    assert not isinstance(table.loc["vanilla", "baseline"], str)
    assert (line["elbo_nats_n"], table.loc["vanilla", "elbo_nats_n"]) == (2, 3)
    assert line["elbo_nats_verdict"] == "not distinguishable"  # two seeds that both have
    (group,) = groups(records)
    runs = frame.runs(records).set_index("id")
    for record in records:
        one, cell = runs.loc[record.id], record.cell
        assert (one["seed"], one["epochs"], one["label"]) == (cell["seed"], 10, cell["variant"])
        assert (one["group"], one["status"], one["train_s"]) == (group.id, record.status, record.timing["train_s"])


def test_groups_beside_each_other_are_told_apart_by_what_not_all_have() -> None:
    def told(*hows: dict[str, object]) -> list[str]:
        found = groups([fake.quality("vanilla", 0, **how) for how in hows])  # type: ignore[arg-type]
        return sorted(distinctions(found).values())

    plain, short, low = {"epochs": 10}, {"epochs": 3}, {"precision": "bf16"}
    assert told() == []
    assert told(plain) == [""]
    assert told(plain, short) == ["10 epochs", "3 epochs"]
    assert told(plain, short, low) == ["10 epochs, bf16", "10 epochs, fp32", "3 epochs, fp32"]


def test_of_two_figures_for_a_goal_the_first_tells() -> None:
    """The squared error before the similarity, the exact evidence before an estimate."""
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    for record in records:
        record.metrics |= {"ssim": 0.9, "nll_exact_nats": 95.0}
    found = {goal: each.metric for goal, each in answered(records)[1].items()}
    assert (found["the best reconstructions"], found["the best likelihood"]) == ("mse_per_pixel", "nll_exact_nats")


def test_a_figure_that_no_row_has_answers_nothing() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    for record in records:
        record.metrics["nll_is500_nats"] = None
    assert "the best likelihood" not in answered(records)[1]
    for record in records:
        record.metrics = {"parameters": 1.0}
    assert answer.told(records) == []


def test_rows_whose_order_is_open_are_named_with_or_and_with_what_the_first_costs() -> None:
    levels = {"conv": -97.0, "conv_full_covariance": -97.2, "linear": -500.0}
    records = [fake.quality(name, seed, epochs=1, elbo=level) for name, level in levels.items() for seed in range(3)]
    records += [at_speed("conv", 250.0), at_speed("linear", 1000.0)]
    ((_, lines),) = answer.told(records)
    (line,) = (line for line in lines if line.startswith("the best ELBO: "))
    assert line.startswith("the best ELBO: conv or conv_full_covariance. Ahead of all others")
    assert line.endswith(" Trains 250 examples/s; linear is 4.0 times as fast.")


def test_one_row_of_enough_seeds_is_too_few_to_tell() -> None:
    records = [*(fake.quality("vanilla", seed) for seed in range(3)), fake.quality("conv", 0, elbo=-97.0)]
    group, found = answered(records)
    assert found["the best ELBO"].sure.startswith("Too few seeds: a verdict needs 3 of two rows")
    rows = {row.label: row for row in group.rows}
    assert answer.figure(rows["conv"], "elbo_nats", named=True) == "conv, ELBO -97.00 nats over 1 seed"


def test_a_timing_that_failed_or_says_nothing_is_no_speed_and_one_speed_is_not_the_fastest() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    failed, empty = at_speed("beta", 5000.0), at_speed("beta", 5000.0)
    failed.status, empty.metrics = "timeout", {"train_samples_per_s": Timed(None)}
    for other in (failed, empty):
        group, found = answered([*records, at_speed("vanilla", 1000.0), other])
        timed = throughput([at_speed("vanilla", 1000.0), other], group.dataset)
        assert [row.label for row in answer.training_speeds(group, timed)] == ["vanilla"]
        assert answer.SPEED not in found


def test_a_speed_without_quartiles_is_its_median() -> None:
    records = [fake.quality(name, seed) for name in ("vanilla", "beta") for seed in range(3)]
    for name, speed in (("vanilla", 1000.0), ("beta", 990.0)):
        timed = fake.throughput(name)
        timed.metrics = {"train_samples_per_s": Timed(speed)}
        records.append(timed)
    assert answered(records)[1][answer.SPEED].take == ("vanilla",)


def test_of_the_fastest_a_row_without_a_bound_stands_last() -> None:
    names = ("vanilla", "autoencoder")
    records = [fake.quality(name, seed, support="binary") for name in names for seed in range(3)]
    records += [at_speed("vanilla", 1000.0, spread=0.05), at_speed("autoencoder", 1010.0, spread=0.05)]
    assert answered(records)[1][answer.SPEED].take == names


def test_ranks_need_two_rows_that_both_data_sets_have() -> None:
    records = [fake.quality("vanilla", 0, dataset=dataset) for dataset in "ab"]
    records += [fake.quality("conv", 0, dataset="a"), fake.quality("beta", 0, dataset="b")]
    assert ranks(groups(records), "elbo_nats") is None


def test_speeds_stand_by_alphabet_whatever_order_they_come_in() -> None:
    made = [fake.throughput(name, device=device) for name in ("vanilla", "beta", "conv") for device in ("cuda", "cpu")]
    for records in (made, made[::-1]):
        found = throughput(records, "mnist-dynamic")
        assert (list(found.columns), found.names) == (["cpu", "cuda"], ["beta", "conv", "vanilla"])


def test_data_sets_stand_by_alphabet_each_with_its_records_in_order() -> None:
    records = [fake.quality("vanilla", seed, dataset=dataset) for seed in range(2) for dataset in "bca"]
    for order in (records, records[::-1]):
        found = by_dataset(order)
        assert list(found) == ["a-dynamic", "b-dynamic", "c-dynamic"]
        assert found["b-dynamic"] == [record for record in order if record.cell["dataset"] == "b"]


def test_a_group_says_the_options_of_its_data_and_one_of_a_thing() -> None:
    record = fake.quality("vanilla", 0, epochs=1)
    record.cell["data_options"] = {"k": 2, "d": 9}
    record.cell["measure"] = {"elbo_samples": 1, "nll_samples": 0}
    (group,) = groups([record])
    for part in ("mnist (d=9, k=2), test split", ", 1 epoch, ", "ELBO from 1 draw of z, ", "; seed 0"):
        assert part in group.title
    assert "NLL from" not in group.title
