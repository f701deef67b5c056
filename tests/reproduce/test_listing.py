"""What `vaebench reproduce --list` says: what a run takes here, and what is computed already."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from bench import device as devices
from bench.cli import app
from bench.records import record, store
from bench.reproduce import cost, listing, published
from tests.helpers import call
from tests.reproduce.tiny import RECIPE, write


def finished(cell: dict[str, Any], train_s: float, device_name: str) -> record.Record:
    found = record.new("quality", cell, {"device_name": device_name})
    return replace(found, status="ok", timing={"train_s": train_s, "measure_s": 1.0})


def test_a_run_that_was_made_on_this_processor_is_no_estimate(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    cell = table.suite("short", table.rows[:1]).cells("cpu")[0]
    here, elsewhere = (finished(cell, 7.0, name) for name in (devices.describe("cpu"), "Another processor"))
    assert cost.known(cell, [elsewhere]) is None
    assert cost.known(cell | {"seed": 5}, [elsewhere, here]) == cost.Cost(7.0, 1.0, measured=True)
    assert cost.known(cell | {"budget": {"epochs": 9}}, [here]) is None


def test_an_estimate_grows_with_epochs_and_with_what_is_measured(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    cell = table.suite("short", table.chosen(["other"])).cells("cpu")[0]
    few, many = (cost.estimate(cell | {"budget": cell["budget"] | {"epochs": n}}) for n in (1, 1000))
    assert many.train_s > 20 * few.train_s > 0
    none, gaps = (
        cost.estimate(cell | {"measure": cell["measure"] | m}) for m in ({"nll_samples": 0}, {"gap_points": 99})
    )
    assert none.measure_s == 0
    assert gaps.measure_s > few.measure_s > 0


@pytest.mark.parametrize("variant", ["conditional", "semi_supervised"])
def test_a_row_that_is_shown_labels_has_an_estimate(tmp_path: Path, variant: str) -> None:
    table = published.load(str(write(tmp_path)))
    cell = table.suite("short", table.chosen(["other"])).cells("cpu")[0]
    cell |= {"variant": variant, "overrides": {"hidden": [8], "latent": 12}, "dataset": "digits"}
    found = cost.estimate(cell | {"data_options": {"labelled": 50}, "measure": cell["measure"] | {"gap_points": 1}})
    assert min(found.train_s, found.measure_s) > 0


def test_an_estimate_is_the_time_of_all_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only work moves: 3 s a step, 7 s a look, 1/4 s a sample and example, and gaps 5 s and 2 s a step.

    There are 100 validation and 100 test examples.
    """
    now = [0.0]

    def takes(seconds: Callable[..., float]) -> Callable[..., None]:
        def work(*given: Any, **how: Any) -> None:
            now[0] += seconds(*given, **how)

        return work

    monkeypatch.setattr(cost, "time", SimpleNamespace(process_time=lambda: now[0]))
    monkeypatch.setattr(cost, "stepper_for", lambda *_, **__: takes(lambda *_: 3.0))
    monkeypatch.setattr(cost, "scores", takes(lambda *_, **__: 7.0))
    monkeypatch.setattr(cost.evidence, "importance_weights", takes(lambda _, x, samples: 0.25 * samples * len(x)))
    monkeypatch.setattr(cost.gaps, "gaps", takes(lambda _, x, steps: (5.0 + 2.0 * steps) * len(x)))
    table = published.load(str(write(tmp_path)))
    plain = table.suite("short", table.chosen(["other"])).cells("cpu")[0]
    for epochs, batch, size in ((1, 100, 200), (4, 100, 200), (1, 20, 200), (1, 100, 600), (1, 100, None)):
        budget = {"epochs": epochs, "batch_size": batch, "train_size": size}
        found = cost.estimate(plain | {"budget": plain["budget"] | budget})
        assert found.train_s == pytest.approx(epochs * (3.0 * (size or 800) / batch + 7.0 * 100 / cost.EVAL_BATCH))
    for samples, points, asked, steps in (
        (0, None, 0, 10),
        (8, None, 0, 10),
        (8, 20, 0, 10),
        (8, 500, 0, 10),
        (0, None, 30, 10),
        (8, 20, 30, 50),
    ):
        measure = {"nll_samples": samples, "nll_points": points, "gap_points": asked, "gap_steps": steps}
        found = cost.estimate(plain | {"measure": plain["measure"] | measure})
        assert found.measure_s == pytest.approx(0.25 * samples * min(points or 100, 100) + asked * (5.0 + 2.0 * steps))


def test_the_list_names_rows_time_and_what_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    table = published.load(str(path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(listing, "default_jobs", lambda _: 2)
    out = Path("results") / "reproduce" / "tiny-short"
    broken, *done = table.suite("short", table.rows[:1]).cells("cpu")
    for cell in done:
        store.write(out, finished(cell, 3000.0, devices.describe("cpu")))
    store.write(out, record.new("quality", broken, {}, reason="it broke"))
    code, text, _ = call(capsys, "reproduce", str(path), "--list", "--device", "cpu")
    assert code == app.OK
    assert text.startswith("tiny: A tiny table (Nobody 2026)")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    first = lines.index("plain A linear model short 3 x 2 50 min 2/3 here")
    assert lines[first + 1].startswith("full 1 x 3 about")
    assert "Begin with --rows plain." in text
    assert "for what is missing here, 2 side by side. Begin" in " ".join(text.split())
    # One run of 50 minutes is missing, which `twin` is as well, beside others that take no time; two go side by side.
    assert "short: about 25 min for what is missing here" in text
    code, text, _ = call(capsys, "reproduce", str(path), "--list", "--device", "cpu", "--json")
    entries = {(entry["row"], entry["profile"]): entry for entry in json.loads(text)}
    assert (entries["plain", "short"]["here"], entries["plain", "short"]["seconds_per_run"]) == (2, 3001.0)
    assert (entries["plain", "full"]["here"], entries["plain", "full"]["measured"]) == (0, False)
    assert (entries["twin", "short"]["here"], entries["twin", "short"]["same_run_as"]) == (0, "plain")
    assert entries["other", "short"]["same_run_as"] is None


def test_a_broken_table_is_told_before_any_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, RECIPE.replace("title", "tilte", 1))
    code, out, err = call(capsys, "reproduce", str(path), "--list")
    assert (code, out) == (app.USAGE, "")
    assert "did you mean 'title'?" in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (100, "2 min"), (4000, "67 min"), (9000, "2.5 h"), (86400, "24 h"), (7 * 86400, "7.0 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert listing.duration(seconds) == text


def test_committed_runs_are_counted_beside_those_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    cells = published.load(str(path)).suite("short", published.load(str(path)).rows[:1]).cells("cpu")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(listing.page, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(listing, "default_jobs", lambda _: 1)
    monkeypatch.setattr(cost, "estimate", lambda _: cost.Cost(50.0, 10.0))
    monkeypatch.setattr(listing, "_estimates", {})
    for cell in cells:
        store.write(tmp_path / "reference" / "reproduce" / "tiny-short", finished(cell, 7.0, "Another processor"))
    store.write(Path("results") / "reproduce" / "tiny-short", finished(cells[0], 7.0, "Another processor"))
    code, text, _ = call(capsys, "reproduce", str(path), "--list", "--device", "cpu")
    assert code == app.OK
    words = " ".join(text.split())
    assert "short 3 x 2 about 60 s 1/3 here, 3/3 committed" in words
    assert "side by side" not in words


def test_a_run_of_which_a_time_is_missing_is_not_known(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    cell = table.suite("short", table.rows[:1]).cells("cpu")[0]
    whole = finished(cell, 7.0, devices.describe("cpu"))
    for key in whole.timing:
        assert cost.known(cell, [replace(whole, timing={key: 1.0})]) is None


def test_an_estimate_times_what_a_run_does_and_leaves_the_threads_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread, as a cell has; a step that is not timed, for it is slower; no log p(x) and no gaps where none are."""
    table = published.load(str(write(tmp_path)))
    plain = table.suite("short", table.chosen(["other"])).cells("cpu")[0]
    done: list[tuple[str, int]] = []

    def does(what: str) -> Callable[..., None]:
        return lambda *_, **__: done.append((what, torch.get_num_threads()))

    monkeypatch.setattr(cost, "stepper_for", lambda *_, **__: does("step"))
    monkeypatch.setattr(cost.evidence, "importance_weights", does("evidence"))
    monkeypatch.setattr(cost.gaps, "gaps", does("gaps"))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for variant, keys, wanted in (
            ("vanilla", {"hidden": [8]}, {"step": 1 + cost.STEPS, "evidence": 1, "gaps": 2}),
            ("autoencoder", {"hidden": [8]}, {"step": 1 + cost.STEPS}),
            ("gumbel_softmax", {"hidden": [8]}, {"step": 1 + cost.STEPS, "evidence": 1}),
        ):
            done.clear()
            made = plain | {"variant": variant, "overrides": keys, "measure": plain["measure"] | {"gap_points": 9}}
            cost.estimate(made)
            assert Counter(what for what, _ in done) == wanted
            assert {threads for _, threads in done} == {1}
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
