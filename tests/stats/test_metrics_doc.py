"""docs/metrics.md and `metrics.METRICS` say the same, and nothing in a CSV file is left without a word."""

import re

import pytest

from bench.stats import frame, groups, metrics
from tests import fake_records as fake
from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^### `(.+)`\n\n((?:- .+\n)+)", TEXT, re.MULTILINE)
DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", None: "none"}


def test_every_metric_has_one_section_and_every_section_a_metric() -> None:
    headings = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
    assert headings == [f"`{name}`" for name, _ in SECTIONS]
    assert sorted(name for name, _ in SECTIONS) == sorted(metrics.METRICS)


@pytest.mark.parametrize(("name", "body"), SECTIONS)
def test_a_section_agrees_with_its_metric(name: str, body: str) -> None:
    said = dict(line[2:].split(": ", 1) for line in body.splitlines())
    assert list(said) == ["Label", "Unit", "Direction", "Formula", "Source", "Cost", "Not to be compared"]
    entry = metrics.METRICS[name]
    assert said["Label"] == entry.label
    assert said["Unit"] == (entry.unit or "none")
    assert said["Direction"] == DIRECTIONS[entry.direction]
    assert all(said.values())


def test_sections_stand_under_their_theme() -> None:
    titles = {metrics.MAIN: "Main figures"}
    parts = dict(zip(*[iter(re.split(r"^# (.+)$", TEXT, flags=re.MULTILINE)[1:])] * 2, strict=True))
    for name, entry in metrics.METRICS.items():
        assert f"### `{name}`" in parts[titles.get(entry.theme, entry.theme)]


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
