"""The suite's file, its cells, and the command line end to end."""

import contextlib
import copy
import io
import json
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
from bench.suites.oracle import parse
from bench.sweeps import execute
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
