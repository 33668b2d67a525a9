"""A trust log on a real Redis, its writer, and followers here and in processes of their own."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis

from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog, TrustLogLimits
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import LogUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustStatus
from waiting import eventually

NETWORK = b"\x17" * 32
FLEET_KEY = b"k" * 32
WALLETS = 100


def wallet_of(number: int) -> PublicKey:
    """Return whose change number *number* is."""
    return PublicKey((number % WALLETS + 1).to_bytes(32, "big"))


def change(number: int) -> LogEntry:
    """A draft: the contract's change number *number*."""
    return LogEntry(
        0, EntryKind.CHAIN, wallet_of(number), TrustStatus.BLOCKED, 0, 7, Initiator.CHAIN,
        1_764_000_000_000, number, 1_000_000 + number, b"", b"", b"",
    )  # fmt: skip


def order(number: int) -> LogEntry:
    """A draft: what the administrator's order number *number* says of a wallet."""
    return replace(change(number), kind=EntryKind.PENDING, digest=number.to_bytes(32, "big"))


def open_log(client: Redis, limits: TrustLogLimits | None = None) -> RedisTrustLog:
    """Return a hub's view of the log."""

    async def ready() -> None:
        return

    return RedisTrustLog(
        client,
        network_id=lambda: NETWORK,
        fleet_key=FLEET_KEY,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        wait_ready=ready,
        limits=limits,
    )


class Hub:
    """A follower in this process."""

    def __init__(self, log: RedisTrustLog) -> None:
        self.log = log
        self.heard: list[int] = []
        self.begun = 0

    def deliver(self, entry: LogEntry) -> None:
        self.heard.append(entry.chain_sequence)

    def begin(self, entries: list[LogEntry]) -> None:
        self.begun += 1
        if self.begun > 1:
            self.heard.extend(entry.chain_sequence for entry in entries)

    async def heard_all(self, numbers: int, *, within_s: float = 15) -> None:
        """Wait until the changes 1 to *numbers* were heard."""
        await eventually(lambda: len(set(self.heard)) >= numbers, within_s=within_s)


@contextlib.asynccontextmanager
async def following(url: str, limits: TrustLogLimits | None = None) -> AsyncIterator[Hub]:
    """Follow with a client of its own until the block ends."""
    client = connect(url)
    hub = Hub(open_log(client, limits))
    task = asyncio.create_task(hub.log.follow(hub.deliver, hub.begin))
    await eventually(lambda: hub.begun and hub.log.trouble is None)
    yield hub
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with contextlib.suppress(Exception):
        await client.aclose()


async def write(log: RedisTrustLog, numbers: range, *, pause_s: float = 0) -> None:
    """Append changes one after the other, each until the log says that it has it."""
    for number in numbers:
        await append_surely(log, change(number))
        await asyncio.sleep(pause_s)


async def append_surely(log: RedisTrustLog, draft: LogEntry) -> int | None:
    """Append until the log says that it has it; return the place."""
    while True:
        try:
            return await log.append(draft)
        except LogUnavailable:
            await asyncio.sleep(0.01)


class FollowerProcess:
    """A follower in a process of its own, which notes what it heard in a file."""

    def __init__(self, url: str, path: Path) -> None:
        self.path = path
        arguments = [url, NETWORK.hex(), FLEET_KEY.hex(), str(path)]
        script = Path(__file__).with_name("follower_process.py")
        self._process = subprocess.Popen([sys.executable, str(script), *arguments])

    def send(self, which: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(which)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def lines(self) -> list[str]:
        """Return what it noted, the last line only when it is whole."""
        if not self.path.exists():
            return []
        return self.path.read_text().rpartition("\n")[0].splitlines()

    def heard(self) -> list[int]:
        """Return the changes that it heard, in order."""
        return [int(line.split()[0]) for line in self.lines() if line != "begin"]
