"""Compiles the load generator and talks to it."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.hub.processes import BenchError, on_core

SOURCES: Final = Path(__file__).with_name("generator")
FLAGS: Final = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")
EXIT_S_MAX: Final = 5.0


def compile_c(sources: list[Path], program: Path) -> Path:
    """Compile *sources* to *program*; BenchError says what is missing."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("no C compiler; apt install gcc libc6-dev")
    command = [compiler, *FLAGS, "-o", str(program), *map(str, sources)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchError(f"{program.name} doesn't compile:\n{found.stderr}")
    return program


def compile_generator(folder: Path) -> Path:
    """Compile the generator into *folder*."""
    return compile_c(sorted(SOURCES.glob("*.c")), folder / "generator")


class Generator:
    """A running generator; a method for each of its commands is not needed: see README.md."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tell(self, command: str, *words: object) -> dict[str, Any]:
        """Give one command and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = " ".join([command, *map(str, words)])
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise BenchError(f"the generator ended with {self._process.wait()} at: {line[:80]}")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def running_generator(
    program: Path, *, port: int, server_pid: int, wallets: Path, core: int
) -> Iterator[Generator]:
    """Run a generator and its signer against one server until the block ends."""
    ours, signers = socket.socketpair()
    with ours, signers:
        signer = subprocess.Popen(
            on_core(core, [sys.executable, "-m", "bench.hub.signer", str(signers.fileno())]),
            pass_fds=[signers.fileno()],
        )
        process = subprocess.Popen(
            on_core(core, [str(program), str(port), str(ours.fileno()), str(wallets)]),
            pass_fds=[ours.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        generator = Generator(process)
        generator.tell("server", server_pid)
        yield generator
    finally:
        for child in (process, signer):
            child.kill()
            child.wait(EXIT_S_MAX)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
