"""Trust log and shared cache in this process: for one hub without Redis, and for tests."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import CachedRecord, LogBegin
from realtime_hub.auth.recent_entries import SaidOfOrders
from realtime_hub.clock import Entropy
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

ENTRIES_MAX: Final = 65_536
RECORDS_MAX: Final = 1_000_000
_EPOCH_BYTES: Final = 8


class MemoryTrustCache:
    """The last *records_max* records; the one that was written longest ago goes first."""

    def __init__(self, *, records_max: int = RECORDS_MAX) -> None:
        self._records: OrderedDict[PublicKey, CachedRecord] = OrderedDict()
        self._records_max = records_max

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        """Return what is kept of each wallet."""
        return [self._records.get(wallet) for wallet in wallets]

    async def put(self, records: Sequence[CachedRecord]) -> None:
        """Keep each unless a newer one is kept already."""
        for cached in records:
            self.keep(cached)

    def keep(self, cached: CachedRecord) -> None:
        """Keep one, at once."""
        wallet = cached.record.wallet
        kept = self._records.get(wallet)
        if kept is not None and kept.record.chain_sequence > cached.record.chain_sequence:
            return
        self._records[wallet] = cached
        self._records.move_to_end(wallet)
        while len(self._records) > self._records_max:
            self._records.popitem(last=False)


class MemoryTrustLog:
    """Keeps the newest *entries_max* entries; its epoch is new with each start.

    Appending a chain record updates the shared cache in the same step.
    """

    def __init__(
        self, entropy: Entropy, cache: MemoryTrustCache, *, entries_max: int = ENTRIES_MAX
    ) -> None:
        self.gaps = 0
        self.born_ms = 0
        """Nothing was shared before."""
        self._cache = cache
        self._entropy = entropy
        self._epoch = entropy.token(_EPOCH_BYTES)
        self._begin: LogBegin | None = None
        self._entries: deque[LogEntry] = deque(maxlen=entries_max)
        self._head = 0
        self._sequences: dict[PublicKey, int] = {}
        self._chain_sequence: int | None = None
        self._deliver: Callable[[LogEntry], None] | None = None
        self._said_of_orders = SaidOfOrders()

    async def append(self, draft: LogEntry) -> int | None:
        """Append and deliver at once; None for a chain record that isn't newer."""
        said_at = self._said_of_orders.place_of(draft)
        if said_at is not None:
            return said_at
        if draft.kind is EntryKind.CHAIN:
            if draft.chain_sequence <= self._sequences.get(draft.wallet, 0):
                return None
            self._sequences[draft.wallet] = draft.chain_sequence
            self._cache.keep(CachedRecord(draft.record, draft.event_ms))
            self._chain_sequence = max(self._chain_sequence or 0, draft.chain_sequence)
        self._head += 1
        entry = replace(draft, log_seq=self._head)
        self._entries.append(entry)
        self._said_of_orders.add(entry)
        if self._deliver is not None:
            self._deliver(entry)
        return entry.log_seq

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        """Return what came after *offset*; None when it is no longer kept."""
        if offset + 1 < self._head + 1 - len(self._entries):
            return None
        return [entry for entry in self._entries if entry.log_seq > offset]

    def position(self) -> Position:
        """The head: everything was delivered when it was appended."""
        return Position(self._epoch, self._head)

    async def catch_up(self) -> None:
        """Everything was delivered when it was appended."""

    @property
    def trouble(self) -> str | None:
        """Memory is always there."""
        return None

    @property
    def answers(self) -> bool:
        """Memory always does."""
        return True

    async def chain_sequence(self) -> int | None:
        """Return the newest chain sequence."""
        return self._chain_sequence

    async def skip_to(self, chain_sequence: int) -> None:
        """Begin anew with what is there."""
        self._chain_sequence = max(self._chain_sequence or 0, chain_sequence)
        self._epoch = self._entropy.token(_EPOCH_BYTES)
        self._said_of_orders.begin()
        if self._begin is not None:
            self._begin(list(self._entries))

    async def take_turn(self) -> bool:
        """There is nobody else."""
        return True

    async def follow(self, deliver: Callable[[LogEntry], None], begin: LogBegin) -> None:
        """Begin with what is there, then deliver each entry as it is appended, for ever."""
        begin(list(self._entries))
        self._deliver, self._begin = deliver, begin
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._deliver = self._begin = None
