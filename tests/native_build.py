"""Builds parts of the C core for tests that look below the Python module."""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

NATIVE: Final = Path(__file__).parents[1] / "protocol" / "native"
WARNINGS: Final = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def has_ifma() -> bool:
    """Tell whether the lanes can run here; their portable twin always can."""
    return "avx512ifma" in Path("/proc/cpuinfo").read_text()


def find_compiler(name: str = "cc") -> str:
    """Return a compiler's path; fail with the line that installs one."""
    for candidate in (name, "gcc", "clang") if name == "cc" else (name,):
        found = shutil.which(candidate)
        if found:
            return found
    return pytest.fail(f"{name} not found: apt-get install gcc clang")


def build(sources: Sequence[str | Path], target: Path, *options: str, compiler: str = "cc") -> Path:
    """Compile *sources* (names are those in protocol/native) into a program or library."""
    command = [find_compiler(compiler), *WARNINGS, f"-I{NATIVE}", "-o", str(target)]
    command += [str(NATIVE / source) for source in sources]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{compiler} {' '.join(options)}:\n{done.stderr}")
    return target


def load_library(
    sources: Sequence[str | Path], folder: Path, *, compiler: str = "cc"
) -> ctypes.CDLL:
    """Compile *sources* into a shared library and load it."""
    target = folder / f"{Path(sources[0]).stem}-{compiler}.so"
    return ctypes.CDLL(str(build(sources, target, "-O2", "-shared", "-fPIC", compiler=compiler)))
