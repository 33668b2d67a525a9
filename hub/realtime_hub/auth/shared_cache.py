"""L2 as the trust book uses it: bounded in time, behind a breaker, never an error."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from realtime_hub.auth.breaker import Breaker
from realtime_hub.auth.ports import CachedRecord, LogUnavailable, TrustCache
from realtime_hub.clock import Clock
from realtime_hub.patience import patience
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)

WRITE_RECORDS_MAX: Final = 512
"""Records in one write."""
WAITING_RECORDS_MAX: Final = 16_384
"""Records that wait to be written; beyond, the oldest are left out."""


class SharedCache:
    """A shared cache that may be slow or gone: each call ends within *timeout_s*.

    One owner runs :meth:`run`.
    """

    def __init__(self, cache: TrustCache, clock: Clock, *, timeout_s: float) -> None:
        self.breaker = Breaker(clock)
        self._cache = cache
        self._timeout_s = timeout_s
        self._waiting: deque[CachedRecord] = deque(maxlen=WAITING_RECORDS_MAX)
        self._wanted = asyncio.Event()

    async def read(self, wallets: Sequence[PublicKey]) -> Sequence[CachedRecord | None]:
        """Return what is kept of each wallet; nothing of any while the cache can't be asked."""
        if self.breaker.allows():
            try:
                return await self.require(wallets)
            except LogUnavailable as error:
                logger.warning("the shared records can't be read now: %s", error)
        return [None] * len(wallets)

    async def require(self, wallets: Sequence[PublicKey]) -> Sequence[CachedRecord | None]:
        """Return what is kept of each wallet; LogUnavailable when that can't be told in time."""
        try:
            async with patience(self._timeout_s):
                found = await self._cache.get(wallets)
        except (LogUnavailable, TimeoutError) as error:
            self.breaker.failed()
            raise LogUnavailable(str(error) or f"no answer in {self._timeout_s} s") from error
        self.breaker.succeeded()
        return found

    def share(self, records: Sequence[CachedRecord]) -> None:
        """Keep records for other hubs, soon, if that can be done."""
        self._waiting.extend(records)
        self._wanted.set()

    async def run(self) -> None:
        """Write what is to be shared, for ever; what can't be written now is left out."""
        while True:
            await self._wanted.wait()
            count = min(len(self._waiting), WRITE_RECORDS_MAX)
            records = [self._waiting.popleft() for _ in range(count)]
            if not self._waiting:
                self._wanted.clear()
            if records and self.breaker.allows():
                await self._write(records)

    async def _write(self, records: Sequence[CachedRecord]) -> None:
        try:
            async with patience(self._timeout_s):
                await self._cache.put(records)
        except (LogUnavailable, TimeoutError) as error:
            # A full Redis still answers reads, so a failed write alone opens nothing.
            logger.warning("the shared records can't be written now: %s", error)
