"""Verdicts that longer training reverses: none on the committed suites, and most of the true ones are given."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import pytest

from bench.pages.page import REFERENCE
from bench.records.store import read_all
from bench.stats import groups, intervals, learning, metrics
from bench.stats.groups import Row
from tests.stats import curves

JUDGED = ("better", "worse")


def of_mnist(suite: str) -> list[groups.Group]:
    found = groups.groups(read_all(REFERENCE / suite)[0])
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


def test_no_verdict_of_quick_is_reversed_by_standard_and_half_of_the_true_ones_are_given() -> None:
    # Two epochs of 25,000 images, and ten of all 55,000: 11 times longer.
    pairs = [
        (short, long)
        for short in of_mnist("quick")
        for long in of_mnist("standard")
        if all(short.settings[key] == long.settings[key] for key in ("support", "protocol"))
    ]
    assert len(pairs) == 2
    for of in (r"elbo_nats", r".*"):
        first, given = Counter[bool | None](), Counter[bool | None]()
        for metric, holds, before, after in (found for pair in pairs for found in outcomes(*pair)):
            if re.fullmatch(of, metric):
                first[holds] += 1
                given[holds] += before == after
        assert given[False] == 0
        assert given[True] >= 0.5 * first[True]


@pytest.mark.parametrize("name", ["standard", "rate_distortion", "samples", "factors"])
def test_no_verdict_of_a_prefix_of_the_committed_curves_is_reversed_at_their_end(name: str) -> None:
    first, given = Counter[bool | None](), Counter[bool | None]()
    for group in groups.groups(read_all(REFERENCE / name)[0]):
        rows = [row for row in group.rows if row.values("elbo_nats")]
        last = len(rows[0].ok[0].curve) if rows else 0
        for epochs in range(1, last):
            for a, b in combinations(rows, 2):
                end = verdict_at(a, b, last, "paired")
                before, after = verdict_at(a, b, epochs, "paired"), verdict_at(a, b, epochs, "compare")
                if before in JUDGED:
                    holds = before == end if end in JUDGED else None
                    first[holds] += 1
                    given[holds] += before == after
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
