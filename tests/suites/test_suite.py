"""Suites: every wrong key, type or range is one line that names it, and the shipped ones are what they promise."""

import math
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import variants
from bench import settings
from bench.cli.app import split_names
from bench.disk import files
from bench.errors import UsageError
from bench.records import record
from bench.records.names import row_name
from bench.suites import suite

GOOD: dict[str, Any] = {"variants": ["vanilla"], "datasets": ["digits"]}
# beta_tc joined the zoo after the two suites had their nine.
NINE = {
    *("autoencoder", "vanilla", "beta", "full_covariance", "low_rank", "conv", "conv_full_covariance", "iwae", "linear")
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "unknown key seed: did you mean 'seeds'?"),
        ({"name": "../mine"}, "unknown key name: "),
        ({"budget": {"epoch": 3}}, "unknown key budget.epoch: did you mean 'epochs'?"),
        ({"variants": [{"name": "vanilla", "seed": 3}]}, "unknown key variants[0].seed: did you mean 'seeds'?"),
        ({"seeds": True}, "seeds must be a whole number from 1 to 10000 or a list with at least 1 entry, got True"),
        ({"seeds": 2.0}, "seeds must be a whole number from 1 to 10000 or a list with at least 1 entry, got 2.0"),
        ({"seeds": 10_001}, "seeds must be a whole number from 1 to 10000 or a list with at least 1 entry, got 10001"),
        ({"timeout_min": math.nan}, "timeout_min must be a number above 0, got nan"),
        ({"compile": 1}, "compile must be true or false, got 1"),
        ({"budget": 3}, "budget must be a table, got 3"),
        ({"budget": {"epochs": 10**30}}, "budget.epochs must be a whole number from 1 to 9.0072e+15, got 1000"),
        ({"budget": {"lr": 10**400}}, "budget.lr must be a number above 0 and at most 1.79769e+308, got 1000"),
        ({"budget": {"lr": math.inf}}, "budget.lr must be a number above 0 and at most 1.79769e+308, got inf"),
        ({"budget": {"schedule": ["cosine"]}}, "budget.schedule must be 'cosine' or 'constant' or"),
        ({"measure": {"nll_points": 0}}, "measure.nll_points must be a whole number of at least 1, got 0"),
        ({"throughput": {"blocks": 2}}, "throughput.blocks must be 0, or at least 3, got 2"),
        ({"throughput": {"block_s": 61}}, "throughput.block_s must be a number above 0 and at most 60, got 61"),
        ({"variants": []}, "variants must be a list with at least 1 entry, got []"),
        ({"variants": [3]}, "variants[0] must be a text or a table, got 3"),
        ({"variants": [{"set": {}}]}, "variants[0].name must be a text, and is missing"),
        ({"variants": [{"name": "beta", "set": {"a": math.nan}}]}, "variants[0].set must hold numbers, texts"),
        ({"variants": ["vanila"]}, "unknown variant 'vanila': did you mean 'vanilla'?"),
        ({"variants": ["vanilla", "beta", "vanilla"]}, "variants has 'vanilla' twice with the same settings"),
        ({"datasets": ["mnst"]}, "mnst"),
        ({"datasets": [{"name": "digits", "binarise": "coin"}]}, "coin"),
        ({"datasets": [{"name": "digits", "options": {"d": 3}}]}, "d"),
        ({"datasets": ["digits", {"name": "digits", "binarise": "dynamic"}]}, "datasets has 'digits' twice"),
        ({"datasets": None}, "datasets must be a list with at least 1 entry"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        suite.parse("mine", GOOD | changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def shuffled(value: Any, random: Random) -> Any:
    """The same tables with their keys in another order."""
    if not isinstance(value, dict):
        return [shuffled(each, random) for each in value] if isinstance(value, list) else value
    items = list(value.items())
    random.shuffle(items)
    return {key: shuffled(each, random) for key, each in items}


COUNTS = st.integers(1, 10**6)
SUITES = st.fixed_dictionaries(
    {
        "variants": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["vanilla", "beta", "conv"])},
                optional={
                    "set": st.dictionaries(st.sampled_from(["latent", "beta"]), COUNTS | st.floats(0.1, 9)),
                    "seeds": st.integers(1, 3),
                },
            ),
            min_size=1,
            max_size=4,
            unique_by=lambda entry: (entry["name"], *sorted(entry.get("set", {}).items())),
        ),
        "datasets": st.sampled_from([["mnist"], ["digits", {"name": "linear_gaussian", "options": {"d": 3, "k": 2}}]]),
    },
    optional={
        "seeds": st.integers(1, 3),
        "budget": st.fixed_dictionaries({}, optional={"epochs": COUNTS, "lr": st.floats(1e-9, 1), "patience": COUNTS}),
        "measure": st.fixed_dictionaries({}, optional={"nll_points": COUNTS, "ais_points": COUNTS}),
    },
)


@hypothesis.settings(deadline=None, max_examples=60)
@given(SUITES, st.randoms(use_true_random=False))
def test_cells_have_distinct_ids_whatever_the_order_of_keys(table: dict[str, Any], random: Random) -> None:
    def ids(content: dict[str, Any]) -> list[str]:
        made = suite.parse("mine", content)
        quality = [record.record_id("quality", cell) for cell in made.cells("cpu")]
        return quality + [record.record_id("throughput", cell) for cell in made.throughput_cells(["cpu"], 1)]

    found = ids(table)
    assert len(set(found)) == len(found)
    assert ids(shuffled(table, random)) == found


def test_everything_that_may_be_said() -> None:
    made = suite.parse(
        "mine",
        {
            "description": "all of it",
            "seeds": 2,
            "timeout_min": 5,
            "variants": ["vanilla", {"name": "beta", "set": {"beta": 2.0}, "seeds": 3}, {"name": "beta"}],
            "datasets": [
                "digits",
                {"name": "linear_gaussian", "options": {"d": 5}},
                {"name": "digits", "binarise": "none"},
            ],
            "budget": {"epochs": 2, "lr": 1, "schedule": "constant", "train_size": 9},
            "measure": {"nll_samples": 0},
            "throughput": {"blocks": 3, "block_s": 1},
        },
    )
    assert made.budget == settings.Budget(epochs=2, lr=1.0, schedule="constant", train_size=9)
    assert isinstance(made.budget.lr, float)  # 1 and 1.0 are one cell
    assert made.datasets[0] == suite.DataChoice("digits", "dynamic", size=1297)
    cells = made.cells("cpu")
    assert [c["seed"] for c in cells] == sorted(c["seed"] for c in cells)
    assert len(cells) == len({record.record_id("quality", c) for c in cells}) == 3 * (2 + 3 + 2)
    assert {c["variant"] for c in cells if c["seed"] == 2} == {"beta"}
    assert cells[0].keys() == {
        *("variant", "overrides", "dataset", "data_options", "binarise", "seed", "budget", "measure"),
        *("device", "threads", "precision"),
    }
    timed = made.throughput_cells(["cpu", "cuda"], threads=2)
    assert len(timed) == len({record.record_id("throughput", c) for c in timed}) == 2 * 3 * 3
    assert {c["threads"] for c in timed} == {2}


def test_variants_that_changed_keywords_make_one_are_run_once() -> None:
    twins = (suite.Variant("vanilla", {"latent": 5}), suite.Variant("vanilla", {"latent": 5}, seeds=3))
    choice = suite.DataChoice("mnist", "none")
    made = suite.Suite(name="s", variants=(*twins, suite.Variant("beta")), datasets=(choice,), seeds=2)
    cells = [(cell["variant"], cell["seed"]) for cell in made.cells("cpu")]
    assert cells == [("vanilla", 0), ("beta", 0), ("vanilla", 1), ("beta", 1), ("vanilla", 2)]
    assert [cell["variant"] for cell in made.throughput_cells(["cpu"], 1)] == ["vanilla", "beta"]


def test_no_throughput_where_none_is_asked_for() -> None:
    made = suite.parse("mine", GOOD | {"throughput": {"blocks": 0}})
    assert made.throughput_cells(["cpu"], threads=1) == []
    assert len(made.cells("cpu")) == 3


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "my süite.toml"
    path.write_text('variants = ["vanilla"]\ndatasets = ["digits"]\nseeds = 1\n', encoding="utf-8")
    assert suite.load(str(path)).name == "my süite"
    path.write_text('variants = ["vanilla"]\ndatasets = ["digits"]\nsed = 1\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"suite my süite.toml: unknown key sed: did you mean 'seeds'"):
        suite.load(str(path))
    for content in (b"variants = [", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read"):
            suite.load(str(path))
    for name in ("quik", str(tmp_path)):
        with pytest.raises(UsageError, match="unknown suite"):
            suite.load(name)
    with pytest.raises(UsageError, match=r"there is no suite file .*none\.toml"):
        suite.load(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        suite.load("quik")


def test_a_file_that_is_too_large_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("#" * 5001)
    monkeypatch.setattr(files, "LARGEST", 5000)
    with pytest.raises(UsageError, match=r"mine\.toml cannot be read: it is larger than 5,000 bytes"):
        suite.load(str(path))


def test_quick_is_what_is_promised() -> None:
    quick = suite.load("quick")
    assert {v.name for v in quick.variants} == NINE
    assert (quick.seeds, [d.name for d in quick.datasets]) == (3, ["mnist"])
    assert len(quick.cells("cpu")) == 27
    assert quick.budget.train_size == 25_000  # so that two slow cores are done in five minutes
    assert quick.throughput.blocks >= 3


def test_standard_is_what_is_promised() -> None:
    standard = suite.load("standard")
    assert {v.name for v in standard.variants} == NINE | {"vamp_prior"}
    assert [d.name for d in standard.datasets] == ["mnist", "fashion_mnist"]
    assert standard.seeds == 3
    assert len(standard.cells("cpu")) == 2 * 10 * 3
    assert standard.budget.train_size is None
    assert standard.measure.sample_points  # its report names the best samples


def test_a_pattern_stands_for_the_built_in_variants_that_it_fits() -> None:
    built_in = {name for name in variants.names() if variants.get(name).built_in}
    of_levels = {"beta_binomial", "categorical_pixels", "discretised_logistic", "negative_binomial", "zero_inflated"}
    # Photographs have no labels, are no pairs, and are neither binary nor of one channel.
    of_others = {"ada_gvae", "conditional", "pixel_decoder"}
    assert {v.name for v in suite.load("shapes").variants} == built_in - of_levels - of_others
    flows = suite.parse("mine", {"variants": ["*_flow"], "datasets": ["mnist"]}).variants
    assert {v.name for v in flows} == {name for name in built_in if name.endswith("_flow")}
    with pytest.raises(UsageError, match="no variant is called 'flows\\*'"):
        suite.parse("mine", {"variants": ["flows*"], "datasets": ["mnist"]})
    with pytest.raises(UsageError, match="did you mean 'vanilla'"):
        suite.parse("mine", {"variants": [{"name": "*", "without": ["vanila"]}], "datasets": ["mnist"]})


def test_all_shipped_suites_load_and_their_variants_take_their_settings() -> None:
    from bench.sweeps import tune
    from bench.sweeps.configure import configure

    assert suite.names() == [
        "converged",
        "covariance",
        "evidence",
        "factors",
        "ladders",
        "ladders_cifar10",
        "oracle",
        "quick",
        "rate_distortion",
        "samples",
        "shapes",
        "standard",
        "tuned",
    ]
    for name in suite.names():
        if name == "oracle":
            continue  # it has no variants
        made = suite.load(name)
        assert made.description
        assert configure(made, {}) == made
        assert len(tune.trials(made, "cpu")) == (80 if name == "tuned" else 0)
        assert all(variants.get(v.name).describe()["available"] for v in made.variants)


def test_every_field_of_a_section_is_in_its_cell() -> None:
    made = suite.parse("mine", GOOD)
    (quality, *_), (timed, *_) = made.cells("cpu"), made.throughput_cells(["cpu"], threads=1)
    for section, kind in (("budget", settings.Budget), ("measure", settings.Measure)):
        assert set(quality[section]) == set(kind.__struct_fields__) - set(kind.added)
    assert set(settings.Clock.__struct_fields__) <= timed.keys()


def test_the_arithmetic_is_part_of_every_cell() -> None:
    plain = suite.parse("mine", GOOD)
    other = suite.parse("mine", GOOD | {"precision": "bf16", "compile": True})
    assert {c["precision"] for c in plain.cells("cpu") + plain.throughput_cells(["cpu"], threads=1)} == {"fp32"}
    assert {c["precision"] for c in other.cells("cpu") + other.throughput_cells(["cpu"], threads=1)} == {"bf16+compile"}


def test_a_later_key_is_in_a_cell_only_where_it_is_set() -> None:
    plain = suite.parse("mine", {"variants": ["vanilla"], "datasets": ["mnist"]})
    later = {"epsilon", "patience", "normalise_gradients", "grad_clip", "grad_skip", "weight_decay"}
    assert not later & set(plain.cells("cpu")[0]["budget"])
    table = {"variants": ["vanilla"], "datasets": ["mnist"], "budget": {"epsilon": 5e-6, "patience": 3}}
    budget = suite.parse("mine", table).cells("cpu")[0]["budget"]
    assert (budget["epsilon"], budget["patience"]) == (5e-6, 3)
    assert settings.Budget(**budget) == settings.Budget(epsilon=5e-6, patience=3)


def test_clipping_and_decay_are_another_cell_and_cells_without_them_keep_their_names() -> None:
    chosen = {"variants": ["vanilla"], "datasets": ["mnist"], "seeds": 1}
    (plain,) = suite.parse("mine", chosen).cells("cpu")
    assert list(plain["budget"]) == ["epochs", "batch_size", "lr", "schedule", "train_size"]
    found = {record.record_id("quality", plain)}
    for key, value in (("grad_clip", 1.0), ("grad_skip", 400.0), ("weight_decay", 0.01), ("schedule", "linear")):
        (cell,) = suite.parse("mine", chosen | {"budget": {key: value}}).cells("cpu")
        assert cell["budget"] == plain["budget"] | {key: value}
        found.add(record.record_id("quality", cell))
    assert len(found) == 5


@pytest.mark.parametrize(
    ("text", "name", "overrides"),
    [
        ("vanilla", "vanilla", {}),
        ("beta (beta=4)", "beta", {"beta": 4}),
        ("beta(beta=0.5,latent=3)", "beta", {"beta": 0.5, "latent": 3}),
        ("vanilla (hidden=[400, 200], network=mlp)", "vanilla", {"hidden": [400, 200], "network": "mlp"}),
        ("vanilla (shared_covariance=True)", "vanilla", {"shared_covariance": True}),
    ],
)
def test_a_row_is_named_as_tables_name_it(text: str, name: str, overrides: dict[str, Any]) -> None:
    found = suite.row(text)
    assert (found.name, found.overrides) == (name, overrides)
    assert suite.row(row_name(name, overrides)) == found


@pytest.mark.parametrize("text", ["vanila (latent=3)", "vanilla (latent=3", "vanilla (latent=)", "(latent=3)"])
def test_a_row_that_cannot_be_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        suite.row(text)
    assert "\n" not in str(error.value)


def test_names_with_settings_are_one_word_each() -> None:
    words = ["vanilla (latent=1, hidden=[8, 4]), beta", "iwae,linear low_rank(rank=2)", "/a b/c.py:mine"]
    wanted = ("vanilla (latent=1, hidden=[8, 4])", "beta", "iwae", "linear", "low_rank(rank=2)", "/a b/c.py:mine")
    assert split_names(words) == wanted
    # A comma may be in the name of a file, and beside it.
    assert split_names(["my, own.npz", "mnist,mine.npz", "digits"]) == ("my, own.npz", "mnist", "mine.npz", "digits")


def test_a_setting_has_twenty_levels_at_the_most() -> None:
    def nest(levels: int, table: bool) -> Any:
        return ({"a": nest(levels - 1, table)} if table else [nest(levels - 1, table)]) if levels else 3

    for table in (True, False):
        settings.check_depth(nest(20, table))
        with pytest.raises(ValueError, match="more than 20 levels"):
            settings.check_depth(nest(21, table))


@pytest.mark.parametrize(
    ("table", "most"),
    [
        ({"measure": {"nll_samples": 5000}}, "from 0 to 5000"),
        ({"measure": {"elbo_samples": 100}}, "from 1 to 100"),
        ({"budget": {"weight_decay": 1}}, "from 0 to 1"),
        ({"throughput": {"block_s": 60}}, "above 0 and at most 60"),
    ],
)
def test_the_largest_value_of_a_setting_is_one(table: dict[str, dict[str, int]], most: str) -> None:
    suite.parse("mine", GOOD | table)
    ((section, ((key, value),)),) = ((name, tuple(keys.items())) for name, keys in table.items())
    with pytest.raises(UsageError, match=f"{section}.{key} must be .* {most}, got {value + 1}"):
        suite.parse("mine", GOOD | {section: {key: value + 1}})


def test_what_a_suite_does_not_say() -> None:
    made = suite.parse("mine", {"variants": ["vanilla"], "datasets": ["digits"]})
    assert (made.seeds, made.timeout_min, made.precision, made.compile, made.search) == (3, 240, "fp32", False, None)
    assert (made.budget, made.measure, made.throughput) == (settings.Budget(), settings.Measure(), settings.Clock())
    assert [cell["seed"] for cell in made.cells("cpu")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("size", "asked", "used"), [(60, 59, 59), (60, 60, 60), (60, 61, None), (60, None, None), (None, 10**6, 10**6)]
)
def test_more_training_examples_than_a_user_s_data_have_are_all_of_them(
    size: int | None, asked: int | None, used: int | None
) -> None:
    choice = suite.DataChoice("mine", "none", size=size)
    assert choice.fits(settings.Budget(train_size=asked)).train_size == used


def test_a_train_size_is_at_most_that_of_the_data() -> None:
    """So the same suite, and a part of it, runs small data sets beside large ones."""
    options = {"name": "linear_gaussian", "options": {"n": 20_000}}
    made = suite.parse("mine", GOOD | {"datasets": ["digits", "mnist", options], "budget": {"train_size": 10_000}})
    sizes = [cell["budget"]["train_size"] for cell in made.cells("cpu") if cell["seed"] == 0]
    assert sizes == [None, 10_000, 10_000]


def test_seeds_are_a_number_or_a_list_and_a_variant_may_have_its_own_number() -> None:
    def seeds(given: Any) -> list[tuple[str, int]]:
        table = GOOD | {"seeds": given, "variants": ["vanilla", {"name": "beta", "seeds": 2}]}
        return [(cell["variant"], cell["seed"]) for cell in suite.parse("mine", table).cells("cpu")]

    assert seeds(1) == [("vanilla", 0), ("beta", 0), ("beta", 1)]
    assert seeds([7, 1]) == [("beta", 0), ("vanilla", 1), ("beta", 1), ("vanilla", 7)]


def test_one_data_set_may_stand_twice_with_other_options() -> None:
    two = [{"name": "linear_gaussian", "options": {"d": d, "n": 1000}} for d in (5, 6)]
    made = suite.parse("mine", GOOD | {"datasets": two, "seeds": 1})
    assert [cell["data_options"]["d"] for cell in made.cells("cpu")] == [5, 6]
    with pytest.raises(UsageError, match="datasets has 'linear_gaussian' twice with the same settings"):
        suite.parse("mine", GOOD | {"datasets": [*two, two[0]]})


@pytest.mark.usefixtures("misbehaving")
def test_a_pattern_hands_its_settings_on_and_fits_no_plugin() -> None:
    entry = {"name": "*beta*", "set": {"latent": 3}, "seeds": 2, "search": {"lr": {"log": [1e-4, 1e-2]}}}
    found = suite.parse("mine", GOOD | {"variants": [entry], "search": {}}).variants
    assert {"beta", "beta_tc"} <= {variant.name for variant in found}
    assert all((v.overrides, v.seeds, list(v.search)) == ({"latent": 3}, 2, ["lr"]) for v in found)
    fits = {variant.name for variant in suite.parse("mine", GOOD | {"variants": ["*o*"]}).variants}
    assert "good" in variants.names()
    assert "good" not in fits
    assert "conv" in fits


def test_a_speed_is_measured_as_the_suite_says_and_a_cell_has_one_thread() -> None:
    made = suite.parse("mine", GOOD | {"throughput": {"blocks": 5, "block_s": 2, "batch_size": 7}})
    (timed,) = made.throughput_cells(["cpu"], threads=4)
    assert [timed[key] for key in ("blocks", "block_s", "batch_size", "threads")] == [5, 2, 7, 4]
    assert {cell["threads"] for cell in made.cells("cpu")} == {1}
