import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from tests.performance import micro

SOURCE = {"processor": "Example CPU", "torch": "2.9.0", "threads": 1, "commit": "0123456789abcdef", "dirty": False}
TIMES = {
    **{"test_reference[matmul]": 4e-3, "test_reference[dispatch]": 1e-3},
    **{"test_elbo[vanilla]": 8e-3, "test_elbo[conv]": 50e-3, "test_fetching": 100e-3},
}


def run(scale: float = 1.0, times: dict[str, float] = TIMES, **changed: float) -> dict[str, Any]:
    """`TIMES` on a machine that takes `scale` times as long, with changed benchmarks by a part of their names."""

    def factor(name: str) -> float:
        return scale * next((by for part, by in changed.items() if part in name), 1.0)

    return SOURCE | {"benchmarks": {name: {"median_s": t * factor(name), "iqr_s": t / 50} for name, t in times.items()}}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (run(conv=1.5), ["test_elbo[conv]", "1.50", "1.50", "0.075", "0.05", "slower"]),
        (run(fetching=0.5), ["test_elbo[vanilla]", "1.00", "1.00", "0.008", "0.008"]),
        # A slower machine is no slowdown, and on a faster one a slowdown shows.
        (run(scale=4), ["test_elbo[vanilla]", "1.00", "4.00", "0.032", "0.008"]),
        (run(scale=0.5, vanilla=1.6), ["test_elbo[vanilla]", "1.60", "0.80", "0.0064", "0.008", "slower"]),
        # 15 % are named, and no less.
        (run(conv=1.16), ["test_elbo[conv]", "1.16", "1.16", "0.058", "0.05", "slower"]),
        (run(conv=1.14), ["test_elbo[conv]", "1.14", "1.14", "0.057", "0.05"]),
    ],
)
def test_the_slowest_stands_first_with_the_machine_taken_out(now: dict[str, Any], expected: list[str]) -> None:
    lines = micro.compare(now, run()).splitlines()
    assert lines[3].split() == expected
    named = f"1 of 3 take more than 1.15 x the baseline's time: {expected[0]}"
    assert lines[-1] == (named if expected[-1] == "slower" else "0 of 3 take more than 1.15 x the baseline's time")


def test_notes_say_what_differs() -> None:
    here = run(times=TIMES | {"test_new": 1.0}, fetching=0.5) | {"processor": "Another CPU"}
    text = micro.compare(here, run())
    assert "note: processor is Another CPU here and Example CPU in the baseline" in text
    assert "torch is" not in text
    assert "not in the baseline: test_new" in text
    assert "  faster" in text
    assert "in the baseline alone: test_new" in micro.compare(run(), here)
    fewer = run(times={name: time for name, time in TIMES.items() if "dispatch" not in name})
    with pytest.raises(UsageError, match="the baseline has other reference work: write one"):
        micro.compare(fewer, run())


def test_the_command_line_writes_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, baseline = tmp_path / "run.json", tmp_path / "results" / "micro.json"
    stats = [{"fullname": f"bench_micro.py::{name}", "stats": {"median": t, "iqr": t}} for name, t in TIMES.items()]
    made.write_text(json.dumps({"machine_info": {}, "benchmarks": stats}))
    assert micro.main([str(made), "--baseline", str(baseline), "--write"]) == 0
    lines = baseline.read_text().splitlines()
    assert [line.split('"')[1] for line in lines if "median_s" in line] == sorted(TIMES)  # a line each
    assert micro.load(baseline).keys() == {"benchmarks", *SOURCE}
    assert micro.main([str(made), "--baseline", str(baseline)]) == 0
    assert "0 of 3 take more than 1.15 x the baseline's time" in capsys.readouterr().out
    assert len(micro.reference(micro.load(micro.BASELINE))) == 3  # the committed one


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"benchmarks": {}}', json.dumps({"benchmarks": {"a": {"median_s": 0, "iqr_s": 0}}})]
)
def test_a_bad_baseline_is_one_clear_line(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "micro.json").write_text(content)
    assert micro.main([str(tmp_path / "micro.json")]) == 2
    error = capsys.readouterr().err
    assert "write one with make bench-micro BASELINE=write" in error
    assert error.count("\n") == 1
