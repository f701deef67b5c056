"""Which device a run uses, written for any accelerator that torch knows."""

import os
import platform
import shutil
from pathlib import Path

import torch

from bench.errors import MachineError, UsageError

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")


def accelerator() -> str | None:
    """Type of this machine's accelerator (`"cuda"`, `"mps"`, `"xpu"` ...), or None."""
    device = torch.accelerator.current_accelerator(check_available=True)
    return None if device is None else device.type


def resolve(name: str) -> str:
    """The device type to use. `auto` is the accelerator where there is one, else the CPU.

    Raises:
        UsageError: a name that is no device.
        MachineError: a device that this machine does not have; it is never replaced by another.
    """
    if name not in DEVICES:
        raise UsageError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    found = accelerator()
    if name == "auto":
        return found or "cpu"
    if name not in ("cpu", found):
        raise MachineError(f"device {name!r} is not available here (found: {found or 'cpu only'}): use --device auto")
    return name


def require_compiler(device: str) -> None:
    """MachineError if `torch.compile` would find no C++ compiler where it needs one: on the CPU."""
    compilers = (os.environ.get("CXX", "g++"), "clang++", "cl")
    if device == "cpu" and not any(map(shutil.which, compilers)):
        raise MachineError("--compile needs a C++ compiler on the CPU, and none is here: install g++, or set CXX")


def synchronise(device: str) -> None:
    """Wait until all work queued on `device` is done; on the CPU nothing is ever queued."""
    if device != "cpu":
        torch.accelerator.synchronize()


def describe(device: str) -> str:
    """Name of the processor behind a device type."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "xpu":
        return torch.xpu.get_device_name()
    return _processor()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
