"""A pretend accelerator for tests, `pretend.cpp`: compiled once for each version of it and of torch."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from tests.helpers import install

HERE = Path(__file__).parent


def library() -> Path:
    """The compiled library; the calling test is skipped where there is no compiler for it."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the pretend device needs Linux and a C++ compiler (g++, or CXX)")
    source = HERE / "pretend.cpp"
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root())
    folder.mkdir(parents=True, exist_ok=True)
    made_of = hashlib.sha256(source.read_bytes() + torch.__version__.encode() + os.fsencode(compiler))
    built = folder / f"vaebench_pretend_{made_of.hexdigest()[:16]}.so"
    with built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests side by side: one compiles, the others wait
        if not built.exists():
            partial = built.with_suffix(".partial")
            words = [compiler, "-O1", "-std=c++20", "-shared", "-fPIC", "-w", str(source), "-o", str(partial)]
            words += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
            words += [f"-I{path}" for path in cpp_extension.include_paths()]
            words += [f"-L{path}" for path in cpp_extension.library_paths()] + ["-ltorch_cpu", "-lc10"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            partial.replace(built)
    return built


def installed(folder: Path, *, float64: bool) -> dict[str, str]:
    """The environment of a Python process whose torch has the pretend device, with float64 or without."""
    built = library()
    source = (HERE / "torch_pretend.py").read_text(encoding="utf-8")
    install(folder, "torch-pretend", source, {"pretend": "torch_pretend:load"}, group="torch.backends")
    paths = [str(folder), *filter(None, sys.path)]
    return {"PRETEND_LIBRARY": str(built), "PRETEND_FLOAT64": str(int(float64)), "PYTHONPATH": os.pathsep.join(paths)}
