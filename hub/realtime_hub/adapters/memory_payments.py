"""A payment journal and a network memory that end with the process: for tests and trials."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from realtime_hub.chain.network import NetworkRecord
from realtime_hub.pay.ports import JournalFull, JournalRecord


class MemoryPaymentJournal:
    """Keeps records in a list. "Durable" comes on the next turn of the event loop."""

    def __init__(self, *, queue_max: int = 4_096) -> None:
        self.journal_id = bytes(8)
        self.failing: str | None = None
        self.records: list[JournalRecord] = []
        self._queue_max = queue_max
        self._waiting: deque[tuple[JournalRecord, Callable[[int], None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many records wait to count as durable."""
        return len(self._waiting)

    def append(
        self,
        network_id: bytes,
        payment_id: bytes,
        body: bytes,
        durable: Callable[[int], None],
        *,
        must: bool = False,
    ) -> None:
        """See PaymentJournal."""
        if len(self._waiting) >= self._queue_max and not must:
            raise JournalFull(f"{self._queue_max} records wait")
        offset = len(self.records) + len(self._waiting) + 1
        self._waiting.append((JournalRecord(offset, network_id, payment_id, body), durable))
        asyncio.get_running_loop().call_soon(self._commit_one)

    async def find(self, network_id: bytes, payment_id: bytes) -> Sequence[JournalRecord]:
        """See PaymentJournal."""
        return [one for one in await self.replay(network_id) if one.payment_id == payment_id]

    async def replay(self, network_id: bytes) -> Sequence[JournalRecord]:
        """See PaymentJournal."""
        return [record for record in self.records if record.network_id == network_id]

    def close(self) -> None:
        """Nothing to close."""

    def _commit_one(self) -> None:
        record, durable = self._waiting.popleft()
        self.records.append(record)
        durable(record.offset)


class MemoryNetworkMemory:
    """Remembers networks as long as the process lives."""

    def __init__(self) -> None:
        self._records: dict[bytes, NetworkRecord] = {}

    def joining(self) -> AbstractContextManager[bool]:
        """See NetworkMemory."""
        return nullcontext(True)

    async def load(self) -> Sequence[NetworkRecord]:
        """See NetworkMemory."""
        return list(reversed(self._records.values()))

    async def save(self, record: NetworkRecord) -> None:
        """See NetworkMemory."""
        self._records.pop(record.network_id, None)
        self._records[record.network_id] = record
