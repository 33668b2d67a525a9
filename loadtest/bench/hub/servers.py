"""The servers that are compared, each in a process of its own on the server's core."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.hub.generator import compile_c
from bench.hub.network import TICK_MS
from bench.hub.processes import BenchError, on_core, stop

RIVALS: Final = Path(__file__).with_name("rivals")
MANY: Final = 1_000_000
DAY_MS: Final = 86_400_000
NODE_TIMEOUT_MS: Final = 20_000
"""The node runs on the generator's core: that it is starved there is not the hub's doing."""
HUB: Final = "hub"

# Rule: the guards run as always; only their limits are out of the way of one address with 10,000
# sessions, and an answer from memory is good for the whole measurement.
HUB_SETTINGS: Final = {
    "SESSIONS_PER_IP_MAX": MANY,
    "UPGRADES_PER_IP_PER_S": MANY,
    "SESSIONS_PER_WALLET_MAX": MANY,
    "REQUESTS_PER_S": MANY,
    "REQUESTS_BURST": MANY,
    "TRUST_TTL_MS": DAY_MS,
    "NODE_TIMEOUT_MS": NODE_TIMEOUT_MS,
    "LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        """Whose CPU time and memory are measured."""
        return self.process.pid


@contextmanager
def running_network(core: int, *, tick_ms: int = TICK_MS) -> Iterator[dict[str, str]]:
    """Run the simulated network; yield its node's address and the administrator."""
    process = subprocess.Popen(
        on_core(core, [sys.executable, "-m", "bench.hub.network", str(tick_ms)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _first_line(process, "the simulated network")
    finally:
        stop(process)


def start_hub(core: int, network: dict[str, str], state: Path) -> Server:
    """Start the real hub with its limits raised."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "realtime_cli", "serve", "--port", "0", "--admin-port", "0"]
    command += ["--node", network["node"], "--admin", network["admin"], "--state", str(state)]
    command += ["--log-file", str(state / "hub.log"), "--ready-fd", str(writing)]
    settings = {f"REALTIME_HUB_{name}": str(value) for name, value in HUB_SETTINGS.items()}
    process = subprocess.Popen(
        on_core(core, [*command, "--ends-with-stdin"]),
        pass_fds=[writing],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    with os.fdopen(reading) as ready:
        line = ready.readline()
    if not line:
        raise BenchError(f"the hub ended with {process.wait()}; see {state / 'hub.log'}")
    facts = json.loads(line)
    return Server(HUB, int(facts["url"].rpartition(":")[2].partition("/")[0]), process)


def start_rival(name: str, command: list[str], core: int, work: Path) -> Server:
    """Start a rival: it is given its port and the file that says what to answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        on_core(core, [*command, str(port), str(work)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        stop(process)
        raise BenchError(f"{name} doesn't start")
    return Server(name, port, process)


def _floor(folder: Path) -> list[str]:
    return [str(compile_c([RIVALS / "floor.c"], folder / "floor"))]


def _websockets(_: Path) -> list[str]:
    return [sys.executable, str(RIVALS / "websockets_server.py")]


def _uvicorn(_: Path) -> list[str]:
    return [sys.executable, str(RIVALS / "uvicorn_server.py")]


def _node(_: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise BenchError("no Node; apt install nodejs")
    _install()
    return [node, str(RIVALS / "node_server.mjs")]


def _bun(_: Path) -> list[str]:
    _install()
    bun = RIVALS / "node_modules" / "bun" / "bin" / "bun.exe"
    tried = subprocess.run([bun, "--version"], capture_output=True, check=False)
    if tried.returncode:
        raise BenchError("npm's bun doesn't run here")
    return [str(bun), str(RIVALS / "bun_server.mjs")]


def _install() -> None:
    """Get the rivals' packages, once, as their lock file names them."""
    if (RIVALS / "node_modules" / ".package-lock.json").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("no npm; apt install npm")
    command = [npm, "--prefix", str(RIVALS), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchError(f"npm can't install the rivals: {found.stderr.strip()[:200]}")


RIVAL_COMMANDS: Final[dict[str, Callable[[Path], list[str]]]] = {
    "websockets": _websockets,
    "uvicorn": _uvicorn,
    "ws": _node,
    "bun": _bun,
    "floor": _floor,
}
"""Rival -> its command; BenchError where it can't be had."""


def _first_line(process: "subprocess.Popen[str]", name: str) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise BenchError(f"{name} ended with {process.wait()}")
    return json.loads(line)
