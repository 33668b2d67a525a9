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
    """Return the memory that is a process's own share (PSS), or RSS where that can't be read."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split() for line in lines if ":" in line}
    words = found.get("Pss") or found["VmRSS"]
    return int(words[1]) * _KIB
