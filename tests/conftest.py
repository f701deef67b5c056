"""Shared by all tests: one thread, so that they are quick beside each other, and one seed, so that they repeat."""

import os
from collections.abc import Iterator

import pytest
import torch

from tests.helpers import forget_plugins, install_misbehaving

torch.set_num_threads(1)
# What commands print depends on the width of the terminal.
os.environ["COLUMNS"] = "120"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs the nodes of a Ray cluster is slow."""
    for item in items:
        if "nodes" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="session")
def _data_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A data root of the tests' own, for what they keep of users' data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEBENCH_DATA", str(tmp_path_factory.mktemp("data root")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A plugin with one recipe for each way in which a variant can misbehave."""
    folder = tmp_path_factory.mktemp("plugin")
    install_misbehaving(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget_plugins(folder)
        yield
    forget_plugins(folder)
