"""L2: the records that hubs share, in one hash of Redis, each under the fleet's MAC."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio import Redis

from realtime_hub.adapters.redis_asking import asked
from realtime_hub.adapters.redis_seal import Seal
from realtime_hub.adapters.redis_trust import TrustKeys
from realtime_hub.adapters.redis_trust_scripts import PUT
from realtime_hub.adapters.together import Together
from realtime_hub.auth.ports import CachedRecord
from realtime_protocol.identity import PublicKey

WALLETS_TOGETHER_MAX: Final = 256

logger = logging.getLogger(__name__)


class RedisTrustCache:
    """One hash of sealed records. What the fleet didn't write is removed when it is met."""

    def __init__(self, redis: Redis, network_id: Callable[[], bytes], fleet_key: bytes) -> None:
        self._redis = redis
        self._network_id = network_id
        self._seal = Seal(fleet_key)
        self._put = redis.register_script(PUT)
        self._singles = Together(self._get_all, most=WALLETS_TOGETHER_MAX)

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        """Return what is kept of each wallet, in one command; single ones go together."""
        if len(wallets) == 1:
            return [await self._singles.ask(wallets[0])]
        return await self._get_all(wallets)

    async def _get_all(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        name = TrustKeys(self._network_id()).records
        found = await asked(self._redis.hmget(name, list(wallets)))
        records = [self._seal.read_record(w, data) for w, data in zip(wallets, found, strict=True)]
        forged = [
            wallet
            for wallet, data, record in zip(wallets, found, records, strict=True)
            if data is not None and record is None
        ]
        if forged:
            logger.error("%d shared records aren't the fleet's; removed", len(forged))
            await asked(self._redis.hdel(name, *forged))
        return records

    async def put(self, records: Sequence[CachedRecord]) -> None:
        """Keep each unless a newer one is kept already."""
        if not records:
            return
        args: list[bytes] = []
        for cached in records:
            args += [cached.record.wallet, self._seal.record(cached)]
        await asked(self._put(keys=[TrustKeys(self._network_id()).records], args=args))
