"""How much of a variance is the variant's."""

import numpy as np
import pytest
from scipy import stats

from bench.pages import tables
from bench.pages.blocks import Table, Text
from bench.stats import groups, shares
from tests import fake_records as fake


def test_variance_components_by_hand() -> None:
    """Two variants, two seeds: mean squares of 16 and 1, so (16 - 1) / (16 - 1 + 2)."""
    half = np.sqrt(0.5)
    found = shares.share([{0: 2 - half, 1: 2 + half}, {0: 6 - half, 1: 6 + half}])
    assert found is not None
    assert (found.rows, found.runs, found.variant) == (2, 4, pytest.approx(15 / 17))
    assert 0 <= found.low < found.variant < found.high < 1


def test_a_variant_with_few_seeds_counts_for_as_many_as_it_has() -> None:
    """E[mean square between] is that within plus n0 times the variance between, n0 = (N - sum n_i^2 / N) / (a - 1)."""
    random = np.random.default_rng(1)
    rows = [(shift + random.standard_normal(n)).tolist() for n, shift in ((2, 0.0), (3, 4.0), (15, -3.0))]
    found = shares.share([dict(enumerate(row)) for row in rows])
    assert found is not None
    size = (20 - (4 + 9 + 225) / 20) / 2
    more = stats.f_oneway(*rows).statistic - 1
    assert found.variant == pytest.approx(more / (more + size))


def test_limits() -> None:
    assert shares.share([{0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0}]) is None
    assert shares.share([{0: 1.0, 1: 2.0}, {0: 3.0}]) is None
    all_variant = shares.share([{0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}])
    assert all_variant is not None
    assert (all_variant.low, all_variant.variant, all_variant.high) == (1, 1, 1)
    all_seed = shares.share([{0: 1.0, 1: 2.0}, {0: 2.0, 1: 1.0}])
    assert all_seed is not None
    assert all_seed.variant == all_seed.low == 0


def test_a_metric_in_which_nothing_varies_has_no_share() -> None:
    records = [fake.quality(variant, seed) for variant in ("vanilla", "beta") for seed in range(3)]
    for record in records:
        record.metrics["mse_per_pixel"] = 0.01
    (group,) = groups.groups(records)
    assert list(shares.shares(group, ["mse_per_pixel", "elbo_nats", "ssim"])) == ["elbo_nats"]


@pytest.mark.parametrize("true", [0.0, 0.5, 0.9])
def test_the_interval_covers_as_often_as_it_says(true: float) -> None:
    random, n = np.random.default_rng(0), 1000
    below, above = 0, 0
    for _ in range(n):
        variants = np.sqrt(true) * random.standard_normal((8, 1))
        values = variants + np.sqrt(1 - true) * random.standard_normal((8, 5))
        found = shares.share([dict(enumerate(row)) for row in values.tolist()])
        assert found is not None
        below += found.high < true
        above += found.low > true
    # It misses as often on either side, but that no share is below none.
    for missed in [above] if true == 0 else [below, above]:
        assert abs(missed / n - 0.025) < 3 * np.sqrt(0.025 * 0.975 / n)


def test_a_page_says_it_where_codes_were_held_against_factors() -> None:
    def records(metrics: dict[str, float]) -> list[groups.Record]:
        made = [fake.quality(variant, seed) for variant in ("vanilla", "beta", "conv") for seed in range(3)]
        for i, record in enumerate(made):
            record.metrics |= {name: value + 0.01 * i for name, value in metrics.items()}
        return made

    def titles(members: list[groups.Record]) -> list[str]:
        blocks = tables.blocks(members, next(iter(groups.by_dataset(members))))
        return [block.text for block in blocks if isinstance(block, Text) and "variance" in block.text]

    assert titles(records({})) == []
    (title,) = titles(records({"mig": 0.2}))
    assert "the rest is the seed's" in title
    (group,) = groups.groups(records({"mig": 0.2}))
    cells = tables.share_grid(group)
    assert cells is not None
    assert [line[0].text for line in cells[1]] == ["ELBO", "MIG"]
    assert isinstance(Table(cells), Table)
