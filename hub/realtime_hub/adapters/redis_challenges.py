"""Issued challenges in Redis, for hubs that share their load: SET with a time, GETDEL."""

from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from realtime_hub.adapters.redis_servers import TAG
from realtime_hub.auth.challenges import IssuedChallenge
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

_PREFIX: Final = f"{TAG}:challenge:"


class RedisChallenges:
    """A store that every hub of the fleet shares; its bound is Redis' memory and each ttl."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decode = msgspec.msgpack.Decoder(IssuedChallenge).decode

    async def put(self, challenge_id: str, issued: IssuedChallenge, *, ttl_ms: int) -> None:
        """Keep it for *ttl_ms*."""
        try:
            await self._redis.set(_PREFIX + challenge_id, msgspec.msgpack.encode(issued), px=ttl_ms)
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable() from error

    async def take(self, challenge_id: str) -> IssuedChallenge | None:
        """Return it and forget it, in one command."""
        try:
            value = await self._redis.getdel(_PREFIX + challenge_id)
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable() from error
        try:
            return self._decode(value) if isinstance(value, bytes) else None
        except (msgspec.MsgspecError, ValueError):
            return None  # Not ours: nobody can have been asked to sign it.


def _unavailable() -> RequestError:
    return RequestError(
        ErrorCode.BACKBONE_UNAVAILABLE, "challenges can't be kept now", retry_after_ms=1_000
    )
