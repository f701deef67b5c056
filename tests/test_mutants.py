"""The harness that makes mistakes on purpose: it applies every one, and calls each outcome by its name."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import mutants
from tests.helpers import ROOT
from tests.mistakes import MISTAKES
from tests.mutants import Mistake

CODE = "def double(x):\n    return 2 * x\n"
TEST = "import thing\n\ndef test_double():\n    assert thing.double(3) == 6\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one function with one test, in the form of this repository."""
    monkeypatch.setattr(mutants, "COPIED", ("thing", "tests", "pyproject.toml"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--not-an-option")
    root = tmp_path / "project"
    for name, content in {
        "thing/__init__.py": CODE,
        "tests/test_named.py": TEST,
        "tests/test_other.py": "import thing\n\ndef test_zero():\n    assert thing.double(0) == 0\n",
        "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def mistake(new: str, *, old: str = "2 * x", name: str = "one") -> Mistake:
    return Mistake(name, 1, "", "thing/__init__.py", old, new, ("tests/test_named.py",))


def test_every_mistake_can_be_made_in_the_code_as_it_stands() -> None:
    assert mutants.problems(MISTAKES, ROOT) == []


def test_every_item_of_the_list_has_a_mistake() -> None:
    assert {mistake.item for mistake in MISTAKES} == set(range(1, 28))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([mistake("3 * x", old="4 * x")], "its text occurs 0 times in thing/__init__.py, should be once"),
        ([mistake("y", old="x")], "its text occurs 2 times"),
        ([mistake("2*x")], "changes nothing"),
        ([mistake("2 * (x")], "is no Python"),
        ([mistake("3 * x"), mistake("4 * x")], "the name stands twice"),
        ([Mistake("one", 1, "", "thing/none.py", "a", "b", ("tests/none.py",))], "there is no tests/none.py"),
    ],
)
def test_a_mistake_that_no_longer_applies_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], wrong: list[Mistake], words: str
) -> None:
    assert mutants.prove(wrong, project) == 2
    assert words in capsys.readouterr().err


def test_outcomes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [
        mistake("x + 2", name="seen_by_its_test"),
        mistake("2 * x + (x == 0)", name="seen_by_another_test"),
        mistake("2 * x + (x == 1)", name="seen_by_none"),
        mistake("2 * undefined", old="2 * x\n", name="raises"),
        mistake("CODE", old=CODE, name="cannot_be_imported"),
    ]
    assert mutants.prove(made, project, jobs=2) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[2:3] + line.split()[4:5] for line in lines[1:-1]}
    assert rows == {
        "seen_by_its_test": ["killed", "tests/test_named.py::test_double"],
        "seen_by_another_test": ["killed", "tests/test_other.py::test_zero"],
        "seen_by_none": ["survived"],
        "raises": ["killed", "tests/test_named.py::test_double"],
        "cannot_be_imported": ["broken", rows["cannot_be_imported"][1]],
    }
    assert lines[-1] == "3 of 5 killed"
    assert (project / "thing/__init__.py").read_text() == CODE
    assert sorted(path.name for path in project.rglob("*")) == [
        "__init__.py", "build", "mutants.jsonl", "noticed_by.json", "pyproject.toml", "test_named.py", "test_other.py",
        "tests", "thing",
    ]  # fmt: skip


def test_what_was_killed_is_not_run_again_before_the_code_changes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [mistake("x + 2", name="seen"), mistake("2 * x + (x == 1)", name="unseen")]
    assert mutants.prove(made, project) == 1
    capsys.readouterr()
    assert mutants.prove(made, project) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 2 were killed before")
    assert [line.split()[0] for line in lines[2:]] == ["unseen", "0"]
    assert mutants.prove(made[:1], project) == 0
    (project / "tests/test_other.py").write_text("def test_nothing():\n    pass\n")
    capsys.readouterr()
    assert mutants.prove(made[:1], project) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 killed"


def test_who_noticed_is_tried_first_and_need_not_be_there_any_more(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, by, run = project / mutants.KEPT, project / mutants.NOTICED_BY, mutants.run_tests
    asked: list[tuple[str, ...]] = []

    def recorded(tree: Path, tests: Sequence[str], timeout_s: float) -> mutants.Outcome:
        asked.append(tuple(tests))
        return run(tree, tests, timeout_s)

    monkeypatch.setattr(mutants, "run_tests", recorded)
    named: tuple[str, ...] = ("tests/test_named.py",)
    for first, expected in [
        (None, [named, ()]),
        ("tests/test_other.py::test_zero", []),
        ("tests/test_other.py::test_gone", [named, ()]),
        ("tests/test_named.py::test_double", [named, ()]),
    ]:
        if first:
            by.write_text(json.dumps({"one": first}))
        kept.unlink(missing_ok=True)
        asked.clear()
        assert mutants.prove([mistake("2 * x + (x == 0)")], project, tested=True) == 0
        # The first is the proof that the copy is what is tested.
        assert asked[1:] == ([(first,)] if first else []) + expected
        assert json.loads(by.read_text()) == {"one": "tests/test_other.py::test_zero"}


def test_what_is_tried_first_is_a_test_of_a_mistake_that_is_made() -> None:
    by = json.loads((ROOT / mutants.NOTICED_BY).read_text())
    assert set(by) <= {mistake.name for mistake in MISTAKES}
    files = {file: (ROOT / file).read_text() for file in {test.split("::")[0] for test in by.values()}}
    for test in by.values():
        file, *_, name = test.split("[")[0].split("::")
        assert f"def {name}(" in files[file]


def test_parts_are_fixed_and_together_all() -> None:
    parts = [mutants.part(MISTAKES, f"{k}/10") for k in range(1, 11)]
    assert sorted(m.name for share in parts for m in share) == sorted(m.name for m in MISTAKES)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert parts[2] == mutants.part(MISTAKES[::-1], "3/10")
    for which in ("0/10", "11/10", "3", "1/0"):
        with pytest.raises(ValueError, match="a part is written as 3/10"):
            mutants.part(MISTAKES, which)


def test_nothing_is_judged_by_tests_that_fail_anyway(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/test_named.py").write_text(TEST.replace("6", "7"))
    assert mutants.prove([mistake("x + 2")], project) == 2
    assert "must pass before anything is changed; killed: tests/test_named.py::test_double" in capsys.readouterr().out


def test_what_hangs_is_ended_and_is_no_proof(project: Path) -> None:
    (project / "thing/__init__.py").write_text("import time\ntime.sleep(600)\n")
    assert mutants.run_tests(project, (), timeout_s=0.5).verdict == "timeout"
