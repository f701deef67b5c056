"""Which code made a number: sums over the sources that numbers depend on, so that what other code has made is known.

A source counts as the syntax tree that it is read as: comments, docstrings and layout make no number."""

import ast
import hashlib
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from bench.errors import UsageError
from bench.text import decode
from variants import registry

HERE = Path(__file__).parents[2]
# Files and folders without which a training would not be what it is. Of the recipes only a cell's own is one of them.
TRAINING = (
    "bench/cells/prepare.py",
    "bench/data",
    "bench/device.py",
    "bench/judge/bounds.py",
    "bench/seeds.py",
    "bench/train",
    "variants/core",
    "variants/data_spec.py",
    "variants/parts",
    "variants/registry.py",
)
JUDGING = (
    "bench/cells/clock.py",
    "bench/cells/pictures.py",
    "bench/cells/run.py",
    "bench/judge",
    "bench/oracle",
    "bench/resume/notebook.py",
    "variants/testing/enumeration.py",
)
# Below these folders, but no part of it: what is fetched is checked by its bytes.
WITHOUT = ("bench/data/files.py",)


def sums(variant: str) -> dict[str, str]:
    """The provenance keys `code_sha256` and `training_sha256` of a variant's cells: of all sources that make numbers,
    and of those that decide its training.

    Every file counts as this process, or the fork server that it comes from, first saw it: what is asked for before the
    imports names what will be imported, what is asked for after them names what was. See `check`.

    Nothing of the variant is imported. A built-in recipe counts with its own file and those of the recipes that it
    imports, a plugin's with all modules of its package, a user's file with itself, and a function of this process with
    what it names of its own module.
    """
    try:
        return _sums(registry.get(variant))
    except registry.RegistryError:
        return _sums(None)


@cache
def _sums(known: registry.Recipe | None) -> dict[str, str]:
    recipe = [] if known is None else _recipe(known)
    return {
        "code_sha256": _sum([*_ours(TRAINING + JUDGING), *recipe]),
        "training_sha256": _sum([*_ours(TRAINING), *recipe]),
    }


def keep() -> None:
    """Import all that makes numbers but recipes, and see what it is, for processes that are forked from this one."""
    for name, _ in _ours(TRAINING + JUDGING):
        import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    # Of no recipe: which there are is the cells' to ask.
    for paths in (TRAINING, TRAINING + JUDGING):
        _sum(_ours(paths))


def check(variant: str, provenance: Mapping[str, Any]) -> None:
    """Called with all imported and nothing made: UsageError if the code is no longer what the record would say."""
    if "code_sha256" in provenance and not sums(variant).items() <= provenance.items():
        raise UsageError("its sources changed while the run went on: run the same command again")


@cache
def _ours(paths: tuple[str, ...]) -> list[tuple[str, Path]]:
    files = {}
    for listed in paths:
        path = HERE / listed
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            name = file.relative_to(HERE).as_posix()
            if name not in WITHOUT:
                files[name] = file
    return sorted(files.items())


def _recipe(recipe: registry.Recipe) -> list[tuple[str, Path | bytes]]:
    if recipe.function is not None:
        return [(recipe.name, _written(recipe.function))]
    if registry.is_file(recipe.name):
        path, _, function = recipe.target.rpartition(":")
        return [(function, Path(path))]
    module = recipe.target.partition(":")[0]
    if recipe.sources[0] == registry.BUILT_IN:
        return [(name, registry.ZOO / f"{name}.py") for name in sorted(_zoo(recipe.name))]
    try:
        spec = find_spec(module.partition(".")[0])  # of a top-level name: imports nothing
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations:
        folders = map(Path, spec.submodule_search_locations)
        files = [(file.relative_to(folder).as_posix(), file) for folder in folders for file in folder.rglob("*.py")]
        return [*sorted(files)]
    return [(spec.name, Path(spec.origin))] if spec.origin else []


def _written(function: Callable[..., Any]) -> bytes:
    """The source of a function, and of the functions and classes of its module that it names, and they in turn."""
    texts: list[str] = []
    left: list[Any] = [function]
    for each in left:  # it grows meanwhile
        try:
            texts.append(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError):  # typed at a prompt that keeps no source
            texts.append(f"# {each.__qualname__} {[code.co_code.hex() for code in _codes(each)]}")
        names = {name: None for code in _codes(each) for name in code.co_names}
        named = [function.__globals__.get(name) for name in names]
        left += [
            other
            for other in named
            if isinstance(other, type | FunctionType)
            and other.__module__ == function.__module__
            and all(other is not known for known in left)
        ]
    return "\n".join(texts).encode()


def _codes(thing: Any) -> list[CodeType]:
    """The code of a function, or of the methods of a class, and what is nested in it."""
    functions = [thing] if isinstance(thing, FunctionType) else vars(thing).values()
    codes = [each.__code__ for each in functions if isinstance(each, FunctionType)]
    for code in codes:
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return codes


def _zoo(variant: str) -> set[str]:
    """A recipe and those that it imports."""
    try:
        tree = decode(ast.parse, (registry.ZOO / f"{variant}.py").read_bytes())
    except (OSError, ValueError):
        return {variant}  # whoever imports it will say what is wrong
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = [module.rpartition(".")[2] for module in modules if module.startswith("variants.zoo.")]
    return {variant}.union(*map(_zoo, others))


def _sum(files: Iterable[tuple[str, Path | bytes]]) -> str:
    lines = "".join(
        f"{name}\0{_meaning(file) if isinstance(file, bytes) else _first_seen(file)}\n" for name, file in files
    )
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def _first_seen(file: Path) -> str:
    try:
        return _meaning(file.read_bytes())
    except OSError:
        return ""  # whoever imports it will say what is wrong


def _meaning(content: bytes) -> str:
    """Sum over the syntax tree of a source without its docstrings; over its bytes if it is no Python.

    `ast.dump` would write one tree in another way from Python 3.13 on, and an update of Python is no change of ours.
    """
    written: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a plugin's doubtful escapes are its author's to see
            left: list[object] = [decode(ast.parse, content)]
        while left:
            node = left.pop()
            if isinstance(node, ast.AST):
                # What is absent is not written: each version adds fields for what it alone can say.
                fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
                if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                    fields["body"] = fields["body"][1:]
                written.append(f"{type(node).__name__} {' '.join(fields)}")
                left += reversed(fields.values())
            elif isinstance(node, list):
                written.append(f"{len(node)}")
                left += reversed(node)
            else:
                written.append(ascii(node))
    except ValueError:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256("\n".join(written).encode()).hexdigest()


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
