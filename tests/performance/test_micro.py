import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from tests.performance import micro
from tests.performance.micro import Run

SOURCE = {"processor": "Example CPU", "torch": "2.9.0", "threads": 1, "commit": "0123456789abcdef", "dirty": False}
TIMES = {
    "test_reference[matmul]": (4e-3, 1e-4),
    "test_reference[dispatch]": (1e-3, 1e-5),
    "test_elbo[vanilla]": (8e-3, 2e-4),
    "test_elbo[conv]": (50e-3, 2e-3),
    "test_fetching": (100e-3, 2e-3),
}


def run(scale: float = 1.0, **changed: float) -> Run:
    """`TIMES` on a machine that takes `scale` times as long, with changed benchmarks by the end of their names."""

    def factor(name: str) -> float:
        return scale * next((by for end, by in changed.items() if end in name), 1.0)

    return Run({name: (m * factor(name), i * factor(name)) for name, (m, i) in TIMES.items()}, SOURCE)


def pytest_file(path: Path, times: dict[str, tuple[Any, float]]) -> Path:
    found = [
        {
            "fullname": f"tests/performance/bench_micro.py::{name}",
            "stats": {"median": median, "iqr": iqr, "data": [median] * 5},
        }
        for name, (median, iqr) in times.items()
    ]
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": found}))
    return path


def test_the_reference_is_a_geometric_mean_of_the_reference_work() -> None:
    assert run().reference == pytest.approx(2e-3)
    assert set(run().benchmarks) == {"test_elbo[vanilla]", "test_elbo[conv]", "test_fetching"}


def test_a_slowdown_is_flagged_and_stands_first() -> None:
    first, *others = micro.compare(run(conv=1.5), run())
    assert first.name == "test_elbo[conv]"
    assert first.ratio == pytest.approx(1.5)
    assert first.mark == "slower"
    assert [found.mark for found in others] == ["", ""]


def test_a_slower_machine_is_no_slowdown() -> None:
    for found in micro.compare(run(scale=3), run()):
        assert found.ratio == pytest.approx(1)
        assert found.raw == pytest.approx(3)
        assert found.mark == ""


def test_a_slowdown_shows_on_a_faster_machine() -> None:
    first = micro.compare(run(scale=0.5, vanilla=1.6), run())[0]
    assert (first.name, first.mark) == ("test_elbo[vanilla]", "slower")
    assert first.raw == pytest.approx(0.8)


def test_text_has_a_line_a_benchmark_and_notes() -> None:
    here = Run(run(conv=1.5, fetching=0.5).times, SOURCE | {"processor": "Another CPU"})
    lines = micro.text(here, run()).splitlines()
    assert "note: processor is Another CPU here and Example CPU in the baseline" in lines
    assert not any("torch is" in line for line in lines)
    (conv,) = [line for line in lines if line.startswith("test_elbo[conv]")]
    assert conv.split() == ["test_elbo[conv]", "1.50", "1.50", "75", "ms", "50", "ms", "slower"]
    assert any(line.startswith("test_fetching") and line.endswith("faster") for line in lines)
    assert lines[-1] == "1 of 3 are more than 1.25 x slower than the baseline"


def test_text_names_what_only_one_run_has() -> None:
    extra = Run(TIMES | {"test_new": (1.0, 0.1)}, SOURCE)
    assert "not in the baseline: test_new" in micro.text(extra, run())
    assert "in the baseline alone: test_new" in micro.text(run(), extra)


def test_a_baseline_survives_writing(tmp_path: Path) -> None:
    now = micro.of_pytest(pytest_file(tmp_path / "run.json", TIMES))
    path = tmp_path / "results" / "micro.json"
    micro.write(path, now, SOURCE)
    kept = micro.read(path)
    assert kept.times == TIMES
    assert kept.source == {key: SOURCE[key] for key in ("processor", "torch", "threads", "commit")}
    lines = path.read_text().splitlines()
    names = [line.split('"')[1] for line in lines if "median_s" in line]
    assert names == sorted(TIMES)  # a line each, sorted


def test_command_line_writes_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, baseline = pytest_file(tmp_path / "run.json", TIMES), tmp_path / "micro.json"
    assert micro.main([str(made), "--baseline", str(baseline), "--write"]) == 0
    assert micro.main([str(made), "--baseline", str(baseline)]) == 0
    assert "0 of 3 are more than 1.25 x slower" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "no baseline"),
        ("{", "is not JSON"),
        ("[]", "is no baseline"),
        ('{"benchmarks": {}}', "is no baseline"),
        (
            json.dumps({**SOURCE, "benchmarks": {"a": {"median_s": 0, "iqr_s": 0}}}),
            "median of a is 0",
        ),
    ],
)
def test_a_bad_baseline_is_one_clear_line(
    content: str | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "micro.json"
    if content is not None:
        baseline.write_text(content)
    made = pytest_file(tmp_path / "run.json", TIMES)
    assert micro.main([str(made), "--baseline", str(baseline)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_run_without_reference_work_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = pytest_file(tmp_path / "run.json", {"test_elbo[vanilla]": (1.0, 0.1)})
    assert micro.main([str(made)]) == 2
    assert "it needs benchmarks and reference work" in capsys.readouterr().err


def test_other_reference_work_is_no_yardstick() -> None:
    fewer = Run({name: time for name, time in TIMES.items() if "dispatch" not in name}, SOURCE)
    with pytest.raises(UsageError, match="the baseline has other reference work: write a new one"):
        micro.compare(fewer, run())
