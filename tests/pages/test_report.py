"""A folder of records becomes a page, and the page can be believed."""

import json
import re
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.pages import origins, reference_comparison, report
from bench.records.record import Origin, plain
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


def test_a_page_says_that_the_best_epoch_was_chosen_where_any_run_had_a_patience() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    assert report._selection(records).startswith("Nothing was selected: a model is judged with its last weights")
    records[1].cell["budget"]["patience"] = 7
    assert "the best epoch's weights are judged; else the last weights are" in report._selection(records)
