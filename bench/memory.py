"""Peak memory of this process. Needs no torch."""

import re
import resource
import sys
from pathlib import Path


def peak_resident_mb() -> float:
    """MiB of the largest resident memory of this process since its program began.

    On Linux `getrusage` would count what the process held before it became this program: a copy of whoever started it.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
