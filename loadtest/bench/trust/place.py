"""What the measurement runs beside itself: a Redis, a devnet, a hub's trust book on both."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from realtime_hub.adapters.contract_trust import ContractTrust
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.adapters.qubic_node import NodeAddress, QubicNodes
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog
from realtime_hub.adapters.redis_trust_cache import RedisTrustCache
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.ports import TrustCache, TrustLog
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_protocol.identity import PublicKey, parse_identity

NETWORK_ID: Final = b"\x17" * 32
FLEET_KEY: Final = b"k" * 32
CONTRACT_INDEX: Final = 29
START_S: Final = 10.0


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """Run a Redis on a free port until the block ends; give its URL."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("no redis-server on PATH: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"]
        process = subprocess.Popen(
            [program, "--port", str(port), *options], stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Network:
    """A devnet that lists the wallets of bench.hub."""

    node: str
    admin: PublicKey


@contextlib.contextmanager
def running_network() -> Iterator[Network]:
    """Run a devnet until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.hub.network"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        yield Network(facts["node"], parse_identity(facts["admin"]))
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def running_book(
    network: Network, *, redis_url: str | None, wallets_max: int = 200_000, ttl_ms: int = 5_000
) -> AsyncIterator[TrustBook]:
    """Run a hub's trust book until the block ends; without Redis what hubs share is in memory."""
    clock, entropy = SystemClock(), SystemEntropy()
    async with contextlib.AsyncExitStack() as stack:
        log, cache = await _shared(redis_url, stack)
        nodes = QubicNodes([NodeAddress.parse(network.node)], clock, entropy)
        stack.callback(nodes.close)
        book = TrustBook(
            log=log,
            cache=cache,
            source=ContractTrust(nodes, CONTRACT_INDEX),
            clock=clock,
            stewardship=Stewardship(network.admin, ForgetfulMemory()),
            limits=TrustLimits(wallets_max=wallets_max, ttl_ms=ttl_ms),
        )
        task = asyncio.create_task(book.run())
        async with asyncio.timeout(START_S):
            while not book.backbone_ok:  # noqa: ASYNC110  (nothing tells)
                await asyncio.sleep(0.01)
        try:
            yield book
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _shared(
    redis_url: str | None, stack: contextlib.AsyncExitStack
) -> tuple[TrustLog, TrustCache]:
    if redis_url is None:
        memory = MemoryTrustCache()
        return MemoryTrustLog(SystemEntropy(), memory), memory
    client = connect(redis_url)
    stack.push_async_callback(client.aclose)

    async def ready() -> None:
        return

    log = RedisTrustLog(
        client,
        network_id=lambda: NETWORK_ID,
        fleet_key=FLEET_KEY,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        wait_ready=ready,
    )
    return log, RedisTrustCache(client, lambda: NETWORK_ID, FLEET_KEY)


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(b"PING\r\n")
            if probe.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    sys.exit("redis-server doesn't answer")
