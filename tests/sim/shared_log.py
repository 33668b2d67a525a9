"""A trust log that hubs share over a bad network: late, lossy, cut, on virtual time.

Each hub has its own :class:`HubLog`. Publications may come late or never; a look at the head each
second fills in, as with Redis. A hub that is cut neither hears nor looks.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from realtime_hub.auth.model import EntryKind, LogEntry, TrustRecord
from realtime_hub.auth.ports import CachedRecord, LogBegin, LogUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position
from sim.seeded_loop import SeededClock
from trust_fakes import FakeSource

LEASE_S: Final = 2.0
LOOK_EVERY_S: Final = 1.0
LATE_S_MAX: Final = 0.12


@dataclass
class Network:
    """What all hubs share, and how badly they reach it."""

    rng: random.Random
    entries: list[LogEntry] = field(default_factory=list)
    records: dict[PublicKey, CachedRecord] = field(default_factory=dict)
    logged: dict[PublicKey, int] = field(default_factory=dict)
    chain_sequence: int | None = None
    epoch: bytes = b"epoch--1"
    hubs: list["HubLog"] = field(default_factory=list)
    lost_share: float = 0.3
    """Of publications."""
    failed_share: float = 0.05
    """Of commands; half of these had their effect."""

    async def travel(self) -> None:
        """Be on the way for a while."""
        await asyncio.sleep(self.rng.random() * LATE_S_MAX)

    def fails(self) -> bool:
        """Whether this command gives no answer."""
        return self.rng.random() < self.failed_share

    def keep(self, cached: CachedRecord) -> None:
        """Share a record unless a newer one is shared already."""
        kept = self.records.get(cached.record.wallet)
        if kept is None or kept.record.chain_sequence <= cached.record.chain_sequence:
            self.records[cached.record.wallet] = cached

    def lose_newest(self, count: int) -> None:
        """Go back, as a server that took over too early: the epoch ends."""
        del self.entries[max(0, len(self.entries) - count) :]
        kept = [entry for entry in self.entries if entry.kind is EntryKind.CHAIN]
        self.records = {e.wallet: CachedRecord(e.record, e.event_ms) for e in kept}
        self.logged = {e.wallet: e.chain_sequence for e in kept}
        self.chain_sequence = kept[-1].chain_sequence if kept else None
        self.epoch = self.rng.randbytes(8)


class HubLog:
    """Implements TrustLog for one hub."""

    def __init__(self, network: Network) -> None:
        self.cut = False
        self.born_ms = 0
        self.gaps = 0
        self._network = network
        self._clock = SeededClock()
        self._head = 0
        self._epoch = network.epoch
        self._vouched_s: float | None = None
        self._heard = asyncio.Event()
        self._filling = asyncio.Lock()
        self._deliver: Callable[[LogEntry], None] = lambda _entry: None
        self._begin: LogBegin = lambda _entries: None
        network.hubs.append(self)

    @property
    def trouble(self) -> str | None:
        """Whether the last good look began longer ago than the lease."""
        now_s = self._clock.monotonic_s()
        if self._vouched_s is None or now_s - self._vouched_s > LEASE_S:
            return "cut off"
        return None

    @property
    def answers(self) -> bool:
        return self.trouble is None

    def position(self) -> Position:
        return Position(self._epoch, self._head)

    async def append(self, draft: LogEntry) -> int | None:
        network = self._network
        await self._reach()
        fails = network.fails()
        if fails and network.rng.random() < 0.5:
            raise LogUnavailable("lost on the way there")
        if draft.kind is EntryKind.CHAIN:
            if network.logged.get(draft.wallet, 0) >= draft.chain_sequence:
                return None
            network.logged[draft.wallet] = draft.chain_sequence
            network.keep(CachedRecord(draft.record, draft.event_ms))
            network.chain_sequence = max(network.chain_sequence or 0, draft.chain_sequence)
        entry = replace(draft, log_seq=len(network.entries) + 1)
        network.entries.append(entry)
        for hub in network.hubs:
            if network.rng.random() >= network.lost_share:
                hub._heard.set()
        if fails:
            raise LogUnavailable("lost on the way back")
        await network.travel()
        await self.catch_up()
        return entry.log_seq

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        return self._network.entries[offset : self._head]

    async def catch_up(self) -> None:
        await self._reach()
        async with self._filling:
            began_s = self._clock.monotonic_s()
            if self._epoch != self._network.epoch:
                self._start()
            for entry in list(self._network.entries[self._head :]):
                self._head = entry.log_seq
                self._deliver(entry)
            self._vouched_s = began_s

    async def chain_sequence(self) -> int | None:
        await self._reach()
        return self._network.chain_sequence

    async def skip_to(self, chain_sequence: int) -> None:
        raise AssertionError("the simulated source lists every change: nothing is skipped")

    async def take_turn(self) -> bool:
        await self._reach()
        return next(hub for hub in self._network.hubs if not hub.cut) is self

    async def follow(self, deliver: Callable[[LogEntry], None], begin: LogBegin) -> None:
        self._deliver, self._begin = deliver, begin
        self._start()
        while True:
            try:
                await self.catch_up()
            except LogUnavailable:
                pass
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._heard.wait()
            except TimeoutError:
                pass
            if not self.cut:
                await self._network.travel()
            self._heard.clear()

    def _start(self) -> None:
        self._epoch, self.born_ms = self._network.epoch, self._clock.now_ms()
        self._head = len(self._network.entries)
        self._begin(list(self._network.entries))

    async def _reach(self) -> None:
        await self._network.travel()
        if self.cut:
            raise LogUnavailable("cut off")


class HubCache:
    """Implements TrustCache for one hub: the answer is as old as its way back."""

    def __init__(self, network: Network, log: HubLog) -> None:
        self._network = network
        self._log = log

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        await self._log._reach()
        found = [self._network.records.get(wallet) for wallet in wallets]
        await self._network.travel()
        return found

    async def put(self, records: Sequence[CachedRecord]) -> None:
        await self._log._reach()
        for cached in records:
            self._network.keep(cached)


class LateSource(FakeSource):
    """A contract whose answers are on their way for a while: what they say may be old."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    async def statuses(self, wallets: Sequence[PublicKey]) -> dict[PublicKey, TrustRecord | None]:
        await self._network.travel()
        answer = await super().statuses(wallets)
        await self._network.travel()
        return dict(answer)
