"""L2 as the trust book uses it: bounded in time, behind a breaker, never an error."""

import asyncio
import logging
from collections.abc import Sequence

from realtime_hub.auth.breaker import Breaker
from realtime_hub.auth.ports import CachedRecord, LogUnavailable, TrustCache
from realtime_hub.clock import Clock
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)


class SharedCache:
    """A shared cache that may be slow or gone: each call ends within *timeout_s*."""

    def __init__(self, cache: TrustCache, clock: Clock, *, timeout_s: float) -> None:
        self.breaker = Breaker(clock)
        self._cache = cache
        self._timeout_s = timeout_s

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
            async with asyncio.timeout(self._timeout_s):
                found = await self._cache.get(wallets)
        except (LogUnavailable, TimeoutError) as error:
            self.breaker.failed()
            raise LogUnavailable(str(error) or f"no answer in {self._timeout_s} s") from error
        self.breaker.succeeded()
        return found

    async def write(self, records: Sequence[CachedRecord]) -> None:
        """Keep records for other hubs, if that can be done now."""
        if not records or not self.breaker.allows():
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._cache.put(records)
        except (LogUnavailable, TimeoutError) as error:
            # A full Redis still answers reads, so a failed write alone opens nothing.
            logger.warning("the shared records can't be written now: %s", error)
