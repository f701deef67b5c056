"""Verdicts that longer training reverses: none on the committed suites, and most of the true ones are given."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from bench.pages.page import REFERENCE
from bench.records.store import read_all
from bench.stats import groups, intervals, learning, metrics
from bench.stats.groups import Row
from tests.stats import curves

JUDGED = ("better", "worse")


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> list[groups.Group]:
    """Nine variants after one epoch of half and of all of MNIST, protocol 1.1 as `standard`: what quick once was."""
    folder = tmp_path_factory.mktemp("one_epoch")
    (folder / "runs").mkdir()
    for line in (Path(__file__).parent / "one_epoch.jsonl").read_text().splitlines():
        (folder / "runs" / f"{json.loads(line)['id']}.json").write_text(line)
    return groups.groups(read_all(folder)[0])


@pytest.fixture(scope="module")
def ten_epochs() -> list[groups.Group]:
    found = groups.groups(read_all(REFERENCE / "standard")[0])
    return [group for group in found if group.dataset == "mnist-dynamic"]


def plain(a: Row, b: Row, metric: str) -> str:
    higher = metrics.metric(metric).better == "higher"
    return intervals.paired(a.values(metric), b.values(metric), higher_better=higher).verdict


def outcomes(short: groups.Group, long: groups.Group) -> Iterator[tuple[str, bool | None, str, str]]:
    """Metric, whether the longer budget says the same (None: nothing), the verdict without and with the rule."""
    rows = {row.label: row for row in long.rows}
    for metric in filter(lambda name: metrics.metric(name).ranked, short.metrics):
        (same,) = (name for name in long.metrics if re.sub(r"\d+", "", name) == re.sub(r"\d+", "", metric))
        for a, b in combinations(short.rows, 2):
            before, after = plain(a, b, metric), plain(rows[a.label], rows[b.label], same)
            if before in JUDGED:
                holds = before == after if after in JUDGED else None
                yield metric, holds, before, learning.compare(a, b, metric).verdict


def test_no_verdict_of_one_epoch_is_reversed_by_ten_and_most_true_ones_are_given(
    one_epoch: list[groups.Group], ten_epochs: list[groups.Group]
) -> None:
    # One epoch of half the images, one of all, ten of all: 22 times longer at most.
    steps = [(one_epoch, ten_epochs), (one_epoch, one_epoch)]
    pairs = [
        (short, long)
        for before, after in steps
        for short in before
        for long in after
        if all(short.settings[key] == long.settings[key] for key in ("support", "protocol"))
        and length(short) < length(long)
    ]
    assert len(pairs) == 6
    for of in (r"elbo_nats", r".*"):
        first, given = Counter[bool | None](), Counter[bool | None]()
        for metric, holds, before, after in (found for pair in pairs for found in outcomes(*pair)):
            if re.fullmatch(of, metric):
                first[holds] += 1
                given[holds] += before == after
        assert first[False] >= 2  # of the verdicts without the rule
        assert given[False] == 0
        assert given[True] >= 0.5 * first[True]


def length(group: groups.Group) -> float:
    budget = group.settings["budget"]
    return float(budget["epochs"] * (budget["train_size"] or 55_000))


@pytest.mark.parametrize("name", ["standard", "rate_distortion"])
def test_no_verdict_of_a_prefix_of_the_committed_curves_is_reversed_at_their_end(name: str) -> None:
    first, given = Counter[bool | None](), Counter[bool | None]()
    for group in groups.groups(read_all(REFERENCE / name)[0]):
        rows = [row for row in group.rows if row.values("elbo_nats")]
        for epochs in range(1, 10):
            for a, b in combinations(rows, 2):
                end = verdict_at(a, b, 10, "paired")
                before, after = verdict_at(a, b, epochs, "paired"), verdict_at(a, b, epochs, "compare")
                if before in JUDGED:
                    holds = before == end if end in JUDGED else None
                    first[holds] += 1
                    given[holds] += before == after
    assert first[False] >= 1
    assert given[False] == 0
    assert given[True] >= 0.5 * first[True]


def verdict_at(a: Row, b: Row, epochs: int, rule: str) -> str:
    one, other = (
        curves.Row({seed: curve[-1]["valid_elbo_nats"] for seed, curve in found.items()}, found)
        for found in ({r.cell["seed"]: r.curve[:epochs] for r in row.ok} for row in (a, b))
    )
    if rule == "paired":
        return intervals.paired(one.elbo, other.elbo, higher_better=True).verdict
    return learning.compare(one, other, "elbo_nats").verdict
