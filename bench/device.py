"""Which device a run uses, written for any accelerator that torch knows. What it says of the machine needs no torch."""

import ctypes
import os
import platform
import re
import resource
import shlex
import shutil
import sys
import warnings
from pathlib import Path

from bench.errors import MachineError, UsageError
from bench.text import printable

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")

# glibc's numbers of two options of mallopt(3). Blocks from MAP bytes on are mappings of their own; 32 MiB is the most
# that it takes. It gives memory back once more than TRIM bytes are free at the end of the heap.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM, _MAP = 256 * 2**20, 32 * 2**20


def accelerator() -> str | None:
    """Type of this machine's accelerator (`"cuda"`, `"mps"`, `"xpu"` ...), or None."""
    import torch

    device = torch.accelerator.current_accelerator(check_available=True)
    return None if device is None else device.type


def resolve(name: str) -> str:
    """The device type to use. `auto` is the accelerator where there is one, else the CPU.

    Raises:
        UsageError: a name that is no device.
        MachineError: a device that this machine does not have; it is never replaced by another.
    """
    present = accelerator()
    if name not in (*DEVICES, present):
        raise UsageError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    if name == "auto":
        return present or "cpu"
    if name not in ("cpu", present):
        raise MachineError(f"device {name!r} is not available here (found: {present or 'cpu only'}): use --device auto")
    return name


def require_compiler(device: str) -> None:
    """MachineError if `torch.compile` would find no C++ compiler for the CPU; for an accelerator it brings its own."""
    standard = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    chosen = os.environ.get("CXX") or standard
    try:
        name = (shlex.split(chosen) or [chosen])[0]
    except ValueError:  # a quotation without an end
        name = chosen
    if device == "cpu" and not shutil.which(name):
        raise MachineError(f"--compile needs the C++ compiler {name}, which is not here: install it, or set CXX")


def require_bf16(device: str) -> None:
    """MachineError if a device cannot compute in bfloat16. A CPU always can, if slowly."""
    import torch

    one = torch.ones(1, 1, device=device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.autocast(device, dtype=torch.bfloat16):
                # Some devices raise here, others warn and go on in fp32.
                supported = (one @ one).dtype == torch.bfloat16
    except (AssertionError, RuntimeError):  # a device without autocast fails torch's own assertion
        supported = False
    if not supported:
        raise MachineError(f"device {device!r} has no bf16: use --precision fp32")


def require_float64(device: str) -> None:
    """MachineError if a device has no double precision, as mps has none."""
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError) as error:
        line = f"the oracle suite needs double precision, which {device} does not have: use --device cpu"
        raise MachineError(line) from error


def synchronise(device: str) -> None:
    """Wait until all work queued on `device` is done; on the CPU nothing is ever queued."""
    if device != "cpu":
        import torch

        torch.accelerator.synchronize()


def keep_memory() -> str | None:
    """Have the C library keep what this process frees, where it is glibc, until the process ends.

    By default a temporary of some megabytes is a new mapping, whose every page is a fault when it is first written.

    Returns:
        The allocator in words; None where nothing is known of it.
    """
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None  # another C library
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_M_MMAP_THRESHOLD, _MAP) and mallopt(_M_TRIM_THRESHOLD, _TRIM)
    return f"{library}, {'keeps' if kept else 'returns'} freed memory"


def describe(device: str) -> str:
    """Name of the processor behind a device type."""
    if device in ("cuda", "xpu"):
        import torch

        return str(torch.get_device_module(device).get_device_name())
    return _processor()


# What chooses other kernels than the processor would, or fewer threads than a cell asks for.
KERNELS = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "OMP_THREAD_LIMIT")


def kernels() -> str:
    """The CPU kernels that torch takes, and the variables of `KERNELS` that are set: `"AVX2, MKL_CBWR=AVX2"`."""
    import torch

    told = [f"{name}={printable(os.environ[name])[:40]}" for name in KERNELS if os.environ.get(name)]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *told])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_resident_mb() -> float:
    """MiB of the largest resident memory of this process since its program began.

    On Linux `getrusage` would count what the process held before it became this program: a copy of whoever started it.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if match := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(match[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs(device: str) -> int:
    """Cells side by side: one a core on the CPU, one at a time on an accelerator."""
    return cores() if device == "cpu" else 1
