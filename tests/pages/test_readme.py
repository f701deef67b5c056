"""What the front page says of results is what the committed records answer."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.pages import readme
from bench.records.store import read_all
from bench.stats import groups, learning
from bench.stats.answer import Answer
from bench.stats.differences import sentence
from bench.text import DASH
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
    assert "likelihood is another" not in told
    apart = fake.quality("linear", 0, epochs=8, support="real")
    apart.protocol = "1.10"
    fake.write(tmp_path / "standard", [apart], images=False)
    assert readme.which_variant().endswith("|\n\nNot among them, for their likelihood is another: `linear`.")
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


@pytest.mark.skipif(not readme.REFERENCE.is_dir(), reason="the committed results are not here")
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


@pytest.mark.parametrize(
    ("take", "learns", "words"),
    [
        (("a_b",), False, "**`a_b`**. Five\\_points"),
        (("a_b", "c", "d"), False, "**`a_b`** (tied: `c`, `d`). Five\\_points"),
        (("a_b", "c"), True, "`a_b` or `c`, Five\\_points"),
        ((), False, "no answer yet: five\\_points"),
    ],
)
def test_a_recommendation_names_those_tied_and_is_none_while_they_learn(
    take: tuple[str, ...], learns: bool, words: str
) -> None:
    assert readme._told(Answer("the best ELBO", "elbo_nats", take, "Five_points", "", learning=learns)) == words


def test_each_data_set_has_its_own_answers_and_counts_the_seeds_that_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readme, "REFERENCE", tmp_path)
    levels = {
        "mnist": {"vanilla": -100.0, "full_covariance": -98.0},
        "fashion_mnist": {"vanilla": -210.0, "conv": -200.0},
    }
    for dataset, rows in levels.items():
        records = [fake.quality(v, s, elbo=at + s / 100, dataset=dataset) for v, at in rows.items() for s in range(4)]
        records.append(fake.quality("vanilla", 4, status="error", reason="x", dataset=dataset))
        fake.write(tmp_path / "standard", records, images=False)
    (tmp_path / "standard" / "runs" / f"{records[0].id}.json").unlink()
    fake.write(tmp_path / "standard", list(map(fake.throughput, levels["mnist"])), images=False)
    told = readme.which_variant().split("\n")
    assert "| for | fashion_mnist-dynamic, 2 variants, 3 to 4 seeds | mnist-dynamic, 2 variants, 4 seeds |" in (
        line.replace("\\_", "_") for line in told
    )
    cells = {line.split(" | ")[0]: line.removesuffix(" |").split(" | ")[1:] for line in told}
    assert [cell.partition(".")[0] for cell in cells["| the best ELBO"]] == ["**`conv`**", "**`full_covariance`**"]
    # Speeds were measured on one of them alone.
    assert [cell[:3] for cell in cells["| the fastest training"]] == [DASH, "**`"]
    # Both have an example: that of the last is told.
    both = [fake.quality("full_covariance", s, elbo=-195.0, dataset="fashion_mnist") for s in range(4)]
    fake.write(tmp_path / "standard", both, images=False)
    assert "full_covariance against vanilla on mnist-dynamic" in readme.example()
