"""What pyproject.toml asks for has lower bounds, and constraints.txt pins all of it to versions that it allows."""

import ast
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
    if not line.startswith(PROJECT["name"])  # an extra that is made of others
]
# Import name -> distribution, where they differ.
DISTRIBUTIONS = {"PIL": "pillow", "markdown_it": "markdown-it-py", "skimage": "scikit-image", "sklearn": "scikit-learn"}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    for each in found:
        assert [s.operator for s in each.specifier] == ["=="], f"{each} is no pin"
        assert each.url is None, f"{each} names a place"
    assert len({canonicalize_name(each.name) for each in found}) == len(found)
    return {canonicalize_name(each.name): Version(next(iter(each.specifier)).version) for each in found}


def test_every_dependency_has_a_lower_bound() -> None:
    assert len(DIRECT) > 15
    assert [str(each) for each in DIRECT if ">=" not in {s.operator for s in each.specifier}] == []


def test_every_dependency_is_pinned_to_a_version_that_is_allowed() -> None:
    pinned = pins()
    for each in DIRECT:
        assert canonicalize_name(each.name) in pinned, f"{each.name} is not in constraints.txt"
        assert each.specifier.contains(pinned[canonicalize_name(each.name)]), f"{each} excludes its own pin"


def test_constraints_name_no_wheel_that_only_some_machines_have() -> None:
    assert [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))] == []
    assert [name for name, version in pins().items() if version.local] == []


def test_what_is_imported_is_asked_for() -> None:
    """A package that comes only by another's need goes when that need goes."""
    asked = {canonicalize_name(each.name) for each in DIRECT}
    own = {"bench", "variants", "tests", "pythae"}  # the last is for the peers benchmark, in an environment of its own
    for path in [*(ROOT / "bench").rglob("*.py"), *(ROOT / "variants").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {each.partition(".")[0] for each in names} - own - sys.stdlib_module_names:
                assert canonicalize_name(DISTRIBUTIONS.get(name, name)) in asked, f"{path.name} imports {name}"
