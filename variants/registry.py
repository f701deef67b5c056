"""Names -> recipes. Built-ins are the files in `zoo/`. Others come through the entry-point group `vaebench.variants`,
from `register` in a script or a notebook, or are named by their file: `path/to/file.py:recipe`.

Nothing is imported until a recipe is used: names, claims and summaries of built-ins are read from their source text, so
that listing them needs no torch.
"""

import ast
import difflib
import fnmatch
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from variants.core.vae import VAE
    from variants.data_spec import DataSpec

R = TypeVar("R", bound=Callable[..., Any])

GROUP = "vaebench.variants"
ZOO = Path(__file__).parent / "zoo"
BUILT_IN = "vaebench"
ROLES = ("network", "posterior", "prior", "likelihood", "objective")
NO_BASE, SEVERAL, UNAVAILABLE = "no base", "several parts", "unavailable"
GROUPS = (NO_BASE, *ROLES, SEVERAL, UNAVAILABLE)
# How the modules of users' files are called.
OF_FILES = "vaebench_file_"
# What `register` has marked in this process outside of the zoo and of such files, by name.
_marked: "dict[str, Callable[..., VAE]]" = {}


class RegistryError(LookupError):
    """A variant that is unknown, defined twice, or cannot be loaded. The message is one line."""


@dataclass(frozen=True)
class Claim:
    """What a recipe says of itself.

    Attributes:
        base: the variant it is an ablation of, if any.
        changes: the parts in which it differs from `base`; all others are equal, which the tests check.
        paper: source of the variant.
    """

    base: str | None = None
    changes: tuple[str, ...] = ()
    paper: str = ""


def register(*, base: str | None = None, changes: str | tuple[str, ...] = (), paper: str = "") -> Callable[[R], R]:
    """Decorator of a recipe function `(data: DataSpec, **hyper_parameters) -> VAE`; its name is the variant's name, and
    known in this process from then on.

    Args:
        base: the variant it is an ablation of.
        changes: the part or parts in which it differs from `base`.
        paper: authors, year and identifier of the source.
    """
    claim = Claim(base, (changes,) if isinstance(changes, str) else tuple(changes), paper)

    def mark(recipe: R) -> R:
        recipe.claim = claim  # type: ignore[attr-defined]
        if not recipe.__module__.startswith(("variants.", OF_FILES)):
            add(recipe)
        return recipe

    return mark


def add(recipe: Callable[..., "VAE"]) -> str:
    """Make a recipe function known in this process by its name, which is returned; one marked before is replaced."""
    name = getattr(recipe, "__name__", "")
    if not name.isidentifier():
        raise RegistryError("a recipe needs a name: write it as a function with def")
    _marked[name] = recipe
    recipes.cache_clear()
    return name


@dataclass(frozen=True)
class Recipe:
    """A named variant: known by name and source, imported when first used.

    Attributes:
        name: the registered name.
        sources: who defines it; more than one is a collision, which refuses to load.
        target: where the function is, `module:function`, or `path:function` of a user's file.
        function: itself, where this process alone knows it.
    """

    name: str
    sources: tuple[str, ...]
    target: str
    function: "Callable[..., VAE] | None" = None

    @property
    def built_in(self) -> bool:
        """Whether it is ours alone."""
        return self.sources == (BUILT_IN,)

    @property
    def here(self) -> bool:
        """Whether it is asked in this process: ours, or one that this process alone knows."""
        return self.built_in or self.function is not None

    def load(self) -> Callable[..., "VAE"]:
        """The recipe function. RegistryError if it is defined twice, fails to import, or is no function."""
        if len(self.sources) > 1:
            raise RegistryError(
                f"variant {self.name!r} is defined twice, by {' and by '.join(self.sources)}: "
                "uninstall one or ask its author to rename it"
            )
        if self.function is not None:
            return self.function
        try:
            recipe: Callable[..., VAE] = (
                _load_file(self.target) if is_file(self.name) else EntryPoint(self.name, self.target, GROUP).load()
            )
        except (Exception, SystemExit) as error:
            raise RegistryError(
                f"variant {self.name!r} from {self.sources[0]} cannot be loaded: {_one_line(error)}"
            ) from error
        if not callable(recipe):
            raise RegistryError(f"variant {self.name!r} from {self.sources[0]} is not a function: {self.target}")
        return recipe

    def describe(self) -> dict[str, Any]:
        """Name, source, claim, summary, and whether it is available and if not why. Built-ins are not imported."""
        try:
            claim, summary = _read_built_in(self.name) if self.built_in else _read_plugin(self.load())
        except (Exception, SystemExit) as error:  # whatever is wrong with one variant, the others are listed
            reason = str(error) if isinstance(error, RegistryError) else _one_line(error)
            return self.unavailable(reason)
        return self._row() | {"available": True, "reason": None, **vars(claim), "summary": summary}

    def unavailable(self, reason: str) -> dict[str, Any]:
        """What `describe` says of a variant that cannot be used."""
        return self._row() | {"available": False, "reason": reason, **vars(Claim()), "summary": ""}

    def _row(self) -> dict[str, Any]:
        return {"name": self.name, "source": " and ".join(self.sources)}


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "its text cannot be had"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().split("\n")[0]


def _read_plugin(recipe: Callable[..., "VAE"]) -> tuple[Claim, str]:
    claim = getattr(recipe, "claim", None)
    return claim if isinstance(claim, Claim) else Claim(), _first_line(inspect.getdoc(recipe))


def _read_built_in(name: str) -> tuple[Claim, str]:
    tree = ast.parse((ZOO / f"{name}.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == register.__name__:
            values = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
            return register(**values)(lambda: None).claim, _first_line(ast.get_docstring(function))  # type: ignore[attr-defined]
    raise RegistryError(f"zoo/{name}.py does not mark its recipe with @register(...)")


def is_file(name: str) -> bool:
    """Whether a variant is named by its file, as `path/to/file.py:recipe`."""
    return ".py:" in name


def _load_file(target: str) -> Callable[..., "VAE"]:
    """The function of a user's file; its module is loaded once."""
    path, _, function = target.rpartition(":")
    name = OF_FILES + hashlib.sha256(path.encode()).hexdigest()[:12]
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        sys.modules[name] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    recipe: Callable[..., VAE] = getattr(sys.modules[name], function)
    return recipe


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by name, sorted, but for those of users' files; nothing is imported."""
    by_name: dict[str, Recipe] = {
        path.stem: Recipe(path.stem, (BUILT_IN,), f"variants.zoo.{path.stem}:{path.stem}")
        for path in ZOO.glob("*.py")
        if not path.stem.startswith("_")
    }
    for point in entry_points(group=GROUP):
        source = point.dist.name if point.dist else point.value
        known = by_name.get(point.name)
        sources = (*known.sources, f"{source} ({point.value})") if known else (f"{source} ({point.value})",)
        by_name[point.name] = Recipe(point.name, sources, known.target if known else point.value)
    known_targets = {recipe.target for recipe in by_name.values()}
    for name, function in _marked.items():
        target = f"{function.__module__}:{function.__qualname__}"
        if target not in known_targets:  # a plugin's own module marks its recipes too
            sources = (*(by_name[name].sources if name in by_name else ()), f"this process ({target})")
            by_name[name] = Recipe(name, sources, target, function)
    return dict(sorted(by_name.items()))


def names() -> list[str]:
    """Names of all variants, sorted, the unavailable ones included."""
    return list(recipes())


def matching(pattern: str) -> list[str]:
    """Names of the variants that a shell's pattern fits, such as `"*flow*"`; RegistryError if it fits none."""
    fits = fnmatch.filter(recipes(), pattern)
    if not fits:
        hint = "`vaebench list` shows all" if "*" in pattern else f"a part of a name needs stars: '*{pattern}*'"
        raise RegistryError(f"no variant is called {pattern!r}: {hint}")
    return fits


def grouped(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Answers of `describe` by what they change: first what has no base, then each role, then more than one."""
    groups: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    for row in rows:
        changes = row["changes"]
        several = SEVERAL if changes else NO_BASE
        groups[UNAVAILABLE if not row["available"] else changes[0] if len(changes) == 1 else several].append(row)
    return {group: members for group, members in groups.items() if members}


def get(name: str) -> Recipe:
    """The recipe of that name, or of a user's file; RegistryError with the nearest name if there is none."""
    if is_file(name):
        path, _, function = name.rpartition(":")
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            raise RegistryError(f"variant {name!r}: there is no file {path}")
        return Recipe(name, (path,), f"{file}:{function}")
    if name not in recipes():
        near = difflib.get_close_matches(name, recipes(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`vaebench list` shows all"
        raise RegistryError(f"unknown variant {name!r}: {hint}")
    return recipes()[name]


def known(variant: "str | Callable[..., VAE]") -> str:
    """The name of a variant: of a recipe function too, which this process knows from then on.

    Raises:
        RegistryError: an unknown name, or a function without one.
    """
    if isinstance(variant, str):
        return get(variant).name
    target = f"{variant.__module__}:{getattr(variant, '__qualname__', '')}"
    for recipe in recipes().values():
        if recipe.target == target and recipe.function in (None, variant):
            return recipe.name
    return add(variant)


def build(name: str, data: "DataSpec", **overrides: Any) -> "VAE":
    """A fresh model of a variant.

    Args:
        name: a registered name.
        data: shape and kind of one example.
        **overrides: keywords of the recipe and of its parts.

    Raises:
        RegistryError: an unknown, doubly defined or broken variant.
        TypeError: a keyword that the recipe does not take.
        ValueError: a value out of range.
    """
    return get(name).load()(data, **overrides)


def seeded(name: str, data: "DataSpec", seed: int, **overrides: Any) -> "VAE":
    """`build` with the weights of `seed`, leaving the caller's random state as it was."""
    torch = import_module("torch")
    with torch.random.fork_rng(devices=[]):
        # The CPU's stream only: torch.manual_seed would reseed the GPUs', and nothing here would put them back.
        torch.default_generator.manual_seed(seed)
        return build(name, data, **overrides)
