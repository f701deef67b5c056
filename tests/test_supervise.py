"""Cells in processes of their own: whatever one does, its record says so and its neighbours do not notice."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from bench import record, supervise
from bench.errors import MachineError
from bench.run import run_cell
from tests.helpers import simulated

pytestmark = pytest.mark.usefixtures("misbehaving")


def run_cells(cells: list[Any], out: Path, kind: str = "quality", **changes: Any) -> tuple[list[Any], int]:
    """Records in the order in which they came, and the epochs that were told."""
    told: list[Any] = []
    epochs: list[int] = []
    how: dict[str, Any] = {
        "jobs": 2,
        "timeout_s": 600,
        "provenance": {"commit": "abc"},
        "on_epoch": epochs.append,
        "on_measured": lambda *_: None,
        "on_record": lambda made, _: told.append(made),
    }
    supervise.run_cells(kind, cells, out, **how | changes)
    assert multiprocessing.active_children() == []
    return told, sum(epochs)


def test_cells_that_die_leave_a_record_and_their_neighbours_alone(tmp_path: Path) -> None:
    names = ["good", "dies", "raises_at_build", "killed", "dies_without_a_code", "loads_in_workers", "nan_in_training"]
    cells = [simulated(name, budget={"epochs": 2}) for name in [*names, "good"]]
    cells[-1]["seed"] = 1
    told, epochs = run_cells(cells, tmp_path)
    found = {(made["cell"]["variant"], made["cell"]["seed"]): made for made in told}
    assert {key: (made["status"], made["reason"]) for key, made in found.items()} == {
        ("good", 0): ("ok", None),
        ("dies", 0): ("error", "the cell's process exited with code 7 without a result"),
        ("raises_at_build", 0): ("error", "RuntimeError: no way to build this"),
        ("killed", 0): ("error", "the cell's process was killed by signal 9 without a result"),
        ("dies_without_a_code", 0): ("error", "the cell's process exited with code 0 without a result"),
        ("loads_in_workers", 0): ("ok", None),
        ("nan_in_training", 0): ("diverged", "training loss is nan in epoch 1"),
        ("good", 1): ("ok", None),
    }
    assert epochs == 2 * 5  # of the three cells that died nobody knows
    written, warnings = record.read_all(tmp_path)
    assert warnings == []
    assert sorted(written, key=lambda r: r["id"]) == sorted(told, key=lambda r: r["id"])
    # A process of its own changes no number, and a crashed neighbour none either.
    for seed in (0, 1):
        alone, artefacts = run_cell("quality", cells[0] | {"seed": seed}, {"commit": "abc"})
        beside = found["good", seed]
        assert (beside["metrics"], beside["curve"]) == (alone["metrics"], alone["curve"])
        picture = tmp_path / "runs" / f"{beside['id']}.npz"
        assert (picture.read_bytes() if picture.exists() else None) == artefacts


def test_throughput_cells(tmp_path: Path) -> None:
    told, _ = run_cells([simulated("good", kind="throughput")], tmp_path, kind="throughput", jobs=1)
    assert [made["status"] for made in told] == ["ok"]
    assert told[0]["metrics"]["train_samples_per_s"]["median"] > 0


def test_a_cell_that_hangs_is_ended(tmp_path: Path) -> None:
    told, _ = run_cells([simulated("hangs")], tmp_path, timeout_s=0.6)
    assert [(made["status"], made["reason"]) for made in told] == [("timeout", "not finished after 0.01 minutes")]
    assert json.loads(next((tmp_path / "runs").glob("*.json")).read_text()) == told[0]


def test_an_interrupt_ends_what_runs_and_keeps_what_finished(tmp_path: Path) -> None:
    def interrupt(_record: Any, _seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([simulated("good"), simulated("hangs"), simulated("vanilla")], tmp_path, on_record=interrupt)
    assert multiprocessing.active_children() == []
    assert [made["cell"]["variant"] for made in record.read_all(tmp_path)[0]] == ["good"]


def test_a_folder_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(MachineError, match="cannot write"):
        run_cells([simulated("dies"), simulated("hangs")], tmp_path / "out")
    assert multiprocessing.active_children() == []
