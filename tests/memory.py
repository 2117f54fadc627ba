"""The most memory that this process has had at once."""

from __future__ import annotations

import re
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_kib() -> int:
    """Return it in KiB.

    Where the system tells it of the program alone, that counts: ``ru_maxrss`` is inherited from the process
    that started this one, however large that was.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text("ascii")) if _STATUS.exists() else None
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
