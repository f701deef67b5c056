"""The plugin of the documentation, installed for real and used from outside."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from variants.testing import check_variant

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "vaebench-laplace"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed in it. Offline: pip builds it with the setuptools at hand."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def run(site: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=site.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_installed_plugin_is_listed_and_built(site: Path) -> None:
    code = """
import json, sys
from variants import DataSpec, build, get, names
row = get("laplace_posterior").describe()
from variants.parts import part_names
parts = part_names(build("laplace_posterior", DataSpec((4,), "real")))
print(json.dumps({"names": names(), "row": row, "parts": parts}))
"""
    found = json.loads(run(site, "-c", code))
    assert "laplace_posterior" in found["names"]
    assert "vanilla" in found["names"]
    assert found["row"]["available"], found["row"]["reason"]
    assert found["row"]["source"].startswith("vaebench-laplace (")
    assert (found["row"]["base"], found["row"]["changes"]) == ("vanilla", ["posterior"])
    assert found["parts"]["posterior"] == "laplace"


def test_the_plugins_own_tests_pass(site: Path) -> None:
    said = run(site, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(site.parent / "source"))
    assert "passed" in said
    assert "skipped" not in said


def test_the_variant_of_the_readme_passes_the_conformance_suite() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    check_variant(names["my_variant"])
