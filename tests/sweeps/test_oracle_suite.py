"""The suite's file, its cells, and the command line end to end."""

import contextlib
import copy
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench import cli
from bench.errors import UsageError
from bench.judge import bounds
from bench.oracle import checks
from bench.pages import oracle
from bench.records import record, schema, store
from bench.suites import suite as suites
from bench.suites.oracle import configure, parse
from bench.sweeps import execute
from bench.text import DASH
from tests.helpers import call, refused
from tests.oracle.tiny import TINY

TINY_CELL = parse("tiny", TINY).cells("cpu")[0]


def toml(table: dict[str, Any]) -> str:
    problems = "".join(
        f"[[{kind}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in problem.items())
        for kind in ("problem", "network")
        for problem in table[kind]
    )
    return problems + "[settings]\n" + "".join(f"{key} = {value}\n" for key, value in table["settings"].items())


def test_the_shipped_suite() -> None:
    path, table = suites.read("oracle")
    shipped = parse(path.stem, table)
    assert shipped.name == "oracle"
    assert {problem.orthogonal for problem in shipped.problems} == {True, False}
    for key in ("d", "k", "noise"):
        assert len({getattr(problem, key) for problem in shipped.problems}) >= 3
    cells = shipped.cells("cpu")
    assert len({record.record_id(record.ORACLE, cell) for cell in cells}) == len(cells)
    assert len(cells) == len(shipped.problems) + len(shipped.networks)
    json.dumps(cells)


def test_a_problem_is_checked_as_its_suite_says_and_in_double_precision() -> None:
    made = parse("tiny", TINY)
    changed = configure(made, {"steps": 7})
    assert changed.settings == replace(made.settings, steps=7)
    for cell in changed.cells("cpu"):
        assert cell["data_options"]["n"] == TINY["settings"]["n"]
        assert cell["settings"] == TINY["settings"] | {"steps": 7}
        assert (cell["precision"], cell["threads"], cell["device"]) == ("fp64", 1, "cpu")
    # What a suite does not say.
    assert parse("mine", {"problem": TINY["problem"]}).settings.plain() == {
        **{"n": 4000, "points": 100, "elbo_samples": 100, "importance_samples": 1000},
        **{"chains": 8, "steps": 200, "gap_steps": 300, "epochs": 60},
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problems": []}, "unknown key problems: did you mean 'problem'?"),
        ({"problem": {"d": 3}}, "problem must be a list with at least 1 entry, got {'d': 3}"),
        ({"problem": [{"d": 4, "k": 2, "noise": 0.5}]}, "problem[0].orthogonal must be true or false, and is missing"),
        ({"problem": [TINY["problem"][0] | {"nois": 1}]}, "unknown key problem[0].nois: did you mean 'noise'?"),
        ({"problem": [TINY["problem"][0] | {"k": 4}]}, "a problem needs k below d, got d = 4, k = 4"),
        ({"problem": [TINY["problem"][0] | {"noise": 0}]}, "problem[0].noise must be a number above 0, got 0"),
        ({"problem": TINY["problem"] * 2}, "stands twice: remove one"),
        ({"network": [{"d": 6, "bits": 9}]}, "network[0].bits must be a whole number from 1 to 8, got 9"),
        ({"network": TINY["network"] * 2}, "stands twice: remove one"),
        ({"settings": {"step": 3}}, "unknown key settings.step: did you mean 'steps'?"),
        ({"settings": {"steps": 2.5}}, "settings.steps must be a whole number of at least 2, got 2.5"),
        ({"settings": 3}, "settings must be a table"),
    ],
)
def test_a_wrong_file_is_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse("mine", copy.deepcopy(TINY) | change)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("run tiny.toml --variants vanilla", 2, "it takes no --variants"),
        ("run tiny.toml --set epoch=3", 2, "suite tiny.toml: unknown key settings.epoch: did you mean 'epochs'?"),
        ("compare vanilla beta --suite tiny.toml", 2, "only `vaebench run` takes it"),
        ("run tiny.toml --out tiny.toml", 4, "cannot write tiny.toml/"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(toml(TINY), encoding="utf-8")
    assert line in refused(capsys, code, *words.split())


def test_double_precision_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.device.accelerator", lambda: "mps")
    with pytest.raises(Exception, match="double precision, which mps does not have"):
        execute.execute(parse("tiny", TINY), tmp_path, device="mps")


def test_it_runs_on_the_processor_unless_another_device_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def enough(device: str) -> None:
        asked.append(device)
        raise UsageError("enough")

    monkeypatch.setattr("bench.device.accelerator", lambda: "cuda")
    monkeypatch.setattr("bench.device.require_float64", enough)
    for device in ("auto", "cuda"):
        with pytest.raises(UsageError, match="enough"):
            execute.execute(parse("tiny", TINY), tmp_path, device=device)
    assert asked == ["cpu", "cuda"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A folder with results, what was printed, and standard error."""
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "tiny.toml").write_text(toml(TINY), encoding="utf-8")
    words = ["run", "tiny.toml", "--out", "out", "--json", "--engine", "debug"]
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with contextlib.chdir(folder), streams[0], streams[1], pytest.raises(SystemExit) as left:
        cli.main(words)
    assert not left.value.code, err.getvalue()
    return folder, json.loads(out.getvalue()), err.getvalue()


def test_end_to_end(run: tuple[Path, dict[str, Any], str]) -> None:
    folder, result, err = run
    assert {"out": "out", "ran": 2, "skipped": 0, "failed": []}.items() <= result.items()
    assert {check["part"] for check in result["checks"]} == {"closed form", "estimate", "trained", "rate-distortion"}
    assert all(check["passed"] for check in result["checks"])
    assert "[1/2] d 4, k 2, noise 0.5, not orthogonal: " in err
    assert "[2/2] d 6, 4 bits: 11 of 11 checks passed" in err
    for path in ("tables/oracle.csv", "tables/oracle.md", "plots/oracle.png", "plots/oracle.svg", "README.md"):
        assert (folder / "out" / path).stat().st_size > 500, path
    lines = (folder / "out" / "tables" / "oracle.csv").read_text().splitlines()
    assert len(lines) == 1 + len(result["checks"])


def test_conclusions_name_the_largest_errors() -> None:
    def check(part: str, error: float, se: float | None = None) -> record.Check:
        which = "ELBO, diagonal posterior"
        of: dict[str, Any] = {"truth": 1.0, "estimate": 1.0 + error, "low": None, "high": None, "passed": True}
        return record.Check(part=part, quantity=which, error=error, standard_error=se, rule="4 SE" if se else "", **of)

    made = record.new("oracle", TINY_CELL, {}, status="ok")
    made.checks = [check("closed form", error) for error in (1e-12, -3e-11, 2e-12)]
    made.checks += [check("estimate", error, 0.01) for error in (0.01, -0.035, 0.02)]
    made.checks += [check("trained", error) for error in (-0.01, -0.03, -0.02)]
    made.checks[0].passed = False
    found = oracle._conclusions([made])
    assert found[:4] == [
        "8 of 9 checks passed.",
        "Closed forms: the largest of 3 errors is 3.0e-11 nats (allowed 1e-9).",
        "Unbiased estimates: the largest of 3 errors is 3.5 standard errors.",
        "Trained linear VAEs: at most 0.0300 nats below the PPCA optimum (allowed 0.05).",
    ]
    assert [line.startswith("FAILED: d ") for line in found[4:]] == [True]


def checked(part: str, quantity: str, truth: float, estimate: float, se: float | None, rule: str) -> record.Check:
    of: dict[str, Any] = {"part": part, "quantity": quantity, "truth": truth, "estimate": estimate, "rule": rule}
    return record.Check(error=estimate - truth, standard_error=se, low=None, high=None, passed=True, **of)


def test_a_problem_has_a_line_with_its_truth_and_what_was_measured() -> None:
    made = record.new("oracle", TINY_CELL, {}, status="ok")
    made.checks = [
        checked("closed form", "ELBO, full posterior", -10.0, -10.0, None, "1e-9"),
        checked("estimate", "ELBO, full posterior", -10.0, -10.5, 0.1, "4 SE"),
        checked("estimate", "ELBO, diagonal posterior", -10.2, -10.6, 0.2, "4 SE"),
        checked("estimate", "IWAE-10, widened posterior", -10.1, -10.3, 0.3, "4 SE"),
        checked("estimate", "importance sampling, widened posterior", -10.0, -10.1, 0.4, "at most"),
        checked("estimate", "AIS", -10.0, -10.02, 0.5, "at most"),
        checked("estimate", "approximation gap, diagonal posterior", 0.25, 0.26, None, "0.02 above"),
        checked("trained", "ELBO, diagonal posterior", -9.5, -9.6, None, "0.05 below, 1e-4 above"),
    ]
    made.checks[-1].passed = False
    headers, (line,) = oracle.summary([made])
    assert dict(zip(headers, (cell.text for cell in line), strict=True)) == {
        **{"problem": "d 4, k 2, noise 0.5, not orthogonal", "log p(x)": "-10.000"},
        **{"ELBO full": "-10.500 ± 0.100", "ELBO diagonal": "-10.600 ± 0.200", "IWAE-10": "-10.300 ± 0.300"},
        **{"IS": "-10.100 ± 0.400", "AIS": "-10.020 ± 0.500", "gap exact": "0.250", "measured": "0.260"},
        **{"PPCA": "-9.500", "trained": "-9.600", "checks passed": "7/8"},
    }
    assert oracle.verdict(made) == "7 of 8 checks passed"
    assert oracle.failures([made])[0].endswith(
        "trained, ELBO, diagonal posterior: error -0.1, allowed 0.05 below, 1e-4 above"
    )
    # Of nothing there is a dash.
    made.checks = made.checks[:1]
    assert [cell.text for cell in oracle.summary([made])[1][0][1:4]] == [DASH] * 3


def test_a_table_of_checks_names_a_part_once_and_states_errors_in_standard_errors() -> None:
    made = record.new("oracle", TINY_CELL, {}, status="ok")
    made.checks = [
        checked("closed form", "KL", 1.0, 1.0, None, "1e-9"),
        checked("estimate", "ELBO", 1.0, 1.25, 0.125, "4 SE"),
        checked("estimate", "AIS", 1.0, 0.5, 0.125, "at most"),
    ]
    made.checks[-1].passed = False
    headers, lines = oracle._grid(made)
    assert headers[2:8] == ["truth", "estimate", "error", "SE", "error / SE", "allowed"]
    assert [[cell.text for cell in line] for line in lines] == [
        ["closed form", "KL", "1.0000", "1.0000", "+0", DASH, DASH, "1e-9", "ok"],
        ["estimate", "ELBO", "1.0000", "1.2500", "+0.25", "0.12", "+2.0", "4 SE", "ok"],
        ["", "AIS", "1.0000", "0.5000", "-0.5", "0.12", "-4.0", "at most", "FAILED"],
    ]
    assert [{cell.best for cell in line} for line in lines] == [{False}, {False}, {True}]


def test_errors_are_drawn_in_standard_errors_hollow_where_a_side_is_free_and_kept_in_sight() -> None:
    made = record.new("oracle", TINY_CELL, {}, status="ok")
    made.checks = [
        checked("estimate", "both sides", 1.0, 1.2, 0.1, "4 SE"),
        checked("estimate", "from below", 1.0, 0.5, 0.01, "at most 4 SE above"),
        checked("estimate", "from above", 1.0, 9.0, 0.1, "at least -4 SE"),
        checked("estimate", "without noise", 1.0, 1.0, None, "1e-9"),
        checked("trained", "no estimate", 1.0, 2.0, 0.1, "4 SE"),
    ]
    made.rate_distortion = {"exact": [[0.1, 5.0, 9.0], [1.0, 7.0, 3.0]], "measured": [[1.0, 7.1, 3.1]]}
    figure: Any = oracle.figure([made])
    left, right = figure.axes
    points = [line for line in left.lines if line.get_marker() not in ("", "None", None)]
    assert [float(point.get_xdata()[0]) for point in points] == pytest.approx([2.0, -5.8, 5.8])
    assert [point.get_marker() for point in points][1:] == ["<", ">"]
    assert [point.get_markerfacecolor() == "white" for point in points] == [False, True, True]
    assert [label.get_text() for label in left.get_yticklabels()] == ["both sides", "from below ←", "from above →"]
    curve, measured = right.lines
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == ([5, 7], [9, 3])
    assert (list(measured.get_xdata()), list(measured.get_ydata())) == ([7.1], [3.1])
    assert right.get_xlabel().startswith("distortion")


def test_conclusions_are_of_errors_in_sampling_noise_and_of_estimates_that_are_right_on_average() -> None:
    made = record.new("oracle", TINY_CELL, {}, status="ok")
    made.checks = [
        checked("estimate", "ELBO", 1.0, 1.2, 0.1, "4 SE"),
        checked("estimate", "AIS", 1.0, -8.0, 0.1, "at most 4 SE above"),
        checked("estimate", "no noise to speak of", 1.0, 1.0 + 1e-9, 1e-11, "4 SE"),
    ]
    assert oracle._conclusions([made]) == [
        "3 of 3 checks passed.",
        "Unbiased estimates: the largest of 1 errors is 2.0 standard errors.",
    ]


def test_a_page_has_every_problem_in_its_order_and_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr("bench.pages.oracle.figure", lambda records: drawn.append(len(records)))
    monkeypatch.setenv("COLUMNS", "200")
    made = []
    for d in (16, 4, 100, 8):
        cell = {**TINY_CELL, "data_options": {**TINY_CELL["data_options"], "d": d}}
        made.append(record.new("oracle", cell, {}, status="ok"))
        made[-1].checks = [checked("estimate", "AIS", float(d), d + 0.5, 0.25, "at most")]
        made[-1].rate_distortion = {"exact": [[1.0, 2.0, 3.0]], "measured": [[1.0, 2.0, 3.0]]}
        store.write(tmp_path, made[-1])
    failed = replace(made[1], status="error", reason="no way", checks=[], rate_distortion={})
    store.write(tmp_path, failed)
    report = oracle.write(tmp_path)
    assert drawn == [3]
    headers, lines = oracle.summary([failed, made[3], made[0], made[2]])
    wanted = [oracle.name(each) for each in (failed, made[3], made[0], made[2])]
    assert [line[0].text for line in lines] == wanted
    told = [line for line in report.terminal.splitlines() if line.startswith("d ")]
    assert [re.split(" {2,}", line)[0] for line in told] == wanted * 2
    heads = [line for line in report.terminal.splitlines() if line.startswith("problem")]
    assert [word for line in heads for word in re.split(" {2,}", line) if word != "problem"] == headers[1:]
    table = list(csv.DictReader((tmp_path / "tables" / "oracle.csv").read_text().splitlines()))
    assert [(line["d"], line["status"], line["truth"]) for line in table] == [
        *(("4", "error", ""), ("8", "ok", "8.0"), ("16", "ok", "16.0"), ("100", "ok", "100.0"))
    ]
    assert "d 4, k 2, noise 0.5, not orthogonal**: ERROR, no way." in (tmp_path / "tables" / "oracle.md").read_text()


def test_a_second_run_checks_nothing_again_and_a_failed_check_is_named(
    run: tuple[Path, dict[str, Any], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, *_ = run
    monkeypatch.chdir(folder)
    monkeypatch.setattr("bench.pages.oracle.figure", lambda _: None)
    monkeypatch.setattr("bench.pages.figures.style.png", lambda _: b"")
    monkeypatch.setattr("bench.pages.figures.style.svg", lambda _: b"")
    code, out, err = call(capsys, "run", "tiny.toml", "--out", "out")
    assert (code, err) == (0, "nothing to do: 2 of 2 problems are finished in out; --again does them anew\n")
    assert out.startswith("Report: file://")
    code, out, _ = call(capsys, "report", "out")
    assert code == 0
    assert "checks passed." in out

    (path,) = Path("out/runs").glob("linear*.json")
    kept = schema.read(path)
    kept.checks[1] = replace(kept.checks[1], error=0.01, passed=False)
    store.write(Path("out"), kept)
    code, out, err = call(capsys, "run", "tiny.toml", "--out", "out")
    assert code == 1
    assert "FAILED: d 4, k 2, noise 0.5, not orthogonal: closed form, ELBO, full posterior: error +0.01" in out
    assert err.splitlines()[-1].startswith("vaebench: failed: d 4, k 2, noise 0.5, not orthogonal: closed form, ELBO")
    assert "**FAILED**" in Path("out/tables/oracle.md").read_text()

    kept.status = "error"
    kept.reason = "no way"
    kept.checks = []
    store.write(Path("out"), kept)
    code, _, err = call(capsys, "report", "out")
    assert code == 0
    assert oracle.failures([kept]) == ["d 4, k 2, noise 0.5, not orthogonal: error, no way"]


def test_a_wrong_judge_ends_the_run_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(toml(TINY), encoding="utf-8")

    # Quick: what is left sees the mistake.
    for part in ("annealing", "optimised", "trained"):
        monkeypatch.setattr(checks, part, lambda *_: None)
    monkeypatch.setattr(checks, "rate_distortion", lambda *_: {"exact": [[1, 2, 3]], "measured": [[1, 2, 3]]})
    right = bounds.elbo
    monkeypatch.setattr(bounds, "elbo", lambda terms: 1.05 * right(terms))
    code, out, err = call(capsys, "run", "tiny.toml", "--out", "out", "--engine", "debug")
    assert code == 1
    assert "FAILED: d 4, k 2, noise 0.5, not orthogonal: estimate, ELBO, full posterior" in out
    lines = [line for line in err.splitlines() if line.startswith("vaebench: failed: ")]
    assert len(lines) == 4  # the ELBO of three posteriors, and of bits
    assert "Traceback" not in err
    assert "CHECKS FAILED" in Path("out/plots/oracle.svg").read_text(encoding="utf-8")


def test_other_records_and_these_do_not_mix(run: tuple[Path, dict[str, Any], str], tmp_path: Path) -> None:
    folder, *_ = run
    (path,) = (folder / "out" / "runs").glob("linear*.json")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / path.name).write_bytes(path.read_bytes())
    assert store.read_all(tmp_path) == ([], [])
    assert oracle.holds_only_oracle(tmp_path)
    assert not oracle.holds_only_oracle(tmp_path / "runs")
