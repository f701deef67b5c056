"""Real faults: disks that are full or read-only, and the program as a process that meets them."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT

PROGRAM = (sys.executable, "-m", "bench")
# A suite of one or two cells that run in a fraction of a second.
SUITE = """
seeds = 1
variants = ["vanilla"]
datasets = [{ name = "linear_gaussian", options = { n = 1000 } }]

[budget]
epochs = 1
batch_size = 100
train_size = 200

[measure]
elbo_samples = 2
nll_samples = 5
nll_points = 20

[throughput]
blocks = 0
"""


@functools.cache
def _namespace() -> tuple[str, ...]:
    """Words before a command that give it mounts of its own, which end with it; none where that is not allowed."""
    for words in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        try:
            subprocess.run([*words, "mount", "-t", "tmpfs", "none", "/mnt"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return words
    return ()


def mounting(folder: Path, options: str, then: str) -> list[str]:
    """A command that mounts a tmpfs with `options` on `folder`, for itself alone, and runs `then` in a shell.

    What it leaves in `folder` is gone at its end.
    """
    if not _namespace():
        pytest.skip("this machine lets a test mount nothing")
    folder.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o {options} vaebench-test "$0" && {{ {then}\n}}'
    return [*_namespace(), "bash", "-c", script, str(folder)]


def environment(*paths: Path) -> dict[str, str]:
    """Of a process that imports this checkout and what is in `paths`."""
    path = os.pathsep.join(map(str, [ROOT, *paths]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}


def program(
    *words: str | Path, cwd: Path, plugins: Iterable[Path] = (), **how: Any
) -> subprocess.CompletedProcess[str]:
    """`vaebench WORDS`, ended, with both streams."""
    return ended([*PROGRAM, *map(str, words)], cwd=cwd, plugins=plugins, **how)


def ended(
    command: list[str], *, cwd: Path, plugins: Iterable[Path] = (), **how: Any
) -> subprocess.CompletedProcess[str]:
    """A command, ended, with both streams."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(*plugins),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
        **how,
    )
