"""The rooms of `bench`: imports go down the floors, and no module imports itself by way of others."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.helpers import ROOT
from tests.variants.test_imports import MODULES, all_imports

# From the top floor to the ground. Rooms of one floor do not import each other.
FLOORS = (
    ("__main__",),
    ("api", "cli"),
    ("reproduce",),
    ("sweeps",),
    ("engines",),
    ("cells",),
    ("oracle", "pages"),
    ("judge", "pages.figures", "train"),
    ("stats", "suites"),
    ("data", "records", "resume"),
    ("device", "disk", "settings"),
    ("errors", "seeds", "text"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    """`"pages.figures"` for `"bench.pages.figures.style"`; a file at the top of `bench` is a room of its own."""
    name = module.removeprefix("bench.")
    return "pages.figures" if name.startswith("pages.figures") else name.partition(".")[0]


def arrows() -> Iterator[tuple[str, str]]:
    """Each import of one module of `bench` by another, also those inside functions. Packages that are only passed
    through on the way to a module are none."""
    for module in MODULES:
        found = {name for name in all_imports(module) if name in MODULES and name.startswith("bench.")} - {module}
        for name in found:
            if not any(other.startswith(f"{name}.") for other in found) and module.startswith("bench."):
                yield module, name


def test_every_room_has_a_floor() -> None:
    assert {room_of(module) for module in MODULES if module.startswith("bench.")} == set(FLOOR)


def test_the_house_stays_small_enough_to_find_one_s_way() -> None:
    assert len(FLOORS) <= 12
    assert len(list((ROOT / "bench").glob("*.py"))) <= 7
    files = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob("[bv]*/**/*.py")}
    assert {path.name: lines for path, lines in files.items() if lines > 400} == {}


def test_imports_go_down() -> None:
    up = [
        (module, name)
        for module, name in arrows()
        if room_of(module) != room_of(name) and FLOOR[room_of(module)] >= FLOOR[room_of(name)]
    ]
    assert up == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for module, name in arrows():
        graph.setdefault(module, set()).add(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
