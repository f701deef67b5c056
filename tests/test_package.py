"""What is published works without the checkout: the sdist is whole, and its wheel runs a suite in an empty folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

TINY = """
variants = ["vanilla"]
datasets = ["mnist"]
seeds = 1

[budget]
epochs = 1
train_size = 200

[measure]
elbo_samples = 1
nll_samples = 2
nll_points = 5

[throughput]
blocks = 0
"""


def ran(words: list[str], folder: Path, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        words, cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def built(kind: str, source: Path, into: Path) -> Path:
    """An `sdist` or a `wheel` of a folder, by the build backend."""
    into.mkdir(exist_ok=True)
    code = f"import setuptools.build_meta as backend; backend.build_{kind}({str(into)!r})"
    ran([sys.executable, "-c", code], source)
    (path,) = into.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return path


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in cited
    assert f"## {project['version']} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_of_the_sdist_runs_in_an_empty_folder(tmp_path: Path) -> None:
    tracked = ran(["git", "ls-files", "bench", "variants", "pyproject.toml", "README.md", "LICENSE"], ROOT).split()
    for name in tracked:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / "source" / name)
    sdist = built("sdist", tmp_path / "source", tmp_path / "dist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = built("wheel", unpacked, tmp_path / "wheels")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in tracked if name.startswith(("bench/", "variants/"))} <= names

    # The packages of this environment, without its own vaebench: what a path file names is searched after the wheel.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "present.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    ran([sys.executable, "-m", "pip", "--python", str(python), *install], tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    vaebench = str(python.parent / "vaebench")
    where = ran([str(python), "-c", "import bench, variants; print(bench.__file__, variants.__file__)"], empty)
    assert all(Path(name).is_relative_to(site) for name in where.split())
    assert "full_covariance" in ran([vaebench, "list"], empty)
    (empty / "tiny.toml").write_text(TINY, encoding="utf-8")
    printed = ran([vaebench, "run", "tiny.toml", "--device", "cpu"], empty)
    assert printed.splitlines()[-1] == f"Report: {(empty / 'results' / 'tiny' / 'report.html').as_uri()}"
    assert "vanilla" in (empty / "results" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "VAE" in ran([vaebench, "table", "results/tiny"], empty)
