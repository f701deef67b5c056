"""The registry: lazy, complete, and not to be upset by a plugin. Plugins here are real distributions on sys.path."""

import functools
import sys
from pathlib import Path

import pytest

from variants import DataSpec, RegistryError, build, get, names, registry
from variants.registry import BUILT_IN, GROUP, ZOO, recipes, seeded

ROOT = Path(__file__).parents[2]
REAL = DataSpec((4,), "real")

GOOD = '''
from variants import register
from variants.parts import assemble

@register(base="vanilla", changes="objective", paper="nobody 2026")
def halfbeta(data, *, objective="beta", beta=0.5, **parts):
    """Half a beta."""
    return assemble(data, objective=objective, beta=beta, **parts)
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution with entry points on sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, source: str, **points: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {target}" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")
        recipes.cache_clear()

    yield install
    recipes.cache_clear()
    for module in [m for m, loaded in sys.modules.items() if str(tmp_path) in str(getattr(loaded, "__file__", ""))]:
        del sys.modules[module]


@pytest.mark.parametrize(
    "path", sorted(p for p in ZOO.glob("*.py") if not p.stem.startswith("_")), ids=lambda p: p.stem
)
def test_file_name_is_function_name_is_registered_name(path: Path) -> None:
    recipe = get(path.stem)
    function = recipe.load()
    assert recipe.sources == (BUILT_IN,)
    assert (function.__name__, function.__module__) == (path.stem, f"variants.zoo.{path.stem}")


def test_names_are_sorted_and_all_available() -> None:
    assert names() == sorted(names())
    assert "vanilla" in names()
    for name in names():
        row = get(name).describe()
        assert row["available"], row["reason"]
        assert row["summary"]


def test_unknown_name() -> None:
    with pytest.raises(RegistryError, match=r"^unknown variant 'vanila': did you mean 'vanilla'\?$"):
        build("vanila", REAL)
    with pytest.raises(RegistryError, match=r"^unknown variant 'xyzzy': `vaebench list` shows all$"):
        get("xyzzy")


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError, match="no chosen part takes the option 'latnt'"):
        build("vanilla", REAL, latnt=3)


def test_plugin_is_listed_and_built(plugins) -> None:
    plugins("vae-half", GOOD, halfbeta="vae_half:halfbeta")
    assert "halfbeta" in names()
    assert names() == sorted(names())
    row = get("halfbeta").describe()
    assert row == {
        "name": "halfbeta",
        "source": "vae-half (vae_half:halfbeta)",
        "available": True,
        "reason": None,
        "base": "vanilla",
        "changes": ("objective",),
        "paper": "nobody 2026",
        "summary": "Half a beta.",
    }
    assert build("halfbeta", REAL, latent=2).objective.beta == 0.5


def test_plugin_is_not_imported_by_listing_names(plugins) -> None:
    plugins("vae-loud", "raise SystemExit('must not be imported')", loud="vae_loud:loud")
    assert "loud" in names()
    assert "vae_loud" not in sys.modules


def test_collision_of_two_plugins_names_both(plugins) -> None:
    plugins("vae-half", GOOD, halfbeta="vae_half:halfbeta")
    plugins("vae-other", GOOD, halfbeta="vae_other:halfbeta")
    with pytest.raises(RegistryError, match="defined twice") as caught:
        build("halfbeta", REAL)
    assert "vae-half" in str(caught.value)
    assert "vae-other" in str(caught.value)
    assert "\n" not in str(caught.value)
    row = get("halfbeta").describe()
    assert not row["available"]
    assert "vae-half" in row["source"]
    assert "vae-other" in row["source"]


def test_collision_with_a_built_in_is_refused(plugins) -> None:
    plugins("vae-usurper", GOOD.replace("halfbeta", "vanilla"), vanilla="vae_usurper:vanilla")
    with pytest.raises(RegistryError, match=r"'vanilla' is defined twice, by vaebench and by vae-usurper"):
        build("vanilla", REAL)
    assert not get("vanilla").describe()["available"]
    assert build("beta", REAL, latent=2).objective.beta == 4.0


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
        ("def broken(:", "SyntaxError"),
        ("other = 1", "AttributeError"),
        ("broken = 3", "is not a function"),
    ],
)
def test_broken_plugin_disturbs_nothing(plugins, source: str, reason: str) -> None:
    plugins("vae-broken", source, broken="vae_broken:broken")
    plugins("vae-half", GOOD, halfbeta="vae_half:halfbeta")
    row = get("broken").describe()
    assert not row["available"]
    assert reason in row["reason"]
    assert "vae-broken" in row["reason"]
    assert "\n" not in row["reason"]
    assert row["base"] is None
    with pytest.raises(RegistryError, match="'broken' from vae-broken"):
        build("broken", REAL)
    available = [name for name in names() if get(name).describe()["available"]]
    assert available == [name for name in names() if name != "broken"]
    assert build("halfbeta", REAL, latent=2).objective.beta == 0.5


def test_a_recipe_without_a_name_is_one_line() -> None:
    for recipe in (lambda _: None, functools.partial(build, "vanilla")):
        with pytest.raises(RegistryError, match="a recipe needs a name"):
            registry.known(recipe)


@pytest.mark.parametrize("claim", ["", "plain.claim = 'of another program'"])
def test_plugin_without_a_claim_is_listed(plugins, claim: str) -> None:
    plugins("vae-plain", f"def plain(data):\n    '''Plain.'''\n{claim}", plain="vae_plain:plain")
    row = get("plain").describe()
    assert (row["available"], row["base"], row["changes"], row["summary"]) == (True, None, (), "Plain.")


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("vanilla", 14616.77052154982),
        ("conv", 12469.941323823974),
        ("full_covariance", 14616.77052154982),
        ("hierarchical", 14867.844046786086),
        ("skip", 16359.625292000568),
        ("linear", 2111.7189979555255),
    ],
)
def test_a_seed_gives_the_weights_that_the_protocol_began_with(name: str, total: float) -> None:
    """The order in which layers are drawn is part of every figure: whoever changes it raises the protocol."""
    made = seeded(name, DataSpec((1, 28, 28), "binary", 1000), 5)
    assert sum(p.double().abs().sum().item() for p in made.parameters()) == pytest.approx(total, rel=1e-9)


@pytest.fixture
def _nothing_marked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "_marked", {})
    recipes.cache_clear()
    yield
    recipes.cache_clear()


@pytest.mark.usefixtures("_nothing_marked")
def test_a_function_that_is_written_anew_takes_the_place_of_the_first() -> None:
    """As a cell of a notebook that is run again: the same name in the same module, and another function."""

    def mine(_: DataSpec) -> None:
        """The first."""

    first = mine

    def mine(_: DataSpec) -> None:
        """The second."""

    assert registry.known(first) == "mine"
    assert get("mine").load() is first
    assert registry.known(mine) == "mine"
    assert get("mine").load() is mine
    # No other process knows it, so that it is asked in this one.
    assert (get("mine").here, get("mine").built_in) == (True, False)
    # One that is known by its file goes by that name, and is not marked as another.
    assert registry.known(get("beta").load()) == "beta"
    assert (get("beta").here, get("beta").built_in) == (True, True)


def test_a_file_is_meant_whatever_folder_a_process_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def mine(data):\n    'Of a file.'\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/mine.py", "mine.py"):
        recipe = get(f"{path}:mine")
        assert (recipe.name, recipe.sources) == (f"{path}:mine", (path,))
        assert recipe.target == f"{(tmp_path / 'mine.py').resolve()}:mine"
        assert (recipe.describe()["source"], recipe.describe()["summary"]) == (path, "Of a file.")


def test_a_file_that_failed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def mine(data):\n    'Half of it.'\nraise RuntimeError('the rest is missing')\n")
    for _ in range(2):
        with pytest.raises(RegistryError, match="cannot be loaded: RuntimeError: the rest is missing"):
            get(f"{file}:mine").load()
    file.write_text("def mine(data):\n    'All of it.'\n")
    assert get(f"{file}:mine").describe()["summary"] == "All of it."


def test_a_marked_recipe_of_a_file_goes_by_its_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from variants import register\n@register()\ndef of_a_file(data):\n    'Marked.'\n")
    assert get(f"{file}:of_a_file").describe()["summary"] == "Marked."
    assert "of_a_file" not in names()


def test_a_file_that_ends_the_program_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import sys\nsys.exit(3)\n")
    for _ in range(2):
        with pytest.raises(SystemExit):
            registry._load_file(f"{path}:recipe")
    path.write_text("recipe = len\n")
    assert registry._load_file(f"{path}:recipe") is len
