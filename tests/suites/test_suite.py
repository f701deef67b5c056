"""Suites: every wrong key, type or range is one line that names it, and the shipped ones are what they promise."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

import variants
from bench import settings
from bench.disk import files
from bench.errors import UsageError
from bench.records import record
from bench.suites import suite

GOOD: dict[str, Any] = {"variants": ["vanilla"], "datasets": ["digits"]}
# beta_tc joined the zoo after the two suites had their nine.
NINE = {
    *("autoencoder", "vanilla", "beta", "full_covariance", "low_rank", "conv", "conv_full_covariance", "iwae", "linear")
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "unknown key 'seed': did you mean 'seeds'?"),
        ({"seeds": "3"}, "seeds must be a whole number, got '3'"),
        ({"seeds": True}, "seeds must be a whole number, got True"),
        ({"seeds": 2.0}, "seeds must be a whole number, got 2.0"),
        ({"seeds": 0}, "seeds must be between 1 and 10000, got 0"),
        ({"timeout_min": 0}, "timeout_min must be above 0, got 0"),
        ({"timeout_min": math.nan}, "timeout_min must be above 0, got nan"),
        ({"timeout_min": "long"}, "timeout_min must be a number, got 'long'"),
        ({"description": 3}, "description must be a text, got 3"),
        ({"budget": 3}, "budget must be a table, got 3"),
        ({"budget": {"epoch": 3}}, "unknown key budget.epoch: did you mean 'epochs'?"),
        ({"budget": {"epochs": 0}}, "epochs must be at least 1, got 0"),
        ({"budget": {"epochs": 1.5}}, "epochs must be a whole number, got 1.5"),
        ({"budget": {"batch_size": 0}}, "batch_size must be at least 1, got 0"),
        ({"budget": {"lr": 0}}, "lr must be above 0, got 0"),
        ({"budget": {"lr": -1e-3}}, "lr must be above 0, got -0.001"),
        ({"budget": {"lr": math.inf}}, "lr must be above 0, got inf"),
        ({"budget": {"lr": math.nan}}, "lr must be above 0, got nan"),
        ({"budget": {"lr": "fast"}}, "lr must be a number, got 'fast'"),
        (
            {"budget": {"schedule": "step"}},
            "schedule must be 'cosine' or 'constant' or 'burda2015' or 'geometric', got 'step'",
        ),
        (
            {"budget": {"schedule": ["cosine"]}},
            "schedule must be 'cosine' or 'constant' or 'burda2015' or 'geometric', got ['cosine']",
        ),
        ({"budget": {"epsilon": 0}}, "epsilon must be above 0, got 0"),
        ({"budget": {"patience": 0}}, "patience must be at least 1, got 0"),
        ({"budget": {"normalise_gradients": 1}}, "normalise_gradients must be true or false, got 1"),
        ({"budget": {"train_size": 0}}, "train_size must be at least 1, got 0"),
        ({"budget": {"train_size": "all"}}, "train_size must be a whole number, got 'all'"),
        ({"measure": {"elbo_samples": 0}}, "elbo_samples must be between 1 and 100, got 0"),
        ({"measure": {"nll_samples": 5001}}, "nll_samples must be between 0 and 5000, got 5001"),
        ({"measure": {"nll_samples": -1}}, "nll_samples must be between 0 and 5000, got -1"),
        ({"measure": {"nll_points": 0}}, "nll_points must be at least 1, got 0"),
        ({"measure": {"k": 5}}, "unknown key measure.k"),
        ({"throughput": {"blocks": 2}}, "throughput.blocks must be 0, or at least 3, got 2"),
        ({"throughput": {"blocks": -1}}, "throughput.blocks must be 0, or at least 3, got -1"),
        ({"throughput": {"block_s": 0}}, "throughput.block_s must be above 0 and at most 60, got 0"),
        ({"throughput": {"block_s": 61}}, "throughput.block_s must be above 0 and at most 60, got 61"),
        ({"throughput": {"batch_size": 0}}, "throughput.batch_size must be at least 1, got 0"),
        ({"variants": []}, "variants must be a list with at least one entry"),
        ({"variants": "vanilla"}, "variants must be a list with at least one entry"),
        ({"variants": [3]}, "each entry of variants is a name, or a table with a name; got 3"),
        ({"variants": [{"set": {}}]}, "each entry of variants is a name, or a table with a name"),
        ({"variants": ["vanila"]}, "unknown variant 'vanila': did you mean 'vanilla'?"),
        ({"variants": [{"name": "vanilla", "seed": 3}]}, "unknown key 'seed' in variants: did you mean 'seeds'?"),
        ({"variants": [{"name": "vanilla", "seeds": 0}]}, "seeds in variants must be between 1 and 10000, got 0"),
        ({"variants": [{"name": "vanilla", "seeds": True}]}, "seeds in variants has the wrong type: True"),
        ({"variants": [{"name": "vanilla", "set": 3}]}, "set in variants has the wrong type: 3"),
        ({"variants": ["vanilla", "beta", "vanilla"]}, "variants has 'vanilla' twice with the same settings"),
        ({"datasets": []}, "datasets must be a list with at least one entry"),
        ({"datasets": ["mnst"]}, "mnst"),
        ({"datasets": [{"name": "digits", "binarize": "none"}]}, "unknown key 'binarize' in datasets"),
        ({"datasets": [{"name": "digits", "binarise": "coin"}]}, "coin"),
        ({"datasets": [{"name": "linear_gaussian", "options": {"q": 3}}]}, "q"),
        ({"datasets": [{"name": "digits", "options": {"d": 3}}]}, "d"),
        ({"datasets": ["digits", {"name": "digits", "binarise": "dynamic"}]}, "datasets has 'digits' twice"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        suite.parse("mine", GOOD | changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["variants", "datasets"])
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=f"{key} must be a list"):
        suite.parse("mine", {k: v for k, v in GOOD.items() if k != key})


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
    assert made.datasets[0] == suite.DataChoice("digits", "dynamic")
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
    made = suite.Suite("s", "", (*twins, suite.Variant("beta")), (suite.DataChoice("mnist", "none"),), seeds=2)
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
    with pytest.raises(UsageError, match=r"suite my süite.toml: unknown key 'sed'"):
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
    assert {v.name for v in standard.variants} == NINE
    assert [d.name for d in standard.datasets] == ["mnist", "fashion_mnist"]
    assert standard.seeds == 5
    assert {v.name: v.seeds for v in standard.variants if v.seeds} == {"conv": 3, "conv_full_covariance": 3}
    assert len(standard.cells("cpu")) == 2 * (7 * 5 + 2 * 3)
    assert standard.budget.train_size is None


def test_all_shipped_suites_load_and_their_variants_take_their_settings() -> None:
    from bench.sweeps.configure import configure

    assert suite.names() == ["covariance", "evidence", "oracle", "quick", "rate_distortion", "shapes", "standard"]
    for name in suite.names():
        if name == "oracle":
            continue  # it has no variants
        made = suite.load(name)
        assert made.description
        assert configure(made, {}) == made
        assert all(variants.get(v.name).describe()["available"] for v in made.variants)


def test_every_field_of_a_section_is_in_its_cell() -> None:
    made = suite.parse("mine", GOOD)
    (quality, *_), (timed, *_) = made.cells("cpu"), made.throughput_cells(["cpu"], threads=1)
    for section, kind in (("budget", settings.Budget), ("measure", settings.Measure)):
        assert set(quality[section]) == {f.name for f in dataclasses.fields(kind) if f.metadata != settings.ADDED}
    assert {f.name for f in dataclasses.fields(settings.Clock)} <= timed.keys()


def test_the_arithmetic_is_part_of_every_cell() -> None:
    plain = suite.parse("mine", GOOD)
    other = suite.parse("mine", GOOD | {"precision": "bf16", "compile": True})
    assert {c["precision"] for c in plain.cells("cpu") + plain.throughput_cells(["cpu"], threads=1)} == {"fp32"}
    assert {c["precision"] for c in other.cells("cpu") + other.throughput_cells(["cpu"], threads=1)} == {"bf16+compile"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("precision", "fp16", "precision must be 'fp32' or 'bf16', got 'fp16'"),
        ("compile", 1, "compile must be true or false, got 1"),
    ],
)
def test_an_arithmetic_that_does_not_exist(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        suite.parse("mine", GOOD | {key: value})


def test_a_later_key_is_in_a_cell_only_where_it_is_set() -> None:
    plain = suite.parse("mine", {"variants": ["vanilla"], "datasets": ["mnist"]})
    assert not {"epsilon", "patience", "normalise_gradients"} & set(plain.cells("cpu")[0]["budget"])
    table = {"variants": ["vanilla"], "datasets": ["mnist"], "budget": {"epsilon": 5e-6, "patience": 3}}
    budget = suite.parse("mine", table).cells("cpu")[0]["budget"]
    assert (budget["epsilon"], budget["patience"]) == (5e-6, 3)
    assert settings.Budget(**budget) == settings.Budget(epsilon=5e-6, patience=3)
