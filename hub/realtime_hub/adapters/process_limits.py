"""What the system lets this process have: memory and open files."""

import resource
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NO_LIMIT_BYTES: Final = 1 << 50


def resident_bytes() -> int:
    """Return how much memory this process has in RAM."""
    return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()


def memory_limit_bytes() -> int | None:
    """Return what the control group may use; None where it has no limit."""
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < _NO_LIMIT_BYTES:
            return int(text)
    return None


def raise_files_limit() -> int:
    """Let this process open as many files as it may; return the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
