"""What is shown while cells run."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.cells.events import Done, Epochs, Measured, Note
from bench.sweeps import plan, progress
from bench.sweeps.progress import Progress
from tests import fake_records as fake
from tests.helpers import simulated, throughput_cell


def test_epochs_count_once_however_often_a_cell_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    first, second = (simulated("vanilla", seed=seed, budget={"epochs": 5}) for seed in (0, 1))
    shown = Progress([first, second, throughput_cell()])
    assert shown.bar.total == 10
    # Its worker was lost after three epochs; the other cell was trained before, and tells of none.
    for event in (Epochs(first, 2), Epochs(first, 3), Epochs(first, 1), Epochs(first, 4)):
        shown.tell(event)
    assert shown.bar.n == 4
    for cell in (first, second):
        shown.tell(Done(replace(fake.quality(), cell=cell)))
    assert (shown.bar.n, shown.done) == (10, 2)
    shown.close()


def test_lines_tell_of_notes_and_of_a_measurement_that_is_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, cell = Progress([simulated("vanilla")]), simulated("vanilla")
    shown.tell(Measured(cell, "nll", 1, 7))
    monkeypatch.setattr(progress, "QUIET_S", -1)
    shown.tell(Measured(cell, "nll", 2, 7))
    shown.tell(Note(throughput_cell(), "an odd\nline"))
    name = "linear_gaussian vanilla seed 0"
    assert capsys.readouterr().err == f"{name}: nll 2/7\ndigits vanilla throughput on cpu: an odd line\n"


def test_a_plan_says_how_long_by_what_such_runs_have_taken(tmp_path: Path) -> None:
    earlier = [fake.quality("vanilla", seed) for seed in range(3)]  # 61.2, 62.2, 63.2 s of training, 9.3 of the rest
    # One that was stopped says nothing of how long the others take.
    earlier.append(fake.quality("vanilla", 400, status="timeout"))
    missing = {
        "quality": [fake.quality(name, 3).cell for name in ("vanilla", "conv")],
        "throughput": [throughput_cell() | {"blocks": 5, "block_s": 0.2}],
    }
    works = plan.expected(missing, earlier, 2)
    vanilla, conv, timed = works.values()
    assert (vanilla.train_s, vanilla.rest_s) == pytest.approx((31.1, 4.65))
    assert conv == vanilla  # no earlier run of it: the mean of the others
    assert timed == plan.Work(0.0, 2.0 + 4 * 5 * 0.2)
    line = plan.line(missing, tmp_path, side=2, works=works)
    where = f"on cpu, 2 side by side, into {tmp_path}, about 78 s by earlier runs"
    assert line == f"Plan: 2 runs to train and score, 1 to time, {where}"
    assert plan.expected(missing, [], 2) == {}
    assert plan.line(missing, tmp_path, side=None, works={}).endswith(f"on cpu, into {tmp_path}")


def test_the_rest_is_estimated_by_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [fake.quality(name, 0) for name in ("vanilla", "conv", "beta")]
    works = {r.id: plan.Work(0.7 * seconds, 0.3 * seconds) for r, seconds in zip(records, (10, 30, 60), strict=True)}
    now = iter((0.0, 0.0, 0.0, *[20.0] * 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    shown = Progress([r.cell for r in records], works)
    assert shown.left() is None
    shown.tell(Done(records[0]))
    assert shown.left() == pytest.approx(180)  # 10 of 100 seconds of work took 20
    assert [plan.duration(seconds) for seconds in (0.2, 89, 180, 6000)] == ["1 s", "89 s", "3 min", "1.7 h"]
    shown.close()


def test_a_page_is_up_to_date_until_a_record_is_newer(tmp_path: Path) -> None:
    assert not plan.up_to_date(tmp_path)
    made = tmp_path / "runs" / "a.json"
    made.parent.mkdir()
    for path, second in ((made, 1), (tmp_path / "report.html", 2)):
        path.touch()
        os.utime(path, (second, second))
    assert plan.up_to_date(tmp_path)
    os.utime(made, (3, 3))
    assert not plan.up_to_date(tmp_path)


def test_runs_of_which_nothing_is_known_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    records = [fake.quality(name, 0) for name in ("vanilla", "conv", "beta")]
    shown = Progress([record.cell for record in records])
    shown.tell(Done(records[0]))
    assert shown.left() is None  # the clock has not moved
    now[0] = 30.0
    assert shown.left() == pytest.approx(60)
    for record in records[1:]:
        shown.tell(Done(record))
    assert shown.left() is None
    shown.close()


def test_how_long_the_rest_takes_is_said_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    records = [fake.quality("vanilla", seed) for seed in range(12)]
    shown = Progress([record.cell for record in records])
    for record in records:
        now[0] += 6.0
        shown.tell(Done(record))
    lines = capsys.readouterr().err.splitlines()
    assert [" left" in line for line in lines] == [False, True] * 5 + [False, False]
    assert lines[1].endswith("; about 60 s left")
    assert [line.split("]")[0] for line in lines[:2]] == ["[ 1/12", "[ 2/12"]
    shown.close()


def test_a_run_is_expected_to_take_what_runs_of_its_own_settings_took() -> None:
    def took(record: fake.Record, train: float, rest: float) -> fake.Record:
        return replace(record, timing={"train_s": train, "measure_s": rest})

    earlier = [
        *(took(fake.quality("vanilla", seed), 10.0 + seed, 1.0) for seed in range(3)),
        took(fake.quality("conv", 0), 101.0, 5.0),
        took(fake.quality("vanilla", 0, epochs=99), 1e6, 1e6),
        took(fake.quality("vanilla", 0, device="cuda"), 1e6, 1e6),
        took(fake.quality("vanilla", 0, dataset="digits"), 1e6, 1e6),
        took(fake.quality("vanilla", 0, overrides={"latent": 50}), 1e6, 1e6),
        took(fake.quality("vanilla", 0, precision="bf16"), 1e6, 1e6),
    ]
    wanted = {"quality": [fake.quality(name, 7).cell for name in ("vanilla", "conv", "beta")]}
    found = list(plan.expected(wanted, earlier, None).values())
    assert found == [plan.Work(11.0, 1.0), plan.Work(101.0, 5.0), plan.Work(56.0, 3.0)]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_seconds_are_said_in_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert plan.duration(seconds) == words
