"""Same machine, same commit, same seed: the same bytes, whatever runs beside a cell and wherever it was stopped."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cells import prepare, weights
from bench.cells.run import run_cell
from bench.engines.local import Local
from bench.records.record import Record, plain
from tests.helpers import cell, simulated, telling, work_off

PROVENANCE: dict[str, Any] = {"commit": None, "versions": {}}
SMALL = {"latent": 2, "hidden": [8]}
# Some of everything that draws: posterior samples, importance samples, local posteriors, annealing chains.
EVERYTHING = {
    "mi_points": 10,
    "gap_points": 4,
    "gap_steps": 3,
    "probe_points": 50,
    "ssim_points": 5,
    "ais_points": 3,
    "ais_steps": 4,
    "ais_chains": 2,
}
MADE = simulated("vanilla", overrides=SMALL, measure=EVERYTHING)


def figures(result: Record) -> str:
    """All that a record holds of numbers, but for the seconds."""
    assert result.status == "ok", result.reason
    return json.dumps([plain(result)[key] for key in ("metrics", "errors", "latent", "curve", "model")])


def outcome(made: dict[str, Any], **arguments: Any) -> tuple[str, bytes | None]:
    result, pictures = run_cell("quality", made, PROVENANCE, **arguments)
    return figures(result), pictures


@pytest.fixture(scope="module")
def expected() -> tuple[str, bytes | None]:
    return outcome(MADE)


def test_everything_was_measured(expected: tuple[str, bytes | None]) -> None:
    metrics = json.loads(expected[0])[0]
    assert {"elbo_nats", "nll_is5_nats", "mutual_information_nats", "approximation_gap_nats", "nll_ais_nats"} <= set(
        metrics
    )


@pytest.mark.parametrize("variant", ["iwae", "full_covariance", "beta_tc"])
def test_twice_on_binarised_images(variant: str) -> None:
    made = cell(variant, overrides=SMALL, measure={"nll_points": 20})
    assert outcome(made) == outcome(made)
    assert outcome(made)[0] != outcome(made | {"seed": 1})[0]


def test_what_was_drawn_before_does_not_matter(expected: tuple[str, bytes | None]) -> None:
    states = random.getstate(), np.random.get_state()
    try:
        random.seed(7)
        np.random.seed(7)
        torch.manual_seed(7)
        torch.rand(13)
        assert outcome(MADE) == expected
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def test_other_cells_beside_it_do_not_matter(tmp_path: Path, expected: tuple[str, bytes | None]) -> None:
    others = [MADE | {"seed": 1}, MADE | {"variant": "iwae"}]
    cells = [others[0], MADE, others[1]]
    records = work_off(Local(), cells, tmp_path, side_by_side=2, provenance=PROVENANCE)
    (found,) = (made for made in records if made.cell == MADE)
    assert figures(found) == expected[0]
    assert (tmp_path / "runs" / f"{found.id}.npz").read_bytes() == expected[1]


class Killed(BaseException):
    """The process ends here: nothing below may catch it."""


def never(*_: object, **__: object) -> None:
    raise AssertionError("trained again")


def test_killed_after_training_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: tuple[str, bytes | None]
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("bench.judge.evaluate", kill)
        with pytest.raises(Killed):
            outcome(MADE, out=tmp_path)
    assert weights.path(tmp_path, MADE).exists()
    monkeypatch.setattr(prepare, "train", never)
    assert outcome(MADE, out=tmp_path) == expected


def test_killed_in_the_middle_of_measuring_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: tuple[str, bytes | None]
) -> None:
    """Killed after every further step of the measurement, until a run comes through."""
    told: list[tuple[Any, ...]] = []

    def kill_after(count: int) -> Any:
        def on_measured(*progress: Any) -> None:
            told.append(progress)
            if len(told) == count:
                raise Killed

        return on_measured

    outcome(MADE, out=tmp_path / "whole", tell=telling(measured=kill_after(-1)))
    steps = len(told)
    assert steps > 3
    for count in range(1, steps + 1):
        told.clear()
        with pytest.raises(Killed):
            outcome(MADE, out=tmp_path / "parts", tell=telling(measured=kill_after(count)))
        monkeypatch.setattr(prepare, "train", never)
    told.clear()
    assert outcome(MADE, out=tmp_path / "parts", tell=telling(measured=kill_after(-1))) == expected


def test_what_was_measured_of_other_weights_is_not_used(tmp_path: Path) -> None:
    other = MADE | {"seed": 1}
    wanted, _ = outcome(other, out=tmp_path / "other")

    def kill(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        outcome(MADE, out=tmp_path, tell=telling(measured=kill))
    weights.path(tmp_path / "other", other).replace(weights.path(tmp_path, MADE))
    assert outcome(MADE, out=tmp_path)[0] == wanted


def test_killed_in_training_starts_again(tmp_path: Path, expected: tuple[str, bytes | None]) -> None:
    def kill(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        outcome(MADE, out=tmp_path, tell=telling(epochs=kill))
    assert outcome(MADE, out=tmp_path) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_is_that_of_the_record(threads: int) -> None:
    used: list[int] = []
    made = simulated("vanilla", overrides=SMALL, threads=threads)
    try:
        result, _ = run_cell("quality", made, PROVENANCE, tell=lambda _: used.append(torch.get_num_threads()))
    finally:
        torch.set_num_threads(1)
    assert result.cell["threads"] == threads
    assert set(used) == {threads}
