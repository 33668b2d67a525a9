"""Reading wallets from L2 and L3, each wallet once however many ask, many in one call.

What is asked for in one turn of the loop goes to the shared cache in one command. What it doesn't
have waits for one of a few readers of the chain, each of which takes as many as fit in a call.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from realtime_hub.auth.breaker import Breaker
from realtime_hub.auth.model import TrustRecord
from realtime_hub.auth.ports import CachedRecord, SourceUnavailable
from realtime_hub.auth.shared_cache import SharedCache
from realtime_hub.auth.standing import Standing
from realtime_hub.clock import Clock
from realtime_hub.patience import patience
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, TrustTier

CACHE_WALLETS_MAX: Final = 512
"""Wallets in one command to the shared cache."""
SOURCE_WALLETS_MAX: Final = 16
"""Wallets in one call of the contract."""
SOURCE_READERS: Final = 4
READS_MAX: Final = 65_536
"""Wallets that are being read; further ones are told that nobody answers now."""
READ_TIMEOUT_S: Final = 0.6
"""Who asks is answered after this, whatever the tiers do."""


@dataclass(frozen=True, slots=True)
class Found:
    """Who answered for a wallet, what, and where the trust log was then."""

    tier: TrustTier
    standing: Standing | None = None
    position: Position | None = None


NOTHING: Final = Found(TrustTier.NONE)
Statuses = Callable[[Sequence[PublicKey]], Awaitable[Mapping[PublicKey, TrustRecord | None]]]
"""L3: what counts of the wallets, None for one that isn't listed; raises SourceUnavailable."""
TakeCached = Callable[[PublicKey, CachedRecord], Found | None]
"""Takes a shared record in; None when it isn't good enough for an answer."""
TakeRecord = Callable[[PublicKey, TrustRecord | None, int], Found]
"""Takes the chain's record in, and when it was read, epoch ms."""


class TierReader:
    """One owner runs :meth:`run`; anybody calls :meth:`read`."""

    def __init__(
        self,
        *,
        cache: SharedCache,
        statuses: Statuses,
        clock: Clock,
        take_cached: TakeCached,
        take_record: TakeRecord,
        source_timeout_s: float,
    ) -> None:
        self._cache = cache
        self._statuses = statuses
        self._clock = clock
        self._take_cached = take_cached
        self._take_record = take_record
        self._source_timeout_s = source_timeout_s
        self._source_breaker = Breaker(clock)
        self._reading: dict[PublicKey, asyncio.Future[Found]] = {}
        self._for_cache: list[PublicKey] = []
        self._for_source: deque[PublicKey] = deque()
        self._cache_wanted = asyncio.Event()
        self._source_wanted = asyncio.Event()

    async def read(self, wallets: Sequence[PublicKey]) -> Mapping[PublicKey, Found]:
        """Read wallets, or join who reads them already; NOTHING where nobody answered.

        Giving up waiting for it disturbs nobody else.
        """
        waited = {wallet: self._begin(wallet) for wallet in wallets}
        if waited:
            await asyncio.wait(waited.values(), timeout=READ_TIMEOUT_S)
        return {
            wallet: future.result() if future.done() else NOTHING
            for wallet, future in waited.items()
        }

    def begin(self, wallet: PublicKey) -> None:
        """Have a wallet read ahead of need."""
        self._begin(wallet)

    def _begin(self, wallet: PublicKey) -> asyncio.Future[Found]:
        future = self._reading.get(wallet)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            if len(self._reading) >= READS_MAX:
                future.set_result(NOTHING)
                return future
            self._reading[wallet] = future
            self._for_cache.append(wallet)
            self._cache_wanted.set()
        return future

    async def run(self) -> None:
        """Read what is asked for, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cache.run(), name="trust cache writes")
            for number in range(SOURCE_READERS):
                group.create_task(self._read_source(), name=f"trust source {number}")
            while True:
                await self._cache_wanted.wait()
                self._cache_wanted.clear()
                asked, self._for_cache = self._for_cache, []
                for start in range(0, len(asked), CACHE_WALLETS_MAX):
                    batch = asked[start : start + CACHE_WALLETS_MAX]
                    group.create_task(self._read_cache(batch), name="trust cache")

    async def _read_cache(self, wallets: Sequence[PublicKey]) -> None:
        found = await self._cache.read(wallets)
        for wallet, cached in zip(wallets, found, strict=True):
            taken = None if cached is None else self._take_cached(wallet, cached)
            if taken is not None:
                self._end(wallet, taken)
            else:
                self._for_source.append(wallet)
                self._source_wanted.set()

    async def _read_source(self) -> None:
        queue = self._for_source
        while True:
            await self._source_wanted.wait()
            batch = [queue.popleft() for _ in range(min(len(queue), SOURCE_WALLETS_MAX))]
            if not queue:
                self._source_wanted.clear()
            if batch:
                await self._read_batch(batch)

    async def _read_batch(self, wallets: Sequence[PublicKey]) -> None:
        began_ms = self._clock.now_ms()
        records = await self._ask_source(wallets)
        for wallet in wallets:
            found = NOTHING
            if wallet in records:
                found = self._take_record(wallet, records[wallet], began_ms)
            self._end(wallet, found)
        listed = [record for record in records.values() if record is not None]
        self._cache.share([CachedRecord(record, began_ms) for record in listed])

    async def _ask_source(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """Return what the source tells; nothing when it gives no answer."""
        if not self._source_breaker.allows():
            return {}
        try:
            async with patience(self._source_timeout_s):
                records = await self._statuses(wallets)
        except (SourceUnavailable, TimeoutError):
            self._source_breaker.failed()
            return {}
        self._source_breaker.succeeded()
        return records

    def _end(self, wallet: PublicKey, found: Found) -> None:
        self._reading.pop(wallet).set_result(found)
