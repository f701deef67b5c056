"""Imports point one way: bench -> variants -> torch; inside variants zoo -> parts -> core. Read, not run."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("variants", "bench")
    for path in (ROOT / package).rglob("*.py")
}


def imported(node: ast.AST, module: str) -> set[str]:
    """Absolute names of all modules that the statements under `node` import."""
    package = module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]
    found: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            source = ".".join([*parents, *([child.module] if child.module else [])])
            submodules = {f"{source}.{alias.name}" for alias in child.names} & set(MODULES)
            found |= submodules | {source}
    return found


@cache
def all_imports(module: str) -> frozenset[str]:
    return frozenset(imported(ast.parse(MODULES[module].read_text(encoding="utf-8")), module))


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def import_time(module: str) -> frozenset[str]:
    """What importing the module imports at once: not what stands inside functions or is for type checkers only."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_typing_only(node):
            found |= imported(node, module)
    return frozenset(found)


def import_closure(module: str) -> set[str]:
    seen, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            queue += import_time(name)
            parent = name.rpartition(".")[0]
            queue += [parent] if parent else []
    return seen


def within(names: frozenset[str] | set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(f"{package}.")}


def under(package: str) -> list[str]:
    return sorted(within(set(MODULES), package))


@pytest.mark.parametrize("module", under("variants"))
def test_variants_do_not_know_the_bench(module: str) -> None:
    assert not within(all_imports(module), "bench")


@pytest.mark.parametrize("module", under("variants.core"))
def test_core_knows_neither_parts_nor_zoo_nor_registry(module: str) -> None:
    mine = within(all_imports(module), "variants")
    assert mine <= within(mine, "variants.core") | {"variants.data_spec"}


@pytest.mark.parametrize("module", under("variants.parts"))
def test_parts_know_core_but_not_the_zoo(module: str) -> None:
    mine = within(all_imports(module), "variants")
    assert mine <= within(mine, "variants.core") | within(mine, "variants.parts") | {"variants.data_spec"}


@pytest.mark.parametrize("module", ["variants", "variants.registry", "variants.data_spec"])
def test_front_door_imports_no_torch(module: str) -> None:
    assert not within(import_closure(module), "torch")


@pytest.mark.parametrize("module", under("bench"))
def test_bench_does_not_reach_into_the_zoo(module: str) -> None:
    assert not within(all_imports(module), "variants.zoo")


@pytest.mark.parametrize("module", [*under("bench.train"), *under("bench.judge")])
def test_training_and_the_judge_do_not_know_each_other(module: str) -> None:
    other = "bench.judge" if module.startswith("bench.train") else "bench.train"
    assert not within(import_closure(module), other)
    assert not within(all_imports(module), other)


@pytest.mark.parametrize(
    "module", [*under("bench.records"), *under("bench.stats"), *under("bench.pages"), "bench.settings"]
)
def test_readers_of_records_import_no_torch(module: str) -> None:
    reached = import_closure(module)
    assert not within(reached, "torch") | within(reached, "torchvision")


def test_the_reader_of_imports_sees_them() -> None:
    assert "variants.parts.networks" in all_imports("variants.parts")
    assert "variants.core.vae" in all_imports("variants.registry")
    assert "variants.core.vae" not in import_time("variants.registry")
    assert "torch" in import_closure("variants.core")
    assert "bench.stats.intervals" in MODULES
