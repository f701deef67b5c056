"""Plugins that do what they must not: each spoils its own cell, and no neighbour's number."""

import json
import multiprocessing
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.cells.run import run_cell
from bench.engines import plugins as asking
from bench.engines.local import Local
from bench.records import store
from tests.helpers import call, forget_plugins, install, simulated, telling, work_off
from tests.reliability.faults import SUITE, program

MODULE = '''
import os
import random
import time

import numpy as np
import torch
from torch import nn

from variants.parts import assemble


class Stirring(nn.Module):
    """Changes at every call whatever is common to a process."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.features = inner, inner.features

    def forward(self, x):
        stir()
        return self.inner(x)


class Narrow(nn.Module):
    """What broadcasting lets pass: one parameter for all dimensions."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, z):
        return self.inner(z)[..., :1]


def stir():
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    torch.set_num_threads(3)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)
    os.environ["OMP_NUM_THREADS"] = "3"


def good(data, *, latent=2):
    return assemble(data, latent=latent, hidden=[8])


def stirs(data, *, latent=2):
    stir()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    model = good(data, latent=latent).float()
    model.encoder = Stirring(model.encoder)
    return model


def floods(data, *, latent=2):
    for place in (1, 2):
        for _ in range(200):
            os.write(place, b"no end of words " * 2500)
    print("no end of words " * 100_000)
    return good(data, latent=latent)


def quits(data, *, latent=2):
    raise SystemExit("I quit")


def dies(data, *, latent=2):
    os._exit(7)


def wrong_shape(data, *, latent=2):
    model = good(data, latent=latent)
    model = good(data, latent=latent)
    model.decoder = Narrow(model.decoder)
    return model


def spins(data):
    while True:
        pass


def threads(data):
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    return good(data).float()
'''
RECIPES = ("good", "stirs", "floods", "quits", "dies", "wrong_shape", "spins", "threads")
ON_IMPORT = {
    "raises": "raise RuntimeError('no good')",
    "quits": "raise SystemExit('not today')",
    "dies": "import os; os._exit(7)",
    "hangs": "import time; time.sleep(600)",
    # What it leaves behind holds its pipe.
    "leaves": "import os, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\nos._exit(8)",
}


@pytest.fixture(scope="module")
def on_import(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("on_import")
    for fault, source in ON_IMPORT.items():
        install(folder, f"vae-{fault}", source, {f"{fault}_on_import": f"vae_{fault}:recipe"})
    return folder


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder, "vae-rude", MODULE, {name: f"vae_rude:{name}" for name in RECIPES})
    return folder


def figures(made: dict[str, Any]) -> str:
    return json.dumps([getattr(made, key) for key in ("metrics", "errors", "latent", "curve")], default=list)


def test_no_plugin_spoils_a_neighbour_or_the_output(
    tmp_path: Path, plugins: Path, on_import: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["stirs", "good", "floods", "quits", "dies", "wrong_shape"]
    names += [f"{fault}_on_import" for fault in ("raises", "quits", "dies")]
    (tmp_path / "mine.toml").write_text(SUITE.replace('["vanilla"]', json.dumps([*names, "vanilla"])), encoding="utf-8")
    words = ["run", "mine.toml", "--json", "--device", "cpu", "--jobs", "2", "--out", "out", "--set", "latent=2"]
    done = program(*words, cwd=tmp_path, plugins=[plugins, on_import])
    assert done.returncode == 1, done.stderr[-2000:]
    result = json.loads(done.stdout)  # and not one of the words that `floods` writes there
    assert "no end of words" in done.stderr
    assert "Traceback" not in done.stderr
    reasons = {line.split("_s0_")[0].split("-none_")[1]: line.split(": ", 1)[1] for line in result["failed"]}
    lost = "the cell's process exited with code 7 without a result"
    assert reasons == {
        "quits": "error, SystemExit: I quit",
        "dies": f"error, {lost}",
        "wrong_shape": "error, ValueError: the mean of p(x|z) has shape (3, 2, 1) where (3, 2, 16) belongs "
        "(K = 3, B = 2)",
        "raises_on_import": "error, variant 'raises_on_import' from vae-raises (vae_raises:recipe) cannot be loaded: "
        "RuntimeError: no good",
        "quits_on_import": "error, variant 'quits_on_import' from vae-quits (vae_quits:recipe) cannot be loaded: "
        "SystemExit: not today",
        "dies_on_import": f"error, {lost}",
    }
    found, warnings = store.read_all(tmp_path / "out")
    assert (len(found), warnings) == (len(names) + 1, [])
    # The same cells alone in this process give the same bytes.
    by_name = {made.cell["variant"]: made for made in found}
    monkeypatch.syspath_prepend(str(plugins))
    forget_plugins(plugins)
    for name in ("good", "vanilla"):
        alone, _ = run_cell("quality", by_name[name].cell, {"commit": None})
        assert figures(alone) == figures(by_name[name])
        assert alone.status == "ok"
    forget_plugins(plugins)


def test_a_plugin_cannot_give_itself_threads_or_another_number_type(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(plugins))
    forget_plugins(plugins)
    seen: list[Any] = []

    def on_epoch(_: int) -> None:
        seen.append((torch.get_num_threads(), torch.get_default_dtype()))

    try:
        made, _ = run_cell("quality", simulated("threads"), {"commit": None}, tell=telling(epochs=on_epoch))
        plain, _ = run_cell("quality", simulated("good"), {"commit": None})
    finally:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        forget_plugins(plugins)
    assert made.status == "ok", made.reason
    assert seen == [(1, torch.float32)]
    assert set(made.metrics) == set(plain.metrics)


def test_a_plugin_that_loops_for_ever_is_ended(tmp_path: Path, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(plugins))
    (made,) = work_off(Local(), [simulated("spins")], tmp_path, timeout_s=0.6)
    assert (made.status, made.reason) == ("timeout", "not finished after 0.01 minutes")
    assert multiprocessing.active_children() == []


def test_listing_survives_what_plugins_do_on_import(
    on_import: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(on_import))
    monkeypatch.setattr(asking, "PATIENCE_S", 5.0)
    forget_plugins(on_import)
    try:
        code, out, err = call(capsys, "list")
    finally:
        forget_plugins(on_import)
    words = " ".join(out.split())
    assert (code, err) == (0, "")
    for line in (
        r"dies_on_import .*its process exited with code 7",
        r"hangs_on_import .*no answer in 5 seconds",
        r"leaves_on_import .*its process exited with code 8",
        r"quits_on_import .*cannot be loaded: SystemExit: not today",
        r"raises_on_import .*cannot be loaded: RuntimeError: no good",
        r"vanilla VAE",
    ):
        assert re.search(line, words), line
