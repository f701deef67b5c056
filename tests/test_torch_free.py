"""What reads records or lists names starts at once: it imports nothing heavy. One process imports it, step by step."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT

# Step -> what runs, and what is not to be there after it. Later steps import more.
STEPS = {
    "the facade": ("import bench\ndir(bench)\nbench.data.names()", {"torch", "numpy", "pandas", "msgspec"}),
    "data sets": (
        "import bench.data as data\ndata.describe()\n"
        "for name in data.names(): data.spec(name), data.default_binarise(name)",
        {"torch", "torchvision", "sklearn", "numpy", "PIL"},
    ),
    "metrics and intervals": (
        "import bench.stats.intervals, bench.stats.metrics",
        {"numpy", "scipy", "pandas", "matplotlib"},
    ),
    "variants": (
        "import variants\nrows = [variants.get(name).describe() for name in variants.names()]\n"
        "assert len(rows) > 5 and all(row['paper'] for row in rows), rows",
        {"torch"},
    ),
    "results": ("import bench\nassert bench.results", {"torch", "pandas", "matplotlib"}),
    "engines": ("import bench.engines.ray, bench.engines.debug", {"torch"}),
    "records, suites, pages and the command line": (
        "import importlib, pkgutil\n"
        "for room in ('records', 'suites', 'stats', 'pages', 'cli'):\n"
        "    package = importlib.import_module(f'bench.{room}')\n"
        "    for each in pkgutil.walk_packages(package.__path__, f'bench.{room}.'): importlib.import_module(each.name)",
        {"torch", "torchvision", "matplotlib", "sklearn"},
    ),
}


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """After each step, the packages that are there."""
    parts = ["import json, sys", "there = {}"]
    for name, (code, _) in STEPS.items():
        parts += [code, f"there[{name!r}] = [module for module in sys.modules if '.' not in module]"]
    code = "\n".join([*parts, "print(json.dumps(there))"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("step", STEPS)
def test_nothing_heavy_is_imported(step: str, imported: dict[str, list[str]]) -> None:
    assert not STEPS[step][1] & set(imported[step])
