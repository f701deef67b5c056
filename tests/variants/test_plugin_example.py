"""The plugin of the documentation, installed for real and used from outside."""

import json
import re
from pathlib import Path
from typing import Any

from tests.helpers import ROOT, install_example, run_installed
from variants.testing import check_variant


def test_the_installed_plugin_is_listed_and_built_and_its_own_tests_pass(tmp_path: Path) -> None:
    site = install_example("vaebench-laplace", tmp_path)
    code = """
import json, sys
import pytest
from variants import DataSpec, build, get, names
from variants.parts import part_names
row = get("laplace_posterior").describe()
parts = part_names(build("laplace_posterior", DataSpec((4,), "real")))
print(json.dumps({"names": names(), "row": row, "parts": parts}))
sys.exit(pytest.main(["-q", "-W", "error", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
    first, said = run_installed(site, "-c", code, str(site.parent / "source")).split("\n", 1)
    told = json.loads(first)
    assert {"laplace_posterior", "vanilla"} <= set(told["names"])
    assert told["row"]["available"], told["row"]["reason"]
    assert told["row"]["source"].startswith("vaebench-laplace (")
    assert (told["row"]["base"], told["row"]["changes"]) == ("vanilla", ["posterior"])
    assert told["parts"]["posterior"] == "laplace"
    assert "passed" in said
    assert "skipped" not in said


def test_the_variant_of_the_readme_passes_the_conformance_suite() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL) if "@register" in block)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(code, names)
    check_variant(names["my_variant"])
