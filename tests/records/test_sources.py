"""Which code made a number: everything that numbers depend on counts, and nothing else."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.records import sources
from tests.helpers import ROOT, forget_plugins, install, sums_now
from tests.variants.test_imports import MODULES, all_imports, within
from variants import registry

# How a cell is asked for and its record kept; and what only fetches files, whose bytes are checked.
NO_NUMBERS = {
    "bench",
    "bench.cells",
    "bench.cells.events",
    "bench.cells.weights",
    "bench.data.files",
    "bench.disk.files",
    "bench.errors",
    "bench.records",
    "bench.records.record",
    "bench.records.sources",
    "bench.resume",
    "bench.resume.checkpoint",
    "bench.resume.sealed",
    "bench.settings",
    "bench.suites.oracle",
    "bench.text",
    "variants",
}

# Of each text once: a second for all sources.
MEANING = functools.cache(sources._meaning)


def reached_from(*modules: str) -> set[str]:
    """Our modules that these import, and they in turn, but for what `NO_NUMBERS` imports."""
    reached, queue = set[str](), list(modules)
    while queue:
        name = queue.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            queue += all_imports(name) if name not in NO_NUMBERS else []
    return reached


def test_all_that_a_training_reaches_counts_as_training() -> None:
    """But for how codes are counted, which the judge's look at the validation split leaves alone."""
    counted = {name for name, _ in sources._ours(sources.TRAINING)}
    reached = reached_from("bench.cells.prepare", "bench.train.loop") - NO_NUMBERS
    assert {name for name in reached if MODULES[name].relative_to(ROOT).as_posix() not in counted} == {
        "bench.judge.codes"
    }


def test_all_that_a_cell_reaches_counts() -> None:
    reached = reached_from("bench.cells.run", "bench.oracle.checks")
    counted = {name for name, _ in sources._ours(sources.TRAINING + sources.JUDGING)}
    paths = {name: MODULES[name].relative_to(ROOT).as_posix() for name in reached}
    assert {name for name, path in paths.items() if path not in counted} == NO_NUMBERS - {
        name for name in NO_NUMBERS if name not in MODULES
    }
    assert not within(reached, "variants.zoo")  # recipes are found by name


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the sources which is what counts."""
    for name in ("bench", "variants"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "mnist"))
    monkeypatch.setattr(sources, "HERE", tmp_path)
    monkeypatch.setattr(registry, "ZOO", tmp_path / "variants" / "zoo")
    monkeypatch.setattr(sources, "_meaning", MEANING)
    yield tmp_path
    monkeypatch.undo()
    sums_now("vanilla")


def changed_by(path: Path, variant: str, more: str = "changed = True\n") -> set[str]:
    """Which sums a changed file changes."""
    before = sums_now(variant)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + more, encoding="utf-8")
    after = sums_now(variant)
    path.write_text(text, encoding="utf-8")
    assert sums_now(variant) == before
    return {key for key in before if after[key] != before[key]}


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("variants/zoo/conv_full_covariance.py", {"code_sha256", "training_sha256"}),
        ("variants/zoo/conv.py", {"code_sha256", "training_sha256"}),  # which it imports
        ("variants/zoo/vanilla.py", set()),
        ("variants/parts/priors.py", {"code_sha256", "training_sha256"}),
        ("variants/core/kl.py", {"code_sha256", "training_sha256"}),
        ("bench/train/loop.py", {"code_sha256", "training_sha256"}),
        ("bench/cells/prepare.py", {"code_sha256", "training_sha256"}),
        ("bench/cells/run.py", {"code_sha256"}),
        ("bench/judge/gaps.py", {"code_sha256"}),
        ("bench/cells/clock.py", {"code_sha256"}),
        ("bench/pages/figures/style.py", set()),
        ("bench/engines/local.py", set()),
        ("variants/testing/bounds.py", set()),
    ],
)
def test_what_counts(copy: Path, file: str, keys: set[str]) -> None:
    assert changed_by(copy / file, "conv_full_covariance") == keys
    assert changed_by(copy / file, "conv_full_covariance", "\n\n# words\n") == set()


SOURCE = '''"""A module."""
import a.b as c
from .d import *
@c.mark("\u00e9", -1.5e-7, x=[None, ..., True, b"1", 2j])
class A(c.B, metaclass=c.M):
    """A class."""
    y: int = 0xFFFFFFFFFFFFFFFFFFFFFF
    def f(self, p, /, q=1, *r, s, t=None, **u) -> str:
        """A function."""
        return f"a {p!r:>9}{s}" "b" if p else {**u, "k": (yield)}
def g(x):
    """Words alone."""
try:
    z = [i for i in range(3) if i not in {1}][::2]
    match z:
        case [1, *rest] | {"k": rest} if rest: del z
except* E as e:
    raise
while (n := 1) < 2 <= 3: global o; lambda: n
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module", "Another one"),
        ('"""Words alone."""', '"""Other words.\n\n    and more"""'),
        ("import a.b as c\n", "import a.b  as c  # why\n\n\n"),
        ("-1.5e-7", "-0.15E-6"),
        ('"""A class."""\n', "\n"),
    ],
)
def test_words_and_layout_do_not_count(old: str, new: str) -> None:
    assert old in SOURCE
    assert sources._meaning(SOURCE.replace(old, new).encode()) == sources._meaning(SOURCE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.5e-7", "1.5e-8"),
        ("True", "1"),
        ("None, ...", "..., None"),
        ("a.b", "a.bb"),
        ("{s}", "{p}"),
        ("/, q=1", "q=1"),
        ("q=1, *r", "q=1"),
        ("[1, *rest]", "[*rest, 1]"),
        ("2 <= 3", "2 < 3"),
        ("0xFFFF", "0xFFFE"),
        ("    raise\n", "    raise e\n"),
        ("return f", "f"),
        ("<", "< <"),  # no Python
    ],
)
def test_all_else_counts(old: str, new: str) -> None:
    assert old in SOURCE
    assert sources._meaning(SOURCE.replace(old, new, 1).encode()) != sources._meaning(SOURCE.encode())


def test_the_sum_of_a_source_is_the_same_everywhere() -> None:
    # Found with Python 3.11, 3.12 and 3.13.
    assert sources._meaning(SOURCE.encode()) == "2187a1525221b47af8a0b50790ac76a6f7b52f2d78fa5a451765158c99226eb4"


def test_what_is_no_python_counts_with_its_bytes() -> None:
    for content in (b"x = ", b"\xff\xfe", b"x = '\0'", b"(" * 10_000, b"-" * 100_000 + b"1"):
        found = sources._meaning(content)
        assert found == sources._meaning(content) != sources._meaning(content + b"# more")


def test_files_count_as_they_were_first_seen(copy: Path) -> None:
    """What a fork server has imported stays in its memory, whatever becomes of the files."""
    first = sums_now("vanilla")
    for file in ("bench/train/loop.py", "variants/parts/new.py", "variants/zoo/vanilla.py", "variants/zoo/linear.py"):
        with (copy / file).open("a") as text:
            text.write("changed = True\n")
    sources._sums.cache_clear()
    assert sources.sums("vanilla") == first
    sources.check("vanilla", first)
    linear = sources.sums("linear")
    assert sums_now("vanilla") != first
    with pytest.raises(UsageError, match="its sources changed while the run went on"):
        sources.check("vanilla", first)
    # The recipe that nobody had asked for before counts as it is, all else as it was.
    assert sums_now("linear") != linear
    for file in ("bench/train/loop.py", "variants/parts/new.py"):
        (copy / file).unlink()
    shutil.copyfile(ROOT / "bench" / "train" / "loop.py", copy / "bench" / "train" / "loop.py")
    assert sums_now("linear") == linear


def test_what_a_server_keeps_counts_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that its processes will have in memory, whatever becomes of the files."""
    files = ("bench/seeds.py", "bench/text.py")
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / file)
    for name, value in (("HERE", tmp_path), ("TRAINING", files[:1]), ("JUDGING", files[1:])):
        monkeypatch.setattr(sources, name, value)
    first = sums_now("vanilla")
    for seen in (sources._sums, sources._ours, sources._first_seen):
        seen.cache_clear()
    sources.keep()
    for file in files:
        (tmp_path / file).write_text("changed = True\n")
    assert sources.sums("vanilla") == first
    assert sums_now("vanilla") != first
    monkeypatch.undo()
    sums_now("vanilla")


@pytest.mark.parametrize("content", [b"def linear(:", b"\xff", b"(" * 10_000, None])
def test_a_recipe_that_is_half_saved_or_gone_has_sums(copy: Path, content: bytes | None) -> None:
    path = copy / "variants" / "zoo" / "linear.py"
    whole = sums_now("linear")
    path.unlink() if content is None else path.write_bytes(content)
    assert sums_now("linear") != whole


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
    assert sums_now("no_such_variant") != sums_now("single")
    for folder in ("a", "b"):
        forget_plugins(tmp_path / folder)


def _one(x: int) -> int:
    return x


class _Part:
    """A class that a function names, and its method another one."""

    def go(self) -> int:
        return _one(1)


def _whole() -> object:
    return lambda: (_Part(), install)


def test_a_function_counts_with_what_it_names_of_its_module_also_within() -> None:
    text = sources._written(_whole)
    assert all(words in text for words in (b"def _whole", b"class _Part", b"def _one"))
    assert b"def install" not in text


def test_a_recipe_counts_with_those_that_it_imports_and_they_in_turn() -> None:
    assert sources._zoo("rae_gp") == {"rae_gp", "rae_l2", "autoencoder"}
