"""The plugin of the documentation, installed for real and used from outside."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, install_example, run_installed
from variants.testing import check_variant


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_example("vaebench-laplace", tmp_path_factory.mktemp("plugin"))


def test_installed_plugin_is_listed_and_built(site: Path) -> None:
    code = """
import json, sys
from variants import DataSpec, build, get, names
row = get("laplace").describe()
from variants.parts import part_names
print(json.dumps({"names": names(), "row": row, "parts": part_names(build("laplace", DataSpec((4,), "real")))}))
"""
    found = json.loads(run_installed(site, "-c", code))
    assert "laplace" in found["names"]
    assert "vanilla" in found["names"]
    assert found["row"]["available"], found["row"]["reason"]
    assert found["row"]["source"].startswith("vaebench-laplace (")
    assert (found["row"]["base"], found["row"]["changes"]) == ("vanilla", ["posterior"])
    assert found["parts"]["posterior"] == "laplace"


def test_the_plugins_own_tests_pass(site: Path) -> None:
    said = run_installed(
        site, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(site.parent / "source")
    )
    assert "passed" in said
    assert "skipped" not in said


def test_the_variant_of_the_readme_passes_the_conformance_suite() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    check_variant(names["my_variant"])
