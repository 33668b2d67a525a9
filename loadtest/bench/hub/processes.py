"""Programs that the measurement starts and ends."""

import os
import subprocess
from pathlib import Path
from typing import Final

STOP_S_MAX: Final = 5.0
_KIB: Final = 1024


class BenchError(Exception):
    """The measurement can't go on; the text says what to do."""


def on_core(core: int, command: list[str]) -> list[str]:
    """Return *command* bound to one core, children and threads included."""
    return ["taskset", "--cpu-list", str(core), *command]


def cores() -> tuple[int, int]:
    """Return the server's core and the generator's; on one core they share it."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def stop(process: "subprocess.Popen[str]") -> None:
    """End a process that may have ended already."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def memory_bytes(pid: int) -> int:
    """Return the memory that is a process's own share (PSS), or RSS where that can't be read.

    The system walks through all of it for that, and the process may have to wait meanwhile.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return resident_bytes(pid)
    [pss] = [line for line in lines if line.startswith("Pss:")]
    return int(pss.split()[1]) * _KIB


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory (RSS), which costs it nothing."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
