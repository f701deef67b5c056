"""What the front page says of results is what the committed records answer."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.pages import readme
from bench.records.store import read_all
from bench.stats import groups, learning
from bench.stats.differences import sentence
from tests import fake_records as fake
from tests.helpers import ROOT


def folder(tmp_path: Path, name: str, levels: dict[str, float], protocol: str = "") -> None:
    records = [
        fake.quality(variant, seed, elbo=level + seed / 100, epochs=8)
        for variant, level in levels.items()
        for seed in range(4)
    ]
    for record in records:
        if protocol:
            record.protocol = protocol
            record.id += protocol.replace(".", "")
    fake.write(tmp_path / name, [*records, *map(fake.throughput, levels)], images=False)


def test_the_answers_are_of_the_first_suite_and_its_newest_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readme, "REFERENCE", tmp_path)
    folder(tmp_path, "standard", {"vanilla": -100, "full_covariance": -98, "conv": -90})
    folder(tmp_path, "standard", {"vanilla": -100, "full_covariance": -98, "iwae": -80}, protocol="1.10")
    folder(tmp_path, "standard", {"vanilla": -100, "full_covariance": -98, "beta": -70}, protocol="1.9")
    told = readme.which_variant()
    assert "suite `standard`" in told
    assert "after 8 epochs of the whole training split, protocol 1.10 (" in told
    assert "| for | mnist-dynamic, 3 variants, 4 seeds |" in told
    assert "| the best ELBO | **`iwae`**. ELBO -79.98 ± 0.02 nats over 4 seeds |" in told
    assert not {"conv", "beta"} & set(told.replace("`", " ").split())
    folder(tmp_path, "converged", {"vanilla": -100, "full_covariance": -99, "low_rank": -98})
    assert "suite `converged`" in readme.which_variant()
    assert "| the best ELBO | **`low_rank`**. " in readme.which_variant()
    assert "--suite converged\nfull_covariance against vanilla on mnist-dynamic after 8 epochs" in readme.example()


def test_without_an_answer_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readme, "REFERENCE", tmp_path)
    folder(tmp_path, "standard", {"vanilla": -100, "conv": -100})
    so_far = "The highest mean so far: conv, ELBO -99.98 ± 0.02 nats over 4 seeds"
    assert f"| the best ELBO | no answer yet: no row can be told from the best. {so_far} |" in readme.which_variant()
    with pytest.raises(UsageError, match="no data set of standard has runs of vanilla and of full_covariance"):
        readme.example()


def test_the_example_is_the_program_s_own_sentence() -> None:
    records, _ = read_all(readme.REFERENCE / readme.suite())
    group = readme.newest([record for record in records if record.cell["dataset"] == "mnist"])
    rows = {row.label: row for row in group.rows}
    found = learning.compare(rows["full_covariance"], rows["vanilla"], "elbo_nats")
    where = f"{group.dataset} {groups.after(group.settings)}"
    assert sentence(found, "full_covariance", "vanilla", where) in readme.example()


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_of_one_protocol_the_group_with_most_elbos_is_the_newest() -> None:
    """However many rows another has that have none, and whatever order they come in."""
    with_elbo = [fake.quality(variant, 0) for variant in ("vanilla", "beta")]
    without = [fake.quality(variant, 0, epochs=3) for variant in ("conv", "iwae", "linear")]
    for record in without:
        record.metrics["elbo_nats"] = None
    for records in (with_elbo + without, without + with_elbo):
        assert {row.label for row in readme.newest(records).rows} == {"vanilla", "beta"}
    more = [fake.quality(variant, 0, epochs=3) for variant in ("conv", "iwae", "linear")]
    for records in (with_elbo + more, more + with_elbo):
        assert len(readme.newest(records).rows) == 3
    for record in more[:1]:
        record.protocol = "0.9"
    assert len(readme.newest([*with_elbo, *more[:1]]).rows) == 2
