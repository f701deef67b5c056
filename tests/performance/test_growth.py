import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.errors import MachineError, UsageError
from tests.performance import growth, growth_page, laws
from tests.performance.laws import Series

SOURCE = {
    "commit": "0123456789abcdef",
    "dirty": False,
    "versions": {"python": "3.12.0", "torch": "2.9.0"},
    "cpu_count": 2,
    "processor": "Example CPU",
    "threads": growth.THREADS,
    "started": "2026-01-02T03:04:05+00:00",
}


def point(series: str, size: int, repeat: int, seconds: float, memory_mb: float, **extra: Any) -> dict[str, Any]:
    figures = {"seconds": seconds, "memory_mb": memory_mb}
    return {"series": series, "size": size, "repeat": repeat, **figures, **extra, "provenance": SOURCE}


def synthetic(power: float = 1.0, axes: Sequence[str] = tuple(laws.AXES)) -> list[dict[str, Any]]:
    """Every series at every size: time 0.01 + 1e-4 x^power, memory 50 MB above a floor of 100."""
    points = [point("floor", 0, repeat, 0.0, 100.0) for repeat in range(3)]
    for series in laws.select(axes):
        for size in series.sizes:
            extra = {"parameters": 1000 + size} if series.axis == "latent" else {}
            points += [
                point(series.name, size, repeat, (0.01 + 1e-4 * size**power) * (1 + 0.01 * repeat), 150.0, **extra)
                for repeat in range(3)
            ]
    return points


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine calls itself."""
    monkeypatch.setattr(growth, "_here", lambda: {key: value for key, value in SOURCE.items() if key != "started"})


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_slope_of_a_power(power: float) -> None:
    x = [1.0, 10.0, 50.0, 400.0]
    assert laws.slope(x, [3 * value**power for value in x]) == pytest.approx(power)


def test_slope_reads_the_upper_half_alone() -> None:
    assert laws.slope([1, 2, 10, 100], [7, 9, 1, 10]) == pytest.approx(1)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_law_finds_the_part_that_grows_below_a_large_fixed_one(power: float) -> None:
    x = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    found = laws.law(x, [5 + 3 * (value / 200) ** power for value in x])
    assert found.exponent == pytest.approx(power)
    assert found.fixed == pytest.approx(5)
    # The slope alone does not show it.
    assert laws.slope(x, [5 + 3 * (value / 200) ** power for value in x]) < 0.5


def test_law_of_what_does_not_grow() -> None:
    assert laws.law([1, 10, 100, 1000], [5.0, 5.01, 4.99, 5.0]).exponent is None


def test_law_without_a_fixed_part() -> None:
    found = laws.law([1, 10, 100, 1000], [2.0, 20.0, 200.0, 2000.0])
    assert found.exponent == pytest.approx(1)
    assert found.fixed == pytest.approx(0, abs=1e-6)


def test_verdict_has_slack_on_one_side() -> None:
    assert laws.verdict(1.1, 1) == laws.verdict(0.2, 1) == "within"
    assert laws.verdict(1.2, 1) == "steeper than expected"


def test_series_are_distinct_and_on_known_axes() -> None:
    assert len({series.name for series in laws.SERIES}) == len(laws.SERIES)
    for series in laws.SERIES:
        assert series.axis in laws.AXES
        assert list(series.sizes) == sorted(set(series.sizes))
        assert len(series.sizes) >= 3
    assert {series.axis for series in laws.select(["cells"])} == {"cells"}


def test_page_of_what_grows_as_expected(tmp_path: Path) -> None:
    series = laws.select(["latent"])
    text = growth_page.write(tmp_path, synthetic(axes=["latent"]))
    page = (tmp_path / "README.md").read_text()
    assert f"{len(series)} of {len(series)} series grow no faster than expected." in page
    assert "steeper than expected" not in text
    assert "Example CPU" in page
    assert "1,200" in page  # parameters at d = 200
    rows = (tmp_path / "growth.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(len(found.sizes) for found in series)
    assert rows[1].startswith("latent_diagonal,2,3,")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert "peak memory above the floor" in (tmp_path / "growth.svg").read_text()


def test_page_names_what_is_steeper() -> None:
    points = synthetic(power=2)
    page = growth_page._page(growth_page.lines(points), points)
    assert "examples N: resident (time steeper than expected)" in page
    assert "full covariance (time" not in page  # two was expected of it


def test_page_names_memory_that_should_be_flat() -> None:
    points = [p | {"memory_mb": 100.0 + p["size"]} if p["series"] == "samples_evidence" else p for p in synthetic()]
    (line,) = [line for line in growth_page.lines(points) if line.series.name == "samples_evidence"]
    assert line.verdict() == "memory steeper than expected"


def test_memory_at_the_floor_is_flat() -> None:
    points = [
        p | {"memory_mb": 100.0 + p["size"] / 50} if p["series"] == "cells_supervisor" else p for p in synthetic()
    ]
    (line,) = [line for line in growth_page.lines(points) if line.series.name == "cells_supervisor"]
    assert line.verdict() == "within"


def test_page_needs_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two sizes"):
        growth_page.write(tmp_path, synthetic()[:4])


def tiny(name: str, *sizes: int) -> Series:
    return Series(name, name.split("_")[0], name, sizes, "step", 1, 1, "")


@pytest.mark.usefixtures("here")
def test_finished_points_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def measured(task: str, name: str, size: int, _: Path) -> dict[str, Any]:
        assert task == "measure"
        asked.append((name, size))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"seconds": 1.0, "memory_mb": 2.0}

    monkeypatch.setattr(growth, "in_process", measured)
    series = [tiny("latent_full", 2, 5)]
    with pytest.raises(KeyboardInterrupt):
        growth.run(tmp_path, series, 3, lambda _: None)
    assert len(growth.read(tmp_path)) == 2
    points = growth.run(tmp_path, series, 3, lambda _: None)
    # All once, then all again; what was done is not asked for twice, and what was stopped is.
    assert asked[:5] == [("floor", 0), ("latent_full", 2), ("latent_full", 5), ("latent_full", 5), ("floor", 0)]
    assert len(points) == 9
    assert growth.read(tmp_path) == points
    assert points[0]["provenance"].keys() == SOURCE.keys()
    before = len(asked)
    growth.run(tmp_path, series, 3, lambda _: None)
    assert len(asked) == before


@pytest.mark.usefixtures("here")
def test_files_are_made_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def noted(task: str, _name: str, size: int, _: Path) -> dict[str, Any]:
        asked.append((task, size))
        return {"seconds": 1.0, "memory_mb": 2.0}

    monkeypatch.setattr(growth, "in_process", noted)
    growth.run(tmp_path, [tiny("data_streamed", 10, 20)], 3, lambda _: None)
    assert asked[:3] == [("prepare", 10), ("prepare", 20), ("measure", 0)]
    assert [task for task, _ in asked].count("prepare") == 2


@pytest.mark.usefixtures("here")
def test_points_of_another_machine_are_refused(tmp_path: Path) -> None:
    other = point("floor", 0, 0, 0.0, 1.0)
    other["provenance"] = SOURCE | {"processor": "Another CPU"}
    (tmp_path / "points.jsonl").write_text(json.dumps(other) + "\n")
    with pytest.raises(UsageError, match="processor Another CPU, and this is Example CPU: choose another folder"):
        growth.run(tmp_path, [tiny("latent_full", 2, 5)], 3, lambda _: None)


def test_report_writes_the_pages_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "points.jsonl").write_text("".join(json.dumps(p) + "\n" for p in synthetic(axes=["samples"])))
    assert growth.main(["--report", str(tmp_path)]) == 0
    assert "within" in capsys.readouterr().out
    first = (tmp_path / "README.md").read_bytes(), (tmp_path / "growth.png").read_bytes()
    assert growth.main(["--report", str(tmp_path)]) == 0
    assert ((tmp_path / "README.md").read_bytes(), (tmp_path / "growth.png").read_bytes()) == first


@pytest.mark.parametrize(
    ("words", "content", "line"),
    [
        (["--repeats", "2"], None, "--repeats must be at least 3, got 2"),
        (["--axes", "colour"], None, "invalid choice: 'colour'"),
        (["--report", "{out}"], None, "does not exist: measure first, without --report"),
        (["--report", "{out}"], "{}\n", "does not hold points of this benchmark"),
        (["--report", "{out}"], "half a li", "does not hold points of this benchmark"),
    ],
)
def test_usage_errors_are_one_line(
    words: list[str], content: str | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "points.jsonl").write_text(content)
    assert growth.main([word.format(out=tmp_path) for word in words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_point_in_its_own_process(tmp_path: Path) -> None:
    found = growth.in_process("measure", "latent_full", 2, tmp_path)
    assert found["seconds"] > 0
    assert found["memory_mb"] > 10
    assert found["parameters"] > 0
    with pytest.raises(MachineError, match=r"latent_round at 2 could not be measured: .*round"):
        growth.in_process("measure", "latent_round", 2, tmp_path)
