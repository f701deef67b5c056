"""What is shown while cells run."""

import pytest
from msgspec.structs import replace

from bench.cells.events import Done, Epochs, Measured, Note
from bench.sweeps import progress
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
