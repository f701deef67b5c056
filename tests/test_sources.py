"""Which code made a number: everything that numbers depend on counts, and nothing else."""

import shutil
from pathlib import Path

import pytest

from bench import sources
from tests.helpers import ROOT, forget_plugins, install
from tests.variants.test_imports import MODULES, all_imports, within
from variants import registry

# How a cell is asked for and its record kept; and what only fetches files, whose bytes are checked.
NO_NUMBERS = {
    *("bench", "bench.checkpoint", "bench.data.files", "bench.errors", "bench.oracle", "bench.oracle.suite"),
    *("bench.record", "bench.suite", "bench.weights", "variants"),
}


def test_all_that_a_cell_reaches_counts() -> None:
    reached, queue = set[str](), ["bench.run", "bench.oracle.checks"]
    while queue:
        name = queue.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            queue += all_imports(name) if name not in NO_NUMBERS else []
    counted = {name for name, _ in sources._ours(sources.TRAINING + sources.JUDGING)}
    paths = {name: MODULES[name].relative_to(ROOT).as_posix() for name in reached}
    assert {name for name, path in paths.items() if path not in counted} == NO_NUMBERS - {
        name for name in NO_NUMBERS if name not in MODULES
    }
    assert not within(reached, "variants.zoo")  # recipes are found by name


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources which is what counts."""
    for name in ("bench", "variants"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "mnist"))
    monkeypatch.setattr(sources, "HERE", tmp_path)
    monkeypatch.setattr(registry, "ZOO", tmp_path / "variants" / "zoo")
    return tmp_path


def changed_by(path: Path, variant: str) -> set[str]:
    """Which sums a changed file changes."""
    before = sources.sums.__wrapped__(variant)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "# changed\n", encoding="utf-8")
    after = sources.sums.__wrapped__(variant)
    path.write_text(text, encoding="utf-8")
    assert sources.sums.__wrapped__(variant) == before
    return {key for key in before if after[key] != before[key]}


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("variants/zoo/conv_full_covariance.py", {"code_sha256", "training_sha256"}),
        ("variants/zoo/conv.py", {"code_sha256", "training_sha256"}),  # which it imports
        ("variants/zoo/vanilla.py", set()),
        ("variants/parts/priors.py", {"code_sha256", "training_sha256"}),
        ("variants/core/kl.py", {"code_sha256", "training_sha256"}),
        ("bench/train.py", {"code_sha256", "training_sha256"}),
        ("bench/measure/gaps.py", {"code_sha256"}),
        ("bench/clock.py", {"code_sha256"}),
        ("bench/plot.py", set()),
        ("bench/supervise.py", set()),
        ("variants/testing.py", set()),
    ],
)
def test_what_counts(copy: Path, file: str, keys: set[str]) -> None:
    assert changed_by(copy / file, "conv_full_covariance") == keys


def test_a_plugin_counts_with_all_of_its_package_and_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "a", "vae-single", "raise SystemExit", {"single": "vae_single:single"})
    package = tmp_path / "b" / "vae_package"
    install(tmp_path / "b", "vae-package", "", {"packaged": "vae_package.deep.recipe:packaged"})
    (tmp_path / "b" / "vae_package.py").unlink()
    (package / "deep").mkdir(parents=True)
    for file in (package / "__init__.py", package / "deep" / "recipe.py", package / "part.py"):
        file.write_text("raise SystemExit\n", encoding="utf-8")
    for folder in ("a", "b"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        forget_plugins(tmp_path / folder)
    both = {"code_sha256", "training_sha256"}
    assert changed_by(tmp_path / "a" / "vae_single.py", "single") == both
    assert changed_by(package / "part.py", "packaged") == both
    assert changed_by(package / "part.py", "single") == set()
    assert sources.sums.__wrapped__("no_such_variant") != sources.sums.__wrapped__("single")
    for folder in ("a", "b"):
        forget_plugins(tmp_path / folder)
