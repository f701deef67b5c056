"""What `vaebench compare` says, and what it refuses to."""

import re

import msgspec
import pytest

from bench.errors import UsageError
from bench.stats.differences import Difference, differences
from bench.suites import suite
from bench.sweeps.compare import check
from tests import fake_records as fake

SEEDS = range(3)


def rows(variant: str, *levels: float, **settings: object) -> list[fake.Record]:
    return [fake.quality(variant, seed, elbo=level, **settings) for seed, level in enumerate(levels)]  # type: ignore[arg-type]


def of(found: list[Difference], metric: str) -> list[Difference]:
    return [difference for difference in found if difference.metric == metric]


def test_paired_differences_against_the_baseline() -> None:
    found = differences(rows("vanilla", -100, -102, -104) + rows("full_covariance", -99, -101.1, -102.9), "vanilla")
    (elbo,) = of(found, "elbo_nats")
    assert (elbo.variant, elbo.baseline, elbo.dataset) == ("full_covariance", "vanilla", "mnist-dynamic")
    assert elbo.comparison["n"] == 3
    assert abs(elbo.comparison["difference"] - 1) < 1e-9
    assert elbo.comparison["verdict"] == "better"
    where = "on mnist-dynamic after 10 epochs of the whole training split"
    assert elbo.sentence.startswith(f"full_covariance against vanilla {where}: ELBO +1.0")
    assert elbo.budget["epochs"] == 10
    assert elbo.sentence.endswith("over 3 paired seeds: better.")
    assert elbo.comparison["p_better"] == 6 / 9
    # What has no better direction, or is a cost and no quality, is not judged.
    assert not {"parameters", "active_units", "train_s"} & {difference.metric for difference in found}


def test_one_row_is_held_against_the_baseline_and_never_the_baseline_against_itself() -> None:
    records = rows("vanilla", -100, -102) + rows("beta", -110, -111) + rows("iwae", -99, -98)
    assert {d.variant for d in differences(records, "vanilla")} == {"beta", "iwae"}
    assert {(d.variant, d.baseline) for d in differences(records, "iwae")} == {("beta", "iwae"), ("vanilla", "iwae")}
    assert differences(records, "linear") == []


def test_rows_of_two_groups_are_refused_with_the_reason() -> None:
    records = rows("vanilla", -100, -102, -104) + rows("beta", -100, -101, -102)
    assert differences(records, "vanilla")
    with pytest.raises(UsageError) as refused:
        differences(records + rows("linear", -50, -51, -52, support="real"), "vanilla")
    assert str(refused.value) == (
        "linear cannot be compared with vanilla on mnist-dynamic, they are in different comparison groups: support "
        "'real', not 'binary'; run both with the same settings"
    )


@pytest.mark.parametrize(
    ("settings", "protocol", "words"),
    [({"epochs": 99}, "1.0", r"budget \{.*'epochs': 99"), ({}, "2.0", r"protocol '2\.0', not '1\.0'")],
)
def test_another_budget_or_protocol_is_refused(settings: dict[str, int], protocol: str, words: str) -> None:
    other = [msgspec.structs.replace(record, protocol=protocol) for record in rows("beta", -90, -91, -92, **settings)]
    with pytest.raises(UsageError, match=f"groups: {words}"):
        differences(rows("vanilla", -100, -102, -104) + other, "vanilla")


def test_a_variant_that_never_ran_is_no_reason_to_refuse() -> None:
    failed = [fake.quality("beta", seed, status="error", reason="boom") for seed in SEEDS]
    assert differences(rows("vanilla", -100, -102, -104) + failed, "vanilla") == []


def test_a_baseline_that_never_ran_is_no_reason_to_refuse() -> None:
    failed = [fake.quality("vanilla", seed, status="error", reason="boom") for seed in SEEDS]
    assert differences(failed + rows("beta", -100, -102, -104), "vanilla") == []


def chosen(*names: str, **overrides: object) -> suite.Suite:
    variants = tuple(suite.Variant(name, {"latent": 2, "hidden": [8], **overrides}) for name in names)
    return msgspec.structs.replace(suite.load("quick"), variants=variants, datasets=(suite.dataset("digits"),))


def test_supports_are_compared_before_anything_is_run() -> None:
    check(chosen("vanilla", "beta", "iwae"), "vanilla")
    with pytest.raises(UsageError) as refused:
        check(chosen("vanilla", "beta", "autoencoder"), "vanilla")
    assert str(refused.value) == (
        "autoencoder (hidden=[8], latent=2) cannot be compared with vanilla on digits: its likelihood (gaussian) has "
        "the support 'real', that of vanilla (bernoulli) 'binary', and nats on different supports are different "
        "quantities; leave autoencoder (hidden=[8], latent=2) out, or give all variants one likelihood: --set "
        "likelihood=bernoulli"
    )


def test_rows_are_held_against_the_row_that_is_named_on_every_data_set() -> None:
    rows = (suite.Variant("vanilla"), suite.Variant("vanilla", {"likelihood": "gaussian"}), suite.Variant("beta"))
    both = (suite.dataset("moons"), suite.dataset("digits"))  # on the first all are Gaussian
    made = msgspec.structs.replace(chosen("vanilla"), variants=rows, datasets=both)
    for baseline, other in (
        ("vanilla (likelihood=gaussian)", "vanilla"),
        ("vanilla", r"vanilla \(likelihood=gaussian\)"),
    ):
        with pytest.raises(UsageError, match=rf"^{other} cannot be compared with {re.escape(baseline)} on digits"):
            check(made, baseline)
    check(msgspec.structs.replace(made, datasets=both[:1]), "vanilla (likelihood=gaussian)")


def test_what_the_refusal_advises_is_accepted() -> None:
    check(chosen("vanilla", "autoencoder", likelihood="bernoulli"), "vanilla")


def test_a_variant_that_cannot_be_built_is_left_to_its_cells() -> None:
    check(chosen("vanilla", "beta", nonsense=1), "vanilla")


def test_other_data_are_not_compared_at_all() -> None:
    records = rows("vanilla", -100, -102) + rows("beta", -90, -91, dataset="fashion_mnist")
    assert differences(records, "vanilla") == []
    other = rows("beta", -90, -91)
    for record in other:
        record.cell["data_options"] = {"k": 2}
    assert differences(rows("vanilla", -100, -102) + other, "vanilla") == []
    assert differences(rows("vanilla", -100, -102) + rows("beta", -90, -91, binarise="none"), "vanilla") == []


def test_the_check_holds_variants_against_the_row_with_the_fewest_changes_not_the_shortest() -> None:
    short = {"latent": 2, "hidden": [8], "likelihood": "gaussian"}
    few = {"hidden": [8] * 30}
    variants = (suite.Variant("vanilla", short), suite.Variant("vanilla", few))
    assert len(str(few)) > len(str(short))
    with pytest.raises(
        UsageError, match=r"^vanilla \(hidden=\[8\], latent=2, likelihood=gaussian\) cannot be compared"
    ):
        check(msgspec.structs.replace(chosen("vanilla"), variants=variants), "vanilla")


@pytest.mark.parametrize("few", [{}, {"a_rather_long_name": "and_a_long_value"}])
def test_the_baseline_is_the_row_with_the_fewest_changes_and_its_other_rows_are_compared_with_it(
    few: dict[str, str],
) -> None:
    """However long they are."""
    records = rows("vanilla", -140, -141, -142, overrides={"latent": 2, "rank": 3})
    records += rows("vanilla", -100, -101, -102, overrides=few) + rows("beta", -120, -121, -122)
    compared = of(differences(records, "vanilla"), "elbo_nats")
    plain = "vanilla (a_rather_long_name=and_a_long_value)" if few else "vanilla"
    pairs = [("beta", plain), ("vanilla (latent=2, rank=3)", plain)]
    assert [(d.variant, d.baseline) for d in compared] == pairs
    assert all(d.comparison["verdict"] == "worse" for d in compared)
