"""What machine this is, for reports."""

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

_CPU_INFO: Final = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, str]:
    """Return version, Python, processor and system."""
    return {
        "version": version("qubic-realtime"),
        "python": f"Python {platform.python_version()}",
        "processor": processor_name(),
        "system": f"{sys.platform} {platform.machine()}",
    }


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unknown processor"
