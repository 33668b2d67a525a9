"""Compile the C sources beside this file to realtime_protocol._native; the standard library is all
it needs.

The build of the package calls it, and so does `make native`: run as a program, it compiles into
the source tree, where an editable install finds the module. What hasn't changed is not compiled
again; a change of anything else than a C file compiles all.

Environment: CC, the compiler and its first arguments (else the first of cc, gcc and clang);
CFLAGS and LDFLAGS, behind our own flags; REALTIME_NATIVE, see :class:`Wish`.
"""

import filecmp
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

NATIVE: Final = Path(__file__).resolve().parent
ROOT: Final = NATIVE.parent.parent
MODULE: Final = "_native" + str(sysconfig.get_config_var("EXT_SUFFIX"))
IN_TREE: Final = ROOT / "protocol" / "realtime_protocol" / MODULE

FLAGS: Final = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-pthread")
# The twin of the lanes passes vectors between its own functions: how, is the compiler's affair.
WARNINGS: Final = ("-Wall", "-Wextra", "-Wno-psabi")

# Their 128-bit numbers: gcc 12 would carry them through vector registers, which costs a fifth.
# A file that has vectors of its own, as signing.c, can't be among them.
GENERAL_REGISTERS: Final = frozenset({"order.c", "verification.c"})
GENERAL_REGISTERS_FLAGS: Final = ("-mgeneral-regs-only", "-O2")

# Sources for these processors alone. The others hear by REALTIME_HAS_IFMA that they are there, and
# call them only where the processor has all of it.
IFMA_PATTERN: Final = "*_ifma.c"
IFMA_FLAGS: Final = ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma")
IFMA_DEFINITION: Final = "-DREALTIME_HAS_IFMA=1"

_NEEDED: Final = """
#include <Python.h>
#include <pthread.h>
__extension__ typedef unsigned __int128 number;
int main(void) { return sizeof(number) != 16; }
"""
_IS_GCC_ON_X86_64: Final = """
#if !defined __x86_64__ || defined __clang__
#error
#endif
int number;
"""
_IS_IFMA: Final = """
#include <immintrin.h>
__m512i multiply(__m512i a) { return _mm512_madd52lo_epu64(a, a, a); }
"""


class Wish(Enum):
    """What REALTIME_NATIVE asks for."""

    WHERE_POSSIBLE = ""
    NEVER = "0"
    REQUIRED = "require"


class CannotCompileError(Exception):
    """The reason, in one line."""


class Compiler(NamedTuple):
    """A compiler that can do what we need, and what it offers besides."""

    command: tuple[str, ...]
    has_general_registers: bool
    has_ifma: bool

    def sources(self) -> list[Path]:
        skipped = set() if self.has_ifma else set(NATIVE.glob(IFMA_PATTERN))
        return sorted(set(NATIVE.glob("*.c")) - skipped)

    def compile_command(self, source: Path) -> list[str]:
        flags = [*FLAGS, *WARNINGS]
        if self.has_ifma:
            flags.append(IFMA_DEFINITION)
        if source.match(IFMA_PATTERN):
            flags += IFMA_FLAGS
        if self.has_general_registers and source.name in GENERAL_REGISTERS:
            flags += GENERAL_REGISTERS_FLAGS
        return [*self.command, *flags, *_include_flags(), *_words("CFLAGS"), "-c", str(source)]

    def link_command(self) -> list[str]:
        shared = ["-bundle", "-undefined", "dynamic_lookup"] if _is_mac() else ["-shared"]
        return [*self.command, *shared, "-pthread", *_words("CFLAGS"), *_words("LDFLAGS")]


def read_wish() -> Wish:
    """Read REALTIME_NATIVE; ValueError when it has no meaning."""
    text = os.environ.get("REALTIME_NATIVE", "")
    try:
        return Wish(text)
    except ValueError:
        raise ValueError(f'REALTIME_NATIVE is {text!r}; it may be "0" or "require"') from None


def find_compiler() -> Compiler:
    """Find one that compiles for this Python; CannotCompileError says why there is none."""
    command = tuple(_words("CC"))
    if not command:
        names = [name for name in ("cc", "gcc", "clang") if shutil.which(name)]
        if not names:
            raise CannotCompileError("no C compiler found (cc, gcc, clang); install one, or set CC")
        command = (names[0],)
    _run([*command, *FLAGS, *_include_flags(), "-fsyntax-only", "-x", "c", "-"], _NEEDED)
    return Compiler(
        command,
        has_general_registers=_compiles(command, GENERAL_REGISTERS_FLAGS, _IS_GCC_ON_X86_64),
        has_ifma=_compiles(command, IFMA_FLAGS, _IS_IFMA),
    )


def compile_module(
    target: Path, tell: Callable[[str], object] = print, *, with_ifma: bool = True
) -> None:
    """Compile the module to *target*; CannotCompileError says why it can't be done.

    Without IFMA it is what other processors run; the benchmark compares the two.
    """
    compiler = find_compiler()
    if not with_ifma:
        compiler = compiler._replace(has_ifma=False)
    folder = _objects_folder(compiler)
    objects = {source: _object_of(source, folder) for source in compiler.sources()}
    missing = [source for source in objects if not objects[source].exists()]
    for source in missing:
        tell(f"{compiler.command[0]} {source.name}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        commands = [compiler.compile_command(source) for source in missing]
        list(pool.map(_write_whole, [objects[source] for source in missing], commands))
    _install(_link(compiler, list(objects.values())), target)


def compile_in_tree(tell: Callable[[str], object] = print) -> str | None:
    """Make the module in the source tree what REALTIME_NATIVE asks for; None or why it isn't there.

    One that can't be renewed is removed: it would go on serving in its old form.
    """
    return _fulfil(IN_TREE, tell)


def compile_apart(folder: Path, tell: Callable[[str], object] = print) -> Path | str:
    """Compile into *folder*, for a wheel; return the file, or why there is none."""
    target = folder / MODULE
    refusal = _fulfil(target, tell)
    return target if refusal is None else refusal


def _fulfil(target: Path, tell: Callable[[str], object]) -> str | None:
    wish = read_wish()
    if wish is Wish.NEVER:
        target.unlink(missing_ok=True)
        return "REALTIME_NATIVE is 0"
    try:
        compile_module(target, tell)
    except CannotCompileError as error:
        target.unlink(missing_ok=True)
        if wish is Wish.REQUIRED:
            raise
        return str(error)
    return None


def _objects_folder(compiler: Compiler) -> Path:
    """A folder for this compiler, these flags and these headers; ROOT/build is not under git."""
    state = hashlib.sha256()
    state.update(MODULE.encode())
    state.update("\0".join(compiler.compile_command(NATIVE)).encode())
    state.update(_run([*compiler.command, "--version"]).encode())
    for path in sorted({*NATIVE.glob("*.h"), Path(__file__)}):
        state.update(path.read_bytes())
    folder = ROOT / "build" / "native" / state.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCompileError(f"{folder} can't be made: {error.strerror}") from error
    return folder


def _object_of(source: Path, folder: Path) -> Path:
    return folder / f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.o"


def _link(compiler: Compiler, objects: list[Path]) -> Path:
    command = [*compiler.link_command(), *map(str, objects)]
    name = hashlib.sha256("\0".join(command).encode()).hexdigest()[:16]
    linked = objects[0].with_name(f"{name}.so")
    if not linked.exists():
        _write_whole(linked, command)
    return linked


def _install(linked: Path, target: Path) -> None:
    """Put a copy in the place of the target, unless it is there already; it may be in use."""
    if target.exists() and filecmp.cmp(linked, target, shallow=False):
        return
    part = target.with_name(f".{os.getpid()}.{target.name}")
    shutil.copy(linked, part)
    part.replace(target)


def _write_whole(target: Path, command: list[str]) -> None:
    """Let the command write *target*, which is there whole or not at all."""
    part = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        _run([*command, "-o", str(part)])
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _compiles(command: tuple[str, ...], flags: tuple[str, ...], text: str) -> bool:
    with suppress(CannotCompileError):
        _run([*command, *flags, "-fsyntax-only", "-x", "c", "-"], text)
        return True
    return False


def _run(command: list[str], text: str = "") -> str:
    # Elsewhere than in the tree: a compiler that leaves files behind leaves them there.
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, input=text, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise CannotCompileError(f"{command[0]} can't be run: {error.strerror}") from error
    sys.stderr.write(done.stderr if done.returncode == 0 else "")
    if done.returncode != 0:
        raise CannotCompileError(_reason(command[0], done.stderr, done.returncode))
    return done.stdout


def _reason(program: str, errors: str, code: int) -> str:
    lines = [line.strip() for line in errors.splitlines() if "error" in line.lower()]
    return f"{program}: {lines[0]}" if lines else f"{program} failed with code {code}"


def _include_flags() -> list[str]:
    folders = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    return [f"-isystem{folder}" for folder in sorted(folders)]


def _words(variable: str) -> list[str]:
    return shlex.split(os.environ.get(variable, ""))


def _is_mac() -> bool:
    return sys.platform == "darwin"


def main() -> int:
    """Compile into the source tree and tell the outcome."""
    try:
        refusal = compile_in_tree()
    except (CannotCompileError, ValueError) as error:
        sys.stderr.write(f"The native signatures were not built: {error}\n")
        return 1
    if refusal is not None:
        sys.stderr.write(
            f"Signatures run in pure Python, about a hundred times slower: {refusal}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
