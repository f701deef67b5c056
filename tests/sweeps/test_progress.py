"""What is shown while cells run."""

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench.cells.events import Done, Epochs, Measured, Note
from bench.records.record import TRIAL, Timed
from bench.suites.search import FIRST_SEED
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


def test_a_measurement_is_told_of_after_quiet_seconds_and_on_a_terminal_at_the_end_of_its_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    cells = [simulated("vanilla", seed=seed) for seed in range(2)]
    for terminal in (False, True):
        monkeypatch.setattr(progress.sys.stderr, "isatty", lambda terminal=terminal: terminal)
        now[0] = 0.0
        shown, said = Progress(cells), list[int]()
        for second in (10, 31, 50, 60, 70):
            capsys.readouterr()
            now[0] = second
            shown.tell(Measured(cells[0], "nll", second, 99))
            said += [second] if f"linear_gaussian vanilla seed 0: nll {second}/99\n" in capsys.readouterr().err else []
        assert said == ([] if terminal else [31, 70])
        shown.tell(Done(replace(fake.quality(), cell=cells[0])))
        err = capsys.readouterr().err
        assert ("; about 70 s left" in err) is not terminal
        if terminal:
            assert shown.bar.postfix == "linear_gaussian vanilla seed 0: nll 70/99"
            assert shown.bar.desc.startswith("about 70 s left")
        shown.close()


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
    # What is timed has the machine to itself.
    timing = plan.line({"throughput": missing["throughput"]}, tmp_path, side=2, works={})
    assert timing == f"Plan: 1 run to time, on cpu, into {tmp_path}"
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
    for second in (2, 3):  # of the same moment nobody knows which was first
        os.utime(made, (second, second))
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
        took(fake.quality("vanilla", 0, binarise="fixed"), 1e6, 1e6),
    ]
    plain = fake.quality("vanilla", 0)
    for key, value in (("measure", {"elbo_samples": 99}), ("data_options", {"n": 9})):
        earlier.append(took(replace(plain, cell=plain.cell | {key: value}), 1e6, 1e6))
    wanted = {"quality": [fake.quality(name, 7).cell for name in ("vanilla", "conv", "beta")]}
    found = list(plan.expected(wanted, earlier, None).values())
    assert found == [plan.Work(11.0, 1.0), plan.Work(101.0, 5.0), plan.Work(56.0, 3.0)]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_seconds_are_said_in_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert plan.duration(seconds) == words


def test_a_plan_names_what_there_is_to_do_and_where() -> None:
    quality, timed = fake.quality().cell, throughput_cell(device="cuda")

    def line(side: int | None = None, **wanted: list[Any]) -> str:
        return plan.line(wanted, Path("out"), side=side, works={})

    assert line(quality=[quality], throughput=[]) == "Plan: 1 run to train and score, on cpu, into out"
    assert line(side=1, quality=[], throughput=[timed] * 2) == "Plan: 2 runs to time, on cuda, into out"
    assert line(quality=[quality] * 3, throughput=[timed]) == (
        "Plan: 3 runs to train and score, 1 to time, on cpu and cuda, into out"
    )
    assert line(trial=[quality] * 4, quality=[quality]) == (
        "Plan: 4 runs to choose settings by, 1 to train and score, on cpu, into out"
    )
    assert line(oracle=[quality]) == "Plan: 1 run to check, on cpu, into out"


def test_a_finished_run_is_told_by_what_was_measured_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    plain, timed = fake.quality("vanilla", elbo=-98.765), fake.throughput()
    blind = fake.quality("autoencoder")
    tuning = {"trial": 0, "settings": {"lr": 0.01, "beta": 4.0}, "overrides": {}, "search": {"metric": "elbo_nats"}}
    trial = replace(
        plain,
        kind=TRIAL,
        cell=plain.cell | {"tuning": tuning, "seed": FIRST_SEED, "overrides": {"beta": 4.0}},
        metrics={"valid_elbo_nats": -97.126},
    )
    tuned = replace(plain, cell=trial.cell | {"seed": 1})
    failed = fake.quality("conv", 2, status="error", reason="it broke")
    records = [plain, timed, blind, trial, tuned, failed]
    shown = Progress([record.cell for record in records])
    for record in records:
        shown.tell(Done(record, None, 1.25))
    shown.close()
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    speed = timed.metrics["train_samples_per_s"]
    assert isinstance(speed, Timed)
    assert said == [
        "mnist vanilla seed 0: ELBO -98.77 nats (1.2 s)",
        f"mnist vanilla throughput on cpu: trains {speed.median:,.0f} samples/s (1.2 s)",
        f"mnist autoencoder seed 0: reconstruction only, squared error {blind.metrics['mse_per_pixel']:.4f} per pixel "
        "(1.2 s)",
        "mnist vanilla beta=4.0 lr=0.01 trial 0: validation ELBO -97.13 nats (1.2 s)",
        "mnist vanilla beta=4.0 lr=0.01 seed 1: ELBO -98.77 nats (1.2 s)",
        "mnist conv seed 2: ERROR, it broke (1.2 s)",
    ]
