"""Builds parts of the C core for tests that look below the Python module."""

import atexit
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

import pytest

# scripts/mutate_verification.py names its copy, where a mutant may leave a function unused.
_COPY: Final = os.environ.get("NATIVE_SOURCES")
NATIVE: Final = Path(_COPY or Path(__file__).parents[1] / "protocol" / "native")
IFMA: Final = ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma")
IFMA_PATTERN: Final = "*_ifma.c"
AARCH64_GCC: Final = "aarch64-linux-gnu-gcc"
PACKAGES: Final = {AARCH64_GCC: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"}
WARNINGS: Final = (
    ("-std=c11", "-w")
    if _COPY
    else ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wno-psabi", "-Werror")
)


# For clang: every undefined step and stray access is fatal, and the fuzzer can use it too. With its
# checks each step of the field is long: as a part of all that uses it, it would take minutes to
# compile.
OUT_OF_LINE: Final = "-DALWAYS_INLINE=static __attribute__((unused))"
SANITIZED: Final = (
    "-fsanitize=fuzzer-no-link,address,undefined",
    "-fno-sanitize-recover=all",
    "-g",
    "-O1",
    OUT_OF_LINE,
)


def has_ifma() -> bool:
    """Tell whether the lanes can run here; their portable twin always can."""
    return "avx512ifma" in Path("/proc/cpuinfo").read_text()


def find_compiler(name: str) -> str:
    """Return a compiler's path; fail with the line that installs one."""
    package = PACKAGES.get(name, name)
    return shutil.which(name) or pytest.fail(f"{name} not found: apt-get install {package}")


def build(
    sources: Sequence[str | Path],
    target: Path,
    *options: str,
    link: Sequence[str] = (),
    compiler: str = "gcc",
) -> Path:
    """Compile *sources* (names are those in protocol/native) into a program or library.

    What was compiled in the same way for another test isn't compiled again.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda each: _object_of(NATIVE / each, options, compiler), sources))
    return _compile(objects, target, [*options, *link], compiler)


@cache
def _objects() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="native-objects-"))
    atexit.register(shutil.rmtree, folder)
    return folder


@cache
def _object_of(source: Path, options: Sequence[str], compiler: str) -> Path:
    name = hashlib.sha256("\0".join([compiler, *options, str(source)]).encode()).hexdigest()
    own = IFMA if source.match(IFMA_PATTERN) and has_ifma() else ()
    target = _objects() / f"{source.stem}-{name}.o"
    return _compile([source], target, ["-c", *options, *own], compiler)


def _compile(sources: Sequence[Path], target: Path, options: Sequence[str], compiler: str) -> Path:
    command = [find_compiler(compiler), *WARNINGS, f"-I{NATIVE}", "-o", str(target)]
    done = subprocess.run(
        [*command, *map(str, sources), *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{compiler} {' '.join(options)}:\n{done.stderr}")
    return target


def build_core(
    sources: Sequence[str | Path],
    target: Path,
    *options: str,
    link: Sequence[str] = (),
    compiler: str = "gcc",
) -> Path:
    """Compile *sources* with the whole core but the module, with the paths that can run there."""
    lanes = ("-DREALTIME_HAS_IFMA=1",) if has_ifma() and compiler != AARCH64_GCC else ()
    core = sorted(path for path in NATIVE.glob("*.c") if path.name != "module.c")
    chosen = [each for each in core if lanes or not each.match(IFMA_PATTERN)]
    link = ["-pthread", *link]
    return build([*chosen, *sources], target, *options, *lanes, link=link, compiler=compiler)


def load_library(
    sources: Sequence[str | Path], folder: Path, *, compiler: str = "gcc"
) -> ctypes.CDLL:
    """Compile *sources* into a shared library and load it."""
    target = folder / f"{Path(sources[0]).stem}-{compiler}.so"
    build(sources, target, "-O2", "-fPIC", link=["-shared"], compiler=compiler)
    return ctypes.CDLL(str(target))
