"""Grants in Redis, so that a key logs in at any hub of the fleet, and is revoked on all.

A wallet's grants are one value under a MAC by the fleet's key, bound to the wallet: whoever writes
to Redis without that key lets nobody in. One Lua call compares and writes.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from redis.asyncio import Redis

from realtime_hub.adapters.redis_asking import asked
from realtime_hub.adapters.redis_news import follow_news
from realtime_hub.adapters.redis_servers import TAG
from realtime_hub.auth.grant_store import GrantsUnavailable
from realtime_hub.auth.grants import ID_BYTES, Grants
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)

_MAC_BYTES: Final = 16

# KEYS: a wallet's. ARGV: before, after, when it may go (epoch ms); empty is absence.
_SWAP: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
end
return 1
"""


class RedisGrants:
    """The grants of a fleet; a wallet's go when the last of them has run out.

    *network_id* raises GrantsUnavailable while the network isn't known.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        network_id: Callable[[], bytes],
        fleet_key: bytes,
        wait_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._redis = redis
        self._network_id = network_id
        self._fleet_key = fleet_key
        self._wait_ready = wait_ready
        self._decode = msgspec.msgpack.Decoder(Grants).decode
        self._swap = redis.register_script(_SWAP)

    async def load(self, wallets: Sequence[PublicKey]) -> list[Grants]:
        """Return each wallet's grants."""
        if not wallets:
            return []
        found = await asked(
            self._redis.mget([self._name(one) for one in wallets]), GrantsUnavailable
        )
        return [self._read(wallet, value) for wallet, value in zip(wallets, found, strict=True)]

    async def swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        """Put *after* in the place of *before*, in one call."""
        ends_ms = max((one.terms.until_ms for one in after), default=0)
        args: list[bytes | int] = [self._write(wallet, before), self._write(wallet, after), ends_ms]
        made = await asked(self._swap(keys=[self._name(wallet)], args=args), GrantsUnavailable)
        return bool(made == 1)

    async def tell(self, grant_ids: Sequence[bytes]) -> None:
        """Tell every hub, this one too."""
        for grant_id in grant_ids:
            message = grant_id + self._mac(b"", grant_id)
            await asked(self._redis.publish(self._channel(), message), GrantsUnavailable)

    async def follow(self, on_revoked: Callable[[bytes], None]) -> None:
        """Tell for ever, through any loss of connection, what was revoked."""
        await self._wait_ready()

        def take(_channel: bytes, data: bytes) -> None:
            grant_id, mac = data[:ID_BYTES], data[ID_BYTES:]
            if hmac.compare_digest(self._mac(b"", grant_id), mac):
                on_revoked(grant_id)

        await follow_news(self._redis, self._channel(), about="revoked keys", take=take)

    # What stands in Redis -----------------------------------------------------------------------

    def _tag(self) -> str:
        return f"{TAG}:{self._network_id().hex()[:16]}:grants"

    def _name(self, wallet: bytes) -> str:
        return f"{self._tag()}:{wallet.hex()}"

    def _channel(self) -> str:
        return f"{self._tag()}:revoked"

    def _write(self, wallet: bytes, grants: Grants) -> bytes:
        if not grants:
            return b""
        data = msgspec.msgpack.encode(grants)
        return data + self._mac(wallet, data)

    def _read(self, wallet: bytes, value: bytes | None) -> Grants:
        """Return the grants, or none for what the fleet didn't write there."""
        if not value:
            return ()
        data, mac = value[:-_MAC_BYTES], value[-_MAC_BYTES:]
        if not hmac.compare_digest(self._mac(wallet, data), mac):
            logger.error("grants in Redis aren't the fleet's; left out")
            return ()
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError):
            return ()  # Another version's.

    def _mac(self, wallet: bytes, data: bytes) -> bytes:
        return hmac.digest(self._fleet_key, b"grants" + wallet + data, "sha256")[:_MAC_BYTES]
