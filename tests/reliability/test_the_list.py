"""docs/reliability.md and docs/security.md name tests that exist; the first leaves out none of this folder."""

import ast
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def rows_of(text: str) -> list[str]:
    heads = ("| fault", "| what |", "| ---")
    return [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heads)]


ROWS = rows_of(TEXT)


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_names_tests_that_exist(row: str) -> None:
    fault, promise, code, tests = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    assert fault
    assert promise
    assert re.fullmatch(r"((0|1|2|3|4|130)(, )?)*", code)
    check(tests)


@pytest.mark.parametrize("row", rows_of(SECURITY), ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_of_security_names_tests_that_exist(row: str) -> None:
    what, promise, tests = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    assert what
    assert promise
    check(tests)


def check(tests: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert len(named) == tests.count("`") / 2 > 0
    for file, test in named:
        assert test in names_in(ROOT / file)


def test_no_test_of_a_fault_is_left_out() -> None:
    assert len(ROWS) > 30
    for path in (ROOT / "tests" / "reliability").glob("test_*.py"):
        name = path.relative_to(ROOT).as_posix()
        if path.name != Path(__file__).name:
            assert name in TEXT
            left_out = {test for test in names_in(path) if f"`{name}::{test}`" not in TEXT}
            assert not left_out or path.name == "test_fuzz.py"
