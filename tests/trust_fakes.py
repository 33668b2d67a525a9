"""A contract that a test steers, and a trust book around it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.auth.model import Overlay, TrustChange, TrustRecord
from realtime_hub.auth.ports import SourceChanges, SourceUnavailable
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import ABI_VERSION, MAGIC, ContractInfo

ADMIN = PublicKey(b"\xad" * 32)
ALICE = PublicKey(b"\xa1" * 32)
BOB = PublicKey(b"\xb0" * 32)


def record(
    wallet: PublicKey = ALICE,
    *,
    status: TrustStatus = TrustStatus.ACTIVE,
    score: int = 80,
    sequence: int = 1,
    tick: int = 1_000_000,
) -> TrustRecord:
    """A chain record."""
    return TrustRecord(wallet, status, score, sequence, 0, tick)


def block(wallet: PublicKey = ALICE, *, target_tick: int = 1_000_010) -> Overlay:
    """A pending block."""
    return Overlay(wallet, b"\xd1" * 32, target_tick, TrustStatus.BLOCKED, 0, 7)


@dataclass
class FakeSource:
    """The contract; *silent* makes every call fail."""

    records: dict[PublicKey, TrustRecord] = field(default_factory=dict)
    listed: list[TrustRecord] = field(default_factory=list)
    oldest: int = 1
    admin: bytes = ADMIN
    magic: int = MAGIC
    silent: bool = False
    hangs: bool = False
    reads: list[tuple[PublicKey, ...]] = field(default_factory=list)

    def write(self, changed: TrustRecord) -> None:
        """Change a record as the contract does."""
        self.records[changed.wallet] = changed
        self.listed.append(changed)

    @property
    def last_sequence(self) -> int:
        return self.listed[-1].chain_sequence if self.listed else 0

    def _answer(self) -> None:
        if self.silent:
            raise SourceUnavailable("silent")

    async def info(self) -> ContractInfo:
        self._answer()
        return ContractInfo(
            self.magic,
            ABI_VERSION,
            65_536,
            self.last_sequence,
            len(self.records),
            self.admin,
            bytes(32),
            0,
        )

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        self.reads.append(tuple(wallets))
        self._answer()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        return {wallet: self.records.get(wallet) for wallet in wallets}

    async def changes(self, since_sequence: int) -> SourceChanges:
        self._answer()
        found = tuple(r for r in self.listed if r.chain_sequence > since_sequence)
        overrun = since_sequence + 1 < self.oldest
        return SourceChanges(self.last_sequence, overrun, found[:256])


class TrustBench:
    """A trust book with clock, contract and log in the test's hands."""

    def __init__(self, limits: TrustLimits | None = None) -> None:
        self.clock = FakeClock()
        self.source = FakeSource()
        self.cache = MemoryTrustCache()
        self.log = MemoryTrustLog(SeededEntropy(), self.cache)
        self.heard: list[TrustChange] = []
        self.chain_trouble: str | None = None
        self.book = TrustBook(
            log=self.log,
            cache=self.cache,
            source=self.source,
            clock=self.clock,
            stewardship=Stewardship(ADMIN, ForgetfulMemory()),
            chain_trouble=lambda: self.chain_trouble,
            limits=limits,
        )
        self.book.listeners.append(self.heard.append)
