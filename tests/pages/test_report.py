"""A folder of records becomes a page, and the page can be believed."""

import json
import re
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.pages import blocks, grids, origins, paper, reference_comparison, report, tables
from bench.records.record import Origin, plain
from bench.stats import frame, groups, metrics
from bench.text import DASH
from tests import fake_records as fake


def small() -> list[fake.Record]:
    records = [fake.quality(variant, seed) for variant in ("vanilla", "conv", "autoencoder") for seed in range(3)]
    records[4] = fake.quality("conv", 1, status="diverged", reason="loss is nan at step 7")
    return [*records, fake.throughput("vanilla")]


def test_a_report_end_to_end(tmp_path: Path) -> None:
    out = fake.write(tmp_path / "out", small())
    (out / "runs" / "broken.json").write_text("{")
    made = report.write(out)
    assert set(made.files) == {path for path in out.rglob("*") if path.is_file() and path.parent.name != "runs"}
    assert {path.name for path in (out / "tables").iterdir()} == {
        *(f"mnist-dynamic.{end}" for end in ("csv", "md", "tex")),
        *("runs.csv", "papers.bib"),
    }
    page = (out / "README.md").read_text()
    linked = re.findall(r"\]\(((?:plots|tables)/[^)]+)\)", page)
    shown = {str(path.relative_to(out)) for path in made.files if path.parent.name in ("plots", "tables")}
    assert set(linked) == {path for path in shown if not path.endswith(".svg")}
    assert (out / "tables" / "mnist-dynamic.md").read_text().rstrip() in page
    for part in ("conv seed 1 on cpu: diverged: loss is nan at step 7", "`0123456789ab`", "torch 2.9.0", "Example CPU"):
        assert part in page
    assert any("broken.json" in line for line in made.warnings)
    assert "broken.json" in page
    assert "broken.json" in made.terminal
    assert str(tmp_path) not in page


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no records in .*none; run `vaebench run --out .*none` first"):
        report.write(tmp_path / "none")


def test_the_same_records_give_the_same_files(tmp_path: Path) -> None:
    records = [fake.quality("vanilla", 0), fake.throughput("vanilla")]
    records[0].provenance.trained = Origin(commit="fedcba9876543210", dirty=True)
    first, second = (report.write(fake.write(tmp_path / name, records)) for name in ("a", "b"))
    assert first.terminal == second.terminal
    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in second.files]
    # The page names the commit that trained kept weights, too.
    page = (tmp_path / "a" / "README.md").read_text()
    assert "commit: `0123456789ab`, `fedcba987654` with uncommitted changes" in page


def test_a_failure_alone_and_a_bare_record_make_a_report(tmp_path: Path) -> None:
    bare = plain(fake.quality("vanilla", 0, status="error", reason="boom"))
    for key in ("model", "curve", "timing", "provenance"):
        del bare[key]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "bare.json").write_text(json.dumps(bare))
    made = report.write(tmp_path)
    assert "0/1 ok" in made.terminal
    assert "boom" in (tmp_path / "README.md").read_text()
    assert not (tmp_path / "plots").exists()


def test_the_reference_is_shown_beside(tmp_path: Path) -> None:
    ours = [fake.quality("vanilla", seed, elbo=-100.0 - seed) for seed in range(3)] + [fake.quality("iwae", 0)]
    theirs = [fake.quality("vanilla", seed, elbo=-100.5 - seed, device="cuda") for seed in range(3)]
    out, reference = (
        fake.write(tmp_path / "out", ours, images=False),
        fake.write(tmp_path / "ref", theirs, images=False),
    )
    made = report.write(out, reference=reference)
    line = next(line for line in made.terminal.splitlines() if line.startswith("mnist-dynamic") and "vanilla" in line)
    assert re.search(r"-101\.00 ± 2\.95, 3 seeds, cpu +-101\.50 ± 2\.95, 3 seeds, cuda +\+0\.50", line)
    assert "## Beside the reference" in (out / "README.md").read_text()


@pytest.mark.parametrize("devices", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_row_stands_beside_the_one_of_its_own_device(devices: tuple[str, str]) -> None:
    levels = {"cpu": -100.5, "cuda": -90.0}
    theirs = [fake.quality("vanilla", 0, elbo=levels[device], device=device) for device in devices]
    for device, level in levels.items():
        (_, (line,)), _ = reference_comparison.against_reference(
            [fake.quality("vanilla", 0, elbo=level + 1, device=device)], theirs
        )
        assert line[-1].text == "+1.00"


def test_other_settings_are_never_compared_with_the_reference() -> None:
    for other, why in (
        ({"epochs": 3}, "not comparable with the reference, which differs in budget.epochs (10 here, 3 there)."),
        ({"dataset": "omniglot"}, "the reference has no runs on this data."),
    ):
        (_, lines), notes = reference_comparison.against_reference(
            [fake.quality("vanilla", 0)], [fake.quality("vanilla", 0, **other)]
        )  # type: ignore[arg-type]
        assert (lines, notes) == ([], [f"mnist-dynamic, binary likelihood: {why}"])


def test_a_reference_without_records_is_a_warning(tmp_path: Path) -> None:
    out = fake.write(tmp_path / "out", [fake.quality("autoencoder", 0)], images=False)
    (tmp_path / "ref").mkdir()
    made = report.write(out, reference=tmp_path / "ref")
    assert made.warnings == ("the reference ref holds no records, so nothing is shown beside it",)
    assert report.write(out, reference=tmp_path / "missing").warnings == ()


def test_of_other_settings_those_that_differ_least_are_named() -> None:
    ours = [fake.quality("vanilla", 0)]
    far = fake.quality("vanilla", 0, epochs=3, precision="bf16")
    near = fake.quality("vanilla", 0, epochs=5)
    for theirs in ([far, near], [near, far]):
        _, (note,) = reference_comparison.against_reference(ours, theirs)
        assert note.endswith("which differs in budget.epochs (10 here, 5 there).")


def test_the_origin_has_the_first_and_the_last_day_and_all_seeds() -> None:
    records = [fake.quality("vanilla", seed) for seed in (10, 0, 2)]
    assert "run: 2026-01-02" in origins.provenance_lines(records)
    for record, day in zip(records, ("05", "03", "04"), strict=True):
        record.provenance.started = f"2026-01-{day}T03:04:05Z"
    lines = origins.provenance_lines(records)
    assert "run: 2026-01-03 to 2026-01-05" in lines
    assert "seeds: 0, 2, 10" in lines
    assert "devices: cpu (Example CPU, threads 1, fp32)" in lines
    assert "data (SHA-256): mnist-dynamic `abababababab`" in lines
    records[1].provenance.versions = {"torch": "2.10.0"}
    assert "versions: python 3.12.0, torch 2.10.0, torch 2.9.0, vaebench 0.1.0" in origins.provenance_lines(records)


def test_a_page_says_that_the_best_epoch_was_chosen_where_any_run_had_a_patience() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    assert report._selection(records).startswith("Nothing was selected: a model is judged with its last weights")
    records[1].cell["budget"]["patience"] = 7
    assert "the best epoch's weights are judged; else the last weights are" in report._selection(records)


@pytest.fixture
def of_words(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """Reports have no pictures and no HTML; of whose runs pictures were to be drawn is listed."""
    asked: list[tuple[str, set[str]]] = []

    def drawn(dataset: str, records: list[fake.Record], *_: object) -> list[object]:
        asked.append((dataset, {record.id for record in records}))
        return []

    monkeypatch.setattr(report.figures, "drawn", drawn)
    monkeypatch.setattr(report, "html_report", lambda *_: b"")
    return asked


def test_the_files_of_a_data_set_are_of_its_runs_and_the_others_of_all(
    tmp_path: Path, of_words: list[tuple[str, set[str]]]
) -> None:
    levels = {"vanilla": -100.0, "conv": -97.0}
    records = [
        fake.quality(variant, seed, dataset=dataset, elbo=level + seed / 10)
        for dataset in ("mnist", "fashion_mnist")
        for variant, level in levels.items()
        for seed in range(3)
    ]
    records += [fake.quality("iwae", 0, status="error", reason="boom"), *map(fake.throughput, levels)]
    made = report.write(fake.write(tmp_path, records, images=False))
    text = (tmp_path / "README.md").read_text()
    assert "13 quality runs and 2 throughput runs, 1 of them not ok (each is listed with its reason" in text
    by_dataset = groups.by_dataset(records)
    assert of_words == [(dataset, {record.id for record in members}) for dataset, members in by_dataset.items()]
    of_all = {"runs.csv": frame.runs_csv(records), "papers.bib": paper.write(paper.made(records), "bibtex")}
    for dataset, members in by_dataset.items():
        of_all[f"{dataset}.csv"] = frame.csv(members)
        of_all[f"{dataset}.md"] = blocks.markdown(tables.blocks(members, dataset))
        of_all[f"{dataset}.tex"] = paper.write(paper.made(members), "latex")
        assert f"\n## {dataset}\n" in text
    assert {path.name: path.read_text() for path in (tmp_path / "tables").iterdir()} == of_all
    # What columns mean, those of speeds too, and on the terminal what the runs answer.
    for name in ("elbo_nats", "train_samples_per_s"):
        assert f"**{grids.markdown_text(metrics.metric(name).header)}**: " in text
    assert "  the best ELBO: conv. " in made.terminal


@pytest.mark.usefixtures("of_words")
def test_why_nothing_compares_with_the_reference_is_on_the_page_and_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ([fake.quality("vanilla", 0, epochs=epochs)] for epochs in (10, 3))
    folders = {name: fake.write(tmp_path / name, runs, images=False) for name, runs in (("a", ours), ("b", theirs))}
    (folders["b"] / "runs" / "broken.json").write_text("{")
    made = report.write(folders["a"], reference=folders["b"])
    for text in ((folders["a"] / "README.md").read_text(), made.terminal):
        assert "which differs in budget.epochs (10 here, 3 there)." in " ".join(text.split()).replace("\\", "")
    assert [line.split(":")[0] for line in made.warnings if "broken.json" in line] == ["reference"]
    # What compares has its difference on the narrowest terminal.
    fake.write(folders["b"], [fake.quality("vanilla", 0, elbo=-90.0)], images=False)
    fake.write(folders["a"], [fake.quality("vanilla", 0, elbo=-91.5)], images=False)
    monkeypatch.setenv("COLUMNS", "40")
    assert "-1.50" in report.write(folders["a"], reference=folders["b"]).terminal


def test_a_row_stands_beside_the_one_of_its_own_settings_alone() -> None:
    ours = [fake.quality("beta", 0, elbo=-100.0, overrides={"beta": 2.0})]
    same, other = fake.quality("beta", 0, elbo=-103.0, overrides={"beta": 2.0}), fake.quality("beta", 0, elbo=-90.0)
    here = f"-100.00 ± {DASH}, 1 seed, cpu"
    there = f"-103.00 ± {DASH}, 1 seed, cpu"
    for theirs, wanted in (([same, other], [there, "+3.00"]), ([other, same], [there, "+3.00"]), ([other], [DASH] * 2)):
        (_, (line,)), notes = reference_comparison.against_reference(ours, theirs)
        assert ([cell.text for cell in line[2:]], notes) == ([here, *wanted], [])
    # Of groups without an ELBO nothing is said.
    without = [fake.quality("autoencoder", 0)]
    for theirs in (without, ours):
        (_, lines), notes = reference_comparison.against_reference(without, theirs)
        assert (lines, notes) == ([], [])


def test_a_page_with_patience_says_what_the_validation_split_chose() -> None:
    record = fake.quality("vanilla", 0)
    record.cell["budget"]["patience"] = 7
    assert "tuned" not in report._selection([record])
    record.cell["tuning"] = {}
    assert "The validation split chose the settings of tuned rows." in report._selection([record])
