"""Which code made a number: sums over the sources that numbers depend on, so that what other code has made is known."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from variants import registry

HERE = Path(__file__).parents[1]
# Files and folders without which a training would not be what it is. Of the recipes only a cell's own is one of them.
TRAINING = (
    "bench/data",
    "bench/device.py",
    "bench/measure/bounds.py",
    "bench/run.py",
    "bench/seeds.py",
    "bench/train.py",
    "variants/core",
    "variants/data_spec.py",
    "variants/parts",
    "variants/registry.py",
)
JUDGING = ("bench/clock.py", "bench/measure", "bench/notebook.py", "bench/oracle/checks.py", "bench/oracle/truth.py")
# Below these folders, but no part of it: what is fetched is checked by its bytes.
WITHOUT = ("bench/data/files.py",)


@cache
def sums(variant: str) -> dict[str, str]:
    """The provenance keys `code_sha256` and `training_sha256` of a variant's cells: of all sources that make numbers,
    and of those that decide its training.

    Nothing of the variant is imported. A built-in recipe counts with its own file and those of the recipes that it
    imports, a plugin's with all modules of its package.
    """
    own = _recipe(variant)
    return {
        "code_sha256": _sum([*_ours(TRAINING + JUDGING), *own]),
        "training_sha256": _sum([*_ours(TRAINING), *own]),
    }


def _ours(places: Iterable[str]) -> list[tuple[str, Path]]:
    found = {}
    for place in places:
        path = HERE / place
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            name = file.relative_to(HERE).as_posix()
            if name not in WITHOUT:
                found[name] = file
    return sorted(found.items())


def _recipe(variant: str) -> list[tuple[str, Path]]:
    recipe = registry.recipes().get(variant)
    if recipe is None:
        return []
    module = recipe.target.partition(":")[0]
    if recipe.sources[0] == registry.BUILT_IN:
        return sorted((name, registry.ZOO / f"{name}.py") for name in _zoo(variant))
    try:
        spec = find_spec(module.partition(".")[0])  # of a top-level name: imports nothing
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations:
        folders = map(Path, spec.submodule_search_locations)
        return sorted(
            (file.relative_to(folder).as_posix(), file) for folder in folders for file in folder.rglob("*.py")
        )
    return [(spec.name, Path(spec.origin))] if spec.origin else []


def _zoo(variant: str) -> set[str]:
    """A recipe and those that it imports."""
    tree = ast.parse((registry.ZOO / f"{variant}.py").read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = [module.rpartition(".")[2] for module in modules if module.startswith("variants.zoo.")]
    return {variant}.union(*map(_zoo, others))


def _sum(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in files:
        try:
            content = file.read_bytes()
        except OSError:
            content = b""  # whoever imports it will say what is wrong
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()
