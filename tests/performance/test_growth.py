import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.errors import MachineError, UsageError
from tests.helpers import ROOT
from tests.performance import growth, growth_page, laws
from tests.performance.laws import Series

COMMITTED = ROOT / "results" / "reference" / "growth"
SOURCE = {
    **{"commit": "0123456789abcdef", "dirty": False, "versions": {"python": "3.12.0", "torch": "2.9.0"}},
    **{"cpu_count": 2, "processor": "Example CPU", "threads": growth.THREADS, "started": "2026-01-02T03:04:05+00:00"},
}
TINY = Series("latent_full", "full", (2, 5), "step", 1, 1, "")


def point(series: str, size: int, repeat: int, seconds: float, memory_mb: float, **extra: Any) -> dict[str, Any]:
    figures = {"seconds": seconds, "memory_mb": memory_mb}
    return {"series": series, "size": size, "repeat": repeat, **figures, **extra, "provenance": SOURCE}


def synthetic(power: float = 1.0, axes: Sequence[str] = tuple(laws.AXES)) -> list[dict[str, Any]]:
    """Every series at every size: time 0.01 + 1e-4 x^power, memory 50 MB above a floor of 100."""
    points = [point("floor", 0, repeat, 0.0, 100.0) for repeat in range(3)]
    for series in laws.select(axes):
        for size in series.sizes:
            seconds = 0.01 + 1e-4 * size**power
            points += [point(series.name, size, repeat, seconds * (1 + 0.01 * repeat), 150.0) for repeat in range(3)]
    return points


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_slope_of_a_power_is_read_off_the_upper_half(power: float) -> None:
    x = [1.0, 10.0, 50.0, 400.0]
    assert laws.slope(x, [7, 9, *(3 * value**power for value in x[2:])]) == pytest.approx(power)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_that_of_the_part_that_grows_below_a_large_fixed_one(power: float) -> None:
    x = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    for fixed in (5, 0):
        assert laws.exponent(x, [fixed + 3 * (value / 200) ** power for value in x]) == pytest.approx(power)
    # The slope alone does not show it.
    assert laws.slope(x, [5 + 3 * (value / 200) ** power for value in x]) < 0.5
    assert laws.exponent(x, [5.0, 5.01, 4.99, 5.0, 5.0, 5.01, 5.0]) is None


def test_the_committed_page_is_that_of_the_committed_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / growth.POINTS).write_bytes((COMMITTED / growth.POINTS).read_bytes())
    assert growth.main(["--report", str(tmp_path)]) == 0
    assert "within" in capsys.readouterr().out
    for name in ("growth.csv", "growth.md", "README.md"):
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes(), name
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert "peak memory above the floor" in (tmp_path / "growth.svg").read_text()


def line_of(points: Sequence[dict[str, Any]], name: str) -> growth_page.Line:
    (line,) = [line for line in growth_page.lines(points) if line.series.name == name]
    return line


def test_the_page_names_what_is_steeper_than_expected(tmp_path: Path) -> None:
    growth_page.write(tmp_path, synthetic(power=2, axes=["data", "latent"]))
    page = (tmp_path / "README.md").read_text()
    assert "examples N: resident (time steeper than expected)" in page
    assert "full covariance (time" not in page  # two was expected of it
    leaks = [p | {"memory_mb": 100.0 + p["size"]} if p["series"] == "samples_evidence" else p for p in synthetic()]
    assert line_of(leaks, "samples_evidence").verdict() == "memory steeper than expected"
    # A few megabytes above the floor are flat.
    small = [p | {"memory_mb": 100.0 + p["size"] / 50} if p["series"] == "cells_supervisor" else p for p in synthetic()]
    assert line_of(small, "cells_supervisor").verdict() == "within"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What is asked of processes: task, series, size. The third point is interrupted; the machine is an example."""
    asked: list[tuple[str, str, int]] = []

    def measured(task: str, name: str, size: int, _: str) -> dict[str, Any]:
        asked.append((task, name, size))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"seconds": 1.0, "memory_mb": 2.0}

    monkeypatch.setattr(growth, "in_process", measured)
    monkeypatch.setattr(growth, "_here", lambda: {key: value for key, value in SOURCE.items() if key != "started"})
    return asked


def test_finished_points_are_kept(tmp_path: Path, asked: list[tuple[str, str, int]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        growth.run(tmp_path, [TINY], 3, lambda _: None)
    assert len(growth.read(tmp_path)) == 2
    points = growth.run(tmp_path, [TINY], 3, lambda _: None)
    # All once, then all again; what was done is not asked for twice, and what was stopped is.
    names = [("measure", name, size) for name, size in (("floor", 0), ("latent_full", 2), ("latent_full", 5))]
    assert asked == [*names, names[2], *names, *names]
    assert growth.run(tmp_path, [TINY], 3, lambda _: None) == points == growth.read(tmp_path)
    assert points[0]["provenance"].keys() == SOURCE.keys()


def test_files_are_made_before_anything_is_measured(tmp_path: Path, asked: list[tuple[str, str, int]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        growth.run(tmp_path, [Series("data_streamed", "", (10, 20), "pass", 1, 1, "")], 3, lambda _: None)
    assert asked == [("prepare", "data_streamed", 10), ("prepare", "data_streamed", 20), ("measure", "floor", 0)]


def test_points_of_another_machine_are_refused(tmp_path: Path, asked: list[tuple[str, str, int]]) -> None:
    other = point("floor", 0, 0, 0.0, 1.0) | {"provenance": SOURCE | {"processor": "Another CPU"}}
    (tmp_path / growth.POINTS).write_text(json.dumps(other) + "\n")
    with pytest.raises(UsageError, match="processor Another CPU, and this is Example CPU: choose another folder"):
        growth.run(tmp_path, [TINY], 3, lambda _: None)
    assert not asked


@pytest.mark.parametrize(
    ("words", "content", "line"),
    [
        (["--repeats", "2"], None, "--repeats must be at least 3, got 2"),
        (["--axes", "colour"], None, '"colour"'),
        (["--report", "{out}"], None, "no series has been measured"),
        (["--report", "{out}"], "half a li", "does not hold points of this benchmark"),
    ],
)
def test_usage_errors_are_one_line(
    words: list[str], content: str | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / growth.POINTS).write_text(content)
    assert growth.main([word.format(out=tmp_path) for word in words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_point_in_its_own_process(tmp_path: Path) -> None:
    figures = growth.in_process("measure", "latent_full", 2, str(tmp_path))
    assert figures["seconds"] > 0
    assert figures["memory_mb"] > 10
    assert figures["parameters"] > 0
    with pytest.raises(MachineError, match=r"latent_round at 2 could not be measured: .*round"):
        growth.in_process("measure", "latent_round", 2, str(tmp_path))
