"""What `vaebench compare` says, and what it refuses to."""

from bench.compare import Difference, differences
from tests import fake_records as fake

SEEDS = range(3)


def rows(variant: str, *levels: float, **settings: object) -> list[fake.Record]:
    return [fake.quality(variant, seed, elbo=level, **settings) for seed, level in enumerate(levels)]  # type: ignore[arg-type]


def of(found: list[Difference], metric: str | None) -> list[Difference]:
    return [difference for difference in found if difference.metric == metric]


def test_paired_differences_against_the_baseline() -> None:
    found = differences(rows("vanilla", -100, -102, -104) + rows("full_covariance", -99, -101.1, -102.9), "vanilla")
    (elbo,) = of(found, "elbo_nats")
    assert (elbo.variant, elbo.baseline, elbo.dataset) == ("full_covariance", "vanilla", "mnist-dynamic")
    assert elbo.comparison is not None
    assert elbo.comparison["n"] == 3
    assert abs(elbo.comparison["difference"] - 1) < 1e-9
    assert elbo.comparison["verdict"] == "better"
    assert elbo.sentence.startswith("full_covariance against vanilla on mnist-dynamic: ELBO +1.0")
    assert elbo.sentence.endswith("over 3 paired seeds: better.")
    assert not of(found, None)
    # What has no better direction, or is a cost and no quality, is not judged.
    assert not {"parameters", "active_units", "train_s"} & {difference.metric for difference in found}


def test_one_row_is_held_against_the_baseline_and_never_the_baseline_against_itself() -> None:
    records = rows("vanilla", -100, -102) + rows("beta", -110, -111) + rows("iwae", -99, -98)
    assert {d.variant for d in differences(records, "vanilla")} == {"beta", "iwae"}
    assert {(d.variant, d.baseline) for d in differences(records, "iwae")} == {("beta", "iwae"), ("vanilla", "iwae")}
    assert differences(records, "linear") == []


def test_another_likelihood_support_leaves_the_squared_error_alone_to_compare() -> None:
    records = rows("vanilla", -100, -102, -104) + rows("linear", -50, -51, -52, support="real")
    found = differences(records, "vanilla")
    assert [difference.metric for difference in found] == [None, "mse_per_pixel"]
    assert found[0].sentence == (
        "linear against vanilla on mnist-dynamic: nats are not comparable (support 'real' against 'binary')."
    )
    assert found[0].comparison is None


def test_another_budget_leaves_nothing_to_compare() -> None:
    longer = rows("beta", -90, -91, -92)
    for record in longer:
        record["cell"] = record["cell"] | {"budget": record["cell"]["budget"] | {"epochs": 99}}
    found = differences(rows("vanilla", -100, -102, -104) + longer, "vanilla")
    assert [difference.metric for difference in found] == [None]
    assert "nats are not comparable (budget {" in found[0].sentence
    assert "'epochs': 99" in found[0].sentence


def test_other_data_are_not_compared_at_all() -> None:
    records = rows("vanilla", -100, -102) + rows("beta", -90, -91, dataset="fashion_mnist")
    assert differences(records, "vanilla") == []


def test_the_baseline_is_the_row_with_the_fewest_changes_and_its_other_rows_are_compared_with_it() -> None:
    changed = rows("vanilla", -140, -141, -142)
    for record in changed:
        record["cell"] = record["cell"] | {"overrides": {"latent": 2}}
        record["id"] += "-latent2"
    records = changed + rows("vanilla", -100, -101, -102) + rows("beta", -120, -121, -122)
    found = of(differences(records, "vanilla"), "elbo_nats")
    assert [(d.variant, d.baseline) for d in found] == [("beta", "vanilla"), ("vanilla (latent=2)", "vanilla")]
    assert all(d.comparison and d.comparison["verdict"] == "worse" for d in found)
