"""How long a change takes from the log to every hub, each a process of its own.

``python -m bench.trust.changes URL`` is one such hub: it prints each change that it heard, its
sequence and the machine's monotonic time in ns, once its memory holds it.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from bench.hub.wallets import WATCHED, wallet
from bench.trust.figures import Latencies
from bench.trust.place import FLEET_KEY, NETWORK_ID
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustStatus

HUBS: Final = 3
CHANGES: Final = 1_000
PAUSE_S: Final = 0.002


def measure_changes(redis_url: str) -> Latencies:
    """Return how long after its append began each change stood in each hub's memory."""
    command = [sys.executable, "-m", "bench.trust.changes", redis_url]
    hubs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(HUBS)]
    try:
        for hub in hubs:
            assert hub.stdout is not None
            hub.stdout.readline()  # It is ready.
        began = asyncio.run(_write(redis_url))
        return Latencies([took for hub in hubs for took in _read(hub, began)])
    finally:
        for hub in hubs:
            hub.kill()
            hub.wait()


def _read(hub: "subprocess.Popen[str]", began: Sequence[int]) -> list[float]:
    assert hub.stdout is not None
    took_ms = []
    for _ in began:
        sequence, heard_ns = (int(word) for word in hub.stdout.readline().split())
        took_ms.append((heard_ns - began[sequence - 1]) / 1e6)
    return took_ms


async def _write(redis_url: str) -> list[int]:
    log = _open(redis_url)
    task = asyncio.create_task(log.follow(lambda _entry: None, lambda _entries: None))
    while log.trouble is not None:  # noqa: ASYNC110  (nothing tells)
        await asyncio.sleep(0.01)
    began = []
    for number in range(1, CHANGES + 1):
        began.append(time.monotonic_ns())
        await log.append(_change(number))
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])
    return began


async def _listen(redis_url: str) -> None:
    """Be a hub that tells what it hears."""

    def deliver(entry: LogEntry) -> None:
        print(entry.chain_sequence, time.monotonic_ns(), flush=True)

    await _open(redis_url).follow(deliver, lambda _entries: print("ready", flush=True))


def _open(redis_url: str) -> RedisTrustLog:
    async def ready() -> None:
        return

    return RedisTrustLog(
        connect(redis_url),
        network_id=lambda: NETWORK_ID,
        fleet_key=FLEET_KEY,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        wait_ready=ready,
    )


def _change(number: int) -> LogEntry:
    key = PublicKey(wallet(WATCHED).public_key)
    return LogEntry(
        0, EntryKind.CHAIN, key, TrustStatus.BLOCKED, 0, 7, Initiator.CHAIN,
        time.time_ns() // 1_000_000, number, number, b"", b"", b"",
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(_listen(sys.argv[1]))
