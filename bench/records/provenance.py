"""Where the code of a run and its libraries come from."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Where this code and its libraries come from: git commit and dirty flag (None outside a checkout), versions."""
    packages = ("vaebench", "torch", "torchvision", "numpy")
    return {
        **_git(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
    }


def _git() -> dict[str, Any]:
    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        # Installed inside somebody's repository, this package is no part of its history.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != Path(__file__).resolve().parents[2]:
            return {"commit": None, "dirty": None}
        # The files that make the numbers: what a run wrote, or a page about it, makes no checkout dirty.
        changed = git("status", "--porcelain", "--", ":/bench", ":/variants", ":/pyproject.toml")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
