"""Builds parts of the C core for tests that look below the Python module."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

# scripts/mutate_verification.py names its copy, where a mutant may leave a function unused.
_COPY: Final = os.environ.get("NATIVE_SOURCES")
NATIVE: Final = Path(_COPY or Path(__file__).parents[1] / "protocol" / "native")
IFMA: Final = ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma")
WARNINGS: Final = (
    ("-std=c11", "-w")
    if _COPY
    else ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wno-psabi", "-Werror")
)


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


def core_sources() -> list[Path]:
    """Return what needs no Python: all of the core but the extension module."""
    return sorted(path for path in NATIVE.glob("*.c") if path.name != "module.c")


def build_core(sources: Sequence[Path], target: Path, *options: str, compiler: str = "cc") -> Path:
    """Compile *sources* with the whole core into a program, with the paths that can run here."""
    folder = target.with_suffix(".objects")
    folder.mkdir()
    lanes = ("-DREALTIME_HAS_IFMA=1",) if has_ifma() else ()

    def compile_one(source: Path) -> Path:
        own = IFMA if source.match("*_ifma.c") else ()
        return build(
            [source], folder / f"{source.stem}.o", "-c", *options, *lanes, *own, compiler=compiler
        )

    chosen = [each for each in [*core_sources(), *sources] if lanes or not each.match("*_ifma.c")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, chosen))
    return build(objects, target, *options, "-pthread", compiler=compiler)


def load_library(
    sources: Sequence[str | Path], folder: Path, *, compiler: str = "cc"
) -> ctypes.CDLL:
    """Compile *sources* into a shared library and load it."""
    target = folder / f"{Path(sources[0]).stem}-{compiler}.so"
    return ctypes.CDLL(str(build(sources, target, "-O2", "-shared", "-fPIC", compiler=compiler)))
