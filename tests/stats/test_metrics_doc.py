"""`METRICS` says all of a metric, the documents say what it says, and no column of a CSV file is without a word."""

import dataclasses
import re

import pytest

from bench.judge import samples
from bench.pages import docs
from bench.settings import SECTIONS
from bench.stats import frame, groups, metrics
from tests import fake_records as fake
from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
KEYS = {key for kind in SECTIONS.values() for key in kind.__struct_fields__}
# Figures that are formed of others where the judge puts its figures together, or under a name of their own.
NAMED = {
    "kl_layer*_nats": "kl_layer",
    "nll_is*_nats": "nll_is{k}_nats",
    "active_units_layer*": "active_units_layer{",
    "bdmc_lower_nats": "bdmc_{side}",
}
NAMED |= {name + ending: "name + ending" for ending in samples.KINDS if ending for name in samples.NAMES}
# What may be empty.
OPTIONAL = ("unit", "better", "digits", "setting", "by_likelihood")
NAMED["bdmc_upper_nats"] = NAMED["bdmc_lower_nats"]


@pytest.mark.parametrize("name", docs.FILES)
def test_files_that_are_generated_as_a_whole_are_as_committed(name: str) -> None:
    assert (docs.ROOT / name).read_text(encoding="utf-8") == docs.FILES[name](), "run `make docs`"


@pytest.mark.parametrize("name", docs.BLOCKS)
def test_what_is_generated_is_committed(name: str) -> None:
    """If this fails: make docs."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert docs.rewritten(name, text) == text


def test_a_document_without_its_lines_is_refused() -> None:
    with pytest.raises(ValueError, match=r"running\.md needs the lines .*settings"):
        docs.rewritten("docs/running.md", "<!-- generated: settings -->\n")


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_row_is_whole_and_names_the_function_and_the_setting_that_there_are(name: str) -> None:
    row = metrics.METRICS[name]
    assert all(getattr(row, field.name) for field in dataclasses.fields(row) if field.name not in OPTIONAL)
    assert row.setting is None or row.setting in KEYS
    assert callable(row.function())
    room = row.measured_by.split(".")[0]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "bench" / room).glob("*.py")]
    assert any(NAMED.get(name, name) in source for source in sources)


def test_every_key_of_set_is_in_its_help_and_asks_for_its_metrics() -> None:
    text = docs.set_help()
    assert all(re.search(rf"\b{key}\b", text) for key in KEYS)
    assert "ssim_points for ssim;" in text
    assert [row.name for row in metrics.asked_by("probe_points")] == ["probe_accuracy", "knn_accuracy"]


def test_the_help_of_a_key_names_its_metrics_and_of_many_the_first_and_how_many_more() -> None:
    text, counts = docs.set_help(), set()
    for key in docs.settings()["measure"]:
        names = [row.name for row in metrics.asked_by(key.name)]
        counts.add(len(names) > 4)
        words = ", ".join(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"])
        entry = f"{key.name} for {words}" if names else key.name
        assert f"{entry};" in text or f"{entry})" in text
    assert counts == {True, False}


def test_every_column_of_a_metric_is_described() -> None:
    records = [fake.thorough(variant, seed) for variant in ("vanilla", "beta") for seed in range(3)]
    metrics = [*groups.groups(records)[0].metrics, "train_s"]
    suffixes = set()
    for column in frame.frame(records).columns:
        owners = [name for name in metrics if column.startswith(f"{name}_")]
        if owners:
            suffixes.add(column.removeprefix(max(owners, key=len)))
    described = set(re.findall(r"`<metric>(_\w+)`", TEXT))
    assert suffixes == described
